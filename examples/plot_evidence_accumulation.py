"""
Evidence accumulation with adaptive neurons
===========================================

Seven cues come from the left or from the right; more than a second later the network is asked
which side had more. Membranes of 20 ms have forgotten by then: the adaptive thresholds of the
ALIF neurons (2 s) remember, and e-prop finds out how to use them (Bellec et al. 2020, Nat.
Commun. 11:3625, Fig. 4). Training stops when fewer than 7 % of new trials are decided wrongly.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Hz, ms, set_device

from brian_eprop import Adam, FiringRateRegularizer, RecurrentNetwork, tasks
from brian_eprop.plotting import plot_decision, plot_learning_curve

set_device("cpp_standalone", build_on_run=False)

task = tasks.load_task("evidence_accumulation")
network = RecurrentNetwork(
    [("lif", 50, {}), ("alif", 50, {"tau_a": 2000 * ms})],
    n_in=task.n_in,
    n_rec=100,
    n_out=task.n_out,
    tau_out=20 * ms,
    loss="cross_entropy",
    normalize=True,
    average=True,
    optimizer=Adam(5e-3),
    regularizers=[FiringRateRegularizer(target=10 * Hz, strength=2 * task.learning_window)],
    seed=1,
)

# %%
# Trials are new in every iteration, and are judged before the network learns from them.

history = network.fit(task, 500, batch_size=64, goal=0.07, seed=1)
errors = [entry["metric"] for entry in history]
print(f"{np.mean(errors[-10:]):.1%} wrong decisions after {len(history)} iterations")

# %%
# A trial after training: the cues in the colours of the two sides, the spikes of LIF (below 50)
# and ALIF neurons, and the probabilities of the sides; the answer counts where it is shaded.

inputs, targets = task.sample(np.random.default_rng(1), batch=1)
recording = network.record(inputs[0], targets[0], task.learning_window)
trial = plot_decision(recording, task.input_groups, window=task.learning_window)
trial.savefig("evidence_accumulation_trial.png", dpi=150)

# %%
# Loss and wrong decisions while learning.

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
plot_learning_curve(history, quantity="loss", ax=left)
plot_learning_curve(history, quantity="metric", ax=right)
right.set_ylabel("Wrong decisions")
figure.savefig("evidence_accumulation_learning.png", dpi=150)
plt.show()
