"""The figures of a comparison of rules."""

import math

import numpy as np
from matplotlib.figure import Figure

from .rules import (
    FACING,
    plot_cost,
    plot_order,
    plot_rule_errors,
    plot_rule_learning,
    plot_rule_map,
    plot_spread,
)
from .saving import save_figures

COSTS = {
    "memory": "Numbers stored",
    "operations": "Operations per step",
    "seconds": "Time per step (s)",
}


def save_comparison_figures(folder, found, rules, registry, format="png"):
    """Draw and write the figures of a comparison.

    Parameters
    ----------
    folder : Path
    found : dict
        What `brian_eprop.comparing` has found: settings, rules, orders, costs, learning.
    rules : dict of str to Rule
        By label, as they are described with their options.
    registry : sequence of Rule
        All there are, for the map.
    format : {"png", "svg", "pdf"}

    Returns
    -------
    list of Path
    """
    figures = {"errors": _errors(found, rules), "map": _map(registry)}
    if found["orders"]:
        figures["order"] = _order(found["orders"])
    if any(rules[row["label"]].stochastic and row["refusal"] is None for row in found["rules"]):
        figures["spread"] = _spread(found, rules)
    if found["costs"]:
        figures["cost"] = _cost(found)
    if found["learning"]["scores"]:
        figures["learning"] = _learning(found)
    return save_figures(folder, figures, format)


def _errors(found, rules):
    rows = sorted(
        (row for row in found["rules"] if row["refusal"] is None), key=lambda row: row["error"]
    )
    figure = Figure(figsize=(7, 1.2 + 0.22 * len(rows)), layout="constrained")
    ax = figure.subplots()
    plot_rule_errors(
        [row["label"] for row in rows],
        np.array([row["error"] for row in rows]),
        np.array([row["error_spread"] for row in rows]),
        colors=[FACING[rules[row["label"]].facing] for row in rows],
        ax=ax,
    )
    for facing, color in FACING.items():
        ax.plot([], [], "o", color=color, ms=4, label=facing)
    ax.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    return figure


def _map(registry):
    figure = Figure(figsize=(13, 1 + 0.4 * len(registry)), layout="constrained")
    plot_rule_map(registry, ax=figure.subplots())
    return figure


def _order(orders):
    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    longest = max(map(len, orders.values()))
    plot_order(np.arange(1, longest + 1), orders, ax=figure.subplots())
    return figure


def _spread(found, rules):
    rows = [
        row for row in found["rules"] if rules[row["label"]].stochastic and row["refusal"] is None
    ]
    rows.sort(key=lambda row: row["spread"])
    figure = Figure(figsize=(6, 1.6 + 0.25 * len(rows)), layout="constrained")
    plot_spread(
        [row["label"] for row in rows],
        [row["bias"] for row in rows],
        [row["spread"] for row in rows],
        draws=found["settings"]["draws"],
        ax=figure.subplots(),
    )
    return figure


def _cost(found):
    sizes, costs = found["settings"]["sizes"], found["costs"]
    columns = math.ceil(len(costs) / 8)
    figure = Figure(figsize=(4 * columns, 9), layout="constrained")
    axes = figure.subplots(len(COSTS), columns, squeeze=False, sharey="row")
    labels = list(costs)
    for (kind, text), row in zip(COSTS.items(), axes, strict=True):
        for ax, chosen in zip(row, np.array_split(np.array(labels), columns), strict=True):
            exponents = {label: costs[label]["exponents"][kind] for label in chosen}
            values = {str(label): costs[label][kind] for label in chosen}
            plot_cost(sizes, values, exponents, label=text, ax=ax)
            ax.label_outer()
    for ax in axes[0]:
        ax.legend(frameon=False, fontsize="xx-small", loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def _learning(found):
    settings = found["settings"]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    plot_rule_learning(
        found["learning"]["scores"],
        label=f"Score on {settings['task']} (lower is better)",
        smooth=max(1, settings["iterations"] // 20),
        ax=figure.subplots(),
    )
    return figure
