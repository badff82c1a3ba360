"""
Figures: spikes, membranes, traces, readouts, learning curves and weights.

Every function takes plain arrays, draws into ``ax`` (the current axes if None) and
returns the axes. Times may be Brian2 quantities or numbers in ms. Colours are those of
Okabe and Ito (2008, "Color Universal Design"); curves that cross differ in lightness and
in width or dashes as well, so that the figures can be read in grey.
"""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory

from brian_eprop.recording import as_milliseconds

__all__ = [
    "plot_eligibility",
    "plot_gradient_match",
    "plot_learning_curve",
    "plot_raster",
    "plot_readout",
    "plot_traces",
    "plot_trial",
    "plot_weights",
]

BLACK = "#000000"
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILLION, SKY = "#D55E00", "#56B4E9"
CYCLE = (BLUE, VERMILLION, BLACK, GREEN, PURPLE, ORANGE, SKY)
# dark and light in turn, for curves that cross
CROSSING = (BLACK, BLUE, ORANGE, VERMILLION, SKY, GREEN, PURPLE)
# Lightness rises from one end to the other: in grey, negative is darker than zero and
# positive lighter, which no white-centred map can show.
DIVERGING = LinearSegmentedColormap.from_list(
    "blue_grey_orange", ["#00204d", BLUE, "#9c9c9c", "#eda93b", "#fff2b0"]
)

# label of the ordinate, and whether it is drawn logarithmically
CURVES = {
    "loss": ("Loss", True),
    "rate": ("Mean rate (spikes/s)", False),
    "seconds": ("Time per iteration (s)", False),
}


def plot_raster(
    times, indices=None, *, ax=None, dt=None, n=None, t_max=None, color=BLACK, label="Neuron"
):
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
    ax = _prepare(ax)
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
    _time_axis(ax, 0, times.max(initial=0) if t_max is None else as_milliseconds(t_max, "t_max"))
    ax.set_ylim(-0.5, n - 0.5)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    ax.set_ylabel(label)
    return ax


