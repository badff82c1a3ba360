"""
Behaviour: a psychometric curve and reaction times
==================================================

A network that has learned a task can be studied as a subject is: by trials with conditions of one's
choice. Forty neurons have learned by e-prop to say on which side there is more noisy evidence
(Britten et al. 1992, J. Neurosci. 12:4745). The first iterations are run here; the weights after
the last one are loaded.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from brian2 import set_device
from scipy.special import expit

from brian_eprop.plotting import plot_psychometric, plot_reaction_times
from brian_eprop.runs.configuration import Configuration
from brian_eprop.tasks.behaviour import choices, psychometric_curve, reaction_times

set_device("cpp_standalone", build_on_run=False)

configuration = Configuration.of_task("perceptual_decision")
task, setup, network = configuration.make_task(), configuration.setup, configuration.make_network()

# %%
# Training
# --------

live = network.fit(task, 5, setup.batch_size, seed=0)
print("wrong decisions:", [round(entry["metric"], 3) for entry in live])

trained = np.load(Path(sys.argv[0]).parent / "trained" / "behaviour.npz")
print(f"made by: {trained['made']}")
network.weights.update({name: trained[name] for name in network.weights})

# %%
# Trials of a subject
# -------------------
#
# The grey line is the observer who counts all spikes: nobody can do better. Reaction times are
# those at which the mean probability of one of the sides in 50 ms comes to 0.8. The network was
# asked for an answer after 500 ms only: what its outputs say before, it has never been taught.

strengths = np.array([-0.256, -0.128, -0.064, -0.032, 0, 0.032, 0.064, 0.128, 0.256])
coherence = np.repeat(strengths, 128)
inputs, _ = task.trials(np.random.default_rng(1), {"coherence": coherence})
outputs = network.simulate(inputs).readout
curve = psychometric_curve(coherence, choices(task, outputs))
times = reaction_times(outputs, 0.8, task.dt, window=50)
print(f"{np.isfinite(np.asarray(times)).mean():.0%} of the trials with a reaction")

fine = np.linspace(-0.256, 0.256, 201)
best = task.counting_accuracy(fine)
ideal = fine, np.where(fine > 0, best, 1 - best)

figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.4), layout="constrained")
plot_psychometric(*curve, ideal=ideal, ylabel="Fraction 'right'", label="network", ax=axes[0])
axes[0].legend(frameon=False, fontsize=6.5, loc="lower right")
plot_reaction_times(coherence, times, ax=axes[1])
right = expit(outputs[..., 1] - outputs[..., 0])
smooth = np.ones(25) / 25
for value in strengths[4:]:
    mean = np.convolve(right[coherence == value].mean(axis=0), smooth, mode="valid")
    shade = str(round(0.75 - 0.75 * value / strengths[-1], 3))
    axes[2].plot(np.arange(len(mean)) + 25, mean, color=shade, linewidth=1, label=f"{value:g}")
axes[2].axvspan(500, 600, color="0.93", linewidth=0)
axes[2].legend(
    title="coherence", loc="lower center", frameon=False, fontsize=6, title_fontsize=6, ncols=3
)
axes[2].set(xlabel="Time (ms)", ylabel="Probability of 'right'", xlim=(0, 600), ylim=(0, 1.02))
axes[2].spines[["top", "right"]].set_visible(False)
for ax, letter in zip(axes, "ABC", strict=True):
    ax.set_title(letter, loc="left", fontweight="bold", fontsize=9)
figure.savefig("behaviour.png", dpi=150)
