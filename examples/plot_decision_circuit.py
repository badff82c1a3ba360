"""
A circuit that learns to decide
===============================

Are the dots moving to the right or to the left? The cortical circuit of Wang 2002 (Neuron 36:955)
decides by slow reverberation: pyramidal cells excite each other through NMDA receptors, whose
gating variables decay within 100 ms and saturate, and compete through shared inhibition. There the
weights were chosen by hand. Here recurrent NMDA weights and those of the motion input start alike
but for noise, and e-prop of order 1 finds the rest. The circuit is in
``benchmarks/reproductions/decision_circuit.py``: a tenth of the published cells, their equations
and conductances. A few trials are run here; what training comes to is loaded.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from brian2 import defaultclock, ms, prefs, seed

here = Path(sys.argv[0]).parent
sys.path.insert(0, str(here.parent / "benchmarks" / "reproductions"))
import decision_circuit as task  # noqa: E402

prefs.codegen.target = "numpy"  # a few trials, which are not worth compiling
defaultclock.dt = task.DT
seed(1)

# %%
# Trained weights, new trials
# ---------------------------
# One trial in each direction, with the weights after training, while the learner goes on learning.

trained = np.load(here / "trained" / "decision_circuit.npz")
SEEDS = (1, 2, 3)
shown = np.array([0.256, -0.256])
network, synapses, monitors = task.circuit(shown, np.random.default_rng(5), learn="True", batch=2)
for name, trainable in synapses.items():
    trainable.w = trained[f"w_{name}, seed 1"].astype(float).ravel()
network.run(len(shown) * task.TRIAL)
choices, times, rates = task.decisions(monitors["output"].y[:], shown)
for coherence, choice, when in zip(shown, choices, times, strict=True):
    print(f"coherence {coherence:+.1%}: choice {choice:+.0f} after {when:.0f} ms")

# %%
# Before and after
# ----------------
# Trials with learning off, in the same program as the training, every coherence equally often in
# both directions, and all states reset before each trial. A choice is which half of the cells first
# reaches 15 spikes/s, as in the paper; a trial without a choice counts as half right.

BEFORE, AFTER = "#0072B2", "#D55E00"
figure, axes = plt.subplots(2, 2, figsize=(7.5, 5.6), layout="constrained")
(trial, learning), (psychometric, chronometric) = axes
sample_times = np.arange(rates.shape[2]) * 5 - task.ONSET / ms
for pool, style in ((0, "-"), (1, "--")):
    for which, color in ((0, "#009E73"), (1, "#CC79A7")):
        trial.plot(sample_times, rates[pool, which], style, color=color)
trial.plot([], [], "-", color="0.3", label="cells for right")
trial.plot([], [], "--", color="0.3", label="cells for left")
trial.plot([], [], color="#009E73", label="dots to the right")
trial.plot([], [], color="#CC79A7", label="dots to the left")
trial.axhline(task.THRESHOLD, color="0.6", linewidth=0.8, linestyle=":")
trial.set(xlabel="Time from motion onset (ms)", ylabel="Rate (spikes/s)")
trial.legend(frameon=False, fontsize="small")

found = [task.curves(trained, seed) for seed in SEEDS]
percent = 100 * task.COHERENCES
for phase, color in (("before", BEFORE), ("after", AFTER)):
    right, when = (np.array([one[phase][k] for one in found]) for k in (0, 1))
    at = np.maximum(percent, 1.6)  # 0 has no place on a logarithmic axis
    psychometric.plot(at[1:], 100 * right.mean(axis=0)[1:], "o", color=color, label=phase)
    psychometric.vlines(
        at[1:], 100 * right.min(axis=0)[1:], 100 * right.max(axis=0)[1:], color=color
    )
    if np.isfinite(when).any():
        chronometric.plot(at, np.nanmean(when, axis=0), "o-", color=color, label=phase)
        chronometric.vlines(at, np.nanmin(when, axis=0), np.nanmax(when, axis=0), color=color)
fits = [task.weibull(*one["after"][2:]) for one in found]
alpha, beta = np.mean(fits, axis=0)
fine = np.geomspace(1.6, 60, 100)
psychometric.plot(fine, 100 * (1 - 0.5 * np.exp(-((fine / 100 / alpha) ** beta))), color=AFTER)
print("Weibull thresholds:", ", ".join(f"{100 * one[0]:.1f} %" for one in fits))
for axis in (psychometric, chronometric):
    axis.set(xscale="log", xlabel="Coherence (%)")
    axis.set_xticks(percent[1:], [f"{one:g}" for one in percent[1:]])
    axis.minorticks_off()
psychometric.axhline(50, color="0.6", linewidth=0.8, linestyle=":")
psychometric.set(ylabel="Right choices (%)", ylim=(35, 103))
psychometric.legend(frameon=False, fontsize="small")
chronometric.set_xticks(np.r_[1.6, percent[1:]], ["0", *(f"{one:g}" for one in percent[1:])])
chronometric.set(ylabel="Decision time (ms)")
chronometric.legend(frameon=False, fontsize="small")
for one in found:
    learning.plot(100 * one["learning"], color=AFTER, linewidth=0.9, alpha=0.7)
learning.axhline(50, color="0.6", linewidth=0.8, linestyle=":")
learning.set(xlabel="Update", ylabel="Right choices (%)", ylim=(35, 103))
for axis in axes.flat:
    axis.spines[["top", "right"]].set_visible(False)
figure.savefig("decision_circuit.png", dpi=150)
plt.show()
