"""How trained networks continue the Mackey–Glass series on their own, and what they knew before.

    brian-eprop sweep benchmarks/reproductions/mackey_glass.toml --workers 2
    python benchmarks/free_run.py sweeps/mackey_glass free_run.png

Networks get each next point of the test part and predict the one after; then, from 20 places of the
whole second half of the series, their predictions are their inputs for a Lyapunov time, 75 points.
Prints a Markdown table of sMAPE, mean and range over seeds, and of who knows nothing of the series
but its last points, or its mean. Left: the error of a free run up to each point, mean and range
over seeds; right: the first continuation of the first seed.
"""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from brian2 import set_device

from brian_eprop import RecurrentNetwork
from brian_eprop.plotting.style import BLACK, CYCLE, prepare
from brian_eprop.runs.configuration import Configuration
from brian_eprop.tasks.mackey_glass import DENSITY, symmetric_error

HORIZONS, PLACES = (5, 15, 75), 20


def next_points(task):
    """The points of the test part after the warm-up, as predicted by nothing, and true."""
    points = task.predicted(task.held_out("test")[1])
    now = slice(task.warm_up - 1, -1)
    before = points[:, task.warm_up - 2 : -2]
    true = points[:, task.warm_up :]
    return {"the last point again": points[:, now], "a line": 2 * points[:, now] - before}, true


def up_to(predicted, true):
    """The error of a free run up to each of its points."""
    return np.array([symmetric_error(predicted[:, :n], true[:, :n]) for n in range(1, DENSITY + 1)])


def described(values):
    """Mean and range of percentages."""
    return f"{np.mean(values):.1f} ({min(values):.1f} – {max(values):.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sweep", type=Path)
    parser.add_argument("figure")
    arguments = parser.parse_args()
    set_device("cpp_standalone", build_on_run=False)
    started, errors, runs, true = time.perf_counter(), {}, {}, None
    for folder in sorted(path.parent for path in arguments.sweep.glob("*/weights.npz")):
        variant = folder.name.rpartition(", seed=")[0]
        task = Configuration.read(folder / "config.toml").make_task()
        network = RecurrentNetwork.load(folder / "weights.npz")

        def simulate(inputs, network=network):
            return network.simulate(inputs).readout

        inputs, targets = task.held_out("test")
        errors.setdefault(variant, []).append(task.metric(simulate(inputs), targets))
        predicted, true = task.free_run(simulate, trials=PLACES)
        runs.setdefault(variant, []).append(predicted)
    ends = " | ".join(f"{n} points on their own" for n in HORIZONS)
    print(f"| sMAPE, % | next point | {ends} |\n|---|---|---|---|---|")
    curves = {variant: [up_to(run, true) for run in runs[variant]] for variant in runs}
    for variant, of_seeds in curves.items():
        cells = [described([curve[n - 1] for curve in of_seeds]) for n in HORIZONS]
        print(f"| {variant} | {described(errors[variant])} | {' | '.join(cells)} |")
    ways, points = next_points(task)
    for name, predicted in ways.items():
        print(f"| {name} | {symmetric_error(predicted, points):.1f} | | | |")
    mean = up_to(np.full_like(true, task.series.mean()), true)
    cells = " | ".join(f"{mean[n - 1]:.1f}" for n in HORIZONS)
    next_by_mean = symmetric_error(np.full_like(points, task.series.mean()), points)
    print(f"| the mean | {next_by_mean:.1f} | {cells} |")
    print(f"{time.perf_counter() - started:.0f} s")

    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    x = np.arange(1, DENSITY + 1) / DENSITY
    right.plot(x, true[0], color=BLACK, label="Mackey–Glass")
    for color, (variant, of_seeds) in zip(CYCLE, curves.items(), strict=False):
        left.plot(x, np.mean(of_seeds, axis=0), color=color, label=variant)
        left.fill_between(
            x, np.min(of_seeds, 0), np.max(of_seeds, 0), color=color, alpha=0.15, linewidth=0
        )
        right.plot(x, runs[variant][0][0], color=color)
    left.plot(x, mean, "--", color="0.6", linewidth=0.8, label="the mean")
    for ax in (left, right):
        prepare(ax)
        ax.set_xlabel("Lyapunov times")
        ax.legend(frameon=False, fontsize="small", loc="lower right")
    left.set(ylabel="sMAPE up to here (%)", ylim=(0, None))
    right.set(ylabel="x", ylim=(0.2, 1.4))
    figure.savefig(arguments.figure, dpi=150)


if __name__ == "__main__":
    main()
