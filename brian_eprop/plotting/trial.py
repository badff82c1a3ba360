"""One trial as a whole: panels above each other on one time axis."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brian_eprop.recording import Recording

from .signals import plot_eligibility, plot_raster, plot_readout, plot_traces
from .style import CYCLE, STYLE, in_common_units

__all__ = ["plot_trial"]


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
    if axes is None:
        heights = [height for height, _ in panels]
        with plt.rc_context(STYLE):
            figure, axes = plt.subplots(
                len(panels),
                figsize=(5.5, 0.75 * sum(heights)),
                height_ratios=heights,
                sharex=True,
                layout="constrained",
            )
            return _fill(figure, axes, panels, recording)
    axes = list(axes)
    if len(axes) != len(panels):
        raise ValueError(
            f"'axes' has {len(axes)} elements; expected {len(panels)}, one a panel of {recording!r}"
        )
    return _fill(axes[0].figure, axes, panels, recording)


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


def _fill(figure, axes, panels, recording):
    for ax, (_, draw) in zip(axes, panels, strict=True):
        draw(ax)
        ax.set_xlim(0, len(recording.spikes) * recording.dt)
    for ax in axes[:-1]:
        ax.set_xlabel("")
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(bottom=False, labelbottom=False)
    figure.align_ylabels(axes)
    return figure
