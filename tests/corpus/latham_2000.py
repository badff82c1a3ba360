"""Intrinsic dynamics in networks of quadratic integrate-and-fire neurons.

Paper: Latham, Richmond, Nelson & Nirenberg 2000, J. Neurophysiol. 83:808

τ dV/dt = (V − V_r)(V − V_t)/(V_t − V_r) + I_a − conductances (Eqs A1–A3), where the constant
current I_a differs between neurons, so that some are endogenously active. All synapses learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (40 * mV), width=40 * mV)

V_r, V_t, V_peak, V_reset = -65 * mV, -50 * mV, 20 * mV, -80 * mV
E_e, E_i, tau, tau_s = 0 * mV, -80 * mV, 10 * ms, 3 * ms

equations = """
dV/dt = ((V - V_r)*(V - V_t)/(V_t - V_r) + I_a - g_e*(V - E_e) - g_i*(V - E_i))/tau : volt
dg_e/dt = -g_e/tau_s : 1
dg_i/dt = -g_i/tau_s : 1
I_a : volt (constant)
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        30, equations, threshold="V > V_peak", reset="V = V_reset", method="euler"
    )
    neurons.V = "V_r + (V_t - V_r)*rand()"
    neurons.I_a = "8*mV*rand()"
    from_e = Trained(neurons[:24], neurons, "w : 1", on_pre="g_e_post += w")
    from_e.connect(p=0.3)
    from_e.w = 0.1
    from_i = Trained(neurons[24:], neurons, "w : 1", on_pre="g_i_post += w")
    from_i.connect(p=0.3)
    from_i.w = 0.5
    return Network(collect())
