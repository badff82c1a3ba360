"""
An error that arrives in the dendrite
=====================================

Layer-5 pyramidal neurons of two compartments (Naud & Sprekeler 2018, PNAS 115:E6329). The error
reaches a neuron as a current into its apical dendrite, which adds Δu to the potential u there. What
the synapses of the soma see of it is how much more of the dendrite's regenerative current f flows
with Δu than without: a learning signal that depends on the neuron's own state, and that is blunt
where the dendrite is silent or saturated (Payeur et al. 2021, Nature Neuroscience 24:1010, learn
by such differences of bursts).
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import (
    Network,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    defaultclock,
    ms,
    pA,
    prefs,
    start_scope,
)

from brian_eprop import EProp, LeakyReadout, Learner, Signal, TrainableSynapses, load_model

prefs.codegen.target = "numpy"  # short runs, which are not worth compiling
defaultclock.dt = 0.2 * ms
n_in, n, steps = 40, 20, 1000
rng = np.random.default_rng(2)
spikes_in = rng.random((steps, n_in)) < 0.01
w_in, w_out = rng.uniform(0, 400, n_in * n), rng.standard_normal(n)
target = 3 * np.sin(2 * np.pi * np.arange(steps) / steps)


# %%
# The dendrite's membrane integrates the current of the error, as it does all others; u, E_d, D_d,
# tau_d and C_d are variables and parameters of the neurons.


def dendritic(current):
    """The signal for a current per unit of error."""
    return Signal(
        """
        dshift/dt = -shift/tau_d + current*error/C_d : volt
        L = 1/(1 + exp((E_d - u - shift)/D_d)) - 1/(1 + exp((E_d - u)/D_d)) : 1
        """,
        namespace={"current": current},
    )


def gradient(signal, i_dend):
    """dE/dW of the synapses onto the soma, and what was recorded."""
    start_scope()
    step, channel = np.nonzero(spikes_in)
    inputs = SpikeGeneratorGroup(n_in, channel, step * defaultclock.dt)
    neurons = load_model("two_compartment").group(n, I_ext=300 * pA, I_dend=i_dend)
    readout = LeakyReadout(1, 20 * ms, target=target)
    learner = Learner(readout, EProp(engine="traces"), signal=signal, feedback=w_out[None])
    soma = TrainableSynapses(
        inputs, neurons, "w : amp", on_pre="I_syn_post += w", delay=0 * ms, learner=learner
    )
    soma.connect()
    soma.w = w_in * pA
    outputs = TrainableSynapses(neurons, readout, on_pre="y_post += w", learner=learner)
    outputs.connect()
    outputs.w = w_out
    fired = SpikeMonitor(neurons)
    seen = StateMonitor(neurons, ("L", "u"), record=range(3), when="after_end")
    network = Network(inputs, neurons, readout, soma, outputs, fired, seen)
    shift = None
    if signal is not None:
        shift = StateMonitor(learner.signals[neurons], "error", record=[0], when="after_end")
        network.add(shift)
    network.run(steps * defaultclock.dt)
    assert fired.num_spikes > n
    return soma.grad_[:].copy(), seen, shift


def cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


# %%
# One trial for each depolarization of the dendrite: the gradient by the dendrite's signal beside
# that of e-prop, whose signal is the error itself.

currents = np.array([-200, 0, 200, 400]) * pA
found = []
for i_dend in currents:
    plain, *_ = gradient(None, i_dend)
    found.append(cosine(gradient(dendritic(50 * pA), i_dend)[0], plain))
    print(f"I_dend = {i_dend / pA:.0f} pA: cosine to e-prop {found[-1]:.2f}")
_, seen, shift = gradient(dendritic(50 * pA), 200 * pA)

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 2.8), layout="constrained")
left.plot(seen.t / ms, 1000 * seen.u_[0], color="C0", lw=1)
left.set(xlabel="Time (ms)", ylabel="Potential of the dendrite (mV)")
errors = shift.error[0]
middle.plot(seen.t / ms, errors / abs(errors).max(), color="0.6", lw=1, label="error")
middle.plot(seen.t / ms, seen.L[0] / abs(seen.L[0]).max(), color="C3", lw=1, label="signal L")
middle.set(xlabel="Time (ms)", ylabel="Of its largest value")
middle.legend(frameon=False, loc="lower right")
right.plot(currents / pA, found, "o-", color="k", ms=4)
right.set(xlabel="Current into the dendrite (pA)", ylabel="Cosine to e-prop", ylim=(0, 1))
for axes in (left, middle, right):
    axes.spines[["top", "right"]].set_visible(False)
figure.savefig("dendritic_error.png", dpi=150)
plt.show()
