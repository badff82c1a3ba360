"""The dial from local to exact on evidence accumulation, drawn from the sweep's table.

    brian-eprop sweep benchmarks/reproductions/order_dial.toml --workers 2
    python benchmarks/order_dial.py sweeps/order_dial/table.nc order_dial.png

Left: wrong decisions while learning, mean and range over seeds. Right: what remains after training,
and after how many iterations the mean of ten batches was below 7 %. Prints the numbers as a table.
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np

from brian_eprop.files import read_netcdf
from brian_eprop.plotting.style import CYCLE, prepare

ORDERS = {"e-prop, symmetric": "1", "order 2": "2", "order 3": "3", "BPTT": "∞"}
GOAL, AVERAGED = 0.07, 10


def running(curve):
    """Mean over the last ten batches; nan before there are ten."""
    means = np.convolve(curve, np.ones(AVERAGED) / AVERAGED, mode="valid")
    return np.concatenate([np.full(AVERAGED - 1, np.nan), means])


def reached(curve):
    """Iterations until the mean was below the goal; nan if it never was."""
    below = np.flatnonzero(running(curve) < GOAL)
    return below[0] + 1 if len(below) else np.nan


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    parser.add_argument("figure")
    arguments = parser.parse_args()
    table = read_netcdf(arguments.table)
    print("| | error after training | below 7 % after … iterations | s per iteration |")
    print("|---|---|---|---|")
    for variant in table["variant"].values:
        part = table.sel(variant=variant)
        curves = part["curve_metric"].values
        errors = ", ".join(f"{100 * value:.1f}" for value in part["test"].values)
        first = ", ".join("–" if np.isnan(n := reached(c)) else f"{n:.0f}" for c in curves)
        seconds = float((part["seconds"] / part["iterations"]).median())
        print(f"| {variant} | {errors} % | {first} | {seconds:.2f} |")
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for color, (variant, name) in zip(CYCLE, ORDERS.items(), strict=False):
        if variant not in table["variant"]:
            continue
        curves = np.array([running(c) for c in table["curve_metric"].sel(variant=variant).values])
        x = np.arange(curves.shape[1])
        left.plot(x, curves.mean(axis=0), color=color, label=f"order {name}")
        left.fill_between(x, curves.min(0), curves.max(0), color=color, alpha=0.15, linewidth=0)
        errors = table["test"].sel(variant=variant).values
        right.plot([name] * len(errors), errors, "o", color=color, alpha=0.6)
        right.plot([name], [errors.mean()], "_", color=color, markersize=24, markeredgewidth=2)
    for ax in (left, right):
        prepare(ax)
        ax.axhline(GOAL, color="0.6", linewidth=0.8, linestyle="--")
        ax.set_ylim(bottom=0)
    left.set(xlabel="Iteration", ylabel="Wrong decisions", ylim=(0, 0.55))
    left.legend(frameon=False)
    right.set(xlabel="Order", ylabel="Wrong decisions after training")
    figure.savefig(arguments.figure, dpi=150)


if __name__ == "__main__":
    main()
