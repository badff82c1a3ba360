"""The check of one's own network passes where gradients are right, and finds those that are not."""

import gc
import math

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NetworkOperation,
    NeuronGroup,
    SpikeGeneratorGroup,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    ms,
    mV,
    prefs,
    set_device,
    volt,
)
from brian2.core.base import BrianObjectException
from brian2.devices.device import reset_device
from brian2.units.fundamentalunits import DimensionMismatchError
from typer.testing import CliRunner

from brian_eprop import (
    Adam,
    EProp,
    FiringRateRegularizer,
    LeakyReadout,
    Learner,
    TrainableSynapses,
)
from brian_eprop.cli import app
from brian_eprop.neurons.surrogates import (
    Arctan,
    Exponential,
    FastSigmoid,
    MultiGaussian,
    PiecewiseLinear,
)

pytestmark = pytest.mark.usefixtures("numpy_target")

T, N = 50, 4
LIF = "dv/dt = -v/(20*ms) : volt"
WIDE = PiecewiseLinear(20 / volt, 15 * mV)
ADEX = """
dv/dt = (-70*mV - v + 2*mV*exp(clip((v + 50*mV)/(2*mV), -100, 4)) - a)/(10*ms) : volt
da/dt = (0.1*(v + 70*mV) - a)/(50*ms) : volt
"""
CONDUCTANCE = """
dv/dt = (-v + g*(70*mV - v))/(20*ms) : volt
dg/dt = -g/(5*ms) : 1
"""


def nothing(G, R, L):
    return []


def network(
    eqs=LIF,
    others=nothing,
    *,
    rule=None,
    on_pre="v_post += w*mV",
    weight=4,
    recurrent=None,
    delays=False,
    readout=None,
    period=T * ms,
    group=None,
    **learner,
):
    """Inputs → neurons → readout, and what ``others`` adds: (network, learner, projections)."""
    defaultclock.dt = 1 * ms
    rng = np.random.default_rng(1)
    steps, channels = np.nonzero(rng.random((T, 6)) < 0.25)
    source = SpikeGeneratorGroup(6, channels, steps * ms, period=period)
    options = {"threshold": "v > 15*mV", "reset": "v = 0*mV", "method": "euler"} | (group or {})
    G = NeuronGroup(N, eqs, **options)
    options = {"target": rng.standard_normal((T, 2)), "period": T * ms} | (readout or {})
    R = LeakyReadout(2, tau=20 * ms, **options)
    rule = EProp(surrogate=WIDE) if rule is None else rule
    L = Learner(R, rule, **({"reset_every": T * ms, "seed": 3} | learner))
    made = [TrainableSynapses(source, G, on_pre=on_pre, learner=L)]
    made[0].connect()
    made[0].w = weight * (1 + rng.standard_normal(6 * N))
    if recurrent:
        made.append(TrainableSynapses(G, G, on_pre=recurrent, learner=L))
        made[1].connect(condition="i != j")
        made[1].w = weight * rng.standard_normal(N * (N - 1)) / 2
        if delays:
            made[1].delay = "(1 + i)*ms"
    made.append(TrainableSynapses(G, R, on_pre="y_post += w", learner=L))
    made[-1].connect()
    made[-1].w = rng.standard_normal(2 * N)
    return Network(source, G, R, *made, *others(G, R, L)), L, made


def check(*args, synapses=2, duration=None, **options):
    net, learner, _ = network(*args, **options)
    return learner.check(duration, net, synapses=synapses)


def assert_passes(found):
    assert found.passed, str(found)
    assert found.spikes > 10
    assert any(row.finite_difference != 0 for row in found.rows)


