"""
Your own Brian2 network learns
==============================

The same task as a Brian2 script: neurons in volts, groups, synapses and monitors as usual. Three
things make it learn: a LeakyReadout with a target, a Learner, and TrainableSynapses in the
place of Synapses. Training happens inside one ``run``.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    defaultclock,
    ms,
    mV,
    second,
    seed,
    set_device,
)

from brian_eprop import (
    Adam,
    EProp,
    FiringRateRegularizer,
    LeakyReadout,
    Learner,
    PiecewiseLinear,
    TrainableSynapses,
    fast_build,
)
from brian_eprop.plotting import plot_eligibility, plot_learning_curve, plot_raster, plot_readout

fast_build()  # Brian2's program, compiled in less time
set_device("cpp_standalone", directory=None)
seed(1)
defaultclock.dt = 1 * ms
rng = np.random.default_rng(1)
n_in, n, trial, trials = 100, 100, 1 * second, 120

# %%
# The neurons are an ordinary NeuronGroup; nothing in it knows of learning.

neurons = NeuronGroup(
    n,
    "dv/dt = (E_L - v)/tau_m : volt",
    threshold="v > v_th",
    reset="v = E_L",
    refractory=2 * ms,
    method="exact",
    namespace={"E_L": -65 * mV, "v_th": -50 * mV, "tau_m": 30 * ms},
    name="neurons",
)
neurons.v = -65 * mV

steps, channels = np.nonzero(rng.random((1000, n_in)) < 0.05)
noise = SpikeGeneratorGroup(n_in, channels, steps * ms, period=trial, name="noise")

time = np.arange(1000) / 1000
target = sum(
    rng.uniform(0.5, 2) * np.sin(2 * np.pi * cycles * time + rng.uniform(0, 2 * np.pi))
    for cycles in (1, 2, 3, 5)
)
target = (target - target[0]) / np.abs(target - target[0]).max()

# %%
# What is new: a readout that knows its target, a learner, and synapses that it trains. The
# width of the surrogate is the distance from rest to threshold. The engine ``traces`` is asked for
# because traces are to be seen; the other one computes the same gradients without.

readout = LeakyReadout(1, tau=30 * ms, target=target, period=trial, name="readout")
learner = Learner(
    readout,
    rule=EProp(engine="traces", surrogate=PiecewiseLinear(0.3 / (15 * mV), 15 * mV)),
    feedback="random",
    optimizer=Adam(1e-2),
    regularizers=[FiringRateRegularizer(strength=500)],
    update_every=trial,
    reset_every=trial,
    seed=1,
)
inputs = TrainableSynapses(noise, neurons, on_pre="v_post += w*mV", learner=learner)
inputs.connect()
inputs.w = "1.3*randn()"
recurrent = TrainableSynapses(neurons, neurons, on_pre="v_post += w*mV", learner=learner)
recurrent.connect(condition="i != j")
recurrent.w = "randn()"
outputs = TrainableSynapses(neurons, readout, on_pre="y_post += 0.05*w", learner=learner)
outputs.connect()
outputs.w = "0.1*randn()"

# %%
# Monitors see the traces like any other variable.

spikes = SpikeMonitor(neurons)
output = StateMonitor(readout, "y", record=True, when="after_end")
losses = StateMonitor(readout, "loss", record=True, dt=trial)
traces = StateMonitor(inputs, "e_bar", record=range(3), when="after_end")

network = Network(
    noise, neurons, readout, inputs, recurrent, outputs, spikes, output, losses, traces
)
network.run(trials * trial)

# %%
# The loss is summed since the start; one trial's is the difference between two rows.

per_trial = np.diff(losses.loss.sum(axis=0))
rate = np.histogram(spikes.t / second, bins=np.arange(trials))[0] / n
history = [{"iteration": k, "loss": loss, "rate": rate[k]} for k, loss in enumerate(per_trial)]
print(f"loss {per_trial[0]:.1f} → {per_trial[-5:].mean():.2f}, {rate[-1]:.1f} spikes/s")

figure, axes = plt.subplots(4, 1, figsize=(7, 8.5), layout="constrained")
last = spikes.t >= (trials - 1) * trial
plot_raster((spikes.t[last] - (trials - 1) * trial) / ms, spikes.i[last], n=n, ax=axes[0])
plot_eligibility(
    np.arange(1000),
    traces.e_bar_[:, -1000:].T,
    labels=[f"in 0 → {j}" for j in range(3)],
    quantity="Filtered trace",
    ax=axes[1],
)
plot_readout(np.arange(1000), output.y[:, -1000:].T, target[:, np.newaxis], ax=axes[2])
plot_learning_curve(history, quantity="loss", ax=axes[3])
figure.savefig("own_brian2_network.png", dpi=150)
plt.show()
