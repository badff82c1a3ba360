"""FORCE training of spiking networks, before the first update.

Paper: Nicola & Clopath 2017, Nat. Commun. 8:2208

Leaky integrate-and-fire neurons with double exponential filters (Eqs 5–7); static random weights
of the size G/√(pN) make the network chaotic. These recurrent weights learn, in the place of an
encoder times a decoder.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.5 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / 25, width=25)

n, p, G = 50, 0.2, 10
tau_m, tau_ref, tau_rise, tau_decay = 10 * ms, 2 * ms, 2 * ms, 20 * ms
v_reset, v_threshold, bias = -65, -40, -38

equations = """
dv/dt = (bias - v + s)/tau_m : 1 (unless refractory)
ds/dt = -s/tau_decay + h : 1
dh/dt = -h/tau_rise : Hz
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        n,
        equations,
        threshold="v >= v_threshold",
        reset="v = v_reset",
        refractory=tau_ref,
        method="euler",
    )
    neurons.v = "v_reset + 30*rand()"
    recurrent = Trained(neurons, neurons, "w : 1", on_pre="h_post += w/(tau_rise*tau_decay)*ms")
    recurrent.connect("i != j", p=p)
    recurrent.w = "G*randn()/sqrt(p*n)*3"
    return Network(collect())
