"""Weights in sums over synapses: every step is an arrival of what is summed up."""

import math

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    Synapses,
    defaultclock,
    get_device,
    ms,
    set_device,
    start_scope,
)
from brian2.devices.device import reset_device
from compiled_programs import compile_some
from hypothesis import given
from hypothesis import strategies as st
from own_networks import Small, refusal
from summed_networks import RateNetwork, SpikingNetwork, T

from brian_eprop import (
    EProp,
    FiringRateRegularizer,
    Learner,
    Loss,
    PiecewiseLinear,
    TrainableSynapses,
    reference,
)
from brian_eprop.brian import schedule
from brian_eprop.calculus.derivatives import NoDerivativeError
from brian_eprop.calculus.sums import Sum
from brian_eprop.engines import continuous
from brian_eprop.engines.continuous import SummedPathway

pytestmark = pytest.mark.usefixtures("numpy_target")

#: The same products, some hundreds of them, summed in another order
ROUND_OFF = 1e-11
DRIVEN = "w*tanh(2*r_pre)*(1.5 - r_post)"
DIFFUSIVE = "w*(r_pre - r_post)"
WAYS = [(1, "credit"), (1, "traces"), (2, "credit"), (3, "credit"), (math.inf, "credit")]


def difference(network):
    """The largest one between Brian2's gradients and those of the twin, relative."""
    found, expected = network.run(), network.expected()
    for name, values in expected.items():
        assert np.abs(values).max() > 1e-3
        assert found[name].shape == values.shape
    return max(
        np.abs(found[name] - values).max() / np.abs(values).max()
        for name, values in expected.items()
    )


@pytest.mark.slow_unless(form=["w*r_pre"])
@pytest.mark.parametrize("form", ["w*r_pre", DRIVEN, DIFFUSIVE])
@pytest.mark.parametrize(("order", "engine"), WAYS)
def test_rate_units_that_sum_up_each_other(form, order, engine):
    # Traces made before a sum that depends on their own state would not know of it
    forward = "w*r_pre" if engine == "traces" else form
    network = RateNetwork(forward, form, order, engine)
    assert difference(network) < ROUND_OFF
    assert network.group.variables["loss"].get_value().sum() > 0.01


def test_orders_differ():
    gradients = [RateNetwork(order=order).expected()["forward"] for order in (1, 2, math.inf)]
    for k, one in enumerate(gradients):
        for other in gradients[k + 1 :]:
            assert np.abs(one - other).max() > 1e-3 * np.abs(one).max()


# Traces refuse gap junctions, see below
@pytest.mark.slow_unless(order=[math.inf])
@pytest.mark.parametrize(
    ("order", "engine", "junctions"),
    [(*way, junctions) for way in WAYS for junctions in (False, True) if way != (1, "traces")]
    + [(1, "traces", False)],
)
def test_gates_and_gap_junctions_of_spiking_neurons(order, engine, junctions):
    network = SpikingNetwork(order, engine, junctions)
    assert difference(network) < ROUND_OFF
    assert network.spikes.num_spikes > 5
    assert np.max(network.psi) > 0


def test_few_synapses_are_multiplied_one_by_one(monkeypatch):
    monkeypatch.setattr(continuous, "DENSE", 2)
    monkeypatch.setattr(continuous, "BLOCK", 64)
    assert difference(RateNetwork(DIFFUSIVE, density=0.5)) < ROUND_OFF


EXPRESSIONS = st.builds(
    "w*({}*{} + {})".format,
    st.sampled_from(["r_pre", "tanh(r_pre)", "exp(-2*r_pre)", "r_pre**2", "(1 - r_pre)"]),
    st.sampled_from(["1", "r_post", "(1 - 2*r_post)", "cos(3*r_post)", "r_post**2"]),
    st.sampled_from(["0", "r_pre", "0.3*r_post", "(r_pre + r_post)**2", "0.1"]),
)


@pytest.mark.slow
@pytest.mark.hypothesis
@given(EXPRESSIONS, EXPRESSIONS, st.sampled_from([1, 2, math.inf]))
def test_any_products(forward, recurrent, order):
    assert difference(RateNetwork(forward, recurrent, order)) < 1e-10


