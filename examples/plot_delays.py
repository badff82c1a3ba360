"""
Delays that learn
=================

Eight inputs spike once each, in one of two orders. Their weights are all the same and stay as they
are, so that only delays can tell the orders apart: a neuron whose synapses delay early spikes most
hears them all at once, and fires. Each neuron learns the delays of its pattern from the error of
the readout alone, by the credit of an arrival one step later minus that of an arrival now
(back-propagation trains delays in Hammouamri et al. 2024, ICLR, arXiv 2306.17670; here it is the
gradient of e-prop).
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Network, SpikeGeneratorGroup, SpikeMonitor, defaultclock, ms, prefs

from brian_eprop import (
    Adam,
    EProp,
    LeakyReadout,
    Learner,
    ParameterTraining,
    TrainableSynapses,
    load_model,
)

prefs.codegen.target = "numpy"
defaultclock.dt = 1 * ms

N, TRIAL, UPDATES = 8, 50, 120
rng = np.random.default_rng(4)
order = rng.permutation(N)
patterns = np.array([3 + 3 * order, 3 + 3 * (N - 1 - order)])  # the same times, backwards

# %%
# Trials of the two patterns, one after the other. The output of a neuron is to be 1 from 38 to
# 44 ms in trials of its own pattern, and to stay 0 in those of the other.

n_trials = 2 * UPDATES
start = TRIAL * np.arange(n_trials)[:, None]
times = (patterns[np.arange(n_trials) % 2] + start).ravel()
target = np.zeros((n_trials, TRIAL, 2))
for pattern in (0, 1):
    target[pattern::2, 38:44, pattern] = 1.0

source = SpikeGeneratorGroup(N, np.tile(np.arange(N), n_trials), times * ms)
neurons = load_model("lif").group(2, tau_m=4 * ms, v_th=1.0)
readout = LeakyReadout(2, tau=4 * ms, target=target.reshape(-1, 2))
learner = Learner(
    readout,
    rule=EProp(),
    optimizer=Adam(0.25),
    reset_every=TRIAL * ms,
    update_every=2 * TRIAL * ms,
)

# %%
# ``trainable=("delay",)`` would do; bounds and the step of the optimizer, here 0.25 of a scale of
# 1 ms, are given with it.

synapses = TrainableSynapses(
    source,
    neurons,
    learner=learner,
    trainable={"delay": ParameterTraining(bounds=(0 * ms, 35 * ms), scale=1 * ms)},
)
synapses.connect()
synapses.w = 0.28
synapses.delay = rng.uniform(10, 20, len(synapses)) * ms
onto_readout = TrainableSynapses(
    neurons, readout, on_pre="y_post += w", learner=learner, fixed=True
)
onto_readout.connect(j="i")
onto_readout.w = 1.0

before = np.array(synapses.delay / ms).reshape(N, 2)
spikes = SpikeMonitor(neurons)
network = Network(source, neurons, readout, synapses, onto_readout, spikes)
network.run(n_trials * TRIAL * ms, namespace={})
after = np.array(synapses.delay / ms).reshape(N, 2)

# %%
# Before training, spikes arrive one after the other. Afterwards those of the own pattern arrive
# together; of the other pattern they are further apart than they were sent.

trial, phase = np.divmod(np.round(spikes.t / ms).astype(int), TRIAL)
figure, axes = plt.subplots(2, 3, figsize=(9, 4.6), layout="constrained", sharex="col")
colors = ("#0072b2", "#d55e00")
for neuron, row in enumerate(axes):
    for axis, delays, title in zip(row[:2], (before, after), ("before", "after"), strict=True):
        sent = patterns[neuron]
        for i in range(N):
            axis.plot([sent[i], sent[i] + delays[i, neuron]], [i, i], color="0.8", zorder=0)
        axis.plot(sent, range(N), "|", color="black", ms=8, label="sent")
        arrived = np.round(sent + delays[:, neuron])
        axis.plot(arrived, range(N), "o", color=colors[neuron], ms=4, label="arrives")
        axis.set(xlim=(0, TRIAL), ylabel=f"pattern {'AB'[neuron]}\ninput" if axis is row[0] else "")
        if neuron == 0:
            axis.set_title(f"{title} training", fontsize=10)
    for pattern in (0, 1):
        own = (spikes.i == neuron) & (trial % 2 == pattern)
        count = np.bincount(trial[own] // 2, minlength=UPDATES)
        mean = np.convolve(count, np.ones(10) / 10, mode="valid")
        row[2].plot(mean, color=colors[pattern], label=f"pattern {'AB'[pattern]}")
    row[2].set(ylabel=f"spikes of neuron {neuron}\nin a trial", ylim=(-0.05, None))
axes[0, 0].legend(fontsize=8, frameon=False, loc="lower right")
axes[0, 2].legend(fontsize=8, frameon=False)
axes[0, 2].set_title("while it learns", fontsize=10)
for axis, name in zip(axes[1], ("time in a trial (ms)",) * 2 + ("update",), strict=True):
    axis.set_xlabel(name)
for axis in axes.flat:
    axis.spines[["top", "right"]].set_visible(False)
plt.show()
