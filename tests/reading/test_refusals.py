"""Groups, variables and events that the rule names: known to the network, or refused by name."""

import math

import pytest
from brian2 import NeuronGroup, Synapses, ms
from covering import parametrize_pairs
from own_networks import LIF, SPIKING, WIDE, Small, T, refusal

from brian_eprop import EProp, TrainableSynapses

pytestmark = pytest.mark.usefixtures("numpy_target")


def second_group(small):
    """Another group that learns, without custom events, and with a reset of its own."""
    other = NeuronGroup(
        4,
        f"{LIF}\na : 1",
        threshold="v > 15*mV",
        reset="v = 0*mV; a += 1",
        method="euler",
        name="other",
    )
    there = TrainableSynapses(small.source, other, on_pre="v_post += w*mV", learner=small.learner)
    back = TrainableSynapses(other, small.readout, on_pre="y_post += w", learner=small.learner)
    for synapses in (there, back):
        synapses.connect()
        synapses.w = 3
    return [other, there, back]


def built(others=second_group, order=1, engine="credit", surrogate=WIDE, paths=None, **neurons):
    rule = EProp(order=order, engine=engine, surrogate=surrogate, reset_path=paths or {})
    return Small(others=others, rule=rule, events={"high": "v > 8*mV"}, **neurons)


@pytest.mark.slow
@pytest.mark.parametrize(("order", "engine"), [(1, "credit"), (1, "traces"), (math.inf, "credit")])
def test_a_name_that_one_group_knows_is_enough(order, engine):
    small = built(order=order, engine=engine, paths={"high": "detached", "a": "detached"})
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("engine", ["credit", "traces"])
def test_a_name_that_no_group_knows_is_refused(engine):
    error = refusal(lambda: built(engine=engine, paths={"low": "detached"}).run())
    assert "names 'low'" in error
    assert "'neurons', 'other'" in error
    assert "rename" in error


DEPRESSING = """u += 0.2*(1 - u)
v_post += 9*mV*u*x
x -= u*x"""
PLASTIC = {
    "one": DEPRESSING,
    "two": {"pre": "v_post += 9*mV*u*x", "then": "x *= 0.5"},
}
RECOVERING = "dx/dt = (1 - x)/(50*ms) : 1 (event-driven)\ndu/dt = -u/(90*ms) : 1 (event-driven)"


@pytest.mark.slow
@parametrize_pairs(on_pre=list(PLASTIC), model=["u : 1\nx : 1", RECOVERING], order=[1, 2, math.inf])
def test_short_term_plasticity_of_plain_synapses_is_given_or_refused(model, on_pre, order):
    """Of Tsodyks & Markram: what a spike does depends on the spikes before it."""
    on_pre = PLASTIC[on_pre]

    def others(small):
        other, *trained = second_group(small)
        dynamic = Synapses(small.group, other, model, on_pre=on_pre, name="dynamic")
        dynamic.connect()
        dynamic.u, dynamic.x = 0.4, 1
        return [other, *trained, dynamic]

    if order == 1:
        small = built(others)
        check = small.learner.check(T * ms, small.network, synapses=1)
        assert check.passed, str(check)
        return
    small = built(others, order=order)
    error = refusal(small.run)
    assert "through 'dynamic' depends on what earlier spikes have left there" in error
    assert "choose order=1" in error
    assert small.network.t == 0 * ms


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(("order", "where"), [(1, "readout"), (math.inf, "group")])
def test_synapses_at_an_event_of_the_state_need_a_word(order, where):
    """As code does at such an event."""

    def others(small):
        target = getattr(small, where)
        name = "y_post += 0.1" if where == "readout" else "v_post += 0.5*mV"
        synapses = Synapses(small.group, target, on_pre=name, on_event="high", name="at_event")
        synapses.connect()
        return [synapses]

    error = refusal(lambda: built(others, order).run())
    assert "'at_event_pre'" in error
    assert "EProp(reset_path={'high': 'detached'})" in error
    small = built(others, order, paths={"high": "detached"})
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)


def test_a_parameter_set_at_an_event_of_the_state_needs_a_word():
    def others(small):
        small.group.run_on_event("high", "pull = 0.1")

    equations = "dv/dt = -v*(1 + pull)/(20*ms) : volt\npull : 1"
    error = refusal(lambda: built(others, equations=equations).run())
    assert "EProp(reset_path={'high': 'detached'})" in error
    small = built(others, equations=equations, paths={"high": "detached"})
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)


def test_a_surrogate_of_a_group_that_learns_nothing_is_refused():
    stranger = NeuronGroup(2, LIF, name="stranger", **SPIKING)

    def build(others):
        rule = EProp(surrogate={stranger: WIDE})
        return Small(
            first=lambda small: rule.surrogate.update({small.group: WIDE}),
            others=lambda small: others,
            rule=rule,
        )

    for others, said in (([], "not in the Network"), ([stranger], "no trained synapses")):
        error = refusal(lambda others=others: build(others).run())
        assert "'stranger'" in error
        assert said in error
        assert "leave it out" in error


@pytest.mark.parametrize("delay", ["2*ms*j", "(i % 3)*ms", 2 * ms])
def test_a_delay_onto_the_readout_that_is_set_later_is_refused_with_traces(delay):
    small = Small(engine="traces")
    error = refusal(lambda: setattr(small.outputs, "delay", delay))
    assert "of synapses onto readout 'answers'" in error
    assert "choose EProp(engine='credit')" in error
    small.outputs.delay = 0 * ms
    other = Small()
    other.outputs.delay = delay
    other.run()
    assert other.gradient.any()


def test_a_delay_of_the_pathway_onto_the_readout_is_refused_with_traces():
    small = Small(engine="traces")
    small.outputs.pre.delay = 2 * ms
    assert "choose EProp(engine='credit')" in refusal(small.run)
