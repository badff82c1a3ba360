"""Figures of how rules point along the gradient of back-propagation, in training and after it."""

from collections.abc import Iterable
from itertools import cycle

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..checks import Entry, one_of
from .style import CYCLE, DASHES, STYLE, plain, prepare

#: The beginning of a column of a history, and the label of its ordinate.
QUANTITIES = {"cosine": "Cosine to BPTT", "norm ratio": "Norm relative to BPTT"}

#: Ticks of cosines.
COSINES = (1, 0.99, 0.95, 0.9, 0.8, 0.7, 0.5, 0.25, 0, -0.25, -0.5, -0.7, -0.9, -1)
#: Those that have a label where numbers stand side by side.
FEW = (1, 0.9, 0.5, 0, -0.5, -0.9, -1)
MARKERS = "os^Dv<>P"
#: Of lines, the first and the last.
WIDTHS = (2.6, 1.0)


def plot_alignment(
    history: Iterable[Entry],
    *,
    part: str = "all",
    quantity: str = "cosine",
    ax: Axes | None = None,
) -> Axes:
    """
    Draw the alignment of rules with back-propagation against the iteration, one line a rule.

    Cosines stand at the distances of their angles, which spreads those close to 1; ratios of norms
    are logarithmic. Of lines that coincide the earlier ones are wider.

    Parameters
    ----------
    history : sequence of dict
        Of a training with ``alignment=AlignmentMonitor(…)``; entries that were not measured are
        passed over.
    part : str
        ``"all"``, ``"w_in"``, ``"w_rec"``, ``"population 0"`` or a trained parameter.
    quantity : {"cosine", "norm ratio"}
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If no entry has such a column; names the parts that there are.
    """
    one_of("quantity", quantity, tuple(QUANTITIES))
    history = list(history)
    curves: dict[str, list] = {}
    for entry in history:
        for rule, value in _of_part(entry, quantity, part).items():
            curves.setdefault(rule, []).append((entry["iteration"], value))
    if not curves:
        known = sorted({key for entry in history for key in entry if key.startswith(quantity)})
        raise ValueError(
            f"'history' has no {quantity} of '{part}'; it has {', '.join(known) or 'none at all'}: "
            "train with alignment=AlignmentMonitor([EProp(), EProp(order=2)])"
        )
    ax = prepare(ax)
    if quantity == "cosine":
        ax.set_yscale("function", functions=(_height, np.sin))
    else:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
    widths = np.linspace(max(WIDTHS), min(WIDTHS), len(curves))
    looks = zip(cycle(CYCLE), cycle(DASHES), strict=False)
    for (rule, points), (color, dashes), width in zip(curves.items(), looks, widths, strict=False):
        iterations, values = np.array(points).T
        ax.plot(
            iterations,
            values,
            color=color,
            linestyle=dashes,
            linewidth=width,
            marker="o" if len(values) == 1 else None,
            label=plain(rule),
            # a line at 1 lies on the edge of the axes
            clip_on=quantity != "cosine",
        )
    ax.axhline(1, color="0.7", linewidth=0.6, zorder=0)
    if quantity == "cosine":
        lowest = min(value for points in curves.values() for _, value in points)
        ax.set_yticks(COSINES)
        ax.yaxis.set_major_formatter(_cosine)
        ax.set_ylim(max((c for c in COSINES if c < lowest), default=-1), 1)
    ax.margins(x=0.02)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.set(xlabel="Iteration", ylabel=QUANTITIES[quantity])
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def plot_rule_alignment(
    columns: Entry, *, quantity: str = "cosine", ax: Axes | None = None
) -> Axes:
    """
    Draw the alignment of rules at one moment: a row for each rule, a marker for each part.

    Axes are those of `plot_alignment`, on their side.

    Parameters
    ----------
    columns : dict
        An entry of a history that was measured, or `brian_eprop.runs.Alignment.columns`.
    quantity : {"cosine", "norm ratio"}
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If there is no such column.
    """
    one_of("quantity", quantity, tuple(QUANTITIES))
    names = [key.removeprefix(f"{quantity} ") for key in columns if key.startswith(f"{quantity} ")]
    # every rule has this part, and no name of a rule or part ends so
    rules = [name.removesuffix(" all") for name in names if name.endswith(" all")]
    if not rules:
        raise ValueError(f"'columns' has no {quantity} of a rule; it has {sorted(columns)}")
    parts = list(
        dict.fromkeys(n.removeprefix(f"{r} ") for r in rules for n in names if n.startswith(f"{r} "))
    )
    ax = prepare(ax)
    if quantity == "cosine":
        ax.set_xscale("function", functions=(_height, np.sin))
    else:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
    heights = np.arange(len(rules))[::-1]
    places = np.linspace(0.25, -0.25, len(parts))
    looks = zip(parts, places, cycle(CYCLE), cycle(MARKERS), strict=False)
    for part, place, color, marker in looks:
        known = [
            (columns[f"{quantity} {rule} {part}"], height + place)
            for rule, height in zip(rules, heights, strict=True)
            if f"{quantity} {rule} {part}" in columns
        ]
        # a marker at 1 lies on the edge of the axes
        look = dict(ls="none", marker=marker, ms=4, color=color, clip_on=False)
        ax.plot(*zip(*known, strict=True), label=plain(part), **look)
    ax.axvline(1, color="0.7", linewidth=0.6, zorder=0)
    if quantity == "cosine":
        lowest = min(columns[f"cosine {name}"] for name in names)
        ax.set_xticks(FEW)
        ax.xaxis.set_major_formatter(_cosine)
        ax.set_xlim(min(0, max((c for c in COSINES if c < lowest), default=-1)), 1)
    ax.set(xlabel=QUANTITIES[quantity], ylim=(-0.6, len(rules) - 0.4))
    ax.set_yticks(heights, [plain(rule) for rule in rules], fontsize="small")
    ax.grid(axis="y", color="0.93", lw=0.5)
    ax.set_axisbelow(True)
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def alignment_figure(columns):
    """Cosines and ratios of norms of rules side by side: Figure."""
    with rc_context(STYLE):
        rules = sum(key.startswith("cosine ") and key.endswith(" all") for key in columns)
        figure = Figure(figsize=(8, 1 + 0.3 * rules), layout="constrained")
        cosines, norms = figure.subplots(1, 2, sharey=True)
        plot_rule_alignment(columns, ax=cosines).get_legend().remove()
        plot_rule_alignment(columns, quantity="norm ratio", ax=norms)
    return figure


def _cosine(value, place):
    """The text of a tick."""
    return f"{value:g}".replace("-", "−")


def _height(cosine):
    """Of a cosine on an ordinate along which angles are at equal distances."""
    return np.arcsin(np.clip(cosine, -1, 1))


def _of_part(entry, quantity, part):
    """{rule: value} of a part in an entry."""
    start, end = f"{quantity} ", f" {part}"
    return {
        key[len(start) : -len(end)]: value
        for key, value in entry.items()
        if key.startswith(start) and key.endswith(end)
    }
