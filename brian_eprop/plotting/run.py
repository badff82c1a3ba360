"""The figures of a training run."""

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .decision import plot_decision
from .learning import plot_learning_curve, plot_weights
from .saving import save_figures
from .style import STYLE, VERMILLION
from .trial import plot_trial


def save_run_figures(folder, history, weights, recordings, task, format="png"):
    """Draw and write the figures of a run.

    Parameters
    ----------
    folder : Path
    history : list of dict
        See :func:`brian_eprop.network.training.fit`.
    weights : dict of str to ndarray
    recordings : dict of str to Recording
        By name, such as "before" and "after".
    task : object
        See :mod:`brian_eprop.tasks`.
    format : {"png", "svg", "pdf"}

    Returns
    -------
    list of Path
    """
    with rc_context(STYLE):
        return save_figures(folder, _figures(history, weights, recordings, task), format)


def _figures(history, weights, recordings, task):
    """The figures by their names."""
    figures = {f"trial_{name}": plot_trial(recording) for name, recording in recordings.items()}
    if hasattr(task, "input_groups"):
        for name, recording in recordings.items():
            figures[f"decision_{name}"] = plot_decision(
                recording,
                task.input_groups,
                window=getattr(task, "learning_window", None),
                names=getattr(task, "output_names", None),
            )
    return figures | {"learning_curve": _learning(history), "weights": _weights(weights)}


def _learning(history):
    """Loss, the task's metric if it has one, and firing rate against the iteration."""
    drawn = [name for name in ("loss", "metric", "rate") if _known(history, name)]
    figure = Figure(figsize=(3.5 * len(drawn), 2.8), layout="constrained")
    for ax, name in zip(figure.subplots(1, len(drawn)), drawn, strict=True):
        plot_learning_curve(_known(history, name), quantity=name, ax=ax)
        judged = [entry for entry in history if "validation" in entry]
        if name == "metric" and judged:
            curve = {"quantity": "validation", "label": "validation", "color": VERMILLION}
            plot_learning_curve(judged, **curve, ax=ax)
            ax.set_ylabel("Metric")
    return figure


def _known(history, name):
    """The entries that have a value; a metric may be undefined for a batch, and is NaN then."""
    found = [entry for entry in history if name in entry]
    return [e for e in found if np.isfinite(e[name])] if name == "metric" else found


def _weights(weights):
    """The weight matrices side by side; that of the readout lies on its side."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    places = figure.subplot_mosaic([["w_in", "w_rec"], ["w_out", "w_out"]], height_ratios=[3, 1])
    for name, ax in places.items():
        plot_weights(weights[name].T if name == "w_out" else weights[name], ax=ax)
        ax.set_title(name)
    places["w_in"].set_ylabel("Input")
    out = places["w_out"]
    out.set(xlabel="Presynaptic neuron", ylabel="Output", aspect="auto")
    out.set_yticks(np.arange(weights["w_out"].shape[1]))
    out.child_axes[0].yaxis.set_major_locator(MaxNLocator(2, symmetric=True))
    return figure
