"""What else changes a learning group's state: differentiated, or refused by name."""

import numpy as np
import pytest
from brian2 import SpikeGeneratorGroup, Synapses, ms
from own_networks import LIF, Small, T, assert_same_or_refused, refusal

from brian_eprop.reading import stages

pytestmark = pytest.mark.usefixtures("numpy_target")
TIMES = np.arange(0, T, 6)


def pulsed(code, order=1):
    """Plain synapses from a neuron that fires every 6 ms."""

    def others(small):
        pulses = SpikeGeneratorGroup(1, 0 * TIMES, TIMES * ms)
        synapses = Synapses(pulses, small.group, on_pre=code, name="shunt")
        synapses.connect()
        synapses.pre.order = order
        return [pulses, synapses]

    return others


@pytest.mark.parametrize(
    "code",
    [
        "v_post *= 0.2",
        "v_post = 2*mV",
        "v_post = clip(v_post, -1*mV, 5*mV)",
        "v_post -= 0.1*v_post",
        "v_post = v_post**2/(10*mV)",
        "v_post *= 0.5; v_post += 2*mV",
        "v_post += 0.1*(5*mV - v_post)",
    ],
)
@pytest.mark.parametrize("order", [-1, 1])
def test_plain_synapses_that_scale_a_state_pass_the_check(code, order):
    """At the order of the trained synapses, their names say which come first."""
    small = Small(others=pulsed(code, order))
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("v_post *= rand()", "random number"),
        ("v_post = int(v_post > 5*mV)*v_post", "no useful derivative"),
    ],
)
def test_what_cannot_be_differentiated_is_refused_by_name(code, says):
    error = refusal(lambda: Small(others=pulsed(code)).run())
    assert error is not None
    assert "'shunt_pre'" in error
    assert says in error


@pytest.mark.parametrize("code", ["v *= 0.9", "v -= 0.1*v", "v = v**2/(10*mV)", "v = 3*mV"])
def test_run_regularly_on_a_slower_clock_passes_the_check(code):
    def others(small):
        small.group.run_regularly(code, dt=3 * ms, when="before_thresholds", order=1)

    small = Small(others=others)
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)


def test_the_check_finds_code_that_was_left_out(monkeypatch):
    """Negative control: synapses that scale a state are no stages of its step."""
    monkeypatch.setattr(stages, "_add_synapses", lambda *_: None)
    small = Small(others=pulsed("v_post *= 0.2"))
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert not found.passed
    assert found.worst.error > 1e-3


def test_a_scaled_state_is_one_simulation_with_a_smaller_one():
    def twice(small):
        return [*pulsed("v_post *= 0.25")(small)]

    assert_same_or_refused(
        lambda: Small(LIF, pulsed("v_post *= 0.5; v_post *= 0.5")), lambda: Small(LIF, twice)
    )
