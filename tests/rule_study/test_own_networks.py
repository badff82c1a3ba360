"""A user's own network, of several groups and synapses, gives the rules its steps."""

import math
from pathlib import Path

import numpy as np
import pytest
from brian2 import (
    BrianObjectException,
    Hz,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    Synapses,
    TimedArray,
    defaultclock,
    ms,
    mV,
    start_scope,
)
from brian2.core.names import Nameable
from command_line import brian_eprop
from hypothesis import event, given
from steps_in_brian2 import distance, vector
from whole_networks import whole_networks

from brian_eprop import (
    EProp,
    FiringRateRegularizer,
    LeakyReadout,
    Learner,
    Loss,
    PiecewiseLinear,
    TrainableSynapses,
)
from brian_eprop.rule_study import compare_own_network
from brian_eprop.rule_study.own_networks import problem_of_learner

pytestmark = pytest.mark.usefixtures("names", "numpy_target")

T, DT = 60, 0.5 * ms
EXACT = 1e-10
NAMES = {"EL": -65 * mV, "drive": TimedArray(np.arange(T) % 7 * 0.2 * mV, dt=DT)}
EXCITATORY = """
dv/dt = (EL - v + ge*(0*mV - v) + gi*(-80*mV - v) + back)/tau : volt (unless refractory)
dge/dt = -ge/(5*ms) : 1
dgi/dt = -gi/(10*ms) : 1
dback/dt = -back/(50*ms) : volt
tau : second (constant)
"""
INHIBITORY = "dv/dt = (EL - v + ge*(0*mV - v))/(8*ms) : volt\ndge/dt = -ge/(4*ms) : 1"
SURROGATE = PiecewiseLinear(0.3 / (15 * mV), 15 * mV)


class Balanced:
    """Inputs → excitatory and inhibitory neurons, with conductances and delays → a readout.

    Parameters
    ----------
    order, engine, feedback
        Of learning.
    readout : dict, optional
        Arguments of the readout.
    **learner
        Of the Learner.
    """

    def __init__(
        self, order=math.inf, engine="credit", feedback="symmetric", readout=None, **learner
    ):
        start_scope()
        defaultclock.dt = DT
        self.rng = rng = np.random.default_rng(2)
        steps, channels = np.nonzero(rng.random((T, 4)) < 0.25)
        self.source = SpikeGeneratorGroup(4, channels, steps * DT, period=T * DT, name="source")
        neurons = {"namespace": NAMES, "threshold": "v > -50*mV"}
        self.E = NeuronGroup(
            4,
            EXCITATORY,
            reset="v = EL; back -= 3*mV",
            refractory=1 * ms,
            method="euler",
            name="E",
            **neurons,
        )
        self.I = NeuronGroup(
            2, INHIBITORY, reset="v = EL", method="exponential_euler", name="I", **neurons
        )
        self.E.v = self.I.v = -65 * mV
        self.E.tau = "(10 + i)*ms"
        target = rng.dirichlet([1, 1], T)
        self.readout = LeakyReadout(
            2, 10 * ms, target=target, period=T * DT, name="answers", **(readout or {})
        )
        self.learner = Learner(
            self.readout,
            EProp(order=order, engine=engine, surrogate=SURROGATE),
            feedback,
            reset_every=T * DT,
            seed=1,
            **learner,
        )
        self.network = Network(self.source, self.E, self.I, self.readout)
        self.connect(self.source, self.E, "ge_post += w", 0.6)
        self.connect(self.source, self.I, "ge_post += w", 0.5)
        self.connect(self.E, self.readout, "y_post += w", 0.5)
        self.connect(self.I, self.readout, "y_post -= 2*w", 0.5)

    def recurrent(self, delays=3):
        self.connect(self.E, self.E, "ge_post += w", 0.4, "i != j", delays)
        self.connect(self.E, self.I, "ge_post += w", 0.5)
        self.connect(self.I, self.E, "gi_post += w", 0.4, None, delays)
        return self

    def connect(self, source, target, on_pre, size, condition=None, delays=0, **options):
        synapses = TrainableSynapses(source, target, on_pre=on_pre, learner=self.learner, **options)
        synapses.connect(condition=condition)
        synapses.w = size * np.abs(self.rng.normal(1, 0.4, len(synapses)))
        if delays:
            synapses.delay = self.rng.integers(0, delays, len(synapses)) * DT
        self.network.add(synapses)
        return synapses

    def problem(self):
        problem = problem_of_learner(self.learner, self.network, namespace={})
        fired = sum(step.observable[0] for step in problem.steps)
        assert np.all([np.any(fired[:4]), np.any(fired[4:])])
        return problem


