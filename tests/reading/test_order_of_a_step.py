"""Objects in other slots than Brian2's own: the order that really runs is the one learned."""

import pytest
from brian2 import NeuronGroup, linked_var, ms
from own_networks import LIF, STIM, N, Small, T, assert_same_or_refused, refusal

from brian_eprop import TrainableSynapses
from brian_eprop.brian import schedule
from brian_eprop.reading.network import NetworkReading

pytestmark = pytest.mark.usefixtures("numpy_target")

MOVED = [("before_synapses", 0), ("synapses", -3), ("thresholds", 1)]


def resetting(when, order):
    def others(small):
        resetter = small.group.resetter["spike"]
        resetter.when, resetter.order = when, order

    return others


def arriving_late(small):
    small.inputs.pre.when, small.inputs.pre.order = "resets", 1


@pytest.mark.parametrize(("when", "order"), MOVED)
def test_spikes_that_arrive_after_the_reset(when, order):
    assert_same_or_refused(
        lambda: Small(others=arriving_late), lambda: Small(others=resetting(when, order))
    )


@pytest.mark.parametrize("others", [arriving_late, resetting("before_synapses", 0)])
def test_traces_of_another_order_are_refused(others):
    assert_same_or_refused(
        None, lambda: Small(others=others, engine="traces"), "does not run in the slot 'resets'"
    )


def test_the_remedy_for_spikes_that_arrive_at_two_moments_works():
    def recurrent(when):
        def others(small):
            again = TrainableSynapses(
                small.group, small.group, on_pre="v_post += w*mV", learner=small.learner
            )
            again.connect("i != j")
            again.pre.when = "after_resets"
            small.inputs.pre.when = when
            return [again]

        return others

    error = refusal(lambda: Small(others=recurrent("synapses")).run())
    assert "'inputs_pre'" in error and "the same slot and order" in error
    small = Small(others=recurrent("after_resets"))
    small.run()
    assert small.gradient.any()


@pytest.mark.slow
def test_traces_of_an_earlier_threshold_are_refused():
    """ψ would be seen when neurons that fire are refractory already."""

    def early(small):
        small.group.thresholder["spike"].when = "before_thresholds"

    def build(engine):
        return Small(others=early, engine=engine, refractory=3 * ms)

    says = "does not run in the slot 'thresholds'"
    assert_same_or_refused(None, lambda: build("traces"), says)
    small = build("credit")
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)


@pytest.mark.slow
def test_the_check_finds_a_reset_that_is_recorded_where_it_was(monkeypatch):
    """Negative control: what is recorded before the reset stays in the slot 'resets'."""
    small = Small(others=resetting("before_synapses", 0))
    recorded = schedule.Moment("resets", -0.5)
    monkeypatch.setattr(NetworkReading, "just_before", lambda *_: recorded)
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert not found.passed
    assert found.worst.error > 1e-3


@pytest.mark.slow_unless(when=["before_groups"])
@pytest.mark.parametrize("when", ["start", "before_groups", "after_resets", "end"])
def test_an_update_in_another_slot_passes_the_check(when):
    def moved(small):
        small.group.state_updater.when = when

    small = Small(others=moved)
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ["aaa", "zzz"])
def test_linked_variables_of_a_group_that_is_updated_in_the_same_slot(name):
    """Before or after the learning group by its name: g is the one that the update used."""
    others = []

    def first(small):
        group = NeuronGroup(N, "ds/dt = -s/(10*ms) : 1", method="euler", name=name)
        group.s = 4
        small.group.g = linked_var(group, "s")
        others[:] = [group]

    small = Small("dv/dt = -v*g/(20*ms) : volt\ng : 1 (linked)", lambda _: others, first)
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)


@pytest.mark.slow_unless(when=["thresholds"], name=["aaa"])
@pytest.mark.parametrize("name", ["aaa", "zzz"])
@pytest.mark.parametrize("when", ["groups", "thresholds", "synapses", "resets"])
def test_code_at_the_moment_of_a_stage_runs_by_its_name(when, name):
    """Its order is the one that the user has said again, when the network has changed."""

    def others(small):
        small.code = small.group.run_regularly("v *= 0.9", dt=1 * ms, when=when, name=name)

    small = Small(others=others)
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)
    small.code.active = False
    small.run()
    assert small.group.state_updater.order == small.group.thresholder["spike"].order == 0


@pytest.mark.parametrize(("order", "refused"), [(999, False), (1001, True)])
def test_traces_refuse_a_threshold_that_changes_after_psi(order, refused):
    def others(small):
        text = "vt = (5 + sin(t/(3*ms)))*mV"
        small.group.run_regularly(text, dt=1 * ms, when="before_thresholds", order=order)

    def small():
        return Small(LIF + "\nvt : volt", others, threshold="v > vt", engine="traces")

    if refused:
        assert "'vt'" in refusal(lambda: small().run())
    else:
        made = small()
        found = made.learner.check(T * ms, made.network, synapses=2)
        assert found.passed, str(found)


@pytest.mark.parametrize("when", ["start", "groups", "thresholds", "synapses", "resets", "end"])
def test_a_parameter_is_the_one_that_the_update_used(when):
    """Set before the update: of this step; after it: of the last one."""
    at_once = when in ("start", "groups")
    text = "g = STIM(t) : 1" if at_once else "g = STIM(t - 1*ms)*int(t > 0.5*ms) : 1"

    def set_there(small):
        small.group.run_regularly("g = STIM(t)", dt=1 * ms, when=when, order=-1)

    equation = "dv/dt = -v*g/(20*ms) : volt\n"
    names = {"STIM": STIM}
    assert_same_or_refused(
        lambda: Small(equation + text, names=names), lambda: Small(equation + "g : 1", set_there)
    )


@pytest.mark.parametrize(
    ("engine", "says"), [("credit", None), ("traces", "'g', on which the next step")]
)
@pytest.mark.parametrize("by", ["time", "a parameter that is set"])
def test_a_variable_that_is_linked_to_an_expression(engine, says, by):
    """Traces are moved on at the end of a step, with what the expression is then."""
    text = "s = STIM(t) : 1" if by == "time" else "s = 1*x : 1\nx : 1"
    others = []

    def linked():
        def first(small):
            group = NeuronGroup(N, text, namespace={"STIM": STIM})
            if by != "time":
                group.run_regularly("x = STIM(t)", dt=1 * ms)
            small.group.g = linked_var(group, "s")
            others[:] = [group]

        equations = "dv/dt = -v*g/(20*ms) : volt\ng : 1 (linked)"
        return Small(equations, lambda _: others, first, engine=engine)

    def within():
        return Small("dv/dt = -v*g/(20*ms) : volt\ng = STIM(t) : 1")

    assert_same_or_refused(within, linked, says)
