"""Figures of time series of a trial: spike rasters, membranes, eligibility traces, outputs.

Every function takes plain arrays, draws into ``ax`` (the current axes if None) and
returns the axes. Times may be Brian2 quantities or numbers in ms.
"""

from collections.abc import Sequence

import numpy as np
from brian2.units.fundamentalunits import Quantity
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike

from ..recording import as_milliseconds
from .style import (
    BLACK,
    CROSSING,
    CYCLE,
    DASHES,
    apart,
    check_labels,
    check_window,
    label_curve,
    prepare,
    time_axis,
    time_series,
)


def plot_raster(
    times: ArrayLike | Quantity,
    indices: ArrayLike | None = None,
    *,
    ax: Axes | None = None,
    dt: float | Quantity | None = None,
    n: int | None = None,
    t_max: float | Quantity | None = None,
    color: ColorType = BLACK,
    label: str = "Neuron",
) -> Axes:
    """
    Draw each spike as a tick: time across, neuron up.

    Parameters
    ----------
    times : (S,) array or Quantity, or (T, n) array of bool
        Spike times in ms (with ``indices``), or whether each neuron spiked in each step
        (with ``dt``).
    indices : (S,) array of int, optional
        Neuron of each spike.
    ax : Axes, optional
    dt : float or Quantity, optional
        Time step in ms of a boolean raster; a spike of step t is drawn at t·dt.
    n : int, optional
        Number of neurons shown; default: columns of the raster, or largest index + 1.
    t_max : float or Quantity, optional
        End of the time axis in ms; default: end of the raster, or the last spike.
    color : color
    label : str
        Label of the ordinate.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the shapes do not fit, an index is negative or not below ``n``, or a boolean
        raster comes without ``dt``.
    """
    if indices is None:
        raster = np.asarray(times)
        if raster.ndim != 2 or 0 in raster.shape or raster.dtype != bool or dt is None:
            raise ValueError(
                f"without 'indices', 'times' must be an array of bool of shape (steps, neurons) "
                f"together with 'dt', but has the shape {raster.shape} and the type "
                f"{raster.dtype}, and 'dt' is {dt!r}"
            )
        dt = float(as_milliseconds(dt, "dt"))
        steps, indices = np.nonzero(raster)
        times = steps * dt
        n = raster.shape[1] if n is None else n
        t_max = len(raster) * dt if t_max is None else t_max
    times = as_milliseconds(times, "times")
    indices = np.asarray(indices)
    if times.ndim != 1 or indices.shape != times.shape:
        raise ValueError(
            f"'indices' has the shape {indices.shape}; expected that of 'times', {times.shape}, "
            f"and one dimension"
        )
    n = int(indices.max(initial=0)) + 1 if n is None else n
    if indices.size and not (indices.min() >= 0 and indices.max() < n):
        raise ValueError(
            f"'indices' runs from {indices.min()} to {indices.max()}; expected 0 to {n - 1} "
            f"('n' is {n})"
        )
    ax = prepare(ax)
    height = ax.get_window_extent().height * 72 / ax.figure.dpi
    ax.plot(
        times,
        indices,
        linestyle="none",
        marker="|",
        color=color,
        # a tick fills its row, but stays visible in a crowd
        markersize=np.clip(0.9 * height / n, 1.2, 8),
        markeredgewidth=0.5,
    )
    time_axis(ax, 0, times.max(initial=0) if t_max is None else as_milliseconds(t_max, "t_max"))
    ax.set(ylim=(-0.5, n - 0.5), ylabel=label)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    return ax


