"""
Conductances of a Hodgkin-Huxley neuron
=======================================

The maximal conductances of sodium, potassium and leak, from the membrane potential alone. Spikes
of the model come too early or too late as long as its conductances are wrong, and a loss of the two
membranes has many minima. So the model is pulled to the recording while it is fitted, by a current
that vanishes where both agree (synchronization; Abarbanel et al. 2009, SIAM J. Appl. Dyn. Syst.
8:1341). The equations are the model ``hodgkin_huxley`` of this package, without synapses.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    StateMonitor,
    TimedArray,
    defaultclock,
    device,
    ms,
    mV,
    nA,
    nS,
    pF,
    prefs,
    set_device,
    uS,
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
defaultclock.dt = 0.05 * ms
trial = 100 * ms
rng = np.random.default_rng(1)

TRUE = {"g_Na": 20 * uS, "g_K": 6 * uS, "g_L": 10 * nS}
BOUNDS = {"g_Na": (5 * uS, 60 * uS), "g_K": (1 * uS, 20 * uS), "g_L": (2 * nS, 40 * nS)}
CURRENTS = "g_L*(E_L - v) + g_Na*m**3*h*(E_Na - v) + g_K*n**4*(E_K - v) + current(t, i)"
GATES = """
    dm/dt = alpha_m*(1 - m) - beta_m*m : 1
    dh/dt = alpha_h*(1 - h) - beta_h*h : 1
    dn/dt = alpha_n*(1 - n) - beta_n*n : 1
    alpha_m = 1.28/ms/exprel((13*mV - v + V_T)/(4*mV)) : hertz
    beta_m = 1.4/ms/exprel((v - V_T - 40*mV)/(5*mV)) : hertz
    alpha_h = 0.128/ms*exp((17*mV - v + V_T)/(18*mV)) : hertz
    beta_h = 4/ms/(1 + exp((40*mV - v + V_T)/(5*mV))) : hertz
    alpha_n = 0.16/ms/exprel((15*mV - v + V_T)/(5*mV)) : hertz
    beta_n = 0.5/ms*exp((10*mV - v + V_T)/(40*mV)) : hertz
    g_Na : siemens (constant)
    g_K : siemens (constant)
    g_L : siemens (constant)
    """
steps = int(trial / defaultclock.dt)
injected = np.repeat(rng.normal(0.3, 0.3, steps // 100), 100)[:, np.newaxis] * nA
names = {
    "C_m": 200 * pF,
    "E_L": -65 * mV,
    "E_Na": 50 * mV,
    "E_K": -90 * mV,
    "V_T": -63 * mV,
    "current": TimedArray(injected, dt=defaultclock.dt),
}


def neuron(values, pull=""):
    """The model; a spike is where the membrane crosses -20 mV, and nothing is reset."""
    group = NeuronGroup(
        1,
        f"dv/dt = ({CURRENTS})/C_m{pull} : volt" + GATES,
        threshold="v > -20*mV",
        refractory="v > -20*mV",
        reset="",
        method="exponential_euler",
        namespace=names,
        name="neuron",
    )
    for name, value in values.items():
        setattr(group, name, value)
    group.v = names["E_L"]
    for gate in "mhn":
        setattr(group, gate, f"alpha_{gate}/(alpha_{gate} + beta_{gate})")
    return group


def record(values):
    """The membrane at the end of each step, (steps, 1)."""
    group = neuron(values)
    membrane = StateMonitor(group, "v", record=True, when="end")
    Network(group, membrane).run(trial)
    return membrane.v.T


data = record(TRUE)

# %%
# The fit. The pull is towards the end of the step before, where the model is when a step begins.

v_data = recorded_signals([data], trial, defaultclock.dt)
names["v_data"] = v_data
fast_build()
set_device("cpp_standalone", directory=None, build_on_run=False)
middle = {name: (low + high) / 2 for name, (low, high) in BOUNDS.items()}
fitted = neuron(middle, pull=" + (v_data(t - dt, i) - v)/(5*ms)")
learner = Learner(
    rule=EProp(surrogate=PiecewiseLinear(0.01 / mV, 30 * mV)),
    losses=[Loss(fitted, "(v - v_data(t, i))**2/mV**2/2000")],
    optimizer=Adam(CosineDecay(0.1, 0.002, 140)),
    update_every=trial,
    reset_every=trial,
    trainable={
        name: ParameterTraining(bounds=(low, high), scale=(high - low) / 2)
        for name, (low, high) in BOUNDS.items()
    },
)
found = fit(learner, Network(fitted), iterations=140, progress=False)
print(found)
values = {name: found.parameters[f"neuron.{name}"] for name in TRUE}
for name, true in TRUE.items():
    error = abs(values[name][0] / true - 1)
    print(f"{name:5} true {true!s:8} found {values[name][0]!s:14} {error:.2%}")

# %%
# The model with these values, without any pull.

device.reinit()
set_device("runtime")
times = np.arange(steps) * defaultclock.dt
figure = plot_fit(times, record(values) / mV, data / mV, history=found.history, unit="mV")
figure.savefig("fit_hodgkin_huxley.png", dpi=150)
plt.show()
