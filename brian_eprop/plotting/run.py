"""The figures of a training run, and of a sweep."""

from itertools import cycle

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .alignment import QUANTITIES, plot_alignment
from .learning import plot_learning_curve, plot_weights
from .style import CYCLE, STYLE, VERMILLION, logarithmic, plain, prepare, save_figures
from .trial import plot_decision, plot_trial


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
    """The figures of a run : dict of str to Figure."""
    figures = {f"trial_{name}": plot_trial(recording) for name, recording in recordings.items()}
    if hasattr(task, "input_groups"):
        for name, recording in recordings.items():
            figures[f"decision_{name}"] = plot_decision(
                recording,
                task.input_groups,
                window=getattr(task, "learning_window", None),
                names=getattr(task, "output_names", None),
            )
    figures |= {"learning_curve": _learning(history), "weights": _weights(weights)}
    aligned = any(key.startswith("cosine ") for entry in history for key in entry)
    return figures | ({"learning_alignment": _alignment(history)} if aligned else {})


def _alignment(history):
    """Cosine and norm ratio of all weights of the recurrent layer against the iteration."""
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    for ax, quantity in zip(figure.subplots(1, 2), QUANTITIES, strict=True):
        plot_alignment(history, quantity=quantity, ax=ax)
        if quantity == "cosine":
            ax.get_legend().remove()
    return figure


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
    entries = [entry for entry in history if name in entry]
    return [e for e in entries if np.isfinite(e[name])] if name == "metric" else entries


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


def save_sweep_figures(folder, table, format="png"):
    """Draw and write the figures of a sweep.

    Parameters
    ----------
    folder : Path
    table : xarray.Dataset
        See :func:`brian_eprop.runs.sweep_table`.
    format : {"png", "svg", "pdf"}

    Returns
    -------
    list of Path
    """
    figures = {"learning_curves": plot_sweep_curves(table), "results": plot_sweep_results(table)}
    return save_figures(folder, figures, format)


def conditions(table):
    """Names of the conditions, and the part of the table of each: all dimensions but the seed."""
    dims = [name for name in table["loss"].dims if name != "seed"]
    if not dims:
        return {"": table}
    stacked = table.stack(condition=dims)
    named = {}
    for k, point in enumerate(stacked["condition"].values):
        values = point if isinstance(point, tuple) else (point,)
        parts = [
            str(value) if dim == "variant" else f"{dim.rpartition('.')[2]} = {_shown(value)}"
            for dim, value in zip(dims, values, strict=True)
        ]
        named[", ".join(parts)] = stacked.isel(condition=k)
    return named


def _shown(value):
    # 1.0 of an order that has been 1 beside inf
    return f"{value:g}" if isinstance(value, float) else str(value)


def plot_sweep_curves(table):
    """Metric (or loss) and rate against the iteration: the mean over seeds, and its range.

    Where a run has ended before others, its last value is taken on.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots(1, 2)
    judged = "metric" if np.isfinite(table["curve_metric"]).any() else "loss"
    for ax, name in zip(axes, (judged, "rate"), strict=True):
        prepare(ax)
        for color, (label, part) in zip(cycle(CYCLE), conditions(table).items(), strict=False):
            curves = part[f"curve_{name}"]
            curves = curves.transpose(..., "iteration").values.reshape(-1, table.sizes["iteration"])
            curves = np.array([_smooth(curve) for curve in curves if np.isfinite(curve).any()])
            if not len(curves):
                continue
            x = np.arange(curves.shape[1])
            ax.plot(x, curves.mean(axis=0), color=color, label=plain(label))
            ax.fill_between(x, curves.min(0), curves.max(0), color=color, alpha=0.2, linewidth=0)
        ax.set(xlabel="Iteration", ylabel="Rate (spikes/s)" if name == "rate" else judged.title())
    if judged == "loss":
        drawn = [line.get_ydata() for line in axes[0].lines]
        logarithmic(axes[0], np.concatenate([[], *drawn]))
    axes[0].set_ylim(bottom=None if judged == "loss" else 0)
    if len(conditions(table)) > 1:
        axes[1].legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def plot_sweep_results(table):
    """The metric of new trials (or the loss), and the number of iterations: one dot a run."""
    parts = conditions(table)
    figure = Figure(figsize=(8, 1.2 + 0.35 * len(parts)), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    judged = "test" if np.isfinite(table["test"]).any() else "loss"
    for ax, name in zip(axes, (judged, "iterations"), strict=True):
        prepare(ax)
        for row, (color, part) in enumerate(zip(cycle(CYCLE), parts.values(), strict=False)):
            values = np.atleast_1d(part[name].values).ravel()
            values = values[np.isfinite(values)]
            # a line without points that is not clipped would leave no room for the axes
            if len(values):
                dots = dict(color=color, alpha=0.6, markersize=5, clip_on=False)
                ax.plot(values, np.full(len(values), row), "o", **dots)
                ax.plot([values.mean()] * 2, [row - 0.3, row + 0.3], color=color, linewidth=2)
        ax.set_xlim(left=0)
    axes[0].set_yticks(range(len(parts)), [plain(name) for name in parts])
    axes[0].invert_yaxis()
    axes[0].set_xlabel("Metric of new trials" if judged == "test" else "Loss")
    axes[1].set_xlabel("Iterations")
    return figure


def _smooth(curve, over=10):
    """Running mean of the finite part, its last value taken on to the end."""
    from xarray import DataArray

    finite = DataArray(curve[np.isfinite(curve)], dims="iteration")
    smooth = finite.rolling(iteration=over, min_periods=1).mean()
    return np.pad(smooth, (0, len(curve) - len(smooth)), mode="edge")