def test_rules_have_the_gradient_of_brian2_and_find_the_network_as_it_was():
    own = Balanced().recurrent()
    problem = own.problem()
    assert problem.network.cell.name == "E and I" and problem.network.delay_rec.max() > 0
    assert problem.network.cell.gates == 3
    exact = vector(problem, "bptt")
    assert distance(vector(problem, "rtrl"), exact) < EXACT
    assert distance(vector(problem, "eprop_reverse", order=T), exact) < EXACT
    assert distance(vector(problem, "eprop"), exact) > 0.1
    # what the learner itself finds, in a run of the user's
    own.network.run(T * DT, namespace={})
    assert own.readout.loss[:].sum() == pytest.approx(problem.loss[0], rel=1e-12)
    synapses = next(s for s in own.learner.projections if s.source is own.E and s.target is own.I)
    assert distance(np.array(synapses.grad[:]), _part(problem, exact, synapses)) < EXACT


def test_gates_have_connections_of_their_own_in_a_sparse_influence():
    problem = Balanced().recurrent(delays=0).problem()
    exact, second = vector(problem, "bptt"), vector(problem, "eprop_reverse", order=2)
    assert np.any(problem.network.mask_of("w_rec")[0] != problem.network.mask_of("w_rec")[1])
    assert distance(vector(problem, "snap", n=6), exact) < EXACT
    assert distance(vector(problem, "eprop", order=2), second) < EXACT
    assert distance(second, exact) > 1e-3


def _part(problem, gradient, synapses):
    """The entries of the synapses from E onto I: w_rec[0, :4, 4:]."""
    network, whole = problem.network, {}
    start = 0
    for name in ("w_in", "w_rec"):
        shape = np.shape(problem.network.parameters[name])
        mask = np.broadcast_to(network.mask_of(name), shape)
        whole[name] = np.zeros(shape)
        whole[name][mask] = gradient[start : start + mask.sum()]
        start += mask.sum()
    assert len(synapses) == 8
    return whole["w_rec"][0, :4, 4:].ravel()


@pytest.mark.slow
def test_what_the_rules_see_passes_the_check_that_knows_no_derivation():
    own = Balanced().recurrent()
    own.problem()  # which agrees with the learner's gradient
    assert own.learner.check(network=own.network, synapses=1).passed