def plot_traces(
    t: ArrayLike | Quantity,
    values: ArrayLike,
    *,
    threshold: ArrayLike | None = None,
    labels: Sequence[str] | None = None,
    colors: Sequence[ColorType] = CYCLE,
    quantity: str = "Membrane potential",
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """
    Draw traces above each other on one common scale, each labelled at its end.

    Parameters
    ----------
    t : (T,) array or Quantity
        Times in ms.
    values : (T,) or (T, k) array
        One trace a column, the first uppermost.
    threshold : (T,) or (T, k) array, optional
        Drawn dashed on its trace.
    labels : sequence of k str, optional
    colors : sequence of color
        Taken in turn.
    quantity, unit : str
        Label of the ordinate: ``"quantity (unit)"``, without unit if that is empty.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is NaN or infinite.
    """
    t, values = time_series(t, values, "values")
    k = values.shape[1]
    shown = [values]
    if threshold is not None:
        _, threshold = time_series(t, threshold, "threshold", values.shape)
        shown.append(threshold)
    check_labels(labels, k)
    ax = prepare(ax)
    low = min(array.min() for array in shown)
    high = max(array.max() for array in shown)
    pitch = 1.15 * (high - low) or 1.0
    shifts = pitch * np.arange(k)[::-1]
    for column, shift in enumerate(shifts):
        color = colors[column % len(colors)]
        ax.plot(t, values[:, column] + shift, color=color, linewidth=0.8)
        if threshold is not None:
            ax.plot(t, threshold[:, column] + shift, color=BLACK, linewidth=0.6, dashes=(4, 2))
        if labels is not None:
            label_curve(ax, shift + np.median(values[:, column]), labels[column], color)
    # all traces share one scale, so that the lowest carries the numbers for all
    ticks = MaxNLocator(nbins=4 if k == 1 else 2, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    ticks = ticks[(ticks >= low - 0.1 * pitch) & (ticks <= high + 0.1 * pitch)]
    ax.set_yticks(ticks if k == 1 else ticks[[0, -1]])
    label = f"{quantity} ({unit})" if unit else quantity
    ax.set(ylim=(low - 0.1 * pitch, shifts[0] + high + 0.1 * pitch), ylabel=label)
    time_axis(ax, t[0], t[-1])
    return ax


def plot_eligibility(
    t: ArrayLike | Quantity,
    traces: ArrayLike,
    *,
    labels: Sequence[str] | None = None,
    colors: Sequence[ColorType] = CYCLE,
    quantity: str = "Eligibility trace",
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """
    Draw the eligibility traces of a few synapses above each other.

    Parameters
    ----------
    t : (T,) array or Quantity
        Times in ms.
    traces : (T,) or (T, k) array
        :math:`e_{ji}^t` or :math:`\\bar e_{ji}^t`, one synapse a column.
    labels : sequence of k str, optional
        For instance ``"in 3 → 7"``.
    colors : sequence of color
        Taken in turn.
    quantity, unit : str
        Label of the ordinate: ``"quantity (unit)"``, without unit if that is empty.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is NaN or infinite.
    """
    t, traces = time_series(t, traces, "traces")
    return plot_traces(t, traces, labels=labels, colors=colors, quantity=quantity, unit=unit, ax=ax)


def plot_readout(
    t: ArrayLike | Quantity,
    output: ArrayLike,
    target: ArrayLike,
    *,
    window: int | None = None,
    labels: Sequence[str] | None = None,
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """
    Draw outputs (thin) on their targets (broad and pale).

    Parameters
    ----------
    t : (T,) array or Quantity
        Times in ms.
    output, target : (T,) or (T, n_out) array
        :math:`y_k^t` and :math:`y_k^{*,t}`.
    window : int, optional
        Number of last steps in which the target counts; they are shaded.
    labels : sequence of n_out str, optional
        Default: "output", or "output 0", "output 1", ….
    unit : str
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the shapes do not fit, a value is NaN or infinite, or ``window`` is not
        between 1 and T.
    """
    t, output = time_series(t, output, "output")
    _, target = time_series(t, target, "target", output.shape)
    n_out = output.shape[1]
    check_window(window, len(t))
    if labels is None:
        labels = ["output"] if n_out == 1 else [f"output {k}" for k in range(n_out)]
    check_labels(labels, n_out)
    ax = prepare(ax)
    if window is not None:
        ax.axvspan(t[-window], t[-1], color="0.93", linewidth=0)
    for k in range(n_out):
        ax.plot(t, target[:, k], color="0.75", linewidth=2.6, solid_capstyle="butt")
    for k in range(n_out):
        color = CROSSING[k % len(CROSSING)]
        ax.plot(t, output[:, k], color=color, linestyle=DASHES[k % 3], linewidth=0.9)
    ends = [*output[-1], target[-1].mean()]
    colors = [line.get_color() for line in ax.lines[-n_out:]] + ["0.5"]
    time_axis(ax, t[0], t[-1])
    ax.margins(y=0.08)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    for height, text, color in zip(apart(ax, ends), [*labels, "target"], colors, strict=True):
        label_curve(ax, height, text, color)
    ax.set_ylabel(f"Readout ({unit})" if unit else "Readout")
    return ax
