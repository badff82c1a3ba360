"""COBA: a balanced network with conductance-based synapses.

Paper: Vogels & Abbott 2005, J. Neurosci. 25:10786

As benchmark 1 of Brette et al. 2007 (J. Comput. Neurosci. 23:349): leaky integrate-and-fire
neurons, exponential conductances with reversal potentials. A Poisson input keeps the small
network active; input and recurrent synapses learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 100 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (10 * mV), width=10 * mV)

C, g_L = 200 * pF, 10 * nS
tau_e, tau_i = 5 * ms, 10 * ms
E_L, E_e, E_i, V_th = -60 * mV, 0 * mV, -80 * mV, -50 * mV

equations = """
dv/dt = (g_L*(E_L - v) + g_e*(E_e - v) + g_i*(E_i - v))/C : volt (unless refractory)
dg_e/dt = -g_e/tau_e : siemens
dg_i/dt = -g_i/tau_i : siemens
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        50, equations, threshold="v > V_th", reset="v = E_L", refractory=5 * ms, method="euler"
    )
    neurons.v = "E_L + 5*mV*(randn() - 1)"
    neurons.g_e = "clip(4 + 1.5*randn(), 0, inf)*nS"
    source = PoissonGroup(20, 100 * Hz)
    inputs = Trained(source, neurons, "w : siemens", on_pre="g_e += w")
    inputs.connect(p=0.3)
    inputs.w = "6*nS*rand()"
    from_e = Trained(neurons[:40], neurons, "w : siemens", on_pre="g_e += w")
    from_e.connect(p=0.1)
    from_e.w = 6 * nS
    from_i = Trained(neurons[40:], neurons, "w : siemens", on_pre="g_i += w")
    from_i.connect(p=0.1)
    from_i.w = 67 * nS
    return Network(collect())
