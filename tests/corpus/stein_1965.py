"""Shot noise: a leaky membrane that sums many random unit pulses.

Paper: Stein 1965, Biophys. J. 5:173

Excitatory and inhibitory Poisson events of fixed size, exponential decay and an absolute
refractory period. Brian2's PoissonInput stands for the unresolved background; resolved inputs
learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (10 * mV), width=10 * mV)

tau, theta = 10 * ms, 10 * mV


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10,
        "dV/dt = -V/tau : volt (unless refractory)",
        threshold="V >= theta",
        reset="V = 0*mV",
        refractory=1 * ms,
        method="exact",
    )
    excitation = PoissonInput(neurons, "V", N=100, rate=15 * Hz, weight=0.5 * mV)
    inhibition = PoissonInput(neurons, "V", N=40, rate=5 * Hz, weight=-0.5 * mV)
    source = PoissonGroup(20, 30 * Hz)
    inputs = Trained(source, neurons, "w : volt", on_pre="V_post += w")
    inputs.connect()
    inputs.w = "1.5*mV*rand()"
    return Network(collect())
