"""Spike-frequency adaptation by a calcium-gated current.

Paper: Liu & Wang 2001, J. Comput. Neurosci. 10:25

A leaky integrate-and-fire model whose after-hyperpolarization g_AHP [Ca] (v − E_K) multiplies the
membrane (Eqs 1–2); each spike adds to the calcium. Synaptic currents learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (16 * mV), width=16 * mV)

C, g_L, g_AHP = 0.5 * nF, 25 * nS, 15 * nS
V_rest, V_th, V_reset, E_K = -70 * mV, -54 * mV, -60 * mV, -80 * mV
tau_Ca, alpha_Ca, tau_s = 50 * ms, 0.2, 5 * ms

equations = """
dV/dt = (-g_L*(V - V_rest) - g_AHP*Ca*(V - E_K) + I)/C : volt (unless refractory)
dCa/dt = -Ca/tau_Ca : 1
dI/dt = -I/tau_s : amp
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10,
        equations,
        threshold="V > V_th",
        reset="V = V_reset; Ca += alpha_Ca",
        refractory=2 * ms,
        method="euler",
    )
    neurons.V = V_rest
    source = PoissonGroup(20, 100 * Hz)
    inputs = Trained(source, neurons, "w : amp", on_pre="I_post += w")
    inputs.connect()
    inputs.w = "0.12*nA*rand()"
    return Network(collect())
