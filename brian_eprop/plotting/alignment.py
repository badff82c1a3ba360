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


def plot_alignment(
    history: Iterable[Entry],
    *,
    part: str = "all",
    quantity: str = "cosine",
    ax: Axes | None = None,
) -> Axes:
    """
    Draw the alignment of rules with back-propagation against the iteration, one line a rule.

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
    looks = zip(cycle(CYCLE), cycle(DASHES), strict=False)
    for (rule, points), (color, dashes) in zip(curves.items(), looks, strict=False):
        iterations, values = np.array(points).T
        marker = "o" if len(values) == 1 else None
        ax.plot(iterations, values, color=color, linestyle=dashes, marker=marker, label=plain(rule))
    ax.axhline(1, color="0.7", linewidth=0.6, zorder=0)
    if quantity == "cosine":
        ax.set_ylim(min(0, ax.get_ylim()[0]), 1.03)
    else:
        ax.set_ylim(bottom=0)
    ax.margins(x=0.02)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.set(xlabel="Iteration", ylabel=QUANTITIES[quantity])
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def _of_part(entry, quantity, part):
    """{rule: value} of a part in an entry."""
    start, end = f"{quantity} ", f" {part}"
    return {
        key[len(start) : -len(end)]: value
        for key, value in entry.items()
        if key.startswith(start) and key.endswith(end)
    }
