"""
Learning while the sequence goes on
===================================

Rules that need nothing of the future can change the weights in every step. Gated units learn to
copy strings of bits, and get longer strings as soon as they can copy the present ones (Menick et
al. 2021). How long the strings become shows what a rule is worth: SnAp-1 keeps the influence of a
weight on its own unit, the optimal Kronecker sum a random sum of eight products, UORO one.
"""

import matplotlib.pyplot as plt
import numpy as np

from brian_eprop import Adam
from brian_eprop.plotting import plot_rule_learning
from brian_eprop.reference import draw_network
from brian_eprop.rule_study.learning import train
from brian_eprop.rule_study.tasks import TASKS

ITERATIONS, SEEDS = 120, 2
RULES = {
    "RTRL": ("rtrl", {}),
    "OK, rank 8": ("ok", {"rank": 8}),
    "SnAp-1": ("snap", {"n": 1}),
    "UORO": ("uoro", {}),
}

# %%
# Each rule, from the same initial weights
# ----------------------------------------


def levels(rule, options, seed):
    """Length of the longest string in every iteration."""
    task = TASKS["copy"]()
    network = draw_network(
        "gru", task.n_in, 12, task.n_out, loss=task.loss, average=True, seed=seed
    )
    training = train(
        network, task, rule, Adam(1e-2), ITERATIONS, batch=8, update="step", seed=seed, **options
    )
    return [(entry["steps"] - 1) / 2 for entry in training.history]


curves = {
    name: np.array([levels(*rule, seed) for seed in range(SEEDS)]) for name, rule in RULES.items()
}
for name, values in curves.items():
    print(f"{name:12} strings of up to {values[:, -1].mean():.1f} bits")

# %%

figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
plot_rule_learning(curves, label="Longest string (bits)", smooth=10, ax=ax)
figure.savefig("online_learning.png", dpi=150)
plt.show()
