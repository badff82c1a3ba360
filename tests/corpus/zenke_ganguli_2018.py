"""SuperSpike: a hidden layer of current-based neurons between input and output neurons.

Paper: Zenke & Ganguli 2018, Neural Comput. 30:1514

Leaky membranes with exponential currents (Eqs 6–8), so that a spike makes a double exponential;
frozen Poisson input. Both layers of synapses learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 150 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (10 * mV), width=10 * mV)

tau_mem, tau_syn, tau_ref = 10 * ms, 5 * ms, 5 * ms
U_rest, theta = -60 * mV, -50 * mV

equations = """
dU/dt = (U_rest - U + I)/tau_mem : volt (unless refractory)
dI/dt = -I/tau_syn : volt
"""


def network(Trained=Synapses):
    options = dict(threshold="U > theta", reset="U = U_rest", refractory=tau_ref, method="exact")
    rng = np.random.default_rng(1)
    steps, channels = np.nonzero(rng.random((1500, 30)) < 0.004)
    frozen = SpikeGeneratorGroup(30, channels, steps * DT)
    hidden = NeuronGroup(10, equations, **options)
    output = NeuronGroup(2, equations, **options)
    hidden.U = output.U = U_rest
    first = Trained(frozen, hidden, "w : volt", on_pre="I += w", delay=0.8 * ms)
    first.connect()
    first.w = "8*mV*rand()"
    second_layer = Trained(hidden, output, "w : volt", on_pre="I += w", delay=0.8 * ms)
    second_layer.connect()
    second_layer.w = "40*mV*rand()"
    return Network(collect())
