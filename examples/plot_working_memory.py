"""
Working memory in facilitating synapses, whose utilisation is learned
=====================================================================

An item is shown to one of two populations, and after a delay a weak pulse reaches both alike: which
one was it? In Mongillo, Barak & Tsodyks 2008 (Science 319:1543) the spikes of the item have
facilitated the synapses among the neurons that it excited, so that these answer the pulse more
strongly. How far depends on the baseline utilisation U, the part of the resources that a first
spike uses. Here it begins too low, at 0.01, and each neuron learns its own from the readout's
answer to the pulse: by e-prop of order 2, since what U does to a loss, it does through others.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    device,
    ms,
    mV,
    second,
    seed,
    set_device,
)

from brian_eprop import (
    Adam,
    CosineDecay,
    EProp,
    LeakyReadout,
    Learner,
    ParameterTraining,
    PiecewiseLinear,
    TrainableSynapses,
    fast_build,
)

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
N, N_I, C = 80, 40, 0.2  # excitatory neurons of an item, inhibitory neurons, connections
TRIAL, STEP, PULSE = 1800, 50, 1700  # ms; the pulse lasts until the end
DELAYS = np.array([300, 600, 900, 1200])  # ms from the end of the item, which lasts 300 ms
TESTS, UPDATES, BATCH = 80, 14, 16

set_device("cpp_standalone", directory=None, build_on_run=False)
fast_build()
defaultclock.dt = 1 * ms
seed(SEED)

# %%
# Trials
# ------
#
# Two items and four delays in turn. The item is 15 % more drive for 300 ms, the pulse 5 % more for
# everybody in the last 100 ms. Trials before learning, while learning and after it, and once more
# with U = 0.5 for all neurons.

phases = np.cumsum([0, TESTS, UPDATES * BATCH, TESTS, TESTS])
before, learning, after, high = map(slice, phases[:-1], phases[1:])
trials = np.arange(phases[-1])
item, delay = trials % 2, DELAYS[trials // 2 % len(DELAYS)]
stimuli = np.ones((len(trials), TRIAL // STEP, 2))
for trial in trials:
    end = (PULSE - delay[trial]) // STEP
    stimuli[trial, end - 300 // STEP : end, item[trial]] = 1.15
stimuli[:, PULSE // STEP :] = 1.05

# %%
# The network
# -----------
#
# Membranes, noise, connection probability and the time constants of facilitation and depression are
# those of the paper. It has 10 000 neurons; weights of these 200 are larger, tuned for them.
# u = U + f and x belong to the presynaptic neuron: all its synapses have the same. f = 0 at the
# start of a trial, whatever U has become.

constants = {
    **{"V_th": 20 * mV, "sigma": 1 * mV, "mu": 23.1 * mV, "mu_I": 21 * mV},
    **{"tau": 15 * ms, "tau_I": 10 * ms, "tau_F": 1.5 * second, "tau_D": 0.2 * second},
    **{"n": N, "drive": TimedArray(stimuli.reshape(-1, 2), dt=STEP * ms)},
}
cells = NeuronGroup(
    2 * N,
    """dv/dt = (mu*drive(t, i // n) - v)/tau + sigma*sqrt(2/tau)*xi : volt (unless refractory)
    df/dt = -f/tau_F : 1
    dx/dt = (1 - x)/tau_D : 1
    u = U + f : 1
    U : 1 (constant)""",
    threshold="v > V_th",
    reset="v = 16*mV; x -= u*x; f += U*(1 - u)",
    refractory=2 * ms,
    method="euler",
    namespace=constants,
    name="cells",
)
inhibition = NeuronGroup(
    N_I,
    "dv/dt = (mu_I - v)/tau_I + sigma*sqrt(2/tau_I)*xi : volt (unless refractory)",
    threshold="v > V_th",
    reset="v = 13*mV",
    refractory=2 * ms,
    method="euler",
    namespace=constants,
    name="inhibition",
)
cells.v, inhibition.v = "(16 + 4*rand())*mV", "(13 + 7*rand())*mV"
cells.x, cells.U = 1, 0.01

readout = LeakyReadout(
    2, 50 * ms, "cross_entropy", target=np.eye(2)[np.repeat(item, TRIAL)], average=True
)
start, end = phases[1] * TRIAL, phases[2] * TRIAL
learner = Learner(
    readout,
    EProp(order=2, surrogate=PiecewiseLinear(height=0.3 / (4 * mV), width=4 * mV)),
    trainable={"U": ParameterTraining(bounds=(0.005, 0.9), scale=0.2)},
    optimizer=Adam(CosineDecay(0.1, 0.005, UPDATES), beta_1=0.8, beta_2=0.95),
    update_every=BATCH * TRIAL * ms,
    reset_every=TRIAL * ms,
    learning_window=(TRIAL - PULSE) * ms,
    learn=f"t >= {start}*ms - dt/2 and t < {end}*ms - dt/2",
    reset=[inhibition],
)
among = TrainableSynapses(
    cells, cells, on_pre="v_post += w*u_pre*x_pre*mV", learner=learner, fixed=True, name="among"
)
among.connect("i != j", p=C)
among.w = f"(0.6 + 1.8*int(i // {N} == j // {N}))"
onto_readout = TrainableSynapses(
    cells, readout, on_pre="y_post += w", learner=learner, fixed=True, name="onto_readout"
)
onto_readout.connect(f"j == i // {N}")
onto_readout.w = 3 / N
to_inhibition = Synapses(cells, inhibition, on_pre="v_post += 0.27*mV")
from_inhibition = Synapses(inhibition, cells, on_pre="v_post -= 0.5*mV")
within_inhibition = Synapses(inhibition, inhibition, on_pre="v_post -= 0.4*mV")
for synapses in (to_inhibition, from_inhibition):
    synapses.connect()
within_inhibition.connect("i != j")

spikes = SpikeMonitor(cells)
output = StateMonitor(readout, "y", record=True, dt=STEP * ms, when="after_end")
some = np.concatenate([np.arange(20), N + np.arange(20)])
synaptic = StateMonitor(cells, ["u", "x"], record=some, dt=25 * ms)
utilisation = StateMonitor(cells, "U", record=True, dt=BATCH * TRIAL * ms)
network = Network(cells, inhibition, readout, among, onto_readout, to_inhibition)
network.add(from_inhibition, within_inhibition, spikes, output, synaptic, utilisation)
network.run(phases[3] * TRIAL * ms)
cells.U = 0.5
network.run(TESTS * TRIAL * ms)
device.build(directory=None)

# %%
# What was recalled
# -----------------
#
# The readout's answer is the larger of its outputs 50 ms after the pulse has begun.

y = output.y[:].reshape(2, len(trials), -1)[:, :, PULSE // STEP + 1]
right = (y[1] > y[0]) == item
U = utilisation.U[:, : phases[3] // BATCH]
learned = U[:, -1]
for name, phase in (("before", before), ("after", after), ("U = 0.5", high)):
    each = [f"{right[phase][delay[phase] == d].mean():.0%}" for d in DELAYS]
    print(f"{name}: {right[phase].mean():.1%} right; after {DELAYS} ms {', '.join(each)}")
print(f"U from 0.01 to {learned.mean():.3f} ± {learned.std():.3f} (mean and spread of neurons)")

figure, axes = plt.subplots(2, 3, figsize=(9, 5), layout="constrained")
colors = {"cued": "#0072B2", "other": "0.6"}
times = np.array(spikes.t / ms)
shown = [phase.start + np.flatnonzero(delay[phase] == 900)[-2] for phase in (before, after)]
for trial, raster, state, title in zip(
    shown, axes[0], axes[1], ("before learning", "after learning"), strict=False
):
    own = (times >= trial * TRIAL) & (times < (trial + 1) * TRIAL)
    raster.plot(times[own] - trial * TRIAL, spikes.i[own], ".", color="black", markersize=1.5)
    raster.set(title=title, ylim=(0, 2 * N), ylabel="Neuron")
    t = np.arange(TRIAL // 25) * 25
    cued = (some >= N) == item[trial]
    part = slice(trial * len(t), (trial + 1) * len(t))
    for name, members in (("cued", cued), ("other", ~cued)):
        u, x = (getattr(synaptic, v)[members][:, part].mean(axis=0) for v in "ux")
        state.plot(t, u, color=colors[name], label=f"u, {name}")
        state.plot(t, x, ":", color=colors[name], label=f"x, {name}")
    state.set(xlabel="Time in the trial (ms)", ylabel="u and x, means", ylim=(0, 1.05))
    for ax in (raster, state):
        ax.axvspan(PULSE - 1200, PULSE - 900, color="#F0E442", alpha=0.4, linewidth=0)
        ax.axvspan(PULSE, TRIAL, color="#E69F00", alpha=0.4, linewidth=0)
        ax.set_xlim(0, TRIAL)
axes[1, 0].legend(frameon=False, fontsize=7, ncols=2, loc="center")
for phase, color, label in (
    (before, "0.6", "before, U = 0.01"),
    (after, "#0072B2", f"after, U = {learned.mean():.2f}"),
    (high, "#D55E00", "U = 0.5"),
):
    recall = [100 * right[phase][delay[phase] == d].mean() for d in DELAYS]
    axes[0, 2].plot(DELAYS, recall, "o-", color=color, label=label)
axes[0, 2].axhline(50, color="0.8", linewidth=0.8, zorder=0)
axes[0, 2].set(xlabel="Delay (ms)", ylabel="Recalled (%)", ylim=(0, 105), title="recall")
axes[0, 2].legend(frameon=False, fontsize=7, loc="lower left")
during = U[:, TESTS // BATCH : phases[2] // BATCH + 1]
axes[1, 2].plot(during.T, color="#0072B2", linewidth=0.4, alpha=0.3)
axes[1, 2].plot(during.mean(axis=0), color="black", label="mean")
axes[1, 2].set(xlabel="Update", ylabel="U of each neuron", ylim=(0, None))
axes[1, 2].legend(frameon=False, fontsize=7)
for ax in axes.flat:
    ax.spines[["top", "right"]].set_visible(False)
figure.savefig("working_memory.png", dpi=150)
device.reinit()
set_device("runtime")
plt.show()
