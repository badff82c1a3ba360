"""A synfire chain: a volley of spikes that travels from group to group.

Paper: Diesmann, Gewaltig & Aertsen 1999, Nature 402:529

Integrate-and-fire neurons with currents of the shape of an α-function and background noise; each
group projects to all neurons of the next. The synapses of the chain and of the first volley learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 60 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (15 * mV), width=15 * mV)

groups, size = 5, 10
tau_m, tau_psp, V_r, V_th = 10 * ms, 0.325 * ms, -70 * mV, -55 * mV

equations = """
dV/dt = (-(V - V_r) + x)/tau_m : volt (unless refractory)
dx/dt = (-x + y)/tau_psp : volt
dy/dt = -y/tau_psp + 4*mV/sqrt(ms)*xi/sqrt(2) : volt
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        groups * size,
        equations,
        threshold="V > V_th",
        reset="V = V_r",
        refractory=1 * ms,
        method="euler",
    )
    neurons.V = "V_r + 8*mV*rand()"
    volley = SpikeGeneratorGroup(size, arange(size), (5 + 0.3 * randn(size)) * ms)
    inputs = Trained(volley, neurons[:size], "w : volt", on_pre="y_post += w")
    inputs.connect()
    inputs.w = 70 * mV
    chain = Trained(neurons, neurons, "w : volt", on_pre="y_post += w", delay=5 * ms)
    chain.connect("j//size == i//size + 1")
    chain.w = 70 * mV
    return Network(collect())
