"""Figures of behaviour, and of what a trial of a task is."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Quantity
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..recording import as_milliseconds
from .signals import plot_raster
from .style import (
    BLACK,
    BLUE,
    CYCLE,
    STYLE,
    check_finite,
    check_window,
    finish_stack,
    label_curve,
    prepare,
    stacked,
    time_axis,
)

GREY = "0.6"


def plot_psychometric(
    strengths: Sequence[float],
    fraction: Sequence[float],
    trials: Sequence[int],
    *,
    ideal: tuple[Any, Any] | None = None,
    xlabel: str = "Coherence",
    ylabel: str = "Fraction of choices",
    label: str | None = None,
    color: str = BLUE,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw how often a choice is made against the strength of the evidence for it.

    Bars are standard errors of a fraction, √(f (1 − f)/n).

    Parameters
    ----------
    strengths, fraction, trials : (k,) array
        As :func:`brian_eprop.tasks.behaviour.psychometric_curve` gives them.
    ideal : (x, y), optional
        The curve of an ideal observer, drawn as a grey line.
    xlabel, ylabel : str
    label : str, optional
        Of the curve, for a legend.
    color : str
    ax : Axes, optional
        Default: the current ones.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the arrays are of different shapes, or a fraction is not from 0 to 1.
    """
    x, f, n = (np.asarray(values, dtype=float) for values in (strengths, fraction, trials))
    if x.ndim != 1 or not x.shape == f.shape == n.shape or not len(x):
        raise ValueError(
            f"'strengths', 'fraction' and 'trials' have the shapes {x.shape}, {f.shape} and "
            f"{n.shape}; expected (k,), as psychometric_curve gives them"
        )
    for values, name in ((x, "strengths"), (f, "fraction"), (n, "trials")):
        check_finite(values, name)
    if f.min() < 0 or f.max() > 1 or n.min() < 1:
        raise ValueError("'fraction' must be from 0 to 1, and 'trials' 1 or more")
    ax = prepare(ax)
    ax.axhline(0.5, color=GREY, linewidth=0.5, linestyle=":")
    if ideal is not None:
        ax.plot(*ideal, color=GREY, linewidth=1, label="ideal observer")
    spread = np.sqrt(f * (1 - f) / n)
    ax.errorbar(x, f, spread, color=color, marker="o", markersize=3.5, linewidth=1, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(-0.03, 1.03))
    return ax


def plot_reaction_times(
    strength: Sequence[float],
    times: Quantity,
    *,
    xlabel: str = "|Coherence|",
    label: str | None = None,
    color: str = BLACK,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw mean reaction times, and their standard errors, against the magnitude of the evidence.

    Trials without a reaction, whose times are NaN, are left out.

    Parameters
    ----------
    strength : (trials,) array
        Its sign does not count.
    times : (trials,) Quantity
        As :func:`brian_eprop.tasks.behaviour.reaction_times` gives them; numbers are ms.
    xlabel : str
    label : str, optional
        Of the curve, for a legend.
    color : str
    ax : Axes, optional
        Default: the current ones.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the shapes differ, or there is no reaction at all.
    """
    size = np.abs(np.asarray(strength, dtype=float))
    if size.ndim != 1 or size.shape != np.shape(times):
        raise ValueError(
            f"'strength' has the shape {size.shape} and 'times' {np.shape(times)}; expected "
            "(trials,)"
        )
    reacted = np.isfinite(np.asarray(times))
    if not reacted.any():
        raise ValueError("'times' are all NaN: there is no reaction; choose a lower bound")
    size, when = size[reacted], as_milliseconds(times[reacted], "times")
    x = np.unique(size)
    groups = [when[size == value] for value in x]
    mean = [group.mean() for group in groups]
    error = [group.std(ddof=1) / np.sqrt(len(group)) if len(group) > 1 else 0 for group in groups]
    ax = prepare(ax)
    ax.errorbar(x, mean, error, color=color, marker="o", markersize=3.5, linewidth=1, label=label)
    ax.set(xlabel=xlabel, ylabel="Reaction time (ms)")
    return ax


def plot_task(
    inputs: np.ndarray,
    targets: np.ndarray,
    groups: Mapping[str, int],
    *,
    dt: Quantity,
    window: int | None = None,
    names: Sequence[str] | None = None,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """
    Draw what a trial of a task is: input spikes by their groups, and the targets.

    Targets are drawn in the steps that count; those of more than eight outputs as an image.

    Parameters
    ----------
    inputs : (steps, n_in) ndarray of bool
    targets : (steps, n_out) ndarray
    groups : dict of str to int
        Name and number of inputs of each group, in their order.
    dt : Quantity
        Time step.
    window : int, optional
        Number of last steps that count; default: all.
    names : sequence of str, optional
        Of the outputs.
    axes : sequence of 2 Axes, optional
        Default: a new figure.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the arrays do not belong to one trial, the groups are not those of the inputs, there is
        not one name for each output, or ``window`` is not between 1 and the number of steps.
    """
    inputs, targets = np.asarray(inputs, dtype=bool), np.asarray(targets, dtype=float)
    if inputs.ndim != 2 or targets.ndim != 2 or len(inputs) != len(targets):
        raise ValueError(
            f"'inputs' has the shape {inputs.shape} and 'targets' {targets.shape}; expected "
            "(steps, n_in) and (steps, n_out) of one trial"
        )
    (steps, n_in), n_out = inputs.shape, targets.shape[1]
    if sum(groups.values()) != n_in:
        raise ValueError(f"'groups' is {dict(groups)!r}; expected {n_in} inputs in all")
    if names is not None and len(names) != n_out:
        raise ValueError(f"'names' is {list(names)!r}; expected {n_out}, one an output")
    check_window(window, steps)
    ms_per_step = float(as_milliseconds(dt, "dt"))
    end = steps * ms_per_step
    with plt.rc_context(STYLE if axes is None else None):
        if axes is None:
            axes = stacked((max(1, len(groups) / 4), 0.8), 1.1)
        spikes, asked = axes
        first = 0
        for (name, size), color in zip(groups.items(), cycle((BLACK, GREY)), strict=False):
            step, index = np.nonzero(inputs[:, first : first + size])
            times = step * ms_per_step
            plot_raster(
                times, index + first, n=n_in, t_max=end, color=color, label="Input", ax=spikes
            )
            label_curve(spikes, first + (size - 1) / 2, name, color)
            first += size
        prepare(asked)
        window = steps if window is None else window
        first_counted = (steps - window) * ms_per_step
        if n_out > len(CYCLE) + 1:
            extent = (first_counted, end, -0.5, n_out - 0.5)
            asked.imshow(
                targets[-window:].T, aspect="auto", origin="lower", extent=extent, cmap="Greys"
            )
            asked.set_ylabel("Target of\noutput")
        else:
            asked.axvspan(first_counted, end, color="0.93", linewidth=0)
            times = np.arange(steps) * ms_per_step
            shown = names or [""] * n_out
            for k, (name, color) in enumerate(zip(shown, cycle((BLACK, *CYCLE)), strict=False)):
                values = targets[-window:, k]
                asked.plot(times[-window:], values, color=color, linewidth=1.2, label=name)
            asked.set_ylabel("Target")
            if names is not None:
                asked.legend(
                    loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize="small"
                )
        time_axis(asked, 0.0, end)
        finish_stack(axes)
    return cast(Figure, asked.figure)