RECURRENT = {"recurrent": "v_post += w*mV", "delays": True}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "options",
    [
        {"rule": EProp(surrogate=WIDE, engine="traces"), "feedback": "random", **RECURRENT},
        {"feedback": "adaptive", "readout": {"normalize": True, "average": True}, **RECURRENT},
        {"feedback": np.ones((2, N)), "learning_window": 20 * ms},
        {"readout": {"loss": "cross_entropy", "target": np.eye(2)[np.arange(T) % 2]}},
        {"group": {"refractory": 3 * ms}, "recurrent": "v_post += w*mV"},
        {"eqs": LIF + " (unless refractory)", "group": {"refractory": 3 * ms}},
        {"eqs": "dv/dt = -v/(20*ms) + 2*mV*xi/sqrt(20*ms) : volt"},
        {
            "eqs": ADEX,
            "group": {
                "threshold": "v > -40*mV",
                "reset": "v = -65*mV; a += 3*mV",
                "method": "exponential_euler",
            },
            "rule": EProp(surrogate=FastSigmoid(20 / volt, 15 * mV)),
            "weight": 8,
        },
        {
            "eqs": CONDUCTANCE,
            "rule": EProp(surrogate=WIDE, engine="traces"),
            "on_pre": "g_post += 0.3*w",
            "weight": 2,
            "group": {"method": "rk2"},
        },
        {"reset_every": None, "duration": T * ms, "rule": EProp(surrogate=WIDE, engine="traces")},
        {"regularizers": [FiringRateRegularizer(100 * Hz, 50.0)]},
    ],
    ids=[
        "traces-random-delays",
        "adaptive-normalized-average",
        "given-window",
        "cross-entropy",
        "refractory",
        "unless-refractory",
        "noise",
        "adex",
        "conductance",
        "no-trials",
        "regularized",
    ],
)
def test_right_gradients_of_order_1_pass(options):
    assert_passes(check(**options))


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "surrogate",
    [Exponential(20 / volt, 10 * mV), Arctan(20 / volt, 10 * mV), MultiGaussian(0.5, 8 * mV)],
)
def test_every_surrogate_passes(surrogate):
    assert_passes(check(rule=EProp(surrogate=surrogate), synapses=2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "path", "feedback"),
    [
        (2, "implicit", "symmetric"),
        (2, "explicit", "symmetric"),
        (3, "implicit", "random"),
        (math.inf, "explicit", "symmetric"),
        (math.inf, "detached", "random"),
    ],
)
def test_right_gradients_of_higher_order_pass(order, path, feedback):
    rule = EProp(order=order, surrogate=WIDE, reset_path={"v": path})
    group = {"reset": "v -= 15*mV"}
    assert_passes(check(rule=rule, feedback=feedback, group=group, synapses=2, **RECURRENT))


@pytest.mark.slow
def test_trained_parameters_are_checked():
    def values(G, R, L):
        G.tau_m, G.v_th = 20 * ms, 15 * mV
        return []

    found = check(
        "dv/dt = -v/tau_m : volt\ntau_m : second (constant)\nv_th : volt (constant)",
        values,
        group={"threshold": "v > v_th", "name": "trained"},
        trainable=["tau_m", "v_th"],
    )
    assert_passes(found)
    assert {"trained.tau_m", "trained.v_th"} <= {row.projection for row in found.rows}


@pytest.mark.slow
def test_with_traces_each_entry_of_the_eligibility_vector_is_compared():
    found = check(rule=EProp(surrogate=WIDE, engine="traces"))
    assert_passes(found)
    assert {row.quantity for row in found.rows} == {"grad", "e_trace", "eps_v"}


class Wrong:
    """Multiplies gradients at the end of the run, after all that learns."""

    def __init__(self, factor, k):
        self.factor, self.k = factor, k

    def __call__(self, made):
        def multiply():
            made[0].variables["grad"].get_value()[self.k] *= self.factor

        return NetworkOperation(
            lambda t: multiply() if round(t / defaultclock.dt) == T - 1 else None, when="after_end"
        )


@pytest.mark.slow
def test_one_wrong_gradient_is_the_worst_row():
    net, learner, made = network()
    net.add(Wrong(1 + 1e-5, 2)(made))
    found = learner.check(network=net, synapses=6 * N)
    wrong = [row for row in found.rows if not row.passed]
    assert [(row.i, row.j) for row in wrong] == [(made[0].i[2], made[0].j[2])]
    assert found.worst == wrong[0]
    assert not found.passed
    line = str(found).split("\n")[2]
    assert line.startswith(made[0].name)
    assert "FAILED" in line


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("engine", ["credit", "traces"])
def test_another_reset_path_than_the_one_that_was_asked_for_fails(engine):
    net, learner, _ = network(rule=EProp(surrogate=WIDE, engine=engine))
    object.__setattr__(learner.rule, "reset_path", {"v": "detached"})
    found = learner.check(network=net, synapses=3)
    assert not found.passed
    assert found.worst.error > 1e-3


