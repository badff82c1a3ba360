"""The figure of how rules point along the gradient of back-propagation while a network trains."""

from collections.abc import Iterable
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..checks import Entry, one_of
from .style import CYCLE, DASHES, plain, prepare

#: The beginning of a column of a history, and the label of its ordinate.
QUANTITIES = {"cosine": "Cosine to BPTT", "norm ratio": "Norm relative to BPTT"}

#: Ticks of cosines.
COSINES = (1, 0.99, 0.95, 0.9, 0.8, 0.7, 0.5, 0.25, 0, -0.25, -0.5, -0.7, -0.9, -1)
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
        ax.yaxis.set_major_formatter(lambda cosine, place: f"{cosine:g}".replace("-", "−"))
        ax.set_ylim(max((c for c in COSINES if c < lowest), default=-1), 1)
    ax.margins(x=0.02)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.set(xlabel="Iteration", ylabel=QUANTITIES[quantity])
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


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
