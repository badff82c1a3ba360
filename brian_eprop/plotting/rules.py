"""Figures that compare learning rules: error, spread, cost, learning curves, family tree."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import ColorType

from ..reference.rule import Rule
from .style import BLACK, BLUE, CYCLE, GREEN, VERMILLION, label_decades, prepare, save_figures

MARKERS = "osD^vP*X<>"
#: Colour of a rule by what it carries along (Marschall, Cho & Savin 2020).
FACING = {"past": BLUE, "future": VERMILLION, "local": GREEN}


def plot_order(
    orders: Sequence[int], errors: Mapping[str, Sequence[float]], *, ax: Axes | None = None
) -> Axes:
    """
    Draw the error of m-order e-prop against the order.

    Parameters
    ----------
    orders : (k,) array of int
    errors : dict of str to (k,) array
        Relative error to the exact gradient, by the kind of truncation. 0 is drawn at the
        round-off of float64.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = prepare(ax)
    round_off = np.finfo(float).eps
    for (name, values), color, marker in zip(errors.items(), CYCLE, MARKERS, strict=False):
        ax.semilogy(
            orders,
            np.maximum(values, round_off),
            color=color,
            marker=marker,
            ms=4,
            lw=1,
            label=name,
        )
    if min(map(min, errors.values())) < 1e-12:
        ax.axhline(round_off, color="0.7", lw=0.6, zorder=0)
    ax.set(xlabel="Order m", ylabel="Relative error to BPTT")
    label_decades(ax.yaxis)
    ax.legend(frameon=False, title="Truncation")
    return ax


