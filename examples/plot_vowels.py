"""
Recordings as spikes: who has spoken?
=====================================

Nine men say two vowels. Of the recordings there are twelve cepstrum coefficients per frame; an
input of the network fires where one of them crosses a level. By e-prop a network of 100 neurons
learns to name the speaker, and is judged by 370 utterances that it has not learned from. The first
iterations of training are run here; the weights after the last one are loaded. Needs the
recordings: ``pip install "brian_eprop[data]"``.
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from brian2 import ms, set_device

from brian_eprop.plotting import plot_decision, plot_learning_curve
from brian_eprop.runs.configuration import Configuration

set_device("cpp_standalone", build_on_run=False)

configuration = Configuration.of_task("vowels")
task, setup, network = configuration.make_task(), configuration.setup, configuration.make_network()

# %%
# An utterance, its first coefficient among the levels, and the spikes of all inputs.

utterance = task.split["test"][0][0]
(coefficients,) = task.coefficients([utterance])
inputs, targets = task.held_out("test")
figure, (top, bottom) = plt.subplots(2, figsize=(5.5, 4), sharex=True, layout="constrained")
time = np.arange(task.steps) * (task.dt / ms)
for level in task.thresholds[0]:
    top.axhline(level, color="0.85", linewidth=0.6)
top.plot(time, coefficients[:, 0], color="#0072B2")
top.set(ylabel="First coefficient")
step, channel = np.nonzero(inputs[0])
bottom.plot(time[step], channel, "k|", markersize=2)
bottom.set(xlabel="Time (ms)", ylabel="Input", xlim=(0, time[-1]))
figure.savefig("vowels_encoding.png", dpi=150)

# %%
# Training
# --------

live = network.fit(task, 10, setup.batch_size, seed=0)

# %%
# All 800 iterations were run before, from the same weights and with the same trials; the command
# that does it again is printed. The line is loaded, the dots are the iterations that were run here.

trained = np.load(Path(sys.argv[0]).parent / "trained" / "vowels.npz")
history = json.loads(str(trained["history"]))
network.weights.update({name: trained[name] for name in network.weights})
print(f"{len(history)} iterations made by: {trained['made']}")
figure, ax = plt.subplots(figsize=(5.5, 2.6), layout="constrained")
plot_learning_curve(history, ax=ax)
ax.plot([entry["loss"] for entry in live], "o", color="#D55E00", markersize=2.5)
figure.savefig("vowels_learning.png", dpi=150)

# %%
# Test utterances, and one of them in detail. Gradients come with the outputs that they belong to,
# and the program that computes them is compiled already.

readout = network.gradients(inputs, targets, task.learning_window).readout
print(f"{task.metric(readout, targets):.1%} of {len(inputs)} test utterances are taken for others'")
recording = network.record(inputs[0], targets[0], task.learning_window)
plot_decision(
    recording, task.input_groups, window=task.learning_window, names=task.output_names
).savefig("vowels_trial.png", dpi=150)

# %%
# Who is taken for whom, and how the decision grows with the utterance.

speaker = targets[:, 0].argmax(axis=1)
decided = readout[:, -task.learning_window :].mean(axis=1).argmax(axis=1)
confusion = np.zeros((task.n_out, task.n_out))
np.add.at(confusion, (speaker, decided), 1)
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
image = left.imshow(confusion / confusion.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
left.set(xlabel="Decision", ylabel="Speaker", xticks=range(9), yticks=range(9))
left.set_xticklabels(task.output_names)
left.set_yticklabels(task.output_names)
figure.colorbar(image, ax=left, label="Fraction")
correct = (readout.argmax(axis=2) == speaker[:, np.newaxis]).mean(axis=0)
right.plot(time - time[-1], correct, color="#0072B2")
right.axhline(1 / task.n_out, color="0.6", linestyle="--", linewidth=0.8)
right.axvspan(-task.window / ms, 0, color="0.93", linewidth=0)
right.set(xlabel="Time to the end (ms)", ylabel="Fraction right", ylim=(0, 1), xlim=(-500, 0))
figure.savefig("vowels_decisions.png", dpi=150)
plt.show()
