"""Errors while learning and after it, drawn from a sweep's table, beside what was published.

    brian-eprop sweep benchmarks/reproductions/yin_yang.toml
    python benchmarks/learning_curves.py sweeps/yin_yang/table.nc yin_yang.png \\
        --published 'Kriener 2022, ANN with 30 hidden' 0.024 \\
        --published 'the same with 120' 0.013

Left: errors in batches, mean and range over seeds, averaged over iterations before. Right: in new
trials after training, a dot for each seed. Prints the numbers as a table. Errors are shares of
wrong decisions, in %; with --quantity they are numbers of this name.
"""

import argparse
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np

from brian_eprop.files import read_netcdf
from brian_eprop.plotting.style import CYCLE, DASHES, prepare

#: Least error of the axis: that of a network that errs in none of 10⁴ trials.
LOWEST = 1e-4
DECISIONS = "Wrong decisions"


def running(curves, averaged):
    """Means over so many iterations, of each curve; shorter ones of the first iterations."""
    sums = np.cumsum(curves, axis=1)
    sums[:, averaged:] -= sums[:, :-averaged].copy()
    return sums / np.minimum(np.arange(1, curves.shape[1] + 1), averaged)


def numbers(table, percent):
    """Lines of Markdown: errors of the seeds, iterations, seconds."""
    scale, digits, unit = (100, 2, " %") if percent else (1, 4, "")
    yield "| | error after training | iterations | s |"
    yield "|---|---|---|---|"
    for variant in table["variant"].values:
        part = table.sel(variant=variant)
        errors = ", ".join(f"{scale * value:.{digits}f}" for value in part["test"].values)
        seconds = ", ".join(f"{value:.0f}" for value in part["seconds"].values)
        yield f"| {variant} | {errors}{unit} | {int(part['iterations'].max())} | {seconds} |"


def drawing(table, published, averaged, quantity):
    """The figure."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", sharey=True)
    names = list(table["variant"].values)
    for place, (color, name) in enumerate(zip(cycle(CYCLE), names, strict=False)):
        part = table.sel(variant=name)
        curves = np.maximum(running(part["curve_metric"].values, averaged), LOWEST)
        x = np.arange(1, curves.shape[1] + 1)
        left.plot(x, curves.mean(axis=0), color=color, label=name)
        left.fill_between(x, curves.min(0), curves.max(0), color=color, alpha=0.2, linewidth=0)
        errors = np.maximum(part["test"].values, LOWEST)
        right.plot(np.full(len(errors), place), errors, "o", color=color, alpha=0.6)
        right.plot(place, errors.mean(), "_", color=color, markersize=24, markeredgewidth=2)
    for ax in (left, right):
        prepare(ax)
        for dashes, (name, error) in zip(cycle((*DASHES[1:], "-.")), published, strict=False):
            label = name if ax is left else None
            ax.axhline(error, color="0.5", lw=0.9, linestyle=dashes, label=label, zorder=0)
    left.set_yscale("log")
    if quantity == DECISIONS:
        percents = [1, 2, 5, 10, 20, 50]
        left.set_yticks([p / 100 for p in percents], [f"{p} %" for p in percents])
        left.minorticks_off()
    left.set(xlabel="Iteration", ylabel=quantity, xlim=(0, None))
    left.legend(frameon=False, fontsize=8)
    right.set(xlim=(-0.5, len(names) - 0.5), title="After training, new trials")
    right.title.set_fontsize(9)
    right.set_xticks(range(len(names)), [name.replace(", ", ",\n") for name in names], fontsize=8)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    parser.add_argument("figure")
    parser.add_argument(
        "--published", nargs=2, action="append", default=[], metavar=("NAME", "ERROR")
    )
    parser.add_argument("--averaged", type=int, default=50, help="iterations")
    parser.add_argument("--quantity", default=DECISIONS, help="what the errors are")
    arguments = parser.parse_args()
    published = [(name, float(error)) for name, error in arguments.published]
    table = read_netcdf(arguments.table)
    for line in numbers(table, arguments.quantity == DECISIONS):
        print(line)
    figure = drawing(table, published, arguments.averaged, arguments.quantity)
    figure.savefig(arguments.figure, dpi=150)


if __name__ == "__main__":
    main()