def test_leaky_units_are_those_of_the_reference():
    """The exact gradient, and that of order 1, of the same rate network written otherwise."""
    for order, rule in ((math.inf, "bptt"), (1, "eprop")):
        ours = RateNetwork(order=order)
        ours.group.r = ours.start = np.zeros(ours.n)
        w_in, w_rec = (ours.weights[n].reshape(-1, ours.n) for n in ("forward", "recurrent"))
        theirs = reference.RateNetwork(
            w_in=w_in, w_rec=w_rec, w_out=np.eye(ours.n), cell=reference.LeakyRate(leak=0.1)
        )
        expected = reference.gradients(theirs, ours.signals, ours.data, rule)
        found = ours.run()
        for name, of_reference in (("forward", "w_in"), ("recurrent", "w_rec")):
            values = getattr(expected, of_reference).ravel()
            np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-12)
            assert np.abs(values).max() > 0.01


# ------------------------------------------------------------------ negative controls


def late(pathway, reading, reader):
    """What is summed up is recorded at the end of the step."""
    for recorder in pathway.recorders:
        recorder.when, recorder.order = schedule.RECORD_ERROR


def test_a_signal_that_is_read_one_step_late_is_wrong(monkeypatch):
    monkeypatch.setattr(SummedPathway, "follow", late)
    assert difference(RateNetwork()) > 1e-2


def test_a_gap_junction_without_its_diagonal_is_wrong(monkeypatch):
    monkeypatch.setattr(Sum, "sloped", [])
    assert difference(SpikingNetwork(math.inf, junctions=True)) > 1e-3


def checked(network):
    return network.learner.check(T * ms, network.network, synapses=1)


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2, math.inf])
def test_the_check_finds_both(monkeypatch, order):
    assert checked(RateNetwork(DRIVEN, "w*r_pre", order)).passed
    assert checked(SpikingNetwork(order)).passed
    assert checked(SpikingNetwork(order, junctions=True)).passed
    with monkeypatch.context() as patch:
        patch.setattr(Sum, "sloped", [])
        assert not checked(SpikingNetwork(order, junctions=True)).passed
    monkeypatch.setattr(SummedPathway, "follow", late)
    assert not checked(RateNetwork(DRIVEN, "w*r_pre", order)).passed


@pytest.mark.slow
def test_the_check_of_traces():
    found = checked(SpikingNetwork(1, "traces"))
    assert found.passed
    assert {row.quantity for row in found.rows} >= {"eps_v", "e_trace", "grad"}


# ------------------------------------------------------------------ other devices


@pytest.mark.slow
@pytest.mark.parametrize("make", [RateNetwork, SpikingNetwork])
@pytest.mark.parametrize(("order", "engine"), [(1, "credit"), (1, "traces"), (math.inf, "credit")])
def test_programs_compute_the_same(make, order, engine, tmp_path):
    expected = make(order=order, engine=engine).run()
    set_device("cpp_standalone", directory=str(tmp_path))
    try:
        found = make(order=order, engine=engine).run()
    finally:
        get_device().reinit()
        reset_device()
    for name, values in expected.items():
        assert np.abs(values).max() > 1e-3
        np.testing.assert_allclose(found[name], values, rtol=1e-11, atol=1e-13)


@pytest.mark.slow
@pytest.mark.cython
def test_cython_computes_the_same():
    expected = SpikingNetwork(math.inf).run()
    network = SpikingNetwork(math.inf)
    compiled, _ = compile_some(network.network)
    assert {"gates_sources", "gates_targets", "cells_recorder_sum_I"} < set(compiled)
    found = network.run()
    for name, values in expected.items():
        assert np.abs(values).max() > 1e-3
        np.testing.assert_allclose(found[name], values, rtol=1e-11, atol=1e-13)


# ------------------------------------------------------------------ windows within a trial


def test_windows_within_a_trial_carry_along_what_was_summed_up():
    gradients = {}
    for engine in ("traces", "credit"):
        network = RateNetwork("w*r_pre", DRIVEN, engine=engine, within=10)
        gradients[engine] = network.run()
    for name, values in gradients["traces"].items():
        assert np.abs(values).max() > 1e-3
        np.testing.assert_allclose(gradients["credit"][name], values, rtol=1e-11, atol=1e-13)


# ------------------------------------------------------------------ over other groups

DRIVEN_BY_I = "dv/dt = (I - v)/(20*ms) : volt\nI : volt"


