"""What spikes do to neurons: followed, or refused with a remedy that works."""

import math

import pytest
from brian2 import NeuronGroup, Synapses, linked_var, ms, mV
from own_networks import LIF, Small, T, refusal

pytestmark = pytest.mark.usefixtures("numpy_target")


def assert_passes(small):
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(("order", "engine"), [(1, "credit"), (1, "traces"), (math.inf, "credit")])
def test_the_places_of_neurons_never_change(order, engine):
    assert_passes(Small(on_pre="v_post += w*mV*exp(-abs(i - j)/3.0)", order=order, engine=engine))


@pytest.mark.slow
def test_plain_synapses_may_use_the_places_of_neurons():
    def others(small):
        synapses = Synapses(small.group, small.group, on_pre="v_post += 0.3*(i - j)*mV")
        synapses.connect("i != j")
        return [synapses]

    assert_passes(Small(others=others, order=math.inf))


DEPRESSING = {"model": "w : 1\ndx/dt = (1 - x)/(50*ms) : 1 (event-driven)"}


def depressing(order, engine="credit"):
    """Trained synapses with a memory of their own."""
    on_pre = "v_post += w*x*mV; x *= 0.5"
    small = Small(on_pre=on_pre, order=order, engine=engine, **DEPRESSING)
    small.inputs.x = 1
    return small


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("order", [1, math.inf])
def test_trained_synapses_with_a_memory_have_a_remedy_that_works(order):
    error = refusal(lambda: depressing(order))
    assert "spike of 'inputs' does depends on 'x'" in error
    assert ("choose EProp(engine='traces')" if order == 1 else "order=1, engine='traces'") in error
    assert_passes(depressing(1, "traces"))


def recurrent(**arguments):
    """Plain synapses among the neurons, with two variables that their code may use."""

    def others(small):
        synapses = Synapses(
            small.group,
            small.group,
            "dx/dt = (1 - x)/(50*ms) : 1 (event-driven)",
            name="plain",
            **arguments,
        )
        synapses.connect("i != j")
        return [synapses]

    return others


def helper(small):
    """A group without threshold, which passes spikes on by synapses that sum."""
    other = NeuronGroup(5, "dh/dt = -h/(9*ms) : 1", method="euler", name="helper")
    there = Synapses(small.group, other, on_pre="h_post += 0.3", name="there")
    back = Synapses(other, small.group, "g_post = h_pre : 1 (summed)", name="back")
    there.connect("i != j")
    back.connect("i == j")
    return [other, there, back]


def burst(small):
    """Synapses at an event that is no spike."""
    synapses = Synapses(small.group, small.group, on_pre="v_post += 1*mV", on_event="burst")
    synapses.connect("i != j")
    return [synapses]


NOT_FOLLOWED = {
    "a memory": (recurrent(on_pre="v_post += 2*x*mV; x *= 0.5"), "'plain_pre'", "keep it constant"),
    "on_post": (recurrent(on_post="g_post += 0.1"), "'plain_post'", "into the reset"),
    "two pathways": (
        recurrent(on_pre={"a": "v_post += 1*mV", "b": "v_post -= 1*mV"}),
        "'plain_a'",
        "one Synapses object of each",
    ),
    "an event": (burst, "'burst'", "let spikes do what it does"),
}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("case", NOT_FOLLOWED)
def test_what_credit_cannot_cross_is_given_at_order_1(case):
    """The remedy of each message is possible, and passes the check."""
    others, name, says = NOT_FOLLOWED[case]

    def build(order):
        equations = "dv/dt = -v*(1 + g)/(20*ms) : volt\ng : 1"
        return Small(equations, others, order=order, events={"burst": "v > 12*mV"})

    error = refusal(lambda: build(math.inf).run())
    assert name in error
    assert says in error
    assert "order=1" in error
    assert "fixed=True" not in error
    assert_passes(build(1))


@pytest.mark.parametrize("order", [1, math.inf])
def test_credit_crosses_a_group_without_threshold_that_is_summed_up(order):
    equations = "dv/dt = -v*(1 + g)/(20*ms) : volt\ng : 1"
    assert_passes(Small(equations, helper, order=order))


def test_plain_synapses_whose_effect_other_code_changes_are_given_at_order_1():
    """Credit would read the effect at the end of a trial, when it is another."""

    def others(small):
        synapses = Synapses(small.group, small.group, "a : volt", on_pre="v_post += a", name="aged")
        synapses.connect("i != j")
        synapses.a = 2 * mV
        synapses.run_regularly("a *= 0.9", dt=5 * ms)
        return [synapses]

    error = refusal(lambda: Small(others=others, order=math.inf).run())
    assert "changes 'a'" in error
    assert "'aged'" in error
    assert "order=1, at which these synapses count as given" in error
    assert_passes(Small(others=others))


def test_a_method_that_does_not_fit_is_not_proposed_again():
    equations = "dv/dt = -v/(20*ms) : volt\nda/dt = -a*a/(30*ms) : 1"
    error = refusal(lambda: Small(equations, method="exponential_euler"))
    assert "method = 'exponential_euler' is not for its equations" in error
    assert error.endswith("such as 'euler' or 'rk4'")


def test_a_variable_that_is_linked_too_late_is_named():
    equations = "dv/dt = -v*g/(20*ms) : volt\ng : 1 (linked)"
    error = refusal(lambda: Small(equations))
    assert "'g' of group 'neurons'" in error
    assert "neurons.g = linked_var(…) before" in error

    def first(small):
        small.other = NeuronGroup(5, "x : 1")
        small.other.x = 1
        small.group.g = linked_var(small.other, "x")

    assert refusal(lambda: Small(equations, first=first)) is None


def test_projections_that_are_switched_off_are_not_compared():
    def others(small):
        small.inputs.active = False
        small.group.v = "i*4*mV"

    small = Small("dv/dt = (20*mV - v)/(20*ms) : volt", others)
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)
    assert {row.projection for row in found.rows} == {"outputs"}
    assert found.switched_off == ("inputs",)
    assert "switched off, and not compared: inputs" in str(found)


def test_synapses_on_the_way_of_credit_that_scale_a_state_are_named():
    def others(small):
        synapses = Synapses(small.group, small.group, on_pre="v_post *= 0.9", name="shunts")
        synapses.connect("i != j")
        return [synapses]

    error = refusal(lambda: Small(others=others, order=math.inf).run())
    assert "'shunts' may carry spikes from one trial into the next" in error
    assert "delay=0*ms, or Learner(reset=[shunts])" in error
    assert_passes(Small(others=others))


@pytest.mark.parametrize("engine", ["traces", "credit"])
@pytest.mark.parametrize("since", ["(t - lastspike_post)", "since_post"])
def test_an_effect_that_the_spikes_of_the_target_change_is_refused(since, engine):
    """Its own spike acts on what later arrivals do, which is a path of the trace."""

    def build():
        Small(
            LIF + "\nsince = t - lastspike : second",
            engine=engine,
            refractory=2 * ms,
            on_pre=f"v_post += w*mV*(1 - 0.5*exp(-{since}/(5*ms)))",
        ).run()

    assert "depends on the state of the postsynaptic neuron" in refusal(build)
