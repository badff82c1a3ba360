"""The theta neuron: a phase on a circle that spikes at π.

Paper: Ermentrout & Kopell 1986, SIAM J. Appl. Math. 46:233

dθ/dt = 1 − cos θ + (1 + cos θ) I (the normal form of a saddle-node on a circle), excitable for
I < 0, with decaying synaptic currents. Inputs and recurrent synapses learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 150 * ms
SURROGATE = PiecewiseLinear(height=0.3, width=2)

tau, tau_s, I_0 = 2 * ms, 5 * ms, -0.02

equations = """
dtheta/dt = (1 - cos(theta) + (1 + cos(theta))*(I_0 + I))/tau : 1
dI/dt = -I/tau_s : 1
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10, equations, threshold="theta > pi", reset="theta -= 2*pi", method="euler"
    )
    neurons.theta = "-0.3 + 0.1*randn()"
    source = PoissonGroup(20, 50 * Hz)
    inputs = Trained(source, neurons, "w : 1", on_pre="I_post += w")
    inputs.connect()
    inputs.w = "0.1*rand()"
    recurrent = Trained(neurons, neurons, "w : 1", on_pre="I_post += w", delay=1 * ms)
    recurrent.connect("i != j")
    recurrent.w = "0.03*randn()"
    return Network(collect())
