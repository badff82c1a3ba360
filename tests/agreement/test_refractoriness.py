"""Refractoriness by a condition, and equations in the number of the step, in both engines.

Each network is written in two ways that are one simulation: with Brian2's flag, and with what the
flag has been in every step, as an array.
"""

import pytest
from brian2 import TimedArray, ms
from own_networks import LIF, Small, assert_one_simulation, assert_same_or_refused, recorded

pytestmark = pytest.mark.usefixtures("numpy_target")

ENGINES = ("traces", "credit")
FLAG = "dv/dt = -v*(1 + 4*int(not_refractory))/(20*ms) : volt\nlast : second"
ARRAY = "dv/dt = -v*(1 + 4*OPEN(t, i))/(20*ms) : volt\nlast : second"
HELD = "\nheld = t - lastspike <= (2 + sin(phase))*ms : boolean\nphase = t/(3*ms) : 1"
CONDITIONS = (
    "(t - lastspike) <= 2*ms",
    "t + dt < lastspike + 3.5*ms",
    "t < last + dt*3",
    "held",
    "held and t_in_timesteps % 7 != 3",
)


def reset_to(time):
    """Refractoriness that starts before any spike would make all neurons wait at first."""
    return {"reset": "v = 0*mV; last = t", "first": lambda s: setattr(s.group, "last", time)}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("refractory", [*CONDITIONS, "(3 + 2*sin(phase))*ms"])
def test_the_flag_is_that_of_the_step_that_is_differentiated(refractory, engine):
    options = reset_to(-1 * ms * 10) | {"engine": engine, "refractory": refractory}

    def with_flag(others=None):
        return Small(FLAG + HELD, others, **options)

    flags = recorded(with_flag, "not_refractory", "before_thresholds")
    assert 0.1 < flags.mean() < 0.99
    names = {"OPEN": TimedArray(flags.astype(float), dt=1 * ms)}
    assert_same_or_refused(lambda: Small(ARRAY + HELD, names=names, **options), with_flag)


@pytest.mark.parametrize("refractory", CONDITIONS)
def test_what_is_held_while_refractory_has_the_traces_of_the_credit(refractory):
    equations = LIF + " (unless refractory)\nlast : second" + HELD
    options = reset_to(-1 * ms * 10) | {"refractory": refractory}
    both = [Small(equations, engine=engine, **options) for engine in ENGINES]
    for small in both:
        small.run()
    assert_one_simulation(*both)


@pytest.mark.parametrize("refractory", ["hold > 0.5", "(1 + 3*hold)*ms"])
def test_traces_refuse_a_condition_that_changes_after_them(refractory):
    equations = FLAG + "\nhold : 1"

    def changing(small):
        small.group.run_regularly("hold = int(t_in_timesteps % 4 < 2)", dt=1 * ms)

    def small(engine, others=changing):
        options = reset_to(-1 * ms * 10) | {"engine": engine, "refractory": refractory}
        return Small(equations, others, **options)

    assert_same_or_refused(None, lambda: small("traces"), "changes 'hold', on which the next step")

    def with_recorder(others):
        return small("credit", lambda s: [changing(s), *others(s)][1:])

    flags = recorded(with_recorder, "not_refractory", "before_thresholds")
    names = {"OPEN": TimedArray(flags.astype(float), dt=1 * ms)}
    options = reset_to(-1 * ms * 10) | {"refractory": refractory, "names": names}
    assert_same_or_refused(
        lambda: Small(ARRAY + "\nhold : 1", changing, **options), lambda: small("credit")
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("factor", "same"),
    [
        ("STIM(t)", "STIM(t_in_timesteps*dt)"),
        # 9*dt + dt is less than 10*dt in its last digit
        ("(1 + 4*int(t_in_timesteps >= 10))", "(1 + 4*int(t >= 10*ms))"),
    ],
)
def test_the_number_of_the_step_is_that_of_the_step_that_is_differentiated(factor, same, engine):
    equations = "dv/dt = -v*{}/(20*ms) : volt"
    # The first of each pair is differentiated where its step runs
    assert_same_or_refused(
        lambda: Small(equations.format(factor), engine="credit"),
        lambda: Small(equations.format(same), engine=engine),
    )
