"""One trial that ends in a decision: what was said for each side, and what came of it."""

from itertools import chain, cycle

import matplotlib.pyplot as plt
import numpy as np

from .signals import plot_raster
from .style import BLACK, CROSSING, apart, label_curve, prepare, time_axis

__all__ = ["plot_decision"]

GREY = "0.6"


def plot_decision(recording, groups, *, window=None, axes=None):
    """
    Draw one trial of a classification: input spikes by groups, recurrent spikes, and the
    probability softmax(y) of every output.

    The input groups that speak for an output have its colour. The steps that count are shaded,
    with the targets as broad pale lines.

    Parameters
    ----------
    recording : Recording
    groups : dict of str to int
        Name and number of inputs of each group, in the order of the inputs; the first n_out
        groups are those that speak for output 0, 1, …
    window : int, optional
        Number of last steps that count; default: all.
    axes : sequence of 3 Axes, optional
        From top to bottom; default: a new figure.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the groups are not those of the recorded inputs, or ``window`` is not between 1 and
        the number of steps.
    """
    r = recording
    steps, n_in = r.inputs.shape
    n_out = r.readout.shape[1]
    if sum(groups.values()) != n_in or len(groups) < n_out:
        raise ValueError(
            f"'groups' is {groups!r}; expected at least {n_out}, one an output, with {n_in} "
            "inputs in all"
        )
    window = steps if window is None else window
    if not 1 <= window <= steps:
        raise ValueError(f"'window' is {window}; expected 1 to {steps}, the steps of the trial")
    if axes is None:
        with plt.rc_context({"font.size": 8}):
            _, axes = plt.subplots(
                3, figsize=(5.5, 4.2), height_ratios=(1, 1.3, 1), sharex=True, layout="constrained"
            )
    inputs, neurons, decision = axes
    colors = [CROSSING[k % len(CROSSING)] for k in range(1, n_out + 1)]
    _draw_inputs(inputs, r, groups, chain(colors, cycle((BLACK, GREY))))
    plot_raster(r.spikes, dt=r.dt, ax=neurons)
    _draw_probabilities(decision, r, window, list(groups)[:n_out], colors)
    for ax in (inputs, neurons):
        ax.set_xlabel("")
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(bottom=False, labelbottom=False)
    decision.figure.align_ylabels(axes)
    return decision.figure


def _draw_inputs(ax, recording, groups, colors):
    """Input spikes, each group in its colour and with its name."""
    steps, n_in = recording.inputs.shape
    first = 0
    for (name, size), color in zip(groups.items(), colors, strict=False):
        step, index = np.nonzero(recording.inputs[:, first : first + size])
        plot_raster(
            step * recording.dt,
            index + first,
            n=n_in,
            t_max=steps * recording.dt,
            color=color,
            label="Input",
            ax=ax,
        )
        label_curve(ax, first + (size - 1) / 2, name, color)
        first += size


def _draw_probabilities(ax, recording, window, names, colors):
    """softmax(y) of every output, and the target where it counts."""
    r, steps = recording, len(recording.readout)
    odds = np.exp(r.readout - r.readout.max(axis=1, keepdims=True))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    ax = prepare(ax)
    ax.axvspan((steps - window) * r.dt, steps * r.dt, color="0.93", linewidth=0)
    for k, color in enumerate(colors):
        ax.plot(r.times[-window:], r.target[-window:, k], color=color, alpha=0.4, linewidth=3)
        style = ("-", (0, (4, 1.5)), (0, (1.5, 1)))[k % 3]
        ax.plot(r.times, probabilities[:, k], color=color, linestyle=style, linewidth=0.9)
    time_axis(ax, 0, steps * r.dt)
    ax.set(ylim=(-0.05, 1.05), yticks=(0, 0.5, 1), ylabel="Probability")
    for height, name, color in zip(apart(ax, probabilities[-1]), names, colors, strict=True):
        label_curve(ax, height, name, color)
