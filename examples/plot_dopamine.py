"""
Dopamine that comes late, and stays
===================================

A third factor as equations. The error of a readout is released as dopamine 20 ms later, and is
taken up with a time constant of 60 ms; cells with D1 receptors learn with one sign, cells with D2
receptors with the other. Eligibility traces that are as late as the dopamine save most of what the
delay costs (Frémaux & Gerstner 2016, Front. Neural Circuits 9:85, on three-factor rules and the
timing of their traces).
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    StateMonitor,
    defaultclock,
    ms,
    mV,
    prefs,
    start_scope,
)

from brian_eprop import (
    Adam,
    EProp,
    LeakyReadout,
    Learner,
    PiecewiseLinear,
    Signal,
    TraceFilter,
    TrainableSynapses,
)

prefs.codegen.target = "numpy"  # short runs, which are not worth compiling
defaultclock.dt = 1 * ms
n_in, n, trial, trials = 50, 40, 200 * ms, 20
time = np.arange(200) / 200
target = np.sin(2 * np.pi * time) + 0.5 * np.sin(4 * np.pi * time + 1) - 0.5 * np.sin(1)

# %%
# The signal is what reaches a neuron in place of the error. ``error`` is what the feedback brings,
# here the same for all cells; ``receptor`` is a variable of the neurons.

dopamine = Signal(
    """
    ddopamine/dt = (delayed(error) - dopamine)/(60*ms) : 1
    L = receptor*dopamine : 1
    """,
    delay=20 * ms,
)
at_once = Signal("L = receptor*error : 1")

# %%
# The filter is what of an eligibility trace is left when the dopamine comes: the readout's
# low-pass, then the delay and the kinetics of the release.

as_late = TraceFilter(
    """
    dy/dt = (e_trace - y)/(20*ms) : 1
    de_bar/dt = (delayed(y) - e_bar)/(60*ms) : 1
    """,
    delay=20 * ms,
)


def learn(signal, trace_filter=None):
    """Loss of each trial, and the monitors of the last network."""
    start_scope()
    rng = np.random.default_rng(1)
    steps, channels = np.nonzero(rng.random((200, n_in)) < 0.05)
    noise = SpikeGeneratorGroup(n_in, channels, steps * ms, period=trial)
    neurons = NeuronGroup(
        n,
        "dv/dt = -v/(20*ms) : volt\nreceptor : 1 (constant)",
        threshold="v > 15*mV",
        reset="v = 0*mV",
        refractory=2 * ms,
        method="exact",
    )
    neurons.receptor = np.where(np.arange(n) < n // 2, 1, -1)
    readout = LeakyReadout(1, 20 * ms, target=target, period=trial)
    learner = Learner(
        readout,
        EProp(surrogate=PiecewiseLinear(0.3 / (15 * mV), 15 * mV), engine="traces"),
        signal=signal,
        trace_filter=trace_filter,
        feedback=np.ones((1, n)),
        optimizer=Adam(5e-2),
        update_every=trial,
        reset_every=trial,
    )
    inputs = TrainableSynapses(
        noise, neurons, on_pre="v_post += w*mV", delay=0 * ms, learner=learner
    )
    inputs.connect()
    inputs.w = 3 * rng.standard_normal((n_in, n)).ravel() + 1
    outputs = TrainableSynapses(neurons, readout, on_pre="y_post += w", fixed=True, learner=learner)
    outputs.connect()
    outputs.w = 0.2 * neurons.receptor[:]
    seen = (
        StateMonitor(learner.signals[neurons], ("error", "dopamine"), [0], when="after_end")
        if (signal is dopamine)
        else None
    )
    losses = StateMonitor(readout, "loss", record=True, dt=trial)
    network = Network(noise, neurons, readout, inputs, outputs, losses)
    if seen is not None:
        network.add(seen)
    network.run((trials + 1) * trial)
    return np.diff(losses.loss[0]), seen


# %%
# Three ways to learn, from the same start.

curves, seen = {}, None
curves["error at once"], _ = learn(at_once)
curves["dopamine, the readout's filter"], seen = learn(dopamine)
curves["dopamine, traces as late"], _ = learn(dopamine, as_late)
for name, curve in curves.items():
    print(f"{name}: loss {curve[0]:.1f} → {curve[-3:].mean():.1f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.plot(np.arange(200), seen.error[0, :200], color="0.6", label="error")
left.plot(np.arange(200), seen.dopamine[0, :200], color="C3", label="dopamine")
left.set(xlabel="Time in the first trial (ms)", ylabel="Error, dopamine")
left.axhline(0, color="0.8", lw=0.8, zorder=0)
left.legend(frameon=False)
for (name, curve), colour in zip(curves.items(), ("k", "C1", "C3"), strict=True):
    right.plot(np.arange(1, len(curve) + 1), curve, color=colour, label=name)
right.set(xlabel="Trial", ylabel="Loss", ylim=(0, None))
right.legend(frameon=False)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
figure.savefig("dopamine.png", dpi=150)
plt.show()
