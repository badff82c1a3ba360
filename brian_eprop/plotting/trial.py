"""Figures of one trial: panels above each other on one time axis, and a decision at its end."""

from collections.abc import Mapping, Sequence
from itertools import chain, cycle
from typing import cast

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import softmax

from ..recording import Recording
from .signals import plot_eligibility, plot_raster, plot_readout, plot_traces
from .style import (
    BLACK,
    CROSSING,
    CYCLE,
    DASHES,
    STYLE,
    apart,
    check_window,
    finish_stack,
    in_common_units,
    label_curve,
    prepare,
    stacked,
    time_axis,
)


def plot_trial(recording: Recording, axes: Sequence[Axes] | None = None) -> Figure:
    """
    Draw one trial, from the spikes of the inputs to the output beside its target.

    Panels are input and recurrent spikes, membranes with thresholds, eligibility traces and their
    low-pass, learning signals, and output. Traces and learning signals have the colour of their
    neuron. Potentials and traces are in mV, pA, nS and one over these, whatever the recording has
    them in. The steps in which errors count are shaded.

    Parameters
    ----------
    recording : Recording
        Panels of what it does not hold (no recorded neuron, no recorded synapse) are
        left out. Learning signals are those of the recorded neurons, or of the first
        three.
    axes : sequence of Axes, optional
        One a panel, from top to bottom; default: a new figure.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If ``axes`` does not have one element a panel.
    """
    panels = _panels(recording)
    with plt.rc_context(STYLE if axes is None else None):
        axes = stacked([height for height, _ in panels], 0.75) if axes is None else list(axes)
        if len(axes) != len(panels):
            raise ValueError(
                f"'axes' has {len(axes)} elements; expected {len(panels)}, one a panel of "
                f"{recording!r}"
            )
        for ax, (_, draw) in zip(axes, panels, strict=True):
            draw(ax)
            ax.set_xlim(0, len(recording.spikes) * recording.dt)
        finish_stack(axes)
    return cast(Figure, axes[0].figure)


def _panels(recording):
    """(relative height, function that draws into an axes) of each panel of a trial."""
    r, t = recording, recording.times
    shown = r.neurons if len(r.neurons) else np.arange(min(3, r.spikes.shape[1]))
    colors = {str(j): CYCLE[k % len(CYCLE)] for k, j in enumerate(shown)}
    of_neurons = {"labels": [f"neuron {j}" for j in shown], "colors": list(colors.values())}
    # "in 3 → 7" has the colour of neuron 7
    of_synapses = {
        "labels": r.synapses,
        "colors": [colors.get(label.rpartition("→ ")[2], "0.4") for label in r.synapses],
    }

    def membrane(ax):
        values, unit = in_common_units(r.membrane, r.membrane_unit)
        threshold, _ = in_common_units(r.threshold, r.membrane_unit)
        name = "Membrane\npotential $v$"
        plot_traces(t, values, threshold=threshold, quantity=name, unit=unit, **of_neurons, ax=ax)

    def signal(ax):
        plot_traces(
            t, r.learning_signal[:, shown], quantity="Learning\nsignal $L$", **of_neurons, ax=ax
        )

    def trace(ax, array, name):
        values, unit = in_common_units(array, r.trace_unit)
        plot_eligibility(t, values, quantity=name, unit=unit, **of_synapses, ax=ax)

    panels = [
        (1.0, lambda ax: plot_raster(r.inputs, dt=r.dt, ax=ax, label="Input")),
        (1.3, lambda ax: plot_raster(r.spikes, dt=r.dt, ax=ax, label="Neuron")),
    ]
    if len(r.neurons):
        panels.append((0.4 + 0.4 * len(r.neurons), membrane))
    if r.synapses:
        height = 0.4 + 0.3 * len(r.synapses)
        panels += [
            (height, lambda ax: trace(ax, r.e_trace, "Eligibility\ntrace $e$")),
            (height, lambda ax: trace(ax, r.e_bar, "Filtered\ntrace $\\bar{e}$")),
        ]
    panels.append((0.4 + 0.3 * len(shown), signal))
    window = _learning_window(r)
    panels.append((1.4, lambda ax: plot_readout(t, r.readout, r.target, window=window, ax=ax)))
    return panels


