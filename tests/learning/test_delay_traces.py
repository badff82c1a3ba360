"""Delays that learn by eligibility traces: the gradients and updates of the engine credit."""

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    defaultclock,
    ms,
    prefs,
    second,
)
from compiled_programs import program_in

from brian_eprop import (
    MDGL,
    Adam,
    EProp,
    FiringRateRegularizer,
    LeakyReadout,
    Learner,
    Loss,
    ParameterTraining,
    PiecewiseLinear,
    Signal,
    TraceFilter,
    TrainableSynapses,
    load_model,
)
from brian_eprop.calculus.derivatives import NoDerivativeError
from brian_eprop.engines import delay_traces

pytestmark = pytest.mark.usefixtures("numpy_target")

# other order of the sums, over at most eighty steps
ROUND_OFF = 1e-10
STEPS = 40
MODELS = {
    "lif": ("dv/dt = -v/(12*ms) : 1", "v > 1", "v -= 1", "v_post += w"),
    "held": ("dv/dt = -v/(12*ms) : 1 (unless refractory)", "v > 1", "v -= 1", "v_post += w"),
    "alif": (
        "dv/dt = -v/(12*ms) : 1\nda/dt = -a/(50*ms) : 1",
        "v > 1 + 0.3*a",
        "v -= 1; a += 1",
        "v_post += w",
    ),
    "current": (
        "dv/dt = (s - v)/(12*ms) : 1\nds/dt = -s/(4*ms) : 1",
        "v > 1",
        "v -= 1",
        "s_post += 3*w",
    ),
    "adex": (
        "dv/dt = (-v + 0.2*exp((v - 1)/0.2) - u)/(12*ms) : 1\ndu/dt = (0.1*v - u)/(30*ms) : 1",
        "v > 1.4",
        "v = 0; u += 0.2",
        "v_post += w",
    ),
}


def network(rule, model="lif", *, refractory=False, early=False, trials=2, **options):
    """Two projections of heterogeneous delays, whole ones among them; the readout; a monitor."""
    defaultclock.dt, rng = 1 * ms, np.random.default_rng(1)
    equations, threshold, reset, on_pre = MODELS[model]
    times, channels = np.nonzero(rng.random((STEPS * trials, 4)) < 0.3)
    when = "start" if early else "thresholds"
    source = SpikeGeneratorGroup(4, channels, times * ms, when=when, name="source")
    method = "euler" if model == "adex" else "exact"
    neurons = NeuronGroup(
        5,
        equations,
        threshold=threshold,
        reset=reset,
        refractory=refractory,
        method=method,
        name="neurons",
    )
    target = rng.normal(size=(STEPS * trials, 2))
    readout = LeakyReadout(2, 10 * ms, target=target, name="out")
    losses = [Loss(neurons, "0.5*(v - 0.3)**2")] if options.pop("with_loss", False) else []
    learner = Learner(readout, rule, reset_every=STEPS * ms, seed=1, losses=losses, **options)
    bounds = ParameterTraining(bounds=(0 * ms, 6 * ms))
    objects = [source, neurons, readout, SpikeMonitor(neurons, name="spikes")]
    for pre, size, name in ((source, 0.6, "in"), (neurons, 0.3, "rec")):
        synapses = TrainableSynapses(
            pre,
            neurons,
            on_pre=on_pre,
            learner=learner,
            arrival="after_groups" if early and pre is source else "synapses",
            trainable={"w": None, "delay": bounds},
            name=name,
        )
        synapses.connect()
        number = len(pre) * len(neurons)  # which a program knows when it runs
        synapses.w = size * rng.exponential(size=number)
        delays = rng.uniform(0, 6, number)
        delays[:4] = np.round(delays[:4])
        synapses.delay = delays * ms
        objects.append(synapses)
    onto = TrainableSynapses(neurons, readout, on_pre="y_post += w", learner=learner, name="onto")
    onto.connect()
    onto.w = rng.normal(size=2 * len(neurons))
    return Network(*objects, onto), learner, STEPS * trials * ms


def rule_of(engine):
    return EProp(engine=engine, surrogate=PiecewiseLinear(height=0.3, width=1.0))


