"""Synapses from groups on other clocks: right, or refused with the clocks named."""

import math

import pytest
from brian2 import NeuronGroup, Synapses, ms
from own_networks import Small, T, refusal

from brian_eprop import TrainableSynapses

pytestmark = pytest.mark.usefixtures("numpy_target")


def clocked(dt, code, back=""):
    """Plain synapses from neurons that fire about every 3 ms, with a time step of their own."""

    def others(small):
        pulses = NeuronGroup(
            2,
            "dx/dt = (3 - x)/(6*ms) : 1",
            threshold="x > 1",
            reset="x = 0",
            method="euler",
            dt=dt,
            name="pulses",
        )
        synapses = Synapses(pulses, small.group, on_pre=code, name="shunt")
        synapses.connect()
        synapses.pre.order = 1
        found = [pulses, synapses]
        if back:
            found.append(Synapses(small.group, pulses, on_pre=back, name="back"))
            found[-1].connect()
        return found

    return others


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    ("dt", "code"),
    [(2 * ms, "v_post *= 0.8"), (0.25 * ms, "v_post += 0.1*mV"), (1.5 * ms, "v_post += 0.1*mV")],
)
def test_slower_factors_and_what_merely_adds_pass_the_check(dt, code):
    small = Small(others=clocked(dt, code))
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(("dt", "said"), [(0.25 * ms, "250. us"), (1.5 * ms, "1.5 ms")])
def test_factors_of_sub_steps_are_refused(dt, said):
    error = refusal(lambda: Small(others=clocked(dt, "v_post *= 0.8")).run())
    assert "'shunt_pre'" in error
    assert "'pulses'" in error
    assert f"every {said}" in error
    assert "merely add" in error


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("dt", [0.5 * ms, 2 * ms])
def test_credit_does_not_cross_clocks(dt):
    others = clocked(dt, "v_post += 0.1*mV", back="x_post += 0.2")
    error = refusal(lambda: Small(others=others, order=math.inf).run())
    assert "'pulses'" in error
    assert "'answers' with 1. ms" in error
    assert "order=1" in error


def test_credit_does_not_cross_synapses_with_another_time_step():
    """Delays would be other numbers of steps than those of the spikes."""

    def others(small):
        model = dict(threshold="x > 15*mV", reset="x = 0*mV", method="euler", name="others")
        group = NeuronGroup(2, "dx/dt = -x/(6*ms) : volt", **model)
        away = Synapses(small.group, group, on_pre="x_post += 10*mV", dt=0.5 * ms, name="away")
        back = Synapses(group, small.group, on_pre="v_post += 0.1*mV", delay=2 * ms)
        for synapses in (away, back):
            synapses.connect()
        return [group, away, back]

    error = refusal(lambda: Small(others=others, order=math.inf).run())
    assert "'away', which runs with dt = 0.5 ms" in error
    assert "'answers' with 1. ms" in error


@pytest.mark.parametrize("fixed", [False, True])
def test_trained_synapses_need_one_time_step(fixed):
    def others(small):
        pulses = NeuronGroup(1, "x : 1", threshold="x > 1", dt=0.5 * ms, name="pulses")
        TrainableSynapses(pulses, small.group, learner=small.learner, fixed=fixed)

    error = refusal(lambda: Small(others=others))
    assert "'pulses' runs with dt = 0.5 ms" in error
