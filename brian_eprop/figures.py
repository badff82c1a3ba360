"""The figures of a run folder."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .plotting import plot_learning_curve, plot_trial, plot_weights


def save_run_figures(folder, history, weights, recordings):
    """Draw and write the figures of a run.

    Parameters
    ----------
    folder : Path
    history : list of dict
        See :func:`brian_eprop.training.fit`.
    weights : dict of str to ndarray
    recordings : dict of str to Recording
        By name, such as "before" and "after".

    Returns
    -------
    list of Path
    """
    figures = {f"trial_{name}": plot_trial(recording) for name, recording in recordings.items()}
    figures["learning_curve"] = learning_figure(history)
    figures["weights"] = weights_figure(weights)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        FigureCanvasAgg(figure)
        figure.savefig(paths[-1], dpi=150)
    return paths


def learning_figure(history):
    """Loss and firing rate against the iteration."""
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    loss, rate = figure.subplots(1, 2)
    plot_learning_curve(history, quantity="loss", ax=loss)
    plot_learning_curve(history, quantity="rate", ax=rate)
    return figure


def weights_figure(weights):
    """The weight matrices side by side."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    names = ("w_in", "w_rec", "w_out")
    widths = [max(weights[name].shape[1], 12) for name in names]
    for ax, name in zip(figure.subplots(1, 3, width_ratios=widths), names, strict=True):
        plot_weights(weights[name], ax=ax)
        ax.set_title(name)
    return figure