@pytest.mark.slow
def test_another_surrogate_than_the_one_that_was_asked_for_fails():
    net, learner, _ = network()
    object.__setattr__(learner.rule, "surrogate", PiecewiseLinear(20 / volt, 16 * mV))
    assert not learner.check(network=net, synapses=3).passed


def hidden(net, group, code):
    """Let something act on v before each state update that nobody who reads the network sees."""
    updater = group.state_updater
    update, v = updater.run, group.variables["v"].get_value()

    def run():
        code(v, round(group.clock.t / group.clock.dt))
        update()

    updater.run = run


FACTOR = np.ones(T)
FACTOR[1::6] = 0.2


def multiplied(v, step):
    v *= 0.9


def multiplied_sometimes(v, step):
    v *= FACTOR[step % T]


def clipped(v, step):
    np.maximum(v, -2e-3, out=v)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["credit", "traces"])
@pytest.mark.parametrize(
    ("code", "seen"),
    [
        (multiplied, "0.95*0.9*v"),
        (multiplied_sometimes, "0.95*factor(t)*v"),
        (clipped, "0.95*clip(v, -2*mV, 1*volt)"),
    ],
)
def test_finite_differences_are_those_of_what_runs_and_not_of_what_is_written(code, seen, engine):
    """A gradient that leaves something out fails, and the difference is the right gradient."""
    defaultclock.dt = 1 * ms
    rule = EProp(surrogate=WIDE, engine=engine)
    names = {"namespace": {"factor": TimedArray(FACTOR, dt=1 * ms)}}
    options = {"rule": rule, "weight": 3, "period": 0 * ms}
    net, _, made = network(f"dv/dt = ({seen} - v)/(1*ms) : volt", group=names, **options)
    net.run(T * ms)
    right = np.array(made[0].grad)
    assert np.abs(right).max() > 0
    net, learner, made = network("dv/dt = (0.95*v - v)/(1*ms) : volt", **options)
    hidden(net, made[0].target, code)
    found = learner.check(network=net, synapses=3)
    assert not found.passed
    differences = [r for r in found.rows if r.quantity == "grad" and r.projection == made[0].name]
    assert found.worst.projection == made[0].name
    assert max(row.error for row in differences) > 1e-3
    for row in differences:
        expected = right[(made[0].i[:] == row.i) & (made[0].j[:] == row.j)][0]
        assert row.finite_difference == pytest.approx(expected, abs=1e-8 * np.abs(right).max())


@pytest.mark.parametrize("seed", [0, 1])
def test_a_coupling_of_neurons_that_are_moved_in_the_same_runs_is_found(seed):
    """It is said to be given, so that no gradient knows of it."""
    defaultclock.dt, steps = 1 * ms, 15
    inputs = SpikeGeneratorGroup(1, np.zeros(steps, int), range(steps) * ms, period=steps * ms)
    options = {"threshold": "v > 1", "reset": "v -= 1", "method": "exact"}
    group = NeuronGroup(4, "dv/dt = -v/(20*ms) : 1", **options)

    def couple():
        group.v_[1] += 0.2 * group.v_[0]

    coupling = NetworkOperation(couple, dt=1 * ms, when="start")
    readout = LeakyReadout(1, tau=20 * ms, target=np.ones(steps), period=steps * ms)
    rule = EProp(surrogate=PiecewiseLinear(0.3, 1.0))
    options = {"rule": rule, "feedback": "random", "reset_every": steps * ms, "given": [coupling]}
    learner = Learner(readout, seed=1, **options)
    trained = TrainableSynapses(inputs, group, on_pre="v_post += w", learner=learner)
    trained.connect()
    trained.w = [0.3, 0.35, 0.4, 0.45]
    outputs = TrainableSynapses(group, readout, on_pre="y_post += w", learner=learner)
    outputs.connect()
    outputs.w = [1, -1, 0.5, 2]
    net = Network(inputs, group, readout, trained, outputs, coupling)
    found = learner.check(network=net, synapses=4, seed=seed)
    wrong = [row for row in found.rows if not row.passed]
    assert [(row.i, row.j) for row in wrong] == [(0, 0)], str(found)