def over_a_dendrite(small):
    """Spikes drive a group without threshold, which the neurons sum up."""
    dendrite = NeuronGroup(5, "dh/dt = -h/(9*ms) : 1", method="euler", name="dendrite")
    there = Synapses(small.group, dendrite, on_pre="h_post += 0.3", name="there")
    back = Synapses(dendrite, small.group, "I_post = h_pre*4*mV : volt (summed)", name="back")
    there.connect("i != j")
    back.connect("i == j")
    return [dendrite, there, back]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "engine"),
    [(1, "credit"), (1, "traces"), (2, "credit"), (3, "credit"), (math.inf, "credit")],
)
def test_credit_goes_through_groups_without_threshold(order, engine):
    small = Small(DRIVEN_BY_I, over_a_dendrite, order=order, engine=engine)
    found = small.learner.check(network=small.network, synapses=2)
    assert found.passed, str(found)
    assert found.spikes > 10


@pytest.mark.slow
@pytest.mark.parametrize("order", [2, math.inf])
def test_spiking_neurons_that_rate_units_sum_up(order):
    """Inputs → spiking neurons with a trace s of their spikes → rate units with a loss."""
    start_scope()
    defaultclock.dt = 1 * ms
    steps, channels = np.nonzero(np.random.default_rng(1).random((T, 8)) < 0.3)
    source = SpikeGeneratorGroup(8, channels, steps * ms)
    equations = "dv/dt = -v/(20*ms) : 1\nds/dt = -s/(10*ms) : 1"
    neurons = NeuronGroup(5, equations, threshold="v > 1", reset="v -= 1; s += 1", method="euler")
    units = NeuronGroup(3, "dr/dt = (tanh(I) - r)/(8*ms) : 1\nI : 1", method="euler")
    loss, rule = Loss(units, "(r - 0.3)**2"), EProp(order=order, surrogate=PiecewiseLinear(0.3, 1))
    rates = [FiringRateRegularizer(20 * Hz, 1.0)]
    learner = Learner(rule=rule, losses=[loss], regularizers=rates, reset_every=T * ms)
    inputs = TrainableSynapses(source, neurons, "w : 1", learner=learner, name="inputs")
    model = "w : 1\nI_post = w*s_pre : 1 (summed)"
    onto = TrainableSynapses(neurons, units, model, learner=learner, name="onto")
    for synapses in (inputs, onto):
        synapses.connect()
        synapses.w = "0.2 + 0.05*j + 0.03*i"
    network = Network(source, neurons, units, inputs, onto, learner.readout)
    found = learner.check(T * ms, network, synapses=3)
    assert found.passed, str(found)
    assert found.spikes > 5
    assert {row.projection for row in found.rows if abs(row.value) > 1e-3} == {"inputs", "onto"}


def gate_network(order, gate_first=False):
    """Inputs onto a gate s that nothing reads but a sum: units with a loss, and its learner."""
    start_scope()
    defaultclock.dt = 1 * ms
    steps, channels = np.nonzero(np.random.default_rng(1).random((T, 8)) < 0.3)
    source = SpikeGeneratorGroup(8, channels, steps * ms)
    equations = "dv/dt = (1.5 - v)/(5*ms) : 1\nds/dt = -s/(10*ms) : 1"
    reset = "v = 0; s += 0.5*(1 - s)"
    neurons = NeuronGroup(5, equations, threshold="v > 1", reset=reset, method="euler")
    units = NeuronGroup(3, "dr/dt = (tanh(I) - r)/(8*ms) : 1\nI : 1", method="euler")
    learner = Learner(
        rule=EProp(order=order, surrogate=PiecewiseLinear(0.3, 1)),
        losses=[Loss(units, "(r - 0.3)**2")],
        reset_every=T * ms,
    )
    parts = {
        "onto": (neurons, units, "w : 1\nI_post = w*s_pre : 1 (summed)", {}),
        "gates": (source, neurons, "w : 1", {"on_pre": "s_post += w"}),
    }
    made = []
    for name in ("gates", "onto") if gate_first else ("onto", "gates"):
        pre, post, model, options = parts[name]
        synapses = TrainableSynapses(pre, post, model, learner=learner, name=name, **options)
        synapses.connect()
        synapses.w = "0.02 + 0.01*j + 0.005*i"
        made.append(synapses)
    return learner, Network(source, neurons, units, learner.readout, *made)


