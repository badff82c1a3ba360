"""Kinetic synapses: transmitter is present for a millisecond and binds to receptors.

Paper: Destexhe, Mainen & Sejnowski 1994, Neural Comput. 6:14

The fraction of open receptors obeys dr/dt = α [T] (1 − r) − β r (Eq. 3), where [T] is a pulse:
a spike switches it on and, one millisecond later, off by a second pathway.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 150 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (20 * mV), width=20 * mV)
REFUSED = "one pathway carries the weight"

C, g_L, E_L, E_AMPA, V_th = 200 * pF, 10 * nS, -70 * mV, 0 * mV, -50 * mV
alpha, beta, g_max = 0.94 / ms, 0.18 / ms, 12 * nS

equations = """
dv/dt = (g_L*(E_L - v) + g_max*r*(E_AMPA - v))/C : volt (unless refractory)
dr/dt = alpha*T*(1 - r) - beta*r : 1
T : 1
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10, equations, threshold="v > V_th", reset="v = E_L", refractory=2 * ms, method="euler"
    )
    neurons.v = E_L
    source = PoissonGroup(10, 60 * Hz)
    inputs = Trained(
        source,
        neurons,
        "w : 1",
        on_pre={"release": "T_post += w", "clearance": "T_post -= w"},
        delay={"clearance": 1 * ms},
    )
    inputs.connect()
    inputs.w = "rand()"
    return Network(collect())