def plot_rule_errors(
    labels: Sequence[str],
    errors: Sequence[float],
    spreads: Sequence[float],
    *,
    colors: Sequence[ColorType] | None = None,
    floor: float = 1e-3,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw the error of each rule as a dot on a line of its own.

    Parameters
    ----------
    labels : sequence of k str
    errors : (k,) array
        Relative errors.
    spreads : (k,) array
        Their standard deviation over draws; 0 for none.
    colors : sequence of k colors, optional
    floor : float
        Smaller errors are an arrow at the left edge, with their value.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = prepare(ax)
    heights = np.arange(len(labels))[::-1]
    colors = [BLACK] * len(labels) if colors is None else colors
    for error, spread, height, color in zip(errors, spreads, heights, colors, strict=True):
        if error < floor:
            ax.plot(1.2 * floor, height, "<", color=color, ms=5)
            written = f"{error:.0e}" if error else "0"
            ax.text(1.6 * floor, height, written, fontsize="x-small", va="center")
            continue
        # an error bar down to 0 would leave a logarithmic axis
        below = min(spread, 0.9 * error)
        ax.errorbar(error, height, xerr=[[below], [spread]], fmt="o", color=color, ms=4, lw=1)
        ax.hlines(height, floor, error, color="0.9", lw=0.6, zorder=0)
    ax.set(xscale="log", xlim=(floor, None), ylim=(-1, len(labels)))
    label_decades(ax.xaxis)
    ax.set_xlabel("Relative error to BPTT")
    ax.axvline(1, color="0.7", lw=0.6, zorder=0)
    ax.set_yticks(heights, labels, fontsize="small")
    return ax


def plot_spread(
    labels: Sequence[str],
    biases: Sequence[float],
    spreads: Sequence[float],
    *,
    draws: int,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw the standard deviation of one draw, and how far the mean of all draws is off.

    Parameters
    ----------
    labels : sequence of k str
    biases, spreads : (k,) array
        Of the mean of the draws, and of a single one, relative to the exact gradient.
    draws : int
        A mean of unbiased draws is off by about spread/√draws, which is marked.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = prepare(ax)
    heights = np.arange(len(labels))[::-1]
    ax.plot(spreads, heights, "o", color=BLUE, ms=5, label="One draw (standard deviation)")
    ax.plot(biases, heights, "D", color=VERMILLION, ms=4, label=f"Mean of {draws} draws (error)")
    expected = np.asarray(spreads) / np.sqrt(draws)
    ax.plot(expected, heights, "|", color=BLACK, ms=12, label="Expected of an unbiased rule")
    ax.set(xscale="log", xlabel="Relative to the norm of the exact gradient")
    label_decades(ax.xaxis)
    ax.set_yticks(heights, labels, fontsize="small")
    ax.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def plot_cost(
    sizes: Sequence[int],
    costs: Mapping[str, Sequence[float]],
    exponents: Mapping[str, float],
    *,
    label: str,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw a measured cost against the number of units, with the predicted power law.

    Parameters
    ----------
    sizes : (k,) array of int
    costs : dict of str to (k,) array
        By rule.
    exponents : dict of str to float
        Predicted slope of each; its line goes through the largest size.
    label : str
        Of the ordinate.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax, sizes = prepare(ax), np.asarray(sizes, dtype=float)
    styles = zip(costs.items(), CYCLE * 3, MARKERS * 3, strict=False)
    for (name, values), color, marker in styles:
        values = np.asarray(values, dtype=float)
        ax.loglog(sizes, values, color=color, marker=marker, ms=4, lw=1, label=name)
        # at few units calls cost more than what they compute
        large = sizes[sizes >= sizes[-1] / 4]
        predicted = values[-1] * (large / large[-1]) ** exponents[name]
        ax.loglog(large, predicted, color=color, ls=":", lw=1.2)
    ax.set_xticks(sizes, [f"{n:g}" for n in sizes])
    ax.minorticks_off()
    ax.set(xlabel="Units n", ylabel=label)
    return ax


def plot_rule_learning(
    curves: Mapping[str, Sequence[Sequence[float]]],
    *,
    label: str,
    smooth: int = 1,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw learning curves of several rules: the mean over seeds, and their range.

    Parameters
    ----------
    curves : dict of str to (seeds, iterations) array
        Scores by rule.
    label : str
        Of the ordinate.
    smooth : int
        Width of the running mean over iterations.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = prepare(ax)
    dashes = ("-", "--", "-.", ":")
    for k, (name, scores) in enumerate(curves.items()):
        color, dash = CYCLE[k % len(CYCLE)], dashes[k // len(CYCLE) % len(dashes)]
        kernel = np.ones(smooth) / smooth
        scores = np.array([np.convolve(score, kernel, mode="valid") for score in scores])
        iterations = np.arange(scores.shape[1]) + smooth
        ax.plot(iterations, scores.mean(axis=0), color=color, ls=dash, lw=1.2, label=name)
        low, high = scores.min(axis=0), scores.max(axis=0)
        ax.fill_between(iterations, low, high, color=color, alpha=0.12, lw=0)
    ax.set(xlabel="Iteration", ylabel=label)
    ax.legend(frameon=False, fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def plot_rule_map(rules: Sequence[Rule], *, ax: Axes | None = None) -> Axes:
    """
    Draw the family tree of learning rules: each with what it changes in the rule it comes from.

    Parameters
    ----------
    rules : sequence of Rule
        With ``name``, ``parent``, ``change``, ``facing``, ``exact`` and ``unbiased``. Rules whose
        parent is not among them are roots.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = prepare(ax)
    by_name = {rule.name: rule for rule in rules}
    children: dict[str | None, list[str]] = {name: [] for name in (None, *by_name)}
    for rule in rules:
        children[rule.parent if rule.parent in by_name else None].append(rule.name)
    places, leaves = {}, iter(range(len(rules)))

    def place(name, depth):
        below = [place(child, depth + 1) for child in children[name]]
        places[name] = (depth, float(np.mean(below)) if below else float(next(leaves)))
        return places[name][1]

    for root in children[None]:
        place(root, 0)
    for name, (depth, height) in places.items():
        rule = by_name[name]
        if rule.parent in by_name:
            parent_depth, parent_height = places[rule.parent]
            bend = parent_depth + 0.5
            line = [parent_depth, bend, bend, depth], [parent_height, parent_height, height, height]
            ax.plot(*line, color="0.7", lw=0.8, zorder=0)
            ax.text(
                depth, height - 0.36, rule.change, fontsize=7, ha="center", va="top", color="0.25"
            )
        ax.text(
            depth,
            height,
            name,
            fontsize=9,
            ha="center",
            va="center",
            color="white" if rule.exact else BLACK,
            bbox={
                "boxstyle": "round,pad=0.3",
                "facecolor": FACING[rule.facing] if rule.exact else "white",
                "edgecolor": FACING[rule.facing],
                "linestyle": "--" if rule.unbiased and not rule.exact else "-",
                "linewidth": 1.4,
            },
        )
    for k, (facing, color) in enumerate(FACING.items()):
        ax.text(0.01, 0.97 - 0.035 * k, f"■ {facing}", color=color, transform=ax.transAxes)
    ax.text(0.01, 0.86, "filled: exact\ndashed: unbiased", va="top", transform=ax.transAxes)
    depth, height = np.max(list(places.values()), axis=0)
    ax.set(xlim=(-0.4, depth + 0.5), ylim=(-1, height + 0.7))
    ax.set_axis_off()
    return ax


COSTS = {
    "memory": "Numbers stored",
    "operations": "Operations per step",
    "seconds": "Time per step (s)",
}


def save_comparison_figures(folder, results, rules, registry, format="png"):
    """Draw and write the figures of a comparison.

    Parameters
    ----------
    folder : Path
    results : dict
        What `brian_eprop.rule_study.study` has found: settings, rules, orders, costs, learning.
    rules : dict of str to Rule
        By label, as they are described with their options.
    registry : sequence of Rule
        All there are, for the map.
    format : {"png", "svg", "pdf"}

    Returns
    -------
    list of Path
    """
    settings, orders = results["settings"], results["orders"]
    rows = [row for row in results["rules"] if row["refusal"] is None]
    stochastic = [row for row in rows if rules[row["label"]].stochastic]
    figures = {
        "errors": _errors(rows, rules),
        "map": _figure(13, 1 + 0.4 * len(registry), plot_rule_map, registry),
    }
    if orders:
        longest = max(map(len, orders.values()))
        figures["order"] = _figure(4.5, 3.2, plot_order, np.arange(1, longest + 1), orders)
    if stochastic:
        columns, height = _columns(stochastic, "spread", "bias", "spread"), len(stochastic)
        figures["spread"] = _figure(
            6, 1.6 + 0.25 * height, plot_spread, *columns, draws=settings["draws"]
        )
    if results["costs"]:
        figures["cost"] = _costs(settings["sizes"], results["costs"])
    if results["learning"]["scores"]:
        figures["learning"] = _figure(
            8,
            4.5,
            plot_rule_learning,
            results["learning"]["scores"],
            label=f"Score on {settings['task']} (lower is better)",
            smooth=max(1, settings["iterations"] // 20),
        )
    return save_figures(folder, figures, format)


def _figure(width, height, draw, *values, **options):
    """A figure of what a function draws into its only axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    draw(*values, **options, ax=figure.subplots())
    return figure


def _columns(rows, sorted_by, *names):
    """Labels and some quantities of rules, as lists in ascending order of one of them."""
    rows = sorted(rows, key=lambda row: row[sorted_by])
    return [[row[name] for row in rows] for name in ("label", *names)]


def _errors(rows, rules):
    """The figure of the errors, each in the colour of what the rule carries along."""
    labels, *errors = _columns(rows, "error", "error", "error_spread")
    colors = [FACING[rules[label].facing] for label in labels]
    height = 1.2 + 0.22 * len(rows)
    figure = _figure(7, height, plot_rule_errors, labels, *errors, colors=colors)
    (ax,) = figure.axes
    for facing, color in FACING.items():
        ax.plot([], [], "o", color=color, ms=4, label=facing)
    ax.legend(frameon=False, fontsize="small", ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def _costs(sizes, costs):
    """The figure of all costs, a row a kind, with up to eight rules in a panel."""
    columns = math.ceil(len(costs) / 8)
    figure = Figure(figsize=(4 * columns, 9), layout="constrained")
    axes = figure.subplots(len(COSTS), columns, squeeze=False, sharey="row")
    for (kind, text), row in zip(COSTS.items(), axes, strict=True):
        for ax, labels in zip(row, np.array_split(list(costs), columns), strict=True):
            exponents = {label: costs[label]["exponents"][kind] for label in labels}
            values = {str(label): costs[label][kind] for label in labels}
            plot_cost(sizes, values, exponents, label=text, ax=ax)
            ax.label_outer()
    for ax in axes[0]:
        ax.legend(frameon=False, fontsize="xx-small", loc="lower left", bbox_to_anchor=(0, 1))
    return figure
