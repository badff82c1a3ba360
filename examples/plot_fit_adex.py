"""
An AdEx neuron, fitted to membrane and spikes
=============================================

Seven parameters of an adaptive exponential neuron (Brette & Gerstner 2005), from one second of
membrane potential and the times of its spikes. A loss of two spiking membranes has as many minima
as there are ways to miss a spike. So the model is given the recorded spikes while it is fitted:
they reset it, in the step in which they were seen. What is left is smooth, and its gradient is
exact. The model with the fitted values then runs freely, by its own threshold, with a current that
is new to it.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeMonitor,
    StateMonitor,
    TimedArray,
    defaultclock,
    device,
    ms,
    mV,
    nS,
    pA,
    pF,
    prefs,
    set_device,
)

from brian_eprop import (
    Adam,
    CosineDecay,
    EProp,
    Learner,
    Loss,
    ParameterTraining,
    PiecewiseLinear,
    fast_build,
    fit,
    recorded_signals,
)
from brian_eprop.plotting import plot_fit

prefs.codegen.target = "numpy"  # short runs, which are not worth compiling
defaultclock.dt = 0.1 * ms
trial, trials = 500 * ms, 2
rng = np.random.default_rng(1)

# %%
# The teacher, whose values are those of the paper, and two trials of what it does with noisy
# currents. The third trial is for later.

TRUE = {
    "C_m": 281 * pF,
    "g_L": 30 * nS,
    "E_L": -70.6 * mV,
    "V_T": -50.4 * mV,
    "a": 4 * nS,
    "b": 80.5 * pA,
    "tau_w": 144 * ms,
}
BOUNDS = {
    "C_m": (100 * pF, 500 * pF),
    "g_L": (10 * nS, 60 * nS),
    "E_L": (-80 * mV, -60 * mV),
    "V_T": (-55 * mV, -45 * mV),
    "a": (0 * nS, 10 * nS),
    "b": (0 * pA, 200 * pA),
    "tau_w": (50 * ms, 300 * ms),
}
MEMBRANE = "(g_L*(E_L - v) + g_L*Delta_T*exp((v - V_T)/Delta_T) - u + current(t, i))/C_m"
ADAPTATION = "(a*(v - E_L) - u)/tau_w"
PARAMETERS = """
    C_m : farad (constant)
    g_L : siemens (constant)
    E_L : volt (constant)
    V_T : volt (constant)
    a : siemens (constant)
    b : amp (constant)
    tau_w : second (constant)
    """
names = {"Delta_T": 2 * mV, "V_r": -65 * mV, "v_peak": -40 * mV}


def neuron(values, membrane=MEMBRANE, adaptation=ADAPTATION, reset="v = V_r; u += b"):
    """The model."""
    group = NeuronGroup(
        1,
        f"dv/dt = {membrane} : volt\ndu/dt = {adaptation} : amp{PARAMETERS}",
        threshold="v > v_peak",
        reset=reset,
        method="euler",
        name="neuron",
    )
    for name, value in values.items():
        setattr(group, name, value)
    group.v = "E_L"
    return group


steps = int(trial / defaultclock.dt)
means, spreads = [700, 800, 750], [400, 400, 400]
currents = [
    np.repeat(rng.normal(mean, spread, steps // 50), 50)[:, np.newaxis] * pA
    for mean, spread in zip(means, spreads, strict=True)
]


def record(values, injected):
    """Membrane at the end of each step, and the steps with a spike : (steps, 1) arrays."""
    current = TimedArray(injected, dt=defaultclock.dt)
    group = neuron(values)
    membrane, spikes = StateMonitor(group, "v", record=True, when="end"), SpikeMonitor(group)
    Network(group, membrane, spikes).run(trial, namespace=names | {"current": current})
    fired = np.zeros((steps, 1))
    fired[np.round(spikes.t / defaultclock.dt).astype(int)] = 1
    return membrane.v.T, fired


recordings = [record(TRUE, injected) for injected in currents]
print(", ".join(f"{fired.sum():.0f}" for _, fired in recordings), "spikes")

# %%
# The fit, in a program that is compiled once. Each recorded spike takes the place of the model's
# own; where the model would reach its peak too early, it waits there. Bounds are as wide as
# ignorance; besides the middle of them, one start is drawn.

v_data = recorded_signals([v for v, _ in recordings[:trials]], trial, defaultclock.dt)
fired = recorded_signals([z for _, z in recordings[:trials]], trial, defaultclock.dt)
current = TimedArray(np.concatenate([c / pA for c in currents[:trials]]) * pA, dt=defaultclock.dt)
fast_build()
set_device("cpp_standalone", directory=None, build_on_run=False)
middle = {name: (low + high) / 2 for name, (low, high) in BOUNDS.items()}
fitted = neuron(
    middle,
    membrane=f"(1 - fired(t, i))*{MEMBRANE} + fired(t, i)*(V_r - v)/dt",
    adaptation=f"{ADAPTATION} + fired(t, i)*b/dt",
    reset="v = v_peak",
)
fitted.namespace.update(names, current=current, fired=fired)
learner = Learner(
    rule=EProp(surrogate=PiecewiseLinear(0.03 / mV, 10 * mV), reset_path={"v": "detached"}),
    losses=[Loss(fitted, "(v - v_data(t, i))**2/mV**2/5000")],
    optimizer=Adam(CosineDecay(0.1, 0.001, 130)),
    update_every=trials * trial,
    reset_every=trial,
    trainable={
        name: ParameterTraining(bounds=(low, high), scale=(high - low) / 2)
        for name, (low, high) in BOUNDS.items()
    },
)
found = fit(learner, Network(fitted), iterations=130, starts=2, seed=1, progress=False)
print(found)
values = {name: found.parameters[f"neuron.{name}"] for name in TRUE}
for name, true in TRUE.items():
    low, high = BOUNDS[name]
    error = abs(values[name][0] - true) / (high - low)
    print(f"{name:6} true {true!s:9} found {values[name][0]!s:15} {error:.2%} of the bounds")

# %%
# The free run, with the current of the third trial.

device.reinit()
set_device("runtime")
free, spikes = record(values, currents[2])
data, data_spikes = recordings[2]
near = np.abs(np.subtract.outer(np.flatnonzero(spikes), np.flatnonzero(data_spikes))) <= 20
print(f"{near.any(axis=0).sum()} of {data_spikes.sum():.0f} new spikes within 2 ms")
times = np.arange(steps) * defaultclock.dt
figure = plot_fit(times, free / mV, data / mV, history=found.history, unit="mV")
figure.savefig("fit_adex.png", dpi=150)
plt.show()
