"""The perfect integrator: a random walk of the membrane towards its threshold.

Paper: Gerstein & Mandelbrot 1964, Biophys. J. 4:41

No leak: excitatory and inhibitory unit steps drive v from 0 to its threshold, on top of a
diffusion with drift. Both inputs learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.5 * ms, 300 * ms
SURROGATE = PiecewiseLinear(height=0.3 / 10, width=10)

drift, sigma, threshold = 100 / second, 8 / sqrt(second), 20


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10,
        "dv/dt = drift + sigma*xi : 1",
        threshold="v > threshold",
        reset="v = 0",
        method="euler",
    )
    source = PoissonGroup(20, 40 * Hz)
    excitatory = Trained(source[:14], neurons, "w : 1", on_pre="v_post += w")
    excitatory.connect()
    excitatory.w = "rand()"
    inhibitory = Trained(source[14:], neurons, "w : 1", on_pre="v_post -= w")
    inhibitory.connect()
    inhibitory.w = "rand()"
    return Network(collect())
