"""Chaos in a network whose excitation and inhibition balance.

Paper: van Vreeswijk & Sompolinsky 1996, Science 274:1724

K inputs of the size 1/√K from each population and an external drive of the order √K, with leaky
integrate-and-fire neurons in the place of the paper's binary units. All synapses learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 100 * ms
SURROGATE = PiecewiseLinear(height=0.3, width=1)

n_e, n_i, K = 40, 40, 10
tau, J_ee, J_ie, J_ei, J_ii, m_0 = 10 * ms, 1, 1, -2, -1.8, 0.5

equations = """
du/dt = (sqrt(K)*E_0*m_0 - u)/tau : 1
E_0 : 1 (constant)
"""


def network(Trained=Synapses):
    options = dict(threshold="u > 1", reset="u = 0", method="exact")
    excitatory = NeuronGroup(n_e, equations, **options)
    inhibitory = NeuronGroup(n_i, equations, **options)
    excitatory.E_0, inhibitory.E_0 = 1, 0.8
    excitatory.u = inhibitory.u = "rand()"
    groups = {"e": excitatory, "i": inhibitory}
    net = Network(excitatory, inhibitory)
    for target, source, J in ("e", "e", J_ee), ("i", "e", J_ie), ("e", "i", J_ei), ("i", "i", J_ii):
        synapses = Trained(groups[source], groups[target], "w : 1", on_pre="u_post += w")
        synapses.connect(p=K / n_e)
        synapses.w = J / sqrt(K)
        synapses.delay = "0.2*ms + 1*ms*rand()"
        net.add(synapses)
    return net
