"""
Evidence accumulation with adaptive neurons
===========================================

Seven cues come from the left or from the right; more than a second later the network is asked
which side had more. Membranes of 20 ms have forgotten by then: the adaptive thresholds of the
ALIF neurons (2 s) remember, and e-prop finds out how to use them (Bellec et al. 2020, Nat.
Commun. 11:3625, Fig. 4). The first ten iterations of training are run here; what the network has
learned when fewer than 7 % of new trials are decided wrongly is loaded.
"""

import json
import sys
from pathlib import Path

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
# Training
# --------
# Trials are new in every iteration, and are judged before the network learns from them.

live = network.fit(task, 10, batch_size=64, seed=1)
print(f"loss {live[0]['loss']:.3f} → {live[-1]['loss']:.3f} in {len(live)} iterations")

# %%
# All iterations take some minutes. They were run before, from the same weights and with the same
# trials; the command that does it again is printed.

trained = np.load(Path(sys.argv[0]).parent / "trained" / "evidence_accumulation.npz")
history = json.loads(str(trained["history"]))
network.weights.update({name: trained[name] for name in network.weights})
errors = [entry["metric"] for entry in history]
print(f"{np.mean(errors[-10:]):.1%} wrong decisions after {len(history)} iterations")
print(f"made by: {trained['made']}")

# %%
# A trial of the trained network: the cues in the colours of the two sides, the spikes of LIF
# (below 50) and ALIF neurons, and the probabilities of the sides; the answer counts where it is
# shaded.

inputs, targets = task.sample(np.random.default_rng(1), batch=1)
recording = network.record(inputs[0], targets[0], task.learning_window)
trial = plot_decision(recording, task.input_groups, window=task.learning_window)
trial.savefig("evidence_accumulation_trial.png", dpi=150)

# %%
# Loss and wrong decisions while learning. The lines are loaded, the dots are the iterations that
# were run here.

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
plot_learning_curve(history, quantity="loss", ax=left)
plot_learning_curve(history, quantity="metric", ax=right)
right.set_ylabel("Wrong decisions")
for ax, quantity in ((left, "loss"), (right, "metric")):
    ax.plot([entry[quantity] for entry in live], "o", color="#D55E00", markersize=2.5)
figure.savefig("evidence_accumulation_learning.png", dpi=150)
plt.show()
