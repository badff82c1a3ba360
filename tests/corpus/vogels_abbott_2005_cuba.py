"""CUBA: a balanced network with current-based synapses.

Paper: Vogels & Abbott 2005, J. Neurosci. 25:10786

As benchmark 2 of Brette et al. 2007 (J. Comput. Neurosci. 23:349): leaky integrate-and-fire
neurons that rest above their threshold, and exponential synaptic currents. All recurrent
synapses learn. 50 neurons instead of 4000, weights larger in proportion.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 100 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (10 * mV), width=10 * mV)

tau_m, tau_e, tau_i = 20 * ms, 5 * ms, 10 * ms
E_L, V_th, V_r = -49 * mV, -50 * mV, -60 * mV

equations = """
dv/dt = (E_L - v + g_e + g_i)/tau_m : volt (unless refractory)
dg_e/dt = -g_e/tau_e : volt
dg_i/dt = -g_i/tau_i : volt
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        50, equations, threshold="v > V_th", reset="v = V_r", refractory=5 * ms, method="exact"
    )
    neurons.v = "V_r + rand()*(V_th - V_r)"
    excitatory, inhibitory = neurons[:40], neurons[40:]
    from_e = Trained(excitatory, neurons, "w : volt", on_pre="g_e += w")
    from_e.connect(p=0.4)
    from_e.w = 1.62 * mV
    from_i = Trained(inhibitory, neurons, "w : volt", on_pre="g_i += w")
    from_i.connect(p=0.4)
    from_i.w = -9 * mV
    return Network(collect())
