"""
Store and recall: a bit kept by thresholds
==========================================

A stream of bits passes; with one of them comes the command to store, up to two seconds later that
to recall. Twenty neurons learn it by e-prop. Where is the bit in the meantime? Hardly in spikes:
trials with a stored 0 and trials with a stored 1 differ little in spikes and much in the
*thresholds* of the ALIF neurons, which relax within 1.2 s (Bellec et al. 2018, arXiv 1803.09574).
The first iterations of training are run here; the weights after the last one are loaded.
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from brian2 import set_device

from brian_eprop.plotting import plot_decision, plot_learning_curve
from brian_eprop.runs.configuration import Configuration

set_device("cpp_standalone", build_on_run=False)

configuration = Configuration.of_task("store_recall")
task, setup, network = configuration.make_task(), configuration.setup, configuration.make_network()

# %%
# Training
# --------

live = network.fit(task, 8, setup.batch_size, seed=1)

# %%
# Until a twentieth of the bits is recalled wrongly takes minutes. These iterations were run before,
# from the same weights and with the same trials; the command that does it again is printed. The
# line is loaded, the dots are the iterations that were run here.

trained = np.load(Path(sys.argv[0]).parent / "trained" / "store_recall.npz")
history = json.loads(str(trained["history"]))
network.weights.update({name: trained[name] for name in network.weights})
print(f"{len(history)} iterations made by: {trained['made']}")
figure, ax = plt.subplots(figsize=(5.5, 2.6), layout="constrained")
plot_learning_curve(history, quantity="metric", ax=ax)
ax.plot([entry["metric"] for entry in live], "o", color="#D55E00", markersize=2.5)
ax.set_ylabel("Wrong recalls")
figure.savefig("store_recall_learning.png", dpi=150)

# %%
# It is judged by new trials. Gradients come with the spikes and outputs that they belong to, and
# the program that computes them is compiled already.

inputs, targets = task.sample(np.random.default_rng(1), batch=512)
found = network.gradients(inputs, targets, task.learning_window)
print(f"{task.metric(found.readout, targets):.1%} of {len(inputs)} new trials recalled wrongly")

# %%
# A trial, one of those in which the bit has to be kept for long.

width, waited = task.learning_window, 5
by_character = (len(inputs), task.characters, width, -1)
store = inputs.reshape(by_character)[..., 50:75].any(axis=(2, 3))
last = task.characters - 1 - store[:, ::-1].argmax(axis=1)
long = np.flatnonzero(last < task.characters - waited - 1)
recording = network.record(inputs[long[0]], targets[long[0]], task.learning_window)
plot_decision(recording, task.input_groups, window=task.learning_window)
plt.savefig("store_recall_trial.png", dpi=150)

# %%
# How far apart are trials with a stored 0 and a stored 1, in units of their spread, in the
# characters after the command? The thresholds follow from the spikes: each raises a by one, which
# then decays with τ_a.

lif, alif = setup.neurons
spikes = found.spikes[:, :, lif[1] :].astype(float)
rho = np.exp(-float(task.dt / alif[2]["tau_a"]))
adaptation = np.zeros_like(spikes)
for step in range(1, task.steps):
    adaptation[:, step] = rho * adaptation[:, step - 1] + spikes[:, step - 1]
stored = targets[long, 0, 1] == 1


def distance(signal):
    """|difference of the means of 0 and 1| / standard deviation, mean over the neurons."""
    means = signal.reshape(by_character).mean(axis=2)
    since = np.array([means[trial, last[trial] : last[trial] + waited + 1] for trial in long])
    apart = abs(since[stored].mean(axis=0) - since[~stored].mean(axis=0))
    return (apart / (since.std(axis=0) + 1e-9)).mean(axis=-1)


figure, ax = plt.subplots(figsize=(5.5, 2.6), layout="constrained")
ax.plot(distance(spikes), "o-", color="0.6", label="spike counts")
ax.plot(distance(adaptation), "s-", color="#0072B2", label="thresholds")
ax.set(xlabel="Characters since the command", ylabel="Difference of 0 and 1 (SD)", ylim=0)
ax.legend(frameon=False)
figure.savefig("store_recall_memory.png", dpi=150)
plt.show()