def plot_traces(
    t, values, *, threshold=None, labels=None, quantity="Membrane potential", unit="", ax=None
):
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
    t, values = _time_series(t, values, "values")
    k = values.shape[1]
    shown = [values]
    if threshold is not None:
        _, threshold = _time_series(t, threshold, "threshold", values.shape)
        shown.append(threshold)
    _check_labels(labels, k)
    ax = _prepare(ax)
    low = min(array.min() for array in shown)
    high = max(array.max() for array in shown)
    pitch = 1.15 * (high - low) or 1.0
    shifts = pitch * np.arange(k)[::-1]
    for column, shift in enumerate(shifts):
        color = CYCLE[column % len(CYCLE)]
        ax.plot(t, values[:, column] + shift, color=color, linewidth=0.8)
        if threshold is not None:
            ax.plot(t, threshold[:, column] + shift, color=BLACK, linewidth=0.6, dashes=(4, 2))
        if labels is not None:
            _label(ax, shift + np.median(values[:, column]), labels[column], color)
    # all traces share one scale, so that the lowest carries the numbers for all
    ticks = MaxNLocator(nbins=4 if k == 1 else 2, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    ticks = ticks[(ticks >= low - 0.1 * pitch) & (ticks <= high + 0.1 * pitch)]
    ax.set_yticks(ticks if k == 1 else ticks[[0, -1]])
    ax.set_ylim(low - 0.1 * pitch, shifts[0] + high + 0.1 * pitch)
    _time_axis(ax, t[0], t[-1])
    ax.set_ylabel(f"{quantity} ({unit})" if unit else quantity)
    return ax


def plot_eligibility(t, traces, *, labels=None, quantity="Eligibility trace", ax=None):
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
    quantity : str
        Label of the ordinate, with the unit if it has one.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is NaN or infinite.
    """
    t, traces = _time_series(t, traces, "traces")
    return plot_traces(t, traces, labels=labels, quantity=quantity, ax=ax)


def plot_readout(t, output, target, *, window=None, labels=None, unit="", ax=None):
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
    t, output = _time_series(t, output, "output")
    _, target = _time_series(t, target, "target", output.shape)
    n_out = output.shape[1]
    if window is not None and not 1 <= window <= len(t):
        raise ValueError(f"'window' is {window}; expected 1 to {len(t)} steps, the length of 't'")
    if labels is None:
        labels = ["output"] if n_out == 1 else [f"output {k}" for k in range(n_out)]
    _check_labels(labels, n_out)
    ax = _prepare(ax)
    if window is not None:
        ax.axvspan(t[-window], t[-1], color="0.93", linewidth=0)
    for k in range(n_out):
        ax.plot(t, target[:, k], color="0.75", linewidth=2.6, solid_capstyle="butt")
    for k in range(n_out):
        color, style = CROSSING[k % len(CROSSING)], ("-", (0, (4, 1.5)), (0, (1.5, 1)))[k % 3]
        ax.plot(t, output[:, k], color=color, linestyle=style, linewidth=0.9)
    ends = [*output[-1], target[-1].mean()]
    colors = [line.get_color() for line in ax.lines[-n_out:]] + ["0.5"]
    _time_axis(ax, t[0], t[-1])
    ax.margins(y=0.08)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    for height, text, color in zip(_apart(ax, ends), [*labels, "target"], colors, strict=True):
        _label(ax, height, text, color)
    ax.set_ylabel(f"Readout ({unit})" if unit else "Readout")
    return ax


def plot_learning_curve(
    history, *, quantity="loss", log=None, label=None, color=BLUE, linestyle="-", ax=None
):
    """
    Draw how a quantity changes with the iterations of training.

    Parameters
    ----------
    history : sequence of dict
        One an iteration, with ``"iteration"`` and ``quantity``.
    quantity : str
        ``"loss"``, ``"rate"`` (spikes/s), ``"seconds"`` or another key of the records.
    log : bool, optional
        Logarithmic ordinate; default: for the loss only.
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
    log = log_by_default if log is None else log
    wrong = ~np.isfinite(values) | (log & (values <= 0))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(
            f"'{quantity}' in 'history' is {values[first]} at iteration {iterations[first]:g}; "
            f"expected {'positive' if log else 'finite'} numbers"
            + ("; log=False shows values that are not positive" if log else "")
        )
    ax = _prepare(ax)
    # a single iteration has no line
    marker = "o" if len(values) == 1 else None
    ax.plot(iterations, values, color=color, linestyle=linestyle, linewidth=1.1, marker=marker)
    if log:
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    ax.margins(x=0)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    if label is not None:
        _label(ax, values[-1], label, color)
    ax.set_xlabel("Iteration")
    ax.set_ylabel(text)
    return ax


def plot_weights(weights, *, before=None, limit=None, unit="", ax=None):
    """
    Draw a weight matrix, or its change, as an image centred on 0, with a colour bar.

    Parameters
    ----------
    weights : (n_pre, n_post) array
        NaN where there is no synapse (drawn white).
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
    """
    name = "Weight" if before is None else "Weight change"
    weights = np.asarray(weights, dtype=float)
    if weights.ndim != 2 or 0 in weights.shape or np.isinf(weights).any():
        raise ValueError(
            f"'weights' has the shape {weights.shape}; expected (n_pre, n_post), neither of "
            f"them 0, without infinite values"
        )
    if before is not None:
        before = np.asarray(before, dtype=float)
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
    ax = _prepare(ax)
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
    ax.set_xlabel("Postsynaptic neuron")
    ax.set_ylabel("Presynaptic neuron")
    # an inset keeps the bar as high as the matrix in every layout
    bar = ax.figure.colorbar(image, cax=ax.inset_axes([1.03, 0, 0.04, 1]))
    bar.set_label(f"{name} ({unit})" if unit else name)
    bar.outline.set_linewidth(0.6)
    bar.ax.tick_params(width=0.6, length=3)
    bar.locator = MaxNLocator(nbins=5, symmetric=True)
    bar.update_ticks()
    return ax


def plot_gradient_match(gradient, expected, *, labels=("Gradient", "Expected gradient"), ax=None):
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
    _check_finite(a, "gradient")
    _check_finite(b, "expected")
    largest = abs(b).max()
    if largest == 0:
        raise ValueError(
            f"'expected' of shape {b.shape} is 0 throughout: the relative error is not defined"
        )
    ax = _prepare(ax)
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
    ax.set_xlabel(labels[1])
    ax.set_ylabel(labels[0])
    return ax


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


def _prepare(ax):
    ax = plt.gca() if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_linewidth(0.6)
    ax.tick_params(width=0.6, length=3)
    return ax


def _time_axis(ax, start, end):
    ax.set_xlim(float(start), float(end) if end > start else float(start) + 1)
    ax.set_xlabel("Time (ms)")


def _label(ax, height, text, color):
    """Write the name of a curve right of the axes, at a height in data units."""
    ax.text(
        1.01,
        height,
        text,
        color=color,
        va="center",
        size="small",
        transform=blended_transform_factory(ax.transAxes, ax.transData),
    )


def _apart(ax, heights):
    """Move heights (data units) apart until text written there does not overlap."""
    low, high = ax.get_ylim()
    inches = ax.get_window_extent().height / ax.figure.dpi
    line = 1.15 * plt.rcParams["font.size"] / 72 / inches * (high - low)
    order = np.argsort(heights)
    placed = np.array(heights, dtype=float)
    for lower, upper in pairwise(order):
        placed[upper] = max(placed[upper], placed[lower] + line)
    # the pile has grown upwards only: centre it on where it belongs
    return placed + np.mean(heights) - placed.mean()


def _time_series(t, values, name, expected=None):
    """Check times (T,) and values (T,) or (T, k); return them as (T,) and (T, k)."""
    t = as_milliseconds(t, "t")
    if t.ndim != 1 or not t.size:
        raise ValueError(f"'t' has the shape {t.shape}; expected (steps,), not empty")
    values = np.asarray(values, dtype=float)
    if values.ndim == 1:
        values = values[:, np.newaxis]
    if values.ndim != 2 or len(values) != len(t) or 0 in values.shape:
        raise ValueError(
            f"'{name}' has the shape {values.shape}; expected ({len(t)}, number of curves), "
            f"one row for each of the {len(t)} times in 't'"
        )
    if expected is not None and values.shape != expected:
        raise ValueError(f"'{name}' has the shape {values.shape}; expected {expected}")
    _check_finite(values, name)
    return t, values


def _check_finite(values, name):
    if not np.isfinite(values).all():
        raise ValueError(
            f"'{name}' of shape {values.shape} holds NaN or infinity; expected finite numbers"
        )


def _check_labels(labels, number):
    if labels is not None and len(labels) != number:
        raise ValueError(f"'labels' has {len(labels)} elements; expected {number}, one a curve")
