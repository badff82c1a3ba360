"""Behaviour: what is measured of a subject in a decision task, here of a network's outputs."""

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity

from ..checks import Floats, Ints, check_time, finite_array, number, whole_number
from .metrics import counted_steps


def choices(task: object, outputs: Floats) -> Ints:
    """
    What was decided in each trial: the output with the largest mean over the steps that count.

    Parameters
    ----------
    task : object
    outputs : (batch, steps, n_out) ndarray

    Returns
    -------
    (batch,) ndarray of int
    """
    outputs = np.asarray(outputs, dtype=float)
    return outputs[:, counted_steps(task, outputs)[0]].mean(axis=1).argmax(axis=1)


def psychometric_curve(strength: Floats, chosen: Ints) -> tuple[Floats, Floats, Ints]:
    """
    How often a choice is made at each strength of the evidence for it.

    Parameters
    ----------
    strength : (trials,) array
        Such as signed coherences.
    chosen : (trials,) array of bool or int
        Whether the choice was made.

    Returns
    -------
    strengths : (k,) ndarray
        The different ones, increasing.
    fraction : (k,) ndarray
    trials : (k,) ndarray of int
        How many there were; the standard error is √(f (1 − f)/trials).

    Raises
    ------
    ValueError
        If there is not one choice for each strength, or a choice is not 0 or 1.
    """
    strength, chosen = _paired("psychometric_curve", strength, "chosen", chosen)
    if not np.isin(chosen, (0, 1)).all():
        raise ValueError("psychometric_curve: 'chosen' must be 0 or 1, whether the choice was made")
    strengths, place, trials = np.unique(strength, return_inverse=True, return_counts=True)
    return strengths, np.bincount(place, chosen) / trials, trials


def reaction_times(
    outputs: Floats, bound: float, dt: Quantity, onset: int = 0, window: int = 1
) -> Quantity:
    """
    When a decision is reached: the mean of an output's probability in a window reaches a bound.

    Probabilities are softmax(y); the first step after ``onset`` whose last ``window`` steps have a
    mean of ``bound`` or more for one of the outputs counts.

    Parameters
    ----------
    outputs : (batch, steps, n_out) ndarray
    bound : float
        Above 1/n_out, up to 1.
    dt : Quantity
        Time step.
    onset : int
        Step in which the evidence begins, from which time is counted.
    window : int
        Steps that are averaged, 1 for none.

    Returns
    -------
    (batch,) Quantity
        NaN where the bound is not reached.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """
    outputs = np.asarray(outputs, dtype=float)
    if outputs.ndim != 3 or outputs.shape[2] < 2:
        raise ValueError(
            f"reaction_times: 'outputs' has the shape {outputs.shape}; expected (batch, steps, "
            "n_out) of two outputs or more"
        )
    steps, n_out = outputs.shape[1:]
    low = float(np.nextafter(1 / n_out, 1))
    number("reaction_times: 'bound'", bound, f"be a number above 1/{n_out}, up to 1", low, 1.0)
    check_time("reaction_times: 'dt'", dt)
    whole_number("reaction_times: 'onset'", onset, 0, steps - 1)
    whole_number("reaction_times: 'window'", window, 1, steps - onset)
    powers = np.exp(outputs - outputs.max(axis=2, keepdims=True))
    seen = (powers / powers.sum(axis=2, keepdims=True))[:, onset:]
    sums = np.cumsum(np.pad(seen, ((0, 0), (1, 0), (0, 0))), axis=1)
    means = (sums[:, window:] - sums[:, :-window]) / window
    reached = (means >= bound).any(axis=2)
    first = np.where(reached.any(axis=1), reached.argmax(axis=1) + window, np.nan)
    return first * float(dt) * second


def _paired(function, first, name, second_):
    """Two arrays (n,) of finite numbers."""
    a = finite_array(f"{function}: 'strength'", first)
    b = finite_array(f"{function}: '{name}'", second_)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise ValueError(
            f"{function}: 'strength' has the shape {a.shape} and '{name}' {b.shape}; expected one "
            "for each trial"
        )
    return a, b
