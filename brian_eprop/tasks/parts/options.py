"""What the options of tasks have in common: checks that name task, option, value and remedy.

Each looks at fields of a task by their names; durations are multiples of the task's ``dt``.
"""

import numpy as np
from brian2.units.fundamentalunits import get_dimensions

__all__ = [
    "check_batch",
    "check_held_out",
    "check_integers",
    "check_multiples",
    "check_quantities",
    "check_rates",
    "spike_probability",
    "steps_of",
]


def check_integers(task, **smallest):
    """Raise ValueError unless each field named is an integer, and at least so large."""
    for name, least in smallest.items():
        value = getattr(task, name)
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise ValueError(f"{_of(task, name)} is {value!r}; expected an integer")
        if value < least:
            raise ValueError(f"{_of(task, name)} is {value}; expected at least {least}")


def check_quantities(task, names, unit, example, may_be_zero=False):
    """Raise unless each field named is one finite quantity, above or from 0, in ``unit``.

    Raises
    ------
    TypeError
        For a wrong unit.
    ValueError
        For a value out of range, and for more than one.
    """
    for name in names:
        value = getattr(task, name)
        if get_dimensions(value) is not unit.dim:
            raise TypeError(
                f"{_of(task, name)} is {value!r}; expected a quantity in {unit!r}, "
                f"for instance {example}"
            )
        accepted = np.ndim(value) == 0 and 0 <= float(value) < np.inf
        if not accepted or (float(value) == 0 and not may_be_zero):
            kind = "quantity ≥ 0" if may_be_zero else "positive quantity"
            raise ValueError(f"{_of(task, name)} is {value!r}; expected one {kind}")


def check_multiples(task, names):
    """Raise ValueError unless each duration named is a multiple of the time step."""
    for name in names:
        steps = float(getattr(task, name) / task.dt)
        if abs(steps - round(steps)) > 1e-6 * max(steps, 1):
            raise ValueError(
                f"{_of(task, name)} is {getattr(task, name)!r}; expected a multiple of the time "
                f"step 'dt' = {task.dt!r}"
            )


def check_rates(task, names):
    """Raise ValueError where a rate named gives more than one spike in a time step."""
    for name in names:
        p = spike_probability(task, name)
        if p > 1:
            raise ValueError(
                f"{_of(task, name)} {getattr(task, name)!r} gives {p:g} spikes in a step of "
                f"'dt' {task.dt!r}; at most {float(1 / task.dt):g} Hz can be drawn with this 'dt'"
            )


def check_batch(task, batch):
    """Raise ValueError for less than one trial."""
    if batch < 1:
        raise ValueError(f"{_of(task, 'batch')} is {batch}; expected at least 1")


def check_held_out(task, split):
    """Raise ValueError unless the name is of trials that are not learned from."""
    if split not in ("validation", "test"):
        raise ValueError(
            f"{_of(task, 'split')} is {split!r}; expected 'validation' or 'test', trials that are "
            "not learned from"
        )


def steps_of(task, name):
    """The duration named in time steps."""
    return round(float(getattr(task, name) / task.dt))


def spike_probability(task, name):
    """p = rate·dt of the rate named: the probability of a spike in a step."""
    return float(getattr(task, name) * task.dt)


def _of(task, name):
    return f"{type(task).__name__}: '{name}'"