OPTIONS = {
    "random feedback, order 2": dict(order=2, feedback="random"),
    "adaptive feedback": dict(order=3, feedback="adaptive"),
    "rates and a window": dict(
        regularizers=[FiringRateRegularizer(30 * Hz, 5.0)], learning_window=20 * ms
    ),
    "average": dict(
        readout={"average": True, "normalize": True, "loss": "cross_entropy"},
        regularizers=[FiringRateRegularizer(30 * Hz, 5.0)],
        learning_window=20 * ms,
    ),
    "trained parameters": dict(trainable=["tau"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_what_a_learner_may_be_given(name):
    own = Balanced(**OPTIONS[name]).recurrent()
    problem = own.problem()  # which agrees with the learner's gradient
    exact = vector(problem, "bptt")
    assert distance(vector(problem, "rtrl"), exact) < EXACT
    assert (problem.network.feedback is None) == ("feedback" not in name)


def other_code(own):
    """A part of a group that sends, another that receives, and code that changes the state."""
    own.connect(own.E[2:], own.I[1:], "ge_post += w", 0.5)
    own.connect(own.I[1:], own.E[:2], "gi_post += 2*w", 0.2)
    own.E.run_regularly("ge *= 0.9; back += drive(t)", dt=DT, when="after_resets")


def early(own):
    """A second input, whose spikes act in the same step."""
    steps, channels = np.nonzero(own.rng.random((T, 3)) < 0.25)
    second = SpikeGeneratorGroup(3, channels, steps * DT, when="start", name="second")
    own.network.add(second)
    own.connect(second, own.E, "ge_post += w", 0.2, arrival="after_groups", delays=2)


def fixed(own):
    own.connect(own.E, own.E, "gi_post += w", 0.2, "i != j", fixed=True)


@pytest.mark.slow
@pytest.mark.parametrize("add", [other_code, early, fixed])
def test_networks_as_people_write_them(add):
    own = Balanced()
    add(own)
    problem = own.problem()
    assert distance(vector(problem, "rtrl"), vector(problem, "bptt")) < EXACT


def plain(own):
    synapses = Synapses(own.E, own.I, on_pre="ge_post += 0.1")
    synapses.connect()
    own.network.add(synapses)


def differing(own):
    synapses = own.connect(
        own.E, own.E, "ge_post += w*gain", 0.1, model="w : 1\ngain : 1 (constant)"
    )
    synapses.gain = "0.1*i"


def beyond_the_weight(own):
    own.connect(own.E, own.E, "ge_post += w + 0.1", 0.1)


def twice(own):
    own.recurrent()
    own.connect(own.E, own.E, "ge_post += w", 0.1, "i != j")


def inputs_to_readout(own):
    own.connect(own.source, own.readout, "y_post += w", 0.1)


def late_readout(own):
    own.connect(own.E, own.readout, "y_post += w", 0.1, delays=3)


def charged_readout(own):
    own.readout.y = 0.5


def learning_off(own):
    own.learner.learning = False


def saturating(own):
    own.connect(own.E, own.E, "ge_post += w*(1 - ge_post)", 0.1)


def summed(own):
    own.recurrent()
    model = "w : 1\ntau_post = w*ms*exp(-ge_pre) : second (summed)"
    sums = TrainableSynapses(own.E, own.E, model, learner=own.learner)
    sums.connect()
    sums.w = 5
    own.network.add(sums)


REFUSED = {
    saturating: "depends on the state of a neuron",
    summed: "sums states over synapses in every step",
    plain: "plain synapses '.*fixed=True",
    differing: "differs from synapse to synapse: put what differs into the weight",
    beyond_the_weight: "not proportional to its weight",
    twice: "connects two neurons that are connected already",
    inputs_to_readout: "brings spikes of 'source', which does not learn, to the readout",
    late_readout: "leave out its delay",
    charged_readout: "the outputs of readout 'answers' are not those of its synapses",
    learning_off: "the errors of readout 'answers'.*learning be on",
}


@pytest.mark.slow_unless(change=[plain])
@pytest.mark.parametrize("change", REFUSED, ids=lambda change: change.__name__)
def test_what_has_no_place_is_refused_by_name(change):
    own = Balanced()
    change(own)
    with pytest.raises(ValueError, match=f"(?s){REFUSED[change]}"):
        own.problem()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": 1}, "has the order 1.*BPTT"),
        ({"order": 1, "engine": "traces"}, "engine 'traces', which keeps no past"),
        ({"regularizers": [FiringRateRegularizer(), FiringRateRegularizer()]}, "give one"),
    ],
)
def test_learners_that_keep_no_past_are_refused(options, words):
    with pytest.raises(ValueError, match=f"(?s){words}"):
        Balanced(**options).problem()


@pytest.mark.slow
def test_losses_on_neurons_and_trials_under_way_are_refused():
    own = Balanced()
    own.network.run(10 * DT, namespace={})
    with pytest.raises(ValueError, match="is under way"):
        own.problem()
    start_scope()
    group = NeuronGroup(2, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v = 0")
    readout = LeakyReadout(1, 10 * ms, target=np.zeros(T))
    surrogate = PiecewiseLinear(0.3, 1)
    learner = Learner(
        readout,
        EProp(order=2, surrogate=surrogate),
        losses=[Loss(group, "v**2")],
        reset_every=T * DT,
    )
    with pytest.raises(ValueError, match="losses on neurons"):
        compare_own_network(learner, ["bptt"], Network(group, readout))


def test_compare_takes_the_network_that_the_caller_sees():
    own = Balanced()
    rows = compare_own_network(own.learner, ["bptt", "eprop", "ottt"], own.network, repeats=1)
    assert rows[0].error == 0 and rows[1].error > 0
    assert "'E and I' units" in rows[2].refusal


SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_own_networks import Balanced, DT, T

own = Balanced().recurrent()
own.network.run(T * DT)
raise RuntimeError("a script ends where its run would begin")
"""


@pytest.mark.slow
def test_command_line_takes_a_script(tmp_path):
    script = tmp_path / "my_network.py"
    script.write_text(SCRIPT)
    done = brian_eprop("compare", script, "bptt", "rtrl", "ottt", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "rtrl" in done.output and "'E and I' units" in done.output
    assert (tmp_path / "out" / "figures" / "order.png").stat().st_size > 0
    for option in (["--model", "lif"], ["--task", "add"], ["--size", "5"]):
        refused = brian_eprop("compare", script, *option, "--out", tmp_path / "not")
        assert refused.exit_code == 2 and "my_network.py" in refused.output
    script.write_text("x = 1\n")
    refused = brian_eprop("compare", script, "--out", tmp_path / "not")
    assert refused.exit_code == 2 and "nothing to compare rules on" in refused.output


@pytest.mark.slow
def test_command_line_takes_a_model(tmp_path):
    done = brian_eprop(
        "compare", "bptt", "rtrl", "eprop", "ottt", "--model", "izhikevich", "--neurons", 4,
        "--inputs", 4, "--orders", 2, "--size", 3, "--size", 5, "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "'izhikevich' units" in done.output
    names = {"errors.png", "map.png", "order.png", "cost.png"}
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} == names
    refused = brian_eprop("compare", "--model", "izhikevic", "--out", tmp_path / "not")
    assert refused.exit_code == 2 and "izhikevich" in refused.output
    refused = brian_eprop("compare", "--model", "lif", "--task", "add", "--out", tmp_path / "not")
    assert refused.exit_code == 2 and "'task'" in refused.output


@pytest.mark.slow
@pytest.mark.hypothesis
@given(whole_networks())
def test_random_scripts_have_steps_that_agree_with_the_learner_or_are_refused(network):
    """That they agree is looked at when the steps are made; an ArithmeticError if they do not."""
    Nameable.__instances__().clear()
    names = {"__name__": "whole_network"}
    try:
        script = network.script("credit").replace("order=1", "order=2")
        exec(compile(script, "<whole network>", "exec"), names)
        problem = problem_of_learner(names["L"], names["network"], namespace=names)
    except (ValueError, TypeError, BrianObjectException) as refusal:
        event(f"refused: {type(refusal).__name__}")
        return
    exact = vector(problem, "bptt")
    if np.any(exact):
        assert distance(vector(problem, "rtrl"), exact) < 1e-9
        event("compared")
