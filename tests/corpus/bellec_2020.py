"""LSNN: regular and adaptive neurons of the paper that e-prop comes from.

Paper: Bellec et al. 2020, Nat. Commun. 11:3625

Leaky membranes whose reset subtracts the threshold and, in half of the neurons, a threshold
v_th + β a that jumps with each spike (Eqs 6–9). Input and recurrent synapses learn, with the
delay of one step.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 1 * ms, 300 * ms
SURROGATE = PiecewiseLinear(height="0.3/v_th", width="v_th")

tau_m, tau_a, v_th = 20 * ms, 200 * ms, 0.6

equations = """
dv/dt = -v/tau_m : 1
da/dt = -a/tau_a : 1
beta : 1 (constant)
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        20,
        equations,
        threshold="v > v_th + beta*a",
        reset="v -= v_th; a += 1",
        refractory=2 * ms,
        method="exact",
    )
    neurons.beta[10:] = 0.07
    source = PoissonGroup(20, 40 * Hz)
    inputs = Trained(source, neurons, "w : 1", on_pre="v_post += w")
    inputs.connect()
    inputs.w = "0.25*rand()"
    recurrent = Trained(neurons, neurons, "w : 1", on_pre="v_post += w")
    recurrent.connect("i != j")
    recurrent.w = "0.1*randn()"
    return Network(collect())
