"""What else changes a learning group's state: differentiated, or refused by name."""

import math
from itertools import cycle

import numpy as np
import pytest
from brian2 import NetworkOperation, SpikeGeneratorGroup, Synapses, ms
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


#: Code of synapses that scale a state.
SCALING = [
    "v_post *= 0.2",
    "v_post = 2*mV",
    "v_post = clip(v_post, -1*mV, 5*mV)",
    "v_post -= 0.1*v_post",
    "v_post = v_post**2/(10*mV)",
    "v_post *= 0.5; v_post += 2*mV",
    "v_post += 0.1*(5*mV - v_post)",
    "v_post = abs(v_post)",
    "v_post = 9*mV*tanh(v_post/(9*mV)) - 0.1*sqrt(v_post**2 + (1*mV)**2)",
]


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    ("code", "order"), [*zip(SCALING, cycle([1, -1]), strict=False), (SCALING[0], -1)]
)
def test_plain_synapses_that_scale_a_state_pass_the_check(code, order):
    """At the order of the trained synapses, their names say which come first."""
    small = Small(others=pulsed(code, order))
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)


@pytest.mark.first_case_is_fast
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


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("code", ["v *= 0.9", "v -= 0.1*v", "v = v**2/(10*mV)", "v = 3*mV"])
def test_run_regularly_on_a_slower_clock_passes_the_check(code):
    def others(small):
        small.group.run_regularly(code, dt=3 * ms, when="before_thresholds", order=1)

    small = Small(others=others)
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)


@pytest.mark.slow
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


GATED = "dv/dt = -v*g/(20*ms) : volt\ng : 1"


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("order", [1, math.inf])
@pytest.mark.parametrize(
    "codes",
    [
        {"g = 1 + 0.1*tanh(v/(10*mV))": 0},
        {"g = 1 + 0.5*tanh(v/(10*mV))": 1, "v = v*(0.99 - 0.01*g)": 0},
    ],
)
def test_what_code_makes_of_the_state_is_a_state_too(codes, order):
    def others(small):
        small.group.g = 1
        for code, place in codes.items():
            small.group.run_regularly(code, dt=1 * ms, order=place)

    small = Small(GATED, others, order=order)
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)


def test_a_step_of_the_state_is_refused_by_the_name_of_the_code():
    def others(small):
        small.group.run_regularly("g = int(v > 5*mV)", dt=2 * ms, name="gate")

    error = refusal(lambda: Small(GATED, others).run())
    assert "'gate'" in error
    assert "'int' is a step function" in error


STORED = "dv/dt = (-v + drive)/(20*ms) : volt\ndrive = 5*mV*tanh(v/(9*mV)) : volt"


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(("order", "engine"), [(1, "credit"), (1, "traces"), (math.inf, "credit")])
def test_what_is_stored_once_a_step_is_one_simulation_with_its_text(order, engine):
    assert_same_or_refused(
        lambda: Small(STORED, order=order, engine=engine),
        lambda: Small(f"{STORED} (constant over dt)", order=order, engine=engine),
    )


def test_what_is_stored_of_the_state_acts_on_no_other_neuron():
    def others(small):
        synapses = Synapses(
            small.group, small.group, "bias_post = 0.1*drive_pre : volt (summed)", name="summed"
        )
        synapses.connect()
        return [synapses]

    equations = f"{STORED} (constant over dt)\nbias : volt".replace("+ drive", "+ drive + bias")
    error = refusal(lambda: Small(equations, others).run())
    assert "past its spikes" in error
    assert "'summed" in error


REFRACTORY = "dv/dt = -v/(20*ms) : volt (unless refractory)"


def forced(code):
    """Synapses that run code of the neurons."""
    return pulsed(code.replace(" = ", "_post = "), order=1)


def regularly(code):
    def others(small):
        small.group.run_regularly(code, dt=5 * ms, name="shunt_pre")

    return others


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("runs", [forced, regularly])
@pytest.mark.parametrize(
    ("code", "name"), [("lastspike = t", "lastspike"), ("not_refractory = False", "not_refractory")]
)
def test_only_brian2_makes_neurons_refractory(runs, code, name):
    error = refusal(lambda: Small(REFRACTORY, runs(code), refractory=3 * ms).run())
    assert f"changes '{name}' of group 'neurons'" in error
    assert "'shunt_pre'" in error
    assert "variable of your own" in error


def test_no_function_of_python_makes_neurons_refractory():
    def others(small):
        def force():
            small.group.lastspike = small.network.t

        return [NetworkOperation(force, name="force")]

    error = refusal(lambda: Small(REFRACTORY, others, refractory=3 * ms).run())
    assert "'force' changes 'lastspike'" in error
    assert "variable of your own" in error


@pytest.mark.slow
def test_the_remedy_a_gate_of_ones_own_passes_the_check():
    equations = "dv/dt = -v*allowed/(20*ms) : volt (unless refractory)\nallowed : 1"

    def others(small):
        small.group.allowed = 1
        small.group.run_regularly("allowed = 1", dt=4 * ms)
        return forced("allowed = 0")(small)

    threshold = "v > 15*mV and allowed > 0"
    small = Small(equations, others, refractory=3 * ms, threshold=threshold)
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)
