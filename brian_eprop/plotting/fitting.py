"""The figure of a fit: what was recorded beside what the model does, and the way there."""

from collections.abc import Iterable, Sequence
from typing import cast

import matplotlib.pyplot as plt
import numpy as np
from brian2.units.fundamentalunits import Quantity
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from ..checks import Entry
from .learning import plot_learning_curve
from .style import BLUE, STYLE, check_labels, label_curve, prepare, time_axis, time_series

PALE = "0.72"


def plot_fit(
    t: ArrayLike | Quantity,
    model: ArrayLike,
    data: ArrayLike,
    *,
    history: Iterable[Entry] = (),
    labels: Sequence[str] | None = None,
    quantity: str = "Membrane potential",
    unit: str = "",
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """
    Draw data, broad and grey, with the model upon them, and the loss of a fit from each start.

    Parameters
    ----------
    t : (T,) array or Quantity
        Times in ms.
    model : (T,) or (T, k) array
        One neuron or trial a column, the first uppermost, all on one scale.
    data : (T,) or (T, k) array
        NaN where nothing was measured.
    history : sequence of dict
        That of a `FitResult`: the start with the lowest loss is drawn blue, others grey.
    labels : sequence of k str, optional
        At the end of each curve.
    quantity, unit : str
        Label of the ordinate: ``"quantity (unit)"``, without unit if that is empty.
    axes : (Axes, Axes) or (Axes,), optional
        For curves, and for the loss if there is a history; default: a new figure.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If shapes do not fit, the model is NaN or infinite somewhere, data are infinite, or there
        are not as many axes as panels.
    """
    t, model = time_series(t, model, "model")
    data = np.asarray(data, dtype=float)
    data = data[:, np.newaxis] if data.ndim == 1 else data
    if data.shape != model.shape or np.isinf(data).any():
        raise ValueError(
            f"'data' has the shape {data.shape}; expected that of 'model', {model.shape}, without "
            "infinite values"
        )
    check_labels(labels, model.shape[1])
    history = list(history)
    panels = 2 if history else 1
    with plt.rc_context(STYLE if axes is None else None):
        if axes is None:
            height = 0.8 + 0.7 * model.shape[1]
            heights, size = [height, 1.3][:panels], (5.5, height + 1.3 * (panels - 1))
            _, drawn = plt.subplots(
                panels, figsize=size, height_ratios=heights, layout="constrained", squeeze=False
            )
            axes = list(drawn[:, 0])
        if len(axes) != panels:
            raise ValueError(f"'axes' has {len(axes)} elements; expected {panels}, one a panel")
        _curves(axes[0], t, model, data, labels)
        axes[0].set_ylabel(f"{quantity} ({unit})" if unit else quantity)
        if history:
            _losses(axes[1], history)
    return cast(Figure, axes[0].figure)


def _curves(ax, t, model, data, labels):
    """Model upon data, column under column."""
    ax, k = prepare(ax), model.shape[1]
    low, high = np.nanmin([model, data]), np.nanmax([model, data])
    pitch = 1.15 * (high - low) or 1.0
    for column, shift in enumerate(pitch * np.arange(k)[::-1]):
        ax.plot(t, data[:, column] + shift, color=PALE, linewidth=2.5, solid_capstyle="butt")
        ax.plot(t, model[:, column] + shift, color=BLUE, linewidth=0.8)
        if labels is not None:
            label_curve(ax, shift + np.median(model[:, column]), labels[column], "0.2")
    # all share one scale, so that the lowest carries the numbers for all
    ticks = MaxNLocator(nbins=4 if k == 1 else 2, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    ticks = ticks[(ticks >= low - 0.1 * pitch) & (ticks <= high + 0.1 * pitch)]
    ax.set_yticks(ticks if k == 1 else ticks[[0, -1]])
    ax.set_ylim(low - 0.1 * pitch, pitch * (k - 1) + high + 0.1 * pitch)
    time_axis(ax, t[0], t[-1])


def _losses(ax, history):
    """The loss from each start, the best of them last and in colour."""
    lowest: dict[int, float] = {}
    for entry in history:
        lowest[entry["start"]] = min(entry["loss"], lowest.get(entry["start"], np.inf))
    for start in sorted(lowest, key=lambda start: -lowest[start]):
        best = lowest[start] == min(lowest.values())
        curve = [entry for entry in history if entry["start"] == start]
        plot_learning_curve(curve, color=BLUE if best else PALE, ax=ax)
    ax.relim()
    ax.set_xlim(0, max(entry["iteration"] for entry in history) or 1)
