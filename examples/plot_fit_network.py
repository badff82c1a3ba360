"""
A network, fitted to the spikes of half of its neurons
======================================================

A hundred LIF neurons with known inputs and a thousand synapses among them, whose weights are not
known. Recorded are the spikes of fifty of the neurons. The loss is the van Rossum distance between
their trains and those of the model; its gradient, of order ∞, crosses synapses. What a second of
spikes tells is not the same for all weights: those onto neurons that were seen come out, in part,
those onto neurons that nobody saw do not.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    defaultclock,
    device,
    ms,
    mV,
    prefs,
    set_device,
)

from brian_eprop import (
    Adam,
    CosineDecay,
    EProp,
    Learner,
    Loss,
    PiecewiseLinear,
    TrainableSynapses,
    fast_build,
    fit,
    recorded_spikes,
)
from brian_eprop.plotting import plot_learning_curve, plot_raster

prefs.codegen.target = "numpy"  # a short run, which is not worth compiling
defaultclock.dt = 1 * ms
n, seen, n_in = 100, 50, 100
trial, trials = 250 * ms, 4
rng = np.random.default_rng(1)
channels, when = np.nonzero(rng.random((n_in, 1000)) < 0.03)
known = np.argsort(rng.random((n, n_in)))[:, :20].ravel(), np.repeat(np.arange(n), 20)
known_weights = rng.uniform(0.6, 1.8, 20 * n)
wiring = np.nonzero((rng.random((n, n)) < 0.1) & ~np.eye(n, dtype=bool))
true = rng.normal(0, 1.5, len(wiring[0]))


def parts(synapses, **learning):
    """Inputs, neurons, and synapses of both: x is a filtered spike train."""
    neurons = learning.pop("neurons", None) or cells()
    source = SpikeGeneratorGroup(n_in, channels, when * ms, name="inputs")
    inputs = Synapses(source, neurons, "w : 1", on_pre="v_post += w*mV")
    inputs.connect(i=known[0], j=known[1])
    inputs.w = known_weights
    recurrent = synapses(neurons, neurons, "w : 1", on_pre="v_post += w*mV", **learning)
    recurrent.connect(i=wiring[0], j=wiring[1])
    return source, neurons, inputs, recurrent


def cells():
    """The neurons."""
    return NeuronGroup(
        n,
        "dv/dt = -v/(20*ms) : volt\ndx/dt = -x/(10*ms) : 1",
        threshold="v > 15*mV",
        reset="v = 0*mV; x += 1",
        method="exact",
        name="neurons",
    )


# %%
# The teacher, one trial after the other from rest: its weights are what is to be found.

source, neurons, inputs, recurrent = parts(Synapses, name="recurrent")
recurrent.w = true
spikes = SpikeMonitor(neurons)
teacher = Network(source, neurons, inputs, recurrent, spikes)
for _ in range(trials):
    neurons.v, neurons.x = 0 * mV, 0
    teacher.run(trial)
trains = [
    [times[(times >= k * trial) & (times < (k + 1) * trial)] - k * trial for times in each]
    for k in range(trials)
    for each in [list(spikes.spike_trains().values())[:seen]]
]
recorded = np.array(spikes.t / ms), np.array(spikes.i)
print(f"{len(spikes.t) / n / (trials * trial)!s} per neuron")

# %%
# The fit. Recorded spikes take from x what the model's own add to it, so that x is the difference
# of the filtered trains; weights begin at 0.

fast_build()
set_device("cpp_standalone", directory=None, build_on_run=False)
neurons = cells()
learner = Learner(
    rule=EProp(order=np.inf, surrogate=PiecewiseLinear(0.3 / (10 * mV), 10 * mV)),
    losses=[Loss(neurons, "int(i < 50)*x**2/50")],
    optimizer=Adam(CosineDecay(0.15, 0.01, 110)),
    update_every=trials * trial,
    reset_every=trial,
)
source, neurons, inputs, recurrent = parts(
    TrainableSynapses, neurons=neurons, learner=learner, bounds=(-5, 5), name="recurrent"
)
data = recorded_spikes(trains, trial, defaultclock.dt, n=seen, name="data")
compare = Synapses(data, neurons, on_pre="x_post -= 1", name="compare")
compare.connect(j="i")
spikes = SpikeMonitor(neurons)
network = Network(source, neurons, inputs, recurrent, data, compare, spikes)
found = fit(learner, network, iterations=110, progress=False)
print(found)
print(f"loss {found.losses(0)[0]:.1f} with weights of 0, {found.loss:.1f} with those found")
weights = np.array(found.weights["recurrent.w"])
groups = {
    f"{onto} ← {of}": ((wiring[1] < seen) == (onto == "seen"))
    & ((wiring[0] < seen) == (of == "seen"))
    for onto in ("seen", "hidden")
    for of in ("seen", "hidden")
}
for name, chosen in groups.items():
    r = np.corrcoef(weights[chosen], true[chosen])[0, 1]
    print(f"{name:16} {chosen.sum():4} weights, correlation with the true ones {r:.2f}")

# %%
# The first trial of the neurons that were recorded, black in the data and blue in the model; the
# loss; and the weights from recorded neurons onto recorded ones.

figure, axes = plt.subplots(2, 2, figsize=(8, 5.5), layout="constrained")
times, which = np.array(spikes.t / ms), np.array(spikes.i)
for ax, (t, i), color in (
    (axes[0, 0], recorded, "black"),
    (axes[0, 1], (times, which), "#0072B2"),
):
    shown = (t < trial / ms) & (i < seen)
    plot_raster(t[shown], i[shown], n=seen, t_max=trial, color=color, ax=ax)
axes[0, 0].set_title("data", fontsize="medium")
axes[0, 1].set_title("model", fontsize="medium")
plot_learning_curve(found.history, ax=axes[1, 0])
chosen = groups["seen ← seen"]
axes[1, 1].plot([-4, 4], [-4, 4], color="0.7", linewidth=0.8)
axes[1, 1].plot(true[chosen], weights[chosen], ".", markersize=3, color="#0072B2")
axes[1, 1].set(xlabel="True weight (mV)", ylabel="Found weight (mV)")
axes[1, 1].spines[["top", "right"]].set_visible(False)
figure.savefig("fit_network.png", dpi=150)
device.reinit()
set_device("runtime")
plt.show()