def _learning_window(r):
    """Number of last steps in which errors count, None for all.

    Before them errors are 0 though outputs are off their targets.
    """
    wrong = np.any(r.error, axis=1)
    first = int(np.argmax(wrong))
    ignored = np.any(r.readout[:first] != r.target[:first])
    return len(wrong) - first if ignored and wrong.any() else None


GREY, PALE = "0.6", "0.75"
#: More outputs than this are told apart no longer: only those that matter are coloured.
MANY = 4


def plot_decision(
    recording: Recording,
    groups: Mapping[str, int],
    *,
    window: int | None = None,
    names: Sequence[str] | None = None,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """
    Draw one trial of a classification: input spikes by groups, recurrent spikes, decision.

    The decision is the probability softmax(y) of every output. The input groups that speak for an
    output have its colour. The steps that count are shaded, with the targets as broad pale lines.
    Of more than four outputs, only the one that is asked for and the one that is decided on, with
    the largest mean there, have a colour and a name.

    Parameters
    ----------
    recording : Recording
    groups : dict of str to int
        Name and number of inputs of each group, in the order of the inputs; without ``names``,
        the first n_out groups are those that speak for output 0, 1, …
    window : int, optional
        Number of last steps that count; default: all.
    names : sequence of str, optional
        Of the outputs, where no group speaks for one; default: those of the first n_out groups.
    axes : sequence of 3 Axes, optional
        From top to bottom; default: a new figure.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the groups are not those of the recorded inputs, there is not one name for each
        output, or ``window`` is not between 1 and the number of steps.
    """
    r = recording
    steps, n_in = r.inputs.shape
    n_out = r.readout.shape[1]
    if sum(groups.values()) != n_in or (names is None and len(groups) < n_out):
        raise ValueError(
            f"'groups' is {groups!r}; expected at least {n_out}, one an output, with {n_in} "
            "inputs in all"
        )
    if names is not None and len(names) != n_out:
        raise ValueError(f"'names' is {names!r}; expected {n_out}, one an output")
    check_window(window, steps)
    window = steps if window is None else window
    with plt.rc_context(STYLE if axes is None else None):
        if axes is None:
            axes = stacked((max(1, len(groups) / 7), 1.3, 1), 1.27)
        inputs, neurons, decision = axes
        probabilities = softmax(r.readout, axis=1)
        colors = [CROSSING[k % len(CROSSING)] for k in range(1, n_out + 1)]
        of_groups = cycle((BLACK, GREY)) if names else chain(colors, cycle((BLACK, GREY)))
        if n_out > MANY:
            asked, decided = (x[-window:].mean(axis=0).argmax() for x in (r.target, probabilities))
            colors = [PALE] * n_out
            colors[asked], colors[decided] = (
                CROSSING[1:3] if asked != decided else CROSSING[1:2] * 2
            )
        _draw_inputs(inputs, r, groups, of_groups)
        plot_raster(r.spikes, dt=r.dt, ax=neurons)
        _draw_probabilities(
            decision, r, window, probabilities, names or list(groups)[:n_out], colors
        )
        finish_stack(axes)
    return cast(Figure, decision.figure)


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


def _draw_probabilities(ax, recording, window, probabilities, names, colors):
    """softmax(y) of every output, and the target where it counts; pale ones have no name."""
    r, steps = recording, len(probabilities)
    ax = prepare(ax)
    ax.axvspan((steps - window) * r.dt, steps * r.dt, color="0.93", linewidth=0)
    for k, color in enumerate(colors):
        in_front = 2 if color == PALE else 3
        ax.plot(
            r.times[-window:],
            r.target[-window:, k],
            color=color,
            alpha=0.4,
            linewidth=3,
            zorder=in_front,
        )
        ax.plot(
            r.times,
            probabilities[:, k],
            color=color,
            linestyle=DASHES[k % 3],
            linewidth=0.9,
            zorder=in_front,
        )
    time_axis(ax, 0, steps * r.dt)
    ax.set(ylim=(-0.05, 1.05), yticks=(0, 0.5, 1), ylabel="Probability")
    named = [k for k, color in enumerate(colors) if color != PALE]
    for k, height in zip(named, apart(ax, probabilities[-1, named]), strict=True):
        label_curve(ax, height, names[k], colors[k])
