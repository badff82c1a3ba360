"""Figures of training: learning curves, weight matrices, one gradient against another.

Every function takes plain arrays, draws into ``ax`` (the current axes if None) and
returns the axes.
"""

import math
from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType, LineStyleType
from numpy.typing import ArrayLike
from scipy.sparse import issparse

from ..checks import Entry
from ..memory import check_memory
from .style import BLUE, DIVERGING, check_finite, label_curve, logarithmic, prepare

# label of the ordinate, and whether it is drawn logarithmically
CURVES = {
    "loss": ("Loss", True),
    "rate": ("Mean rate (spikes/s)", False),
    "metric": ("Metric", False),
    "validation": ("Metric of validation", False),
    "return": ("Return of an episode", False),
    "seconds": ("Time since the start (s)", False),
}


def plot_learning_curve(
    history: Iterable[Entry],
    *,
    quantity: str = "loss",
    log: bool | None = None,
    label: str | None = None,
    color: ColorType = BLUE,
    linestyle: LineStyleType = "-",
    ax: Axes | None = None,
) -> Axes:
    """
    Draw how a quantity changes with the iterations of training.

    Parameters
    ----------
    history : sequence of dict
        One an iteration, with ``"iteration"`` and ``quantity``.
    quantity : str
        ``"loss"``, ``"rate"`` (spikes/s), ``"seconds"`` or another key of the records.
    log : bool, optional
        Logarithmic ordinate; default: for the loss only, and where that is 0 in an iteration,
        the ordinate is linear below its smallest other value.
    label : str, optional
        Written at the end of the curve, to tell several curves apart.
    color : color
    linestyle : str
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the history is empty, a record lacks a key, a value is NaN or infinite, or not
        positive on a logarithmic axis.
    """
    history = list(history)
    if not history:
        raise ValueError("'history' is empty; expected one record (dict) an iteration")
    for record in history:
        for key in ("iteration", quantity):
            if key not in record:
                raise ValueError(
                    f"'history' has a record without '{key}'; this one has "
                    f"{', '.join(repr(name) for name in record)}"
                )
    iterations = np.array([record["iteration"] for record in history], dtype=float)
    values = np.array([record[quantity] for record in history], dtype=float)
    text, log_by_default = CURVES.get(quantity, (quantity, False))
    wrong = ~np.isfinite(values) | (bool(log) & (values <= 0))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(
            f"'{quantity}' in 'history' is {values[first]} at iteration {iterations[first]:g}; "
            f"expected {'positive' if log else 'finite'} numbers"
            + ("; log=False shows values that are not positive" if log else "")
        )
    ax = prepare(ax)
    # a single iteration has no line
    marker = "o" if len(values) == 1 else None
    ax.plot(iterations, values, color=color, linestyle=linestyle, linewidth=1.1, marker=marker)
    if log or (log is None and log_by_default and (values >= 0).all()):
        logarithmic(ax, values)
    else:
        ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    ax.margins(x=0)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    if label is not None:
        label_curve(ax, values[-1], label, color)
    ax.set(xlabel="Iteration", ylabel=text)
    return ax


