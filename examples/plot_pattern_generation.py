"""
Pattern generation with RecurrentNetwork
========================================

A recurrent network of 100 LIF neurons learns, with e-prop, to turn frozen noise into a sum of
four sines: the pattern-generation task of Bellec et al. 2020, Nat. Commun. 11:3625. Arrays go
in, gradients come out; Brian2 runs the network.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Hz, ms, set_device

from brian_eprop import Adam, FiringRateRegularizer, RecurrentNetwork, tasks
from brian_eprop.plotting import plot_learning_curve, plot_trial

set_device("cpp_standalone", build_on_run=False)  # compiled once, about 20 s

task = tasks.load_task("pattern_generation", seed=3)
rng = np.random.default_rng(3)
scale = 0.45 / np.sqrt(100)
network = RecurrentNetwork(
    [("lif", 100, {"tau_m": 30 * ms, "t_ref": 0 * ms})],
    n_in=task.n_in,
    n_rec=100,
    n_out=task.n_out,
    tau_out=30 * ms,
    weights={
        "w_in": scale * rng.standard_normal((task.n_in, 100)),
        "w_rec": scale * rng.standard_normal((100, 100)),
        "w_out": 0.003 * rng.standard_normal((100, task.n_out)),
    },
    optimizer=Adam(1e-3),
    regularizers=[FiringRateRegularizer(target=15 * Hz, strength=750)],
)

history = network.fit(task, iterations=150)
print(f"loss {history[0]['loss']:.1f} → {history[-1]['loss']:.2f}")

# %%
# The trial after training: input, spikes, membranes with their thresholds, eligibility traces,
# learning signals, and the output on its target.

inputs, targets = task.sample(rng, batch=1)
trial = plot_trial(network.record(inputs[0], targets[0], neurons=3))
trial.savefig("pattern_generation_trial.png", dpi=150)

# %%
# Loss and firing rate while learning.

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
plot_learning_curve(history, quantity="loss", ax=left)
plot_learning_curve(history, quantity="rate", ax=right)
figure.savefig("pattern_generation_learning.png", dpi=150)
plt.show()
