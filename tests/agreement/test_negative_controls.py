"""Wrong variants of our code, put back by a switch: `Learner.check` finds each of them.

Of the kinds of wrong gradients that networks as people write them once had. Other writers that are
left out are in test_other_writers.py, another order of a step is in test_order_of_a_step.py.
"""

import math

import pytest
from brian2 import (
    NeuronGroup,
    Synapses,
    linked_var,
    ms,
)
from brian2.groups.neurongroup import StateUpdater
from own_networks import (
    LIF,
    SPIKING,
    STIM,
    N,
    Small,
    T,
    refusal,
    set_by_operation,
    set_in_start,
    summed,
)

from brian_eprop import TrainableSynapses
from brian_eprop.brian import schedule
from brian_eprop.calculus import arrivals, linearization
from brian_eprop.engines.credit import Credit
from brian_eprop.reading import NetworkReading, network, stages

pytestmark = pytest.mark.usefixtures("numpy_target")


def assert_passes(small):
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed or all("shows nothing" in row.remark for row in failed(found)), str(found)
    assert found.spikes > 10


def assert_found(small):
    found = small.learner.check(T * ms, small.network, synapses=2)
    # By more than a difference of runs is uncertain
    wrong = [row for row in failed(found) if row.error > 1e-3 and row.uncertainty < 1e-6]
    assert wrong, str(found)


def failed(found):
    """The rows of what does not pass."""
    return [row for row in found.rows if not row.passed]


# ---------------------------- (a) a factor of the state is set elsewhere in the same step

SCALED = "dv/dt = -v*g/(20*ms) : volt\ng : 1"


def linked():
    others = NeuronGroup(N, "s : 1", namespace={"STIM": STIM})
    others.run_regularly("s = STIM(t)", dt=1 * ms)

    def first(small):
        small.group.g = linked_var(others, "s")

    return Small(f"{SCALED} (linked)", lambda _: [others], first)


WRITERS = {
    "run_regularly": lambda: Small(SCALED, set_in_start),
    "summed": lambda: Small(SCALED, summed),
    "operation": lambda: Small(SCALED, set_by_operation),
    "linked": linked,
}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("writer", WRITERS)
def test_a_factor_that_is_recorded_before_it_is_set(monkeypatch, writer):
    assert_passes(WRITERS[writer]())
    right = NetworkReading.just_before

    def early(reading, obj, **options):
        if isinstance(obj, StateUpdater):
            return schedule.Moment("before_start", 0)
        return right(reading, obj, **options)

    monkeypatch.setattr(NetworkReading, "just_before", early)
    assert_found(WRITERS[writer]())


# ---------------------------- (c) numbers that are drawn again for the derivative


def multiplied(code):
    def others(small):
        small.group.run_regularly(code, dt=1 * ms, when="before_groups")

    return others


def kept_first(small):
    small.group.run_regularly("q = rand()", dt=1 * ms, when="start")


def kept(small):
    small.inputs.run_regularly("q = rand()", dt=1 * ms, when="start")


DRAWN = {
    "factor": (
        lambda: Small(others=multiplied("v *= (0.5 + rand())")),
        lambda: Small(f"{LIF}\nq : 1", multiplied("v *= (0.5 + q)"), kept_first),
    ),
    "reset": (
        lambda: Small(reset="v -= 15*mV*rand()"),
        lambda: Small(f"{LIF}\nq : 1", first=kept_first, reset="v -= 15*mV*q"),
    ),
    "equations": (
        lambda: Small(f"{LIF.replace('-v', '-v*q')}\nq = rand() : 1 (constant over dt)"),
        lambda: Small(f"{LIF.replace('-v', '-v*q')}\nq : 1", first=kept_first),
    ),
    "on_pre": (
        lambda: Small(on_pre="v_post += 2*w*rand()*mV"),
        lambda: Small(
            model="w : 1\nq : 1", on_pre="v_post += 2*w*q*mV", others=kept, engine="traces"
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("place", DRAWN)
def test_a_number_that_is_drawn_again(monkeypatch, place):
    drawn, remedy = DRAWN[place]
    assert_passes(remedy())
    assert "random" in refusal(lambda: drawn().run())
    for module in (stages, linearization):
        monkeypatch.setattr(module, "drawing", lambda *_: "")
    monkeypatch.setattr(linearization, "_random", lambda _: False)
    monkeypatch.setattr(arrivals, "_check_not_drawn", lambda *_: None)
    assert_found(drawn())


# ---------------------------- (d) paths that leave the learning groups and come back


def plain(small):
    synapses = Synapses(small.group, small.group, on_pre="v_post += 4*mV")
    synapses.connect(condition="i != j")
    return [synapses]


def loop(small):
    between = NeuronGroup(3, LIF, **SPIKING)
    made = [
        Synapses(small.group, between, on_pre="v_post += 6*mV"),
        Synapses(between, small.group, on_pre="v_post -= 5*mV"),
    ]
    for synapses in made:
        synapses.connect()
    return [between, *made]


def onto_readout(small):
    synapses = Synapses(small.group, small.readout, "w : 1", on_pre="y_post += w")
    synapses.connect()
    synapses.w = "3*(i-2)"
    return [synapses]


PATHS = {
    "plain synapses": (plain, 2),
    "a group": (loop, math.inf),
    "the readout": (onto_readout, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_is_not_followed(monkeypatch, path):
    others, order = PATHS[path]
    assert_passes(Small(others=others, order=order))
    monkeypatch.setattr("brian_eprop.engines.credit.cross", lambda *_: False)
    assert refusal(Small(others=others, order=order).run)
    monkeypatch.setattr(NetworkReading, "check_paths", lambda *_, **__: None)
    assert_found(Small(others=others, order=order))


# ---------------------------- (f) what does not run is given credit


def second(*, runs):
    """Trained recurrent synapses that are switched off, or no part of the network."""

    def others(small):
        small.second = TrainableSynapses(
            small.group, small.group, on_pre="v_post += w*mV", learner=small.learner
        )
        small.second.connect()
        small.second.w = 5
        small.second.active = not runs
        return [small.second] if runs else []

    return others


@pytest.mark.slow
def test_credit_through_synapses_that_do_not_run(monkeypatch):
    def switched_off():
        return Small(others=second(runs=True), order=math.inf)

    def left_out():
        return Small(others=second(runs=False), order=math.inf)

    assert_passes(switched_off())
    assert "is not in the Network" in refusal(left_out().run)

    def as_if_it_ran(reading):
        for name in reading.projections:
            reading.position.setdefault(name, reading.position["inputs_pre"])

    monkeypatch.setattr(network, "check_membership", as_if_it_ran)
    assert_passes(left_out())  # no credit is given to what does not run
    monkeypatch.setattr(Credit, "_active", property(lambda self: self.pathways))
    assert_found(switched_off())
    assert_found(left_out())
