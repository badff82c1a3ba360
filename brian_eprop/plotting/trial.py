"""One trial as a whole: panels above each other on one time axis."""

import matplotlib.pyplot as plt
import numpy as np

from .signals import plot_eligibility, plot_raster, plot_readout, plot_traces

__all__ = ["plot_trial"]


def plot_trial(recording, axes=None):
    """
    Draw one trial: input and recurrent spikes, membranes with thresholds, eligibility
    traces and their low-pass, learning signals, output against target.

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
        with plt.rc_context({"font.size": 8}):
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
    neurons = [f"neuron {j}" for j in shown]

    def membrane(ax):
        plot_traces(
            t,
            r.membrane,
            threshold=r.threshold,
            labels=neurons,
            quantity="Membrane\npotential $v$",
            unit=r.membrane_unit,
            ax=ax,
        )

    def signal(ax):
        plot_traces(
            t, r.learning_signal[:, shown], labels=neurons, quantity="Learning\nsignal $L$", ax=ax
        )

    def trace(ax):
        plot_eligibility(t, r.e_trace, labels=r.synapses, quantity="Eligibility\ntrace $e$", ax=ax)

    def filtered(ax):
        plot_eligibility(
            t, r.e_bar, labels=r.synapses, quantity="Filtered\ntrace $\\bar{e}$", ax=ax
        )

    panels = [
        (1.0, lambda ax: plot_raster(r.inputs, dt=r.dt, ax=ax, label="Input")),
        (1.3, lambda ax: plot_raster(r.spikes, dt=r.dt, ax=ax, label="Neuron")),
    ]
    if len(r.neurons):
        panels.append((0.4 + 0.4 * len(r.neurons), membrane))
    if r.synapses:
        height = 0.4 + 0.3 * len(r.synapses)
        panels += [(height, trace), (height, filtered)]
    panels.append((0.4 + 0.3 * len(shown), signal))
    panels.append((1.4, lambda ax: plot_readout(t, r.readout, r.target, ax=ax)))
    return panels


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