def plot_weights(
    weights: ArrayLike,
    *,
    before: ArrayLike | None = None,
    limit: float | None = None,
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """
    Draw a weight matrix, or its change, as an image centred on 0, with a colour bar.

    Parameters
    ----------
    weights : (n_pre, n_post) array, sparse or not
        NaN where there is no synapse (drawn white), as where a sparse array has no entry.
    before : (n_pre, n_post) array, optional
        If given, ``weights - before`` is drawn.
    limit : float, optional
        Largest magnitude of the colour scale, to give several matrices the same one;
        default: the largest magnitude drawn.
    unit : str
        Unit of the weights, in the label of the colour bar.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the shapes do not fit, a weight is infinite, or all are NaN.
    MemoryError
        If the image of a sparse array does not fit.
    """
    name = "Weight" if before is None else "Weight change"
    weights = _image("weights", weights)
    if weights.ndim != 2 or 0 in weights.shape or np.isinf(weights).any():
        raise ValueError(
            f"'weights' has the shape {weights.shape}; expected (n_pre, n_post), neither of "
            f"them 0, without infinite values"
        )
    if before is not None:
        before = _image("before", before)
        if before.shape != weights.shape or np.isinf(before).any():
            raise ValueError(
                f"'before' has the shape {before.shape}; expected that of 'weights', "
                f"{weights.shape}, without infinite values"
            )
        weights = weights - before
    if np.isnan(weights).all():
        raise ValueError(f"'weights' of shape {weights.shape} holds only NaN: no synapse to draw")
    limit = np.nanmax(abs(weights)) if limit is None else limit
    limit = limit or 1.0  # all weights 0
    ax = prepare(ax)
    image = ax.imshow(
        weights,
        cmap=DIVERGING,
        vmin=-limit,
        vmax=limit,
        aspect="auto",
        interpolation="nearest",
        origin="lower",
    )
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    ax.set(xlabel="Postsynaptic neuron", ylabel="Presynaptic neuron")
    # an inset keeps the bar as high as the matrix in every layout
    bar = ax.figure.colorbar(image, cax=ax.inset_axes([1.03, 0, 0.04, 1]))
    bar.set_label(f"{name} ({unit})" if unit else name)
    bar.outline.set_linewidth(0.6)
    bar.ax.tick_params(width=0.6, length=3)
    bar.locator = MaxNLocator(nbins=5, symmetric=True)
    bar.update_ticks()
    return ax


def plot_gradient_match(
    gradient: ArrayLike,
    expected: ArrayLike,
    *,
    labels: tuple[str, str] = ("Gradient", "Expected gradient"),
    ax: Axes | None = None,
) -> Axes:
    """
    Draw one gradient against another, with the identity line.

    The number written into the axes is :math:`\\max|a - b| / \\max|b|`.

    Parameters
    ----------
    gradient, expected : array
        The gradient a and the one it is held against, b; the same shape.
    labels : (str, str)
        Names of the two.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the shapes differ, a value is NaN or infinite, or ``expected`` is 0
        throughout, so that no relative error exists.
    """
    a, b = np.asarray(gradient, dtype=float), np.asarray(expected, dtype=float)
    if a.shape != b.shape or a.size == 0:
        raise ValueError(
            f"'gradient' has the shape {a.shape}; expected that of 'expected', {b.shape}, not empty"
        )
    check_finite(a, "gradient")
    check_finite(b, "expected")
    largest = abs(b).max()
    if largest == 0:
        raise ValueError(
            f"'expected' of shape {b.shape} is 0 throughout: the relative error is not defined"
        )
    ax = prepare(ax)
    ends = np.array([min(a.min(), b.min()), max(a.max(), b.max())])
    ax.plot(ends, ends, color="0.6", linewidth=0.8, zorder=1)
    ax.plot(
        b.ravel(),
        a.ravel(),
        linestyle="none",
        marker="o",
        markersize=2.5,
        markeredgewidth=0,
        color=BLUE,
        alpha=0.6,
        # a figure of a million dots cannot be edited
        rasterized=a.size > 5000,
    )
    ax.text(
        0.04,
        0.96,
        f"max. relative error\n{abs(a - b).max() / largest:.1e}",
        transform=ax.transAxes,
        va="top",
    )
    ax.set_box_aspect(1)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    ax.set(xlabel=labels[1], ylabel=labels[0])
    return ax


def _image(name, matrix):
    """A matrix as an array of floats, NaN where a sparse one has no entry."""
    if not issparse(matrix):
        return np.asarray(matrix, dtype=float)
    check_memory(
        8 * math.prod(matrix.shape),
        f"'{name}' is sparse, and its image of the shape {matrix.shape} takes",
        f"draw a part of it, such as {name}[:1000, :1000]",
    )
    entries = matrix.tocoo()
    image = np.full(matrix.shape, np.nan)
    image[entries.row, entries.col] = entries.data
    return image