def gradients(engine, *of_network, **options):
    """dE/dw and dE/dd of both projections, in a run in which neurons fire."""
    net, _, duration = network(rule_of(engine), *of_network, **options)
    net.run(duration, namespace={})
    assert net["spikes"].num_spikes > 20
    return {
        (name, variable): net[name].variables[variable].get_value().copy()
        for name in ("in", "rec")
        for variable in ("grad", "grad_delay")
    }


def differences(*of_network, **options):
    """Of the two engines, relative to the largest gradient."""
    expected = gradients("credit", *of_network, **options)
    found = gradients("traces", *of_network, **options)
    assert all(np.abs(values).max() > 1 for values in expected.values())
    return {k: np.abs(found[k] - v).max() / np.abs(v).max() for k, v in expected.items()}


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("lif", {}),
        ("lif", {"refractory": 3 * ms}),
        ("lif", {"early": True}),
        ("lif", {"with_loss": True}),
        ("lif", {"regularizers": [FiringRateRegularizer(20 / second, 5.0)]}),
        ("held", {"refractory": 3 * ms}),
        ("alif", {}),
        ("alif", {"early": True, "with_loss": True}),
        ("current", {}),
        ("adex", {}),
    ],
    ids=str,
)
@pytest.mark.first_case_is_fast
def test_gradients_are_those_of_the_credit(model, options):
    assert max(differences(model, **options).values()) < ROUND_OFF


def test_spikes_of_another_step_are_seen(monkeypatch):
    right = delay_traces.steps_before
    monkeypatch.setattr(delay_traces, "steps_before", lambda *of: right(*of) + 1)
    found = differences()
    for name in ("in", "rec"):
        assert found[name, "grad"] < ROUND_OFF
        assert found[name, "grad_delay"] > 0.1


@pytest.mark.slow
@pytest.mark.cython
def test_gradients_in_cython():
    expected = gradients("traces", "alif")
    prefs.codegen.target = "cython"
    for key, found in gradients("traces", "alif").items():
        np.testing.assert_allclose(found, expected[key], rtol=1e-10)


@pytest.mark.slow
@pytest.mark.standalone
def test_gradients_in_a_program_that_sets_its_own_delays(tmp_path):
    def gradient():
        net, _, duration = network(rule_of("traces"))
        net["in"].delay = "(0.3 + 1.4*i + 0.1*j)*ms"
        net.run(duration, namespace={})
        return [np.array(net[name].grad_delay_) for name in ("in", "rec")]

    expected = gradient()
    with program_in(tmp_path):
        for found, known in zip(gradient(), expected, strict=True):
            assert np.abs(known).max() > 1
            np.testing.assert_allclose(found, known, rtol=0, atol=1e-10 * np.abs(known).max())


def test_training_is_that_of_the_credit():
    """By more than a step, to the bounds, so that both queues matter."""
    delays = {}
    for engine in ("credit", "traces"):
        options = {"optimizer": Adam(0.3), "update_every": STEPS * ms, "trials": 6}
        net, _, duration = network(rule_of(engine), **options)
        before = np.array(net["rec"].delay_)
        net.run(duration, namespace={})
        delays[engine] = np.concatenate([net["in"].delay_[:], net["rec"].delay_[:]])
    assert np.abs(net["rec"].delay_ - before).max() > 1e-3
    assert delays["credit"].min() == 0
    np.testing.assert_allclose(delays["traces"], delays["credit"], rtol=0, atol=1e-12)


def test_the_check_moves_a_little_of_each_spike_to_the_next_step():
    net, learner, duration = network(rule_of("traces"))
    found = learner.check(duration, net, synapses=3)
    assert found.passed and found.spikes > 20, str(found)
    rows = [row for row in found.rows if row.quantity == "grad_delay"]
    assert {row.projection for row in rows if row.finite_difference} == {"in", "rec"}


# ----------------------------------------------------------------------------- refusals
def onto_a_neuron(rule, model="dv/dt = -v/(10*ms) : 1", on_pre="v_post += w", **options):
    defaultclock.dt = 1 * ms
    arrival, refractory = options.pop("arrival", "synapses"), options.pop("refractory", False)
    readout = LeakyReadout(1, 5 * ms, target=np.zeros((STEPS, 1)))
    learner = Learner(readout, rule, **({"reset_every": STEPS * ms} | options))
    neuron = NeuronGroup(
        1, model, threshold="v > 1", reset="v -= 1", refractory=refractory, method="exact"
    )
    return TrainableSynapses(
        neuron, neuron, on_pre=on_pre, learner=learner, trainable=["delay"], arrival=arrival
    )


