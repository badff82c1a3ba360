"""
A decision circuit that learns to decide
========================================

Two pools of cells that excite themselves through slow NMDA receptors, and each other's inhibition,
collect noisy evidence and decide: the circuit of Wang 2002 (Neuron 36:955, with the equations of
Brunel & Wang 2001, J. Comput. Neurosci. 11:63). There the structure is put in by hand. Here it
learns it, by e-prop, from the direction in which random dots move: the weights of recurrent NMDA
synapses and those of the motion input begin alike, but for noise. A few updates are run here; what
100 of them come to, in three circuits, is loaded.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    PoissonGroup,
    PoissonInput,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    device,
    ms,
    mV,
    nF,
    nS,
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

# %%
# Cells
# -----
# Leaky integrate-and-fire cells with AMPA, NMDA and GABA receptors, and a background of 2400 spikes
# a second. The gate s of NMDA receptors saturates: it belongs to the sending cell, and receiving
# cells sum it up. There are a tenth of the published cells. Recurrent conductances are ten times as
# large, and the motion input begins four times as strong.

N_E, N_I, N_DOTS, SCALE = 160, 40, 10, 10
CONSTANTS = {
    "E_L": -70 * mV,
    "E_I": -70 * mV,
    "V_th": -50 * mV,
    "V_r": -55 * mV,
    "tau_AMPA": 2 * ms,
    "tau_GABA": 5 * ms,
    "tau_rise": 2 * ms,
    "tau_NMDA": 100 * ms,
    "alpha": 0.5 / ms,
}
PYRAMIDAL = CONSTANTS | {
    "C": 0.5 * nF,
    "g_L": 25 * nS,
    "g_ext": 2.1 * nS,
    "g_AMPA": 0.05 * SCALE * nS,
    "g_NMDA": 0.165 * SCALE * nS,
    "g_GABA": 1.3 * SCALE * nS,
}
INTERNEURON = CONSTANTS | {
    "C": 0.2 * nF,
    "g_L": 20 * nS,
    "g_ext": 1.62 * nS,
    "g_AMPA": 0.04 * SCALE * nS,
    "g_NMDA": 0.13 * SCALE * nS,
    "g_GABA": 1.0 * SCALE * nS,
}
MEMBRANE = """
dv/dt = (g_L*(E_L - v) - I_AMPA - I_NMDA - g_GABA*s_GABA*(v - E_I))/C : volt (unless refractory)
I_AMPA = (g_ext*s_ext + g_AMPA*s_AMPA)*v : amp
I_NMDA = g_NMDA*S_NMDA*v/(1 + exp(-0.062*v/mV)/3.57) : amp
ds_ext/dt = -s_ext/tau_AMPA : 1
ds_AMPA/dt = -s_AMPA/tau_AMPA : 1
ds_GABA/dt = -s_GABA/tau_GABA : 1
S_NMDA : 1
"""
GATE = """
ds/dt = -s/tau_NMDA + alpha*x*(1 - s) : 1
dx/dt = -x/tau_rise : 1
"""

# %%
# Trials
# ------
# A second each. After 100 ms dots move: a fraction c of them, the coherence, in one direction. Ten
# inputs are tuned to either direction. They fire with 40 Hz·(1 ± c), which fluctuates with 4 Hz.

DT, TRIAL, ONSET, PART = 0.5 * ms, 1000 * ms, 100 * ms, 50 * ms
COHERENCES = np.array([0.0, 0.032, 0.064, 0.128, 0.256, 0.512])
TAU_OUT, GAIN = 50 * ms, 0.05
HZ = 1 / (GAIN * (N_E // 2) * float(TAU_OUT))  # the rate of a pool for an output of 1
THRESHOLD = 15.0  # Hz: the pool that reaches it first is the choice


def motion(coherence, rng):
    """Rates of both directions in parts of trials : (trials·20, 2), in Hz."""
    mean = 40 * (1 + np.stack([coherence, -coherence], axis=1))
    rates = mean[:, np.newaxis] + 4 * rng.standard_normal((len(coherence), int(TRIAL / PART), 2))
    rates[:, : int(ONSET / PART)] = 0
    return rates.reshape(-1, 2).clip(0)


def training_trials(updates, rng, batch=16):
    """Coherences from 12.8 % on, as often to the left as to the right in a batch : (trials,)."""
    strength = rng.choice(COHERENCES[3:], (updates, batch // 2))
    return rng.permuted(np.concatenate([strength, -strength], axis=1), axis=1).ravel()


def test_trials(repeats):
    """Every coherence equally often in both directions : (trials,)."""
    return np.tile(np.concatenate([COHERENCES, -COHERENCES]), repeats)


def circuit(coherence, rng, learn, rate, batch=16):
    """The network, for one trial per coherence, which learns while ``learn``, and what it shows.

    Its outputs are the rates of two pools, one for every direction; the loss is the cross-entropy
    of their softmax in the second half of a trial.
    """
    options = {"threshold": "v > V_th", "method": "euler"}
    cells = NeuronGroup(
        N_E,
        MEMBRANE + GATE,
        reset="v = V_r; x += 1",
        refractory=2 * ms,
        namespace=PYRAMIDAL,
        name="cells",
        **options,
    )
    inhibition = NeuronGroup(
        N_I,
        MEMBRANE,
        reset="v = V_r",
        refractory=1 * ms,
        namespace=INTERNEURON,
        name="inhibition",
        **options,
    )
    for group in (cells, inhibition):
        group.v = rng.uniform(-60, -50, len(group)) * mV
        group.s_ext = 2400 * 0.002  # where the background holds it
    background = [PoissonInput(group, "s_ext", 800, 3 * Hz, 1) for group in (cells, inhibition)]
    of_motion = TimedArray(motion(coherence, rng) * Hz, dt=PART)
    dots = PoissonGroup(
        2 * N_DOTS,
        "of_motion(t, i // n_dots)",
        namespace={"of_motion": of_motion, "n_dots": N_DOTS},
    )
    first = 0.5 * (1 + np.sign(coherence))  # the right answer; a half without a direction
    target = np.stack([first, 1 - first], axis=1).repeat(round(float(TRIAL / DT)), axis=0)
    readout = LeakyReadout(2, TAU_OUT, "cross_entropy", target=target, average=True)
    learner = Learner(
        readout,
        EProp(order=1, surrogate=PiecewiseLinear(height=0.3 / (20 * mV), width=20 * mV)),
        optimizer=Adam(rate),
        regularizers=[FiringRateRegularizer(target=10 * Hz, strength=3e4)],
        update_every=batch * TRIAL,
        reset_every=TRIAL,
        learning_window=TRIAL / 2,
        reset=[inhibition],
        learn=learn,
    )
    positive = {"learner": learner, "bounds": (0, 10)}
    inputs = TrainableSynapses(dots, cells, on_pre="s_ext_post += 0.2*w", name="inputs", **positive)
    inputs.connect()
    summed = "w : 1\nS_NMDA_post = w*s_pre : 1 (summed)"
    nmda = TrainableSynapses(cells, cells, summed, name="nmda", **positive)
    nmda.connect("i != j")
    for synapses in (inputs, nmda):
        synapses.w = "0.5 + rand()"
    outputs = TrainableSynapses(
        cells, readout, on_pre="y_post += 0.05*w", learner=learner, fixed=True
    )
    outputs.connect("j == int(i >= N_pre // 2)")
    outputs.w = 1
    ampa = Synapses(cells, cells, on_pre="s_AMPA_post += 1")
    ampa.connect("i != j")
    excite = Synapses(cells, inhibition, "S_NMDA_post = s_pre : 1 (summed)", "s_AMPA_post += 1")
    excite.connect()
    inhibit = [
        Synapses(inhibition, group, on_pre="s_GABA_post += 1") for group in (cells, inhibition)
    ]
    inhibit[0].connect()
    inhibit[1].connect("i != j")
    monitors = {
        "output": StateMonitor(readout, "y", record=True, dt=5 * ms, when="after_end"),
        "cells": SpikeMonitor(cells),
        "inhibition": SpikeMonitor(inhibition),
    }
    network = Network(cells, inhibition, *background, dots, readout, inputs, nmda, outputs)
    network.add(ampa, excite, *inhibit, *monitors.values())
    return network, {"inputs": inputs, "nmda": nmda}, monitors


def decisions(output, coherence):
    """Choices (1, −1, 0 for none), times from the onset in ms, rates of the pools in Hz."""
    rates = output.reshape(2, len(coherence), -1) * HZ
    above = rates[:, :, int(ONSET / (5 * ms)) :] >= THRESHOLD
    first = np.where(above.any(axis=2), above.argmax(axis=2), above.shape[2])
    choice = np.sign(first[1] - first[0])
    return choice, np.where(choice == 0, np.nan, first.min(axis=0) * 5.0), rates


def right(choice, coherence):
    """Right choices; those without a choice, or without a direction, count as a half."""
    return 0.5 * (1 + choice * np.sign(coherence))


# %%
# Training
# --------
# One program runs trials before learning, twenty updates, and trials after it.

set_device("cpp_standalone", directory=None)
fast_build()
defaultclock.dt = DT
seed(1)
rng = np.random.default_rng(1)
test, training = test_trials(2), training_trials(20, rng)
coherence = np.concatenate([test, training, test])
begin, end = (float(n * TRIAL) for n in (len(test), len(test) + len(training)))
learn = f"t >= {begin!r}*second - dt/2 and t < {end!r}*second - dt/2"
network, synapses, monitors = circuit(coherence, rng, learn, rate=0.03)
network.run(len(coherence) * TRIAL)
choice, when, rates = decisions(monitors["output"].y[:], coherence)
score = right(choice, coherence)
for name, part in (("before", slice(len(test))), ("after", slice(-len(test), None))):
    strong = abs(coherence[part]) >= 0.25
    print(f"{name}: {np.mean(choice[part] != 0):.0%} of {len(test)} trials decided,", end=" ")
    print(f"{score[part][strong].mean():.0%} right where a quarter of the dots or more move")
device.reinit()
set_device("runtime")

# %%
# A hundred updates, at a rate that falls, take minutes. They were run before, from three seeds.

kept = np.load(Path(sys.argv[0]).parent / "trained" / "decision_circuit.npz")
SEEDS = [1, 2, 3]
for number in SEEDS:
    print(f"made by: {kept[f'made, seed {number}']}")

# %%
# Above, the pools in trials with 51.2 % coherence, before and after the updates that were run here:
# blue is that of the direction in which the dots move, and the dotted line the threshold.
# Below, the share of right choices and the time that they take, as mean and range over the seeds.

figure, axes = plt.subplots(2, 2, figsize=(7.5, 5.2), layout="constrained")
times = np.arange(rates.shape[2]) * 5
strongest = np.flatnonzero(np.isclose(abs(coherence), COHERENCES[-1]))
for ax, trials, title in (
    (axes[0, 0], strongest[:4], "before learning"),
    (axes[0, 1], strongest[-4:], "after 20 updates"),
):
    preferred = (coherence[trials] < 0).astype(int)
    ax.plot(times, rates[preferred, trials].T, color="#0072B2", linewidth=0.8)
    ax.plot(times, rates[1 - preferred, trials].T, color="#D55E00", linewidth=0.8)
    ax.axhline(THRESHOLD, color="0.6", linewidth=0.8, linestyle=":")
    ax.axvline(ONSET / ms, color="0.6", linewidth=0.8)
    ax.set(xlabel="Time (ms)", ylabel="Rate of a pool (Hz)", ylim=(0, 40))
    ax.set_title(title, fontsize="medium")
for ax, name, label in (
    (axes[1, 0], "right", "Right choices"),
    (axes[1, 1], "time", "Time of the choice (ms)"),
):
    for phase, color in (("before", "0.6"), ("after", "#0072B2")):
        curves = np.array([kept[f"{name} {phase}, seed {number}"] for number in SEEDS])
        if np.isnan(curves).all():
            continue  # no choice in any trial
        ax.plot(100 * COHERENCES, curves.mean(axis=0), "o-", color=color, markersize=3, label=phase)
        ax.fill_between(100 * COHERENCES, curves.min(0), curves.max(0), color=color, alpha=0.2)
    ax.set(xlabel="Coherence (%)", ylabel=label)
    ax.set_xscale("symlog", linthresh=3.2)
    ax.set_xticks(100 * COHERENCES, [f"{100 * one:g}" for one in COHERENCES])
    ax.minorticks_off()
axes[1, 0].legend(frameon=False)
axes[1, 1].set_ylim(bottom=0)
for ax in axes.flat:
    ax.spines[["top", "right"]].set_visible(False)
figure.savefig("decision_circuit.png", dpi=150)
plt.show()
