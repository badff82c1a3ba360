"""
Local rules of spiking networks on one task
===========================================

e-prop with three kinds of feedback, SuperSpike, OTTT, DECOLLE and the rank-one traces of
ES-D-RTRL train the same network of adaptive neurons on *Add*: y_t = ½ + ½ x_{t−1} − ¼ x_{t−2},
with the exact gradient beside them. Each curve is the mean of two seeds.
"""

import matplotlib.pyplot as plt
import numpy as np
from attrs import evolve

from brian_eprop import Adam
from brian_eprop.plotting import plot_rule_learning
from brian_eprop.reference import draw_network
from brian_eprop.rule_study.learning import train
from brian_eprop.rule_study.tasks import TASKS

task = TASKS["add"](delays=(1, 2), steps=20)
SEEDS, ITERATIONS, BATCH = 2, 60, 32
RULES = {
    "BPTT": ("bptt", None, {}),
    "e-prop, symmetric": ("eprop", "symmetric", {}),
    "e-prop, random": ("eprop", "random", {}),
    "e-prop, adaptive": ("eprop", "adaptive", {}),
    "SuperSpike": ("superspike", "symmetric", {}),
    "OTTT": ("ottt", None, {}),
    "DECOLLE": ("decolle", None, {}),
    "ES-D-RTRL": ("es_d_rtrl", None, {}),
}

# %%
# Training
# --------


def scores(rule, feedback, options, seed):
    """Cross-entropy of every iteration."""
    network = draw_network(
        "alif",
        task.n_in,
        30,
        task.n_out,
        loss=task.loss,
        average=True,
        # inputs are on in half of the steps
        alpha=np.exp(-1 / 5),
        kappa=np.exp(-1 / 2),
        readout_gain=1 - np.exp(-1 / 2),
        seed=seed,
    )
    adaptive = feedback == "adaptive"
    training = train(
        evolve(network, feedback=None) if feedback == "symmetric" else network,
        task,
        rule,
        Adam(2e-2),
        ITERATIONS,
        batch=BATCH,
        adaptive_feedback=adaptive,
        decay=0.01 if adaptive else 0.0,
        seed=seed,
        **options,
    )
    return [entry["metric"] for entry in training.history]


curves = {
    name: np.array([scores(*rule, seed) for seed in range(SEEDS)]) for name, rule in RULES.items()
}
for name, values in curves.items():
    print(f"{name:20} {values[:, :5].mean():.3f} → {values[:, -10:].mean():.3f} nats")

# %%
# What an output without memory, and one that knows x_{t−1}, can reach at best, are the two lines.

figure, ax = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
plot_rule_learning(curves, label="Cross-entropy (nats)", smooth=10, ax=ax)
for floor in ("none", "first"):
    ax.axhline(task.floors[floor], color="0.6", lw=0.6, zorder=0)
figure.savefig("local_rules.png", dpi=150)
plt.show()
