"""What losses are compared with: one row per time step, gaps where nothing was measured."""

import numpy as np
from brian2 import Quantity, TimedArray, second


def check_array(owner, name, array, arguments, group):
    """Raise ValueError for data with another time step or another number of neurons.

    Parameters
    ----------
    owner, name : str
        The loss, and what its expression calls the data, in messages.
    array : TimedArray
    arguments : list of str
        What the expression calls it with.
    group : NeuronGroup
        Whose loss it is.
    """
    dt, n = group.clock.dt_, len(group)
    if abs(float(array.dt) - dt) > 1e-9 * dt:
        raise ValueError(
            f"{owner}: '{name}' has one row every {array.dt * second!s}, but the group runs with "
            f"dt = {group.clock.dt!s}: resample it, TimedArray(values, dt={group.clock.dt!s})"
        )
    if arguments[1:] == ["i"] and array.values.shape[1] != n:
        raise ValueError(
            f"{owner}: '{name}' has {array.values.shape[1]} columns, but the group {n} neurons; "
            "give one column per neuron"
        )


def without_gaps(owner, name, array, gaps):
    """The array with numbers in its gaps, and one that is 0 there and 1 elsewhere.

    Parameters
    ----------
    owner, name, array
        As for `check_array`.
    gaps : bool
        Whether NaN were said to be gaps.

    Raises
    ------
    ValueError
        If they were not, or if the array has infinite numbers, or nothing but gaps.
    """
    values, wrong = array.values, np.argwhere(~np.isfinite(array.values))[0].tolist()
    if not gaps or np.isinf(values).any() or np.isnan(values).all():
        raise ValueError(
            f"{owner}: '{name}' is not finite, first at {wrong}: correct it, or say Loss(..., "
            "gaps=True) if NaN stands for what was not measured"
        )
    there = np.isfinite(values)
    filled = np.where(there, values, values[there].mean())
    return (
        TimedArray(Quantity(filled, dim=array.dim), dt=array.dt * second),
        TimedArray(there.astype(float), dt=array.dt * second),
    )


def check_rows(owner, name, array, needed, whole):
    """Raise ValueError for data that end before the run does, or after it.

    Parameters
    ----------
    owner, name, array
        As for `check_array`.
    needed : int
        Rows that are read.
    whole : bool
        Whether rows that are not read are an error, too.
    """
    rows = len(array.values)
    if rows < needed:
        raise ValueError(
            f"{owner}: '{name}' has {rows} rows, one per time step, but {needed} are needed; give "
            "longer data, or Loss(..., period=...) if they repeat"
        )
    if whole and rows > needed:
        raise ValueError(
            f"{owner}: '{name}' has {rows} rows, one per time step, but an iteration ends after "
            f"{needed}: give Learner update_every, the length of all trials of the data, or cut "
            "them"
        )
