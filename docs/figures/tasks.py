"""Draws task_*.png: what a trial of each task is.

python docs/figures/tasks.py
"""

from pathlib import Path

import numpy as np
from brian2 import Hz, ms

from brian_eprop.plotting import plot_task
from brian_eprop.tasks import load_task

HERE = Path(__file__).parent
#: Task, options that make a trial short enough to look at, and the seed of a telling one.
SHOWN = (
    ("perceptual_decision", {"coherences": (0.256,)}, 0),
    ("context_decision", {"coherences": (0.5,)}, 0),
    ("delayed_comparison", {}, 0),
    ("ready_set_go", {}, 0),
    ("twelve_ax", {}, 1),
    ("pattern_recall", {"character": 100 * ms, "rate": 100 * Hz}, 0),
    ("yin_yang", {}, 0),
    ("randman", {}, 0),
    ("mackey_glass", {}, 0),
)

for name, options, seed in SHOWN:
    task = load_task(name, **options)
    inputs, targets = task.sample(np.random.default_rng(seed), 1)
    names = getattr(task, "output_names", list(task.input_groups)[: task.n_out])
    figure = plot_task(
        inputs[0],
        targets[0],
        task.input_groups,
        dt=task.dt,
        window=getattr(task, "learning_window", None),
        names=names,
    )
    figure.savefig(HERE / f"task_{name}.png", dpi=110)
