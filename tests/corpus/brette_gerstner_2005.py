"""Adaptive exponential integrate-and-fire neurons, with w as their adaptation.

Paper: Brette & Gerstner 2005, J. Neurophysiol. 94:3637

Eqs 1–3 with the parameters of the paper, driven by a Poisson input through excitatory
conductances. Adaptation and synaptic weight are both called w, as they are everywhere. Inputs
and recurrent synapses learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 100 * ms
WEIGHT = "w_syn"
SURROGATE = PiecewiseLinear(height=0.3 / (30 * mV), width=30 * mV)

C, g_L, E_L, V_T, D_T = 281 * pF, 30 * nS, -70.6 * mV, -50.4 * mV, 2 * mV
a, tau_w, b = 4 * nS, 144 * ms, 80.5 * pA
E_e, tau_e = 0 * mV, 2.7 * ms

equations = """
dv/dt = (g_L*(E_L - v) + g_L*D_T*exp((v - V_T)/D_T) - w + g_e*(E_e - v))/C : volt
dw/dt = (a*(v - E_L) - w)/tau_w : amp
dg_e/dt = -g_e/tau_e : siemens
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10, equations, threshold="v > -40*mV", reset="v = E_L; w += b", method="euler"
    )
    neurons.v = E_L
    source = PoissonGroup(20, 100 * Hz)
    inputs = Trained(source, neurons, "w_syn : siemens", on_pre="g_e += w_syn")
    inputs.connect()
    inputs.w_syn = "8*nS*rand()"
    recurrent = Trained(neurons, neurons, "w_syn : siemens", on_pre="g_e += w_syn")
    recurrent.connect("i != j", p=0.3)
    recurrent.w_syn = "2*nS*rand()"
    return Network(collect())
