"""Colours, axes, labels, checks of arrays and file formats of all figures."""

from itertools import pairwise
from typing import Any, get_args

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.ticker import LogFormatterMathtext
from matplotlib.transforms import blended_transform_factory

from ..checks import FigureFormat, one_of
from ..files import replacing
from ..recording import as_milliseconds

BLACK = "#000000"
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILLION, SKY = "#D55E00", "#56B4E9"
CYCLE = (BLUE, VERMILLION, BLACK, GREEN, PURPLE, ORANGE, SKY)
# dark and light in turn, for curves that cross
CROSSING = (BLACK, BLUE, ORANGE, VERMILLION, SKY, GREEN, PURPLE)
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.5, 1)))
# Lightness rises from one end to the other: in grey, negative is darker than zero and
# positive lighter, which no white-centred map can show.
DIVERGING = LinearSegmentedColormap.from_list(
    "blue_grey_orange", ["#00204d", BLUE, "#9c9c9c", "#eda93b", "#fff2b0"]
)

#: Of a figure as it is printed in a journal: small text, thin lines, fonts that can be edited.
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.linewidth": 0.6,
    "mathtext.fontset": "dejavusans",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
}
#: Unscaled units as Brian2 writes them, and those in which neurons are spoken of: factor, name.
COMMON_UNITS = {
    "volt": (1e3, "mV"),
    "amp": (1e12, "pA"),
    "siemens": (1e9, "nS"),
    "volt ** -1": (1e-3, "1/mV"),
    "amp ** -1": (1e-12, "1/pA"),
    "siemens ** -1": (1e-9, "1/nS"),
}


def draw_off_screen():
    """Draw into files only, also in threads: the windows of a screen are for the main thread."""
    plt.switch_backend("agg")


def in_common_units(values, unit):
    """Values in SI units as a neuroscientist would write them (mV, pA), and the unit's name."""
    factor, name = COMMON_UNITS.get(unit, (1.0, unit))
    return factor * np.asarray(values), name


def prepare(ax):
    """The axes to draw into, the current ones if None, with two spines."""
    ax = plt.gca() if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_linewidth(0.6)
    ax.tick_params(width=0.6, length=3)
    return ax


def logarithmic(ax, values):
    """Let the ordinate be logarithmic; if a value is 0, linear from there to the smallest other."""
    positive = values[values > 0]
    if len(positive) == len(values):
        ax.set_yscale("log")
        label_decades(ax.yaxis)
    elif len(positive):
        ax.set_yscale("symlog", linthresh=positive.min(), linscale=0.5)


class Decades(LogFormatterMathtext):
    """Labels of a logarithmic axis: plain numbers, 1, 2, 5, 10 …, where it has few decades."""

    def __call__(self, x, pos=None):
        low, high = sorted(self.axis.get_view_interval())
        if high > 50 * low or low < 1e-3 or high > 1e4:
            return super().__call__(x, pos)
        return f"{x:g}" if high < 4 * low or f"{x:e}"[0] in "125" else ""


def label_decades(axis):
    """Let a logarithmic axis have labels that can be read at any number of decades."""
    axis.set_major_formatter(Decades())
    axis.set_minor_formatter(Decades(minor_thresholds=(1, 0.4)))


def plain(text):
    """Text that is drawn as it is, without formulas."""
    return text.replace("$", r"\$")


def time_axis(ax, start, end):
    """Let the abscissa show times in ms."""
    ax.set_xlim(float(start), float(end) if end > start else float(start) + 1)
    ax.set_xlabel("Time (ms)")


def stacked(heights, inches):
    """Axes of a new figure above each other, which share their abscissa; inches: of a height 1."""
    with rc_context(STYLE):
        _, axes = plt.subplots(
            len(heights),
            figsize=(5.5, inches * sum(heights)),
            height_ratios=heights,
            sharex=True,
            layout="constrained",
        )
    return axes


def finish_stack(axes):
    """Leave the abscissa to the lowest of axes above each other, and align their ordinates."""
    for ax in axes[:-1]:
        ax.set_xlabel("")
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(bottom=False, labelbottom=False)
    axes[-1].figure.align_ylabels(axes)


def legible(color):
    """The color of small text on white paper: as given, or darker, so that it can be read.

    Text needs a contrast of 4.5, lines of 3 or less (Web Content Accessibility Guidelines 2.2).
    """
    rgb = np.array(to_rgb(color))
    while contrast(rgb) < 4.5:
        rgb *= 0.95
    return tuple(rgb)


def contrast(color):
    """Contrast with white, 1 to 21: 1.05/(L + 0.05) with the relative luminance L of sRGB."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05))


def label_curve(ax, height, text, color):
    """Write the name of a curve right of the axes, at a height in data units."""
    ax.text(
        1.01,
        height,
        text,
        color=legible(color),
        va="center",
        size="small",
        transform=blended_transform_factory(ax.transAxes, ax.transData),
    )


def apart(ax, heights):
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


def time_series(t, values, name, expected=None):
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
    check_finite(values, name)
    return t, values


def check_finite(values, name):
    """Raise ValueError if a value is NaN or infinite."""
    if not np.isfinite(values).all():
        raise ValueError(
            f"'{name}' of shape {values.shape} holds NaN or infinity; expected finite numbers"
        )


def check_window(window, steps):
    """Raise ValueError unless a number of last steps is one of a trial, or None."""
    if window is not None and not 1 <= window <= steps:
        raise ValueError(f"'window' is {window}; expected 1 to {steps}, the steps of the trial")


def check_labels(labels, number):
    """Raise ValueError unless there is one label for each curve, or none at all."""
    if labels is not None and len(labels) != number:
        raise ValueError(f"'labels' has {len(labels)} elements; expected {number}, one a curve")


RESOLUTION = 150  # dots per inch of pixels


def check_format(format):
    """Raise ValueError unless figures can be written in this format."""
    one_of("the format of figures", format, get_args(FigureFormat))


def save_figures(folder, figures, format="png"):
    """Write figures, each complete or not at all, and close them.

    Parameters
    ----------
    folder : Path
    figures : dict of str to Figure
        By the name of the file, without its ending.
    format : {"png", "svg", "pdf"}

    Returns
    -------
    list of Path

    Raises
    ------
    ValueError
        If there is no such format.
    OSError
        If a file cannot be written.
    """
    check_format(format)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.{format}")
        FigureCanvasAgg(figure)
        with rc_context(STYLE), replacing(paths[-1], "the figure") as file:
            figure.savefig(file, format=format, dpi=RESOLUTION)
        plt.close(figure)
    return paths