@pytest.mark.slow
def test_a_loop_through_other_groups_is_in_the_finite_difference_of_order_inf():
    def loop(G, R, L):
        options = {"threshold": "v > 15*mV", "reset": "v = 0*mV", "method": "euler"}
        others = NeuronGroup(3, LIF, **options)
        made = []
        for source, target, weight in ((G, others, 8), (others, G, -5)):
            made.append(
                TrainableSynapses(source, target, on_pre="v_post += w*mV", learner=L, fixed=True)
            )
            made[-1].connect()
            made[-1].w = weight
        return [others, *made]

    rule = EProp(order=math.inf, surrogate=WIDE)
    found = check(others=loop, rule=rule)
    assert found.passed, str(found)
    # Order 3 is the first in which the loop counts
    net, learner, _ = network(others=loop, rule=rule)
    object.__setattr__(learner.rule, "order", 2)
    assert not learner.check(network=net, synapses=2).passed


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("reached", [False, True])
def test_a_threshold_without_a_distance_matters_only_where_credit_meets_it(reached):
    def others(G, R, L):
        model, threshold = "dx/dt = -x/(10*ms) + 0.2/ms : 1", "x > 1 or t < 0*ms"
        odd = NeuronGroup(3, model, threshold=threshold, reset="x = 0", method="euler")
        onto = Synapses(odd, G, on_pre="v_post += 1*mV")
        onto.connect()
        if not reached:
            return [odd, onto]
        back = Synapses(G, odd, on_pre="x_post += 0.1")
        back.connect()
        return [odd, onto, back]

    rule = EProp(order=math.inf, surrogate=WIDE)
    net, learner, _ = network(others=others, rule=rule, recurrent="v_post += w*mV")
    if not reached:
        assert_passes(learner.check(network=net, synapses=2))
        return
    try:
        found = learner.check(network=net, synapses=2)
    except (ValueError, DimensionMismatchError, BrianObjectException) as refused:
        # What credit cannot follow may be refused by the engine before
        assert "neurongroup" in str(refused.__cause__ or refused)
    else:
        assert not found.passed
        assert "x > 1 or t < 0 * ms" in str(found).replace("0*ms", "0 * ms")


def test_several_trials_are_checked_at_once():
    net, learner, _ = network(regularizers=[FiringRateRegularizer(100 * Hz, 50.0)])
    found = learner.check(2 * T * ms, net, synapses=2)
    assert_passes(found)
    assert found.steps == 2 * T


@pytest.mark.slow
def test_the_network_is_left_as_it_was_found():
    def state_of(net):
        values = net.get_states(units=False).items()
        return {f"{o}.{k}": np.array(v) for o, found in values for k, v in found.items()}

    net, learner, made = network(
        "dv/dt = -v/(20*ms) + 2*mV*xi/sqrt(20*ms) : volt",
        lambda G, R, L: [StateMonitor(G, "v", record=True)],
        optimizer=Adam(0.1),
        update_every=T * ms,
        **RECURRENT,
    )
    net.run(T * ms)
    net.store("mine")
    net.run(T * ms)
    expected = state_of(net)
    net.restore("mine", restore_random_state=True)
    before = state_of(net)
    assert learner.check(network=net, synapses=2).passed
    for name, value in state_of(net).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    # Nor is anything else left behind: the run that follows is the same, noise and all.
    net.run(T * ms)
    for name, value in state_of(net).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert np.any(expected[f"{made[0].name}.w"] != before[f"{made[0].name}.w"])


