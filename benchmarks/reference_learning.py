"""How far do rules come on the tasks by which the literature compares them?

    python benchmarks/reference_learning.py copy --workers 2
    python benchmarks/reference_learning.py add rtrl uoro 'ok(rank=4)' --iterations 500

copy  GRU, an update per step, curriculum of Menick et al. 2020: the level reached (longest string)
add   tanh units, an update per step, Marschall, Cho & Savin 2020: cross-entropy in nats at the end

Mean and standard deviation over seeds; each rule has the best of the learning rates, which it is
given alike. The figure is written beside the JSON, whose line is printed last.
"""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from machine import described
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from brian_eprop import Adam
from brian_eprop.plotting.rules import plot_rule_learning
from brian_eprop.reference import draw_network
from brian_eprop.reference.computation import parse_rule
from brian_eprop.rule_study.learning import train
from brian_eprop.rule_study.tasks import TASKS

RULES = (
    "bptt",
    "rtrl",
    "tbptt(horizon=3)",
    "snap(n=1)",
    "snap(n=2)",
    "eprop(feedback=symmetric)",
    "eprop(feedback=random)",
    "ok(rank=8)",
    "kf_rtrl",
    "uoro",
)
#: task → cell, units, density of the connections, options of the task
SETTINGS = {
    "copy": ("gru", 16, 0.3, {}),
    "add": ("elman", 16, 1.0, {"steps": 40}),
}
LEARNING_RATES = {"copy": (3e-3, 1e-2), "add": (3e-4, 1e-3)}


def training(task, label, rate, seed, iterations, batch):
    """Score and level of every iteration, and the seconds that it took."""
    cell, n, density, options = SETTINGS[task]
    made = TASKS[task](**options)
    name, rule_options, feedback = parse_rule(label)
    symmetric = {"feedback": None} if feedback == "symmetric" else {}
    network = draw_network(
        cell,
        made.n_in,
        n,
        made.n_out,
        density=density,
        loss=made.loss,
        average=True,
        seed=seed,
        **symmetric,
    )
    # back-propagation knows the gradient at the end of a sequence only
    update = "sequence" if name == "bptt" else "step"
    start = time.perf_counter()
    done = train(
        network,
        made,
        name,
        Adam(rate),
        iterations,
        batch=batch,
        update=update,
        seed=seed,
        **rule_options,
    )
    seconds = time.perf_counter() - start
    curve = [[entry["metric"], (entry["steps"] - 1) / 2] for entry in done.history]
    return label, rate, np.array(curve).T.tolist(), seconds


def judged(task, curve):
    """Lower is better: minus the level of a curriculum, else the score at the end."""
    scores, levels = np.array(curve)
    return -levels[-1] if task == "copy" else np.mean(scores[-len(scores) // 10 :])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("task", choices=sorted(SETTINGS))
    parser.add_argument("rules", nargs="*", default=None)
    parser.add_argument("--iterations", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("."))
    arguments = parser.parse_args()
    task, rules = arguments.task, arguments.rules or RULES
    rest = (arguments.iterations, arguments.batch)
    jobs = [
        (task, label, rate, seed, *rest)
        for label in rules
        for rate in LEARNING_RATES[task]
        for seed in range(arguments.seeds)
    ]
    found = {}
    with ProcessPoolExecutor(arguments.workers) as pool:
        for label, rate, curve, seconds in pool.map(training, *zip(*jobs, strict=True)):
            found.setdefault(label, {}).setdefault(rate, []).append((curve, seconds))
            print(f"{label} {rate:g}: {judged(task, curve):.3f} in {seconds:.0f} s", flush=True)
    rows, curves = [], {}
    for label, by_rate in found.items():
        results = {rate: [judged(task, c) for c, _ in runs] for rate, runs in by_rate.items()}
        best = min(results, key=lambda rate: np.mean(results[rate]))
        values = np.abs(results[best])
        seconds = float(np.median([s for _, s in by_rate[best]]))
        rows.append(
            {
                "rule": label,
                "learning_rate": best,
                "mean": round(float(values.mean()), 3),
                "spread": round(float(values.std()), 3),
                "seconds": round(seconds, 1),
            }
        )
        curves[label] = np.array([np.array(c)[int(task == "copy")] for c, _ in by_rate[best]])
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    text = "Longest string" if task == "copy" else "Cross-entropy (nats)"
    plot_rule_learning(curves, label=text, smooth=arguments.iterations // 30, ax=figure.subplots())
    figure.savefig(arguments.out / f"reference_learning_{task}.png", dpi=150)
    settings = {"task": task, "iterations": arguments.iterations, "batch": arguments.batch}
    machine = described("brian_eprop", "numpy", "scipy")
    print(json.dumps({"settings": settings, "machine": machine, "rows": rows}))


if __name__ == "__main__":
    main()