@pytest.mark.slow_unless(order=[math.inf])
@pytest.mark.parametrize("order", [2, math.inf])
def test_what_only_a_sum_reads_is_reached_by_weights(order):
    learner, network = gate_network(order)
    found = learner.check(T * ms, network, synapses=3)
    assert found.passed, str(found)
    assert {row.projection for row in found.rows if abs(row.value) > 1e-3} == {"onto", "gates"}


@pytest.mark.parametrize(("order", "gate_first"), [(1, False), (2, True)])
def test_what_no_sum_reads_yet_is_refused_with_the_order_of_creation(order, gate_first):
    with pytest.raises(NoDerivativeError, match="of order 2 and above what sums and spikes"):
        gate_network(order, gate_first)


# ------------------------------------------------------------------ refused

SUMMED = "w : 1\nI_post = w*r_pre : 1 (summed)"


def trained(model, source=None, **options):
    """Synapses with this model among rate units, or from another source."""

    def build():
        network = RateNetwork()
        TrainableSynapses(
            source or network.group, network.group, model, learner=network.learner, **options
        )

    return build


def summed_late():
    network = RateNetwork()
    network.synapses["forward"].acts.order = 3
    network.run()


def gap_with_traces():
    SpikingNetwork(1, "traces", junctions=True).run()


def sum_after_traces():
    network = RateNetwork("w*r_pre*r_post", "w*r_pre*r_post", engine="traces")
    network.run()


def a_step():
    RateNetwork(recurrent="w*int(r_pre > 0.1)", order=math.inf).run()


def counts_later():
    """Spikes change v and u, and u acts on v through a sum alone."""

    def others(small):
        gap = Synapses(small.group, small.group, "I_post = 0.1*u_post : volt (summed)", name="gap")
        gap.connect()
        return [gap]

    equations = f"{DRIVEN_BY_I}\ndu/dt = -u/(9*ms) : volt"
    Small(equations, others, on_pre="v_post += w*mV; u_post += w*mV").run()


def changed_before():
    network = RateNetwork()
    network.group.run_regularly("r *= 0.9", when="start")
    network.run()


def source_on_another_clock():
    network = RateNetwork()
    slow = NeuronGroup(2, "dr/dt = -r/(9*ms) : 1", method="exact", dt=2 * ms)
    TrainableSynapses(
        slow, network.group, "w : 1\nI_post = w*r_pre : 1 (summed)", learner=network.learner
    )


def a_part():
    network = RateNetwork()
    TrainableSynapses(network.group, network.group[:2], SUMMED, learner=network.learner)


def onto_the_readout():
    small = Small()
    TrainableSynapses(
        small.group, small.readout, "w : 1\ny_post = w*v_pre/mV : 1 (summed)", learner=small.learner
    )


REFUSED = {
    "no product": (trained("w : 1\nI_post = w*tanh(r_pre - r_post) : 1 (summed)"), "is no product"),
    "drawn": (trained("w : 1\nI_post = w*r_pre*rand() : 1 (summed)"), "draws a random number"),
    "a step": (a_step, "a step function"),
    "an effect that did not count": (counts_later, "create the synapses with the sum first"),
    "two sums": (
        trained("w : 1\nI_post = w*r_pre : 1 (summed)\nJ_post = w*r_pre : 1 (summed)"),
        "is a part of 2 sums",
    ),
    "on_pre": (
        trained("w : 1\nI_post = w*r_pre : 1 (summed)", on_pre="r_post += w"),
        "leave on_pre out",
    ),
    "delay": (trained("w : 1\nI_post = w*r_pre : 1 (summed)", delay=1 * ms), "has no delay"),
    "of the source": (trained("w : 1\nI_pre = w*r_post : 1 (summed)"), "turn the synapses around"),
    "a memory": (
        trained("w : 1\ndm/dt = -m/(9*ms) : 1 (clock-driven)\nI_post = w*m*r_pre : 1 (summed)"),
        "which changes with time",
    ),
    "late": (summed_late, "runs after the state update"),
    "junctions and traces": (gap_with_traces, "EProp(engine='credit')"),
    "two sums with traces": (sum_after_traces, "create the synapses with the sum first"),
    "changed before": (changed_before, "before summed"),
    "another clock": (source_on_another_clock, "learning needs one time step"),
    "a part of the target": (a_part, "let the synapses end on the whole group"),
    "readout": (onto_the_readout, "only spikes act on a readout"),
}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_followed_is_refused_before_the_first_step(case):
    build, says = REFUSED[case]
    error = refusal(build)
    assert error is not None, "was accepted"
    assert says in error