@pytest.mark.slow
def test_what_shows_nothing_does_not_pass():
    silent = check(weight=0)
    assert not silent.passed
    assert "no neuron that learns fires" in silent.reason
    narrow = check(rule=EProp(surrogate=PiecewiseLinear(20 / volt, 1e-9 * mV)))
    assert not narrow.passed
    assert "0" in narrow.reason + narrow.worst.remark


def test_python_that_changes_a_state_is_refused_before_it_is_checked():
    state = np.random.default_rng(0)

    def others(G, R, L):
        def kick(t):
            G.v_ = G.v_[:] + 1e-3 * state.random(N)

        return [NetworkOperation(kick, dt=1 * ms)]

    with pytest.raises(ValueError, match="changes 'v' of group"):
        check(others=others)


def test_objects_of_a_magic_network_are_found():
    net, learner, made = network()
    seen = {f"object_{k}": obj for k, obj in enumerate(net.objects)}
    del net, made
    gc.collect()
    assert_passes(eval("learner.check(synapses=2)", {"learner": learner, **seen}))


def test_messages():
    net, learner, _ = network()
    with pytest.raises(ValueError, match="does not contain readout"):
        learner.check(network=Network())
    with pytest.raises(ValueError, match="not a multiple of a trial"):
        learner.check(7 * ms, net)
    with pytest.raises(ValueError, match="synapses"):
        learner.check(network=net, synapses=0)
    net.run(3 * ms)
    with pytest.raises(ValueError, match="middle of a trial, 3 of 50 steps"):
        learner.check(network=net)
    net, learner, _ = network(reset_every=None)
    with pytest.raises(ValueError, match="duration is missing"):
        learner.check(network=net)
    net.run(3 * ms)
    with pytest.raises(ValueError, match="before the first run"):
        learner.check(T * ms, net)


def test_a_compiled_program_is_refused_with_the_remedy():
    set_device("cpp_standalone", build_on_run=False)
    try:
        net, learner, _ = network()
        with pytest.raises(ValueError, match="leave out set_device"):
            learner.check(network=net)
    finally:
        reset_device()


def test_single_precision_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setitem(prefs, "core.default_float_dtype", np.float32)
    with pytest.raises(ValueError, match=r"hides in float32.*default_float_dtype = float64"):
        check()


SCRIPT = """
import numpy as np
from brian2 import *
from brian_eprop import *

prefs.codegen.target = "numpy"
defaultclock.dt = 1*ms
seed(1)
tau = 20*ms
warm_up = NeuronGroup(1, "dx/dt = -x/tau : 1", method="exact")
Network(warm_up).run(1*ms)
source = PoissonGroup(5, rates=150*Hz)
G = NeuronGroup(3, "dv/dt = -v/tau : volt", threshold="v > 15*mV", reset="v = 0*mV",
                method="exact")
R = LeakyReadout(1, tau=20*ms, target=np.ones(50))
L = Learner(R, EProp(surrogate=PiecewiseLinear(20/volt, 15*mV)), reset_every=50*ms)
S = TrainableSynapses(source, G, on_pre="v_post += w*mV", learner=L)
S.connect()
S.w = 5
O = TrainableSynapses(G, R, on_pre="y_post += w", learner=L)
O.connect()
O.w = 1
"""


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        ("run(50*ms)\nprint('not reached')", 0, "passed"),
        ("Network(source, G, R, S, O).run(50*ms)", 0, "passed"),
        ("S.w = 0\nrun(50*ms)", 1, "no neuron that learns fires"),
        ("", 2, "no run of it has a Learner"),
    ],
)
def test_the_command_line_checks_a_script(tmp_path, lines, code, words):
    script = tmp_path / "mine.py"
    script.write_text(SCRIPT + lines, encoding="utf-8")
    done = CliRunner().invoke(app, ["check", str(script), "--synapses", "2"])
    assert done.exit_code == code, done.output
    assert words in done.output
    assert "not reached" not in done.output
    assert "Traceback" not in done.output


def test_a_missing_script_is_an_error_in_words():
    done = CliRunner().invoke(app, ["check", "no_such_script.py"])
    assert done.exit_code == 2
    assert "no such file" in done.output