def test_what_traces_of_delays_do_not_follow_is_refused():
    held = "dv/dt = -v/(10*ms) : 1 (unless refractory)"
    cases = [
        ({"on_pre": "v_post += w*(2 - v_post)"}, NoDerivativeError, "EProp.engine='credit'"),
        (
            {"model": held, "refractory": 2 * ms, "arrival": "after_groups"},
            NoDerivativeError,
            "held while refractory; choose EProp",
        ),
        ({"reset_every": None}, ValueError, "give the learner reset_every"),
        (
            {"optimizer": Adam(0.1), "update_every": 10 * ms},
            ValueError,
            "spikes under way are dropped by an update",
        ),
        (
            {"trace_filter": TraceFilter("de_bar/dt = -e_bar/(20*ms) + e_trace/ms : 1")},
            ValueError,
            "have not been derived for Learner.trace_filter",
        ),
    ]
    for options, error, message in cases:
        with pytest.raises(error, match=message):
            onto_a_neuron(rule_of("traces"), **options)
    with pytest.raises(ValueError, match="keeps a part of the derivative of weights"):
        onto_a_neuron(MDGL(surrogate=PiecewiseLinear(height=0.3, width=1.0)))


@pytest.mark.parametrize(
    "engine, signal, remedy",
    [("traces", None, "choose EProp"), ("credit", Signal("L = error : 1"), "give no")],
)
def test_delays_onto_a_readout_are_refused(engine, signal, remedy):
    readout = LeakyReadout(1, 5 * ms, target=np.zeros((STEPS, 1)))
    learner = Learner(readout, EProp(engine=engine), reset_every=STEPS * ms, signal=signal)
    neuron = load_model("lif").group(1)
    with pytest.raises(ValueError, match=f"leave 'delay' out, or {remedy}"):
        TrainableSynapses(
            neuron, readout, on_pre="y_post += w", learner=learner, trainable=("w", "delay")
        )


@pytest.mark.parametrize(
    "engine, model, on_pre",
    [
        ("traces", "w : 1", "v_post += w*(2 - v_post)"),
        ("credit", "w : 1\nx = t/ms : 1", "v_post += w*x"),
    ],
)
def test_the_remedy_is_not_an_engine_that_refuses_it_too(engine, model, on_pre):
    defaultclock.dt = 1 * ms
    readout = LeakyReadout(1, 5 * ms, target=np.zeros((STEPS, 1)))
    learner = Learner(readout, rule_of(engine), reset_every=STEPS * ms)
    neuron = NeuronGroup(
        1, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v -= 1", method="exact"
    )
    with pytest.raises(Exception, match="leave 'delay' out of") as raised:
        synapses = TrainableSynapses(
            neuron, neuron, model, on_pre=on_pre, learner=learner, trainable=["delay"]
        )
        synapses.connect()
        out = TrainableSynapses(neuron, readout, on_pre="y_post += w", learner=learner)
        out.connect()
        Network(neuron, readout, learner, synapses, out).run(2 * ms)
    assert isinstance(raised.value.__cause__ or raised.value, NoDerivativeError)
    other = "traces" if engine == "credit" else "credit"
    assert f"engine='{other}'), or" not in str(raised.value)


def test_what_a_spike_does_must_be_the_same_one_step_later():
    defaultclock.dt = 1 * ms
    readout = LeakyReadout(1, 5 * ms, target=np.zeros((STEPS, 1)))
    learner = Learner(readout, rule_of("traces"), reset_every=STEPS * ms)
    neuron = NeuronGroup(
        1, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v -= 1", method="exact"
    )
    with pytest.raises(NoDerivativeError, match="depends on 'x', which may be another number"):
        TrainableSynapses(
            neuron,
            neuron,
            "w : 1\nx = 1 + 0.1*t/ms : 1",
            on_pre="v_post += w*x",
            learner=learner,
            trainable=["delay"],
        )
