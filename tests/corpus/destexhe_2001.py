"""Fluctuating conductances recreate the background of cortex in a single membrane.

Paper: Destexhe, Rudolph, Fellous & Sejnowski 2001, Neuroscience 107:13

Excitatory and inhibitory point conductances are Ornstein–Uhlenbeck processes (Eqs 4–6) that
multiply the driving force of a leaky integrate-and-fire membrane. Synaptic inputs learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (20 * mV), width=20 * mV)

C, g_L, E_L, E_e, E_i, V_th = 0.35 * nF, 15 * nS, -80 * mV, 0 * mV, -75 * mV, -55 * mV
g_e0, g_i0, sigma_e, sigma_i = 12 * nS, 57 * nS, 3 * nS, 6.6 * nS
tau_e, tau_i = 2.7 * ms, 10.5 * ms

equations = """
dv/dt = (g_L*(E_L - v) + (g_e + g)*(E_e - v) + g_i*(E_i - v))/C : volt
dg_e/dt = (g_e0 - g_e)/tau_e + sigma_e*sqrt(2/tau_e)*xi_e : siemens
dg_i/dt = (g_i0 - g_i)/tau_i + sigma_i*sqrt(2/tau_i)*xi_i : siemens
dg/dt = -g/tau_e : siemens
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(10, equations, threshold="v > V_th", reset="v = -65*mV", method="euler")
    neurons.v, neurons.g_e, neurons.g_i = -65 * mV, g_e0, g_i0
    source = PoissonGroup(20, 50 * Hz)
    inputs = Trained(source, neurons, "w : siemens", on_pre="g_post += w")
    inputs.connect()
    inputs.w = "20*nS*rand()"
    return Network(collect())
