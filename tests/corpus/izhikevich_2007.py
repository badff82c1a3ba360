"""Regular spiking and fast spiking cells of cortex.

Paper: Izhikevich 2007, Dynamical Systems in Neuroscience, MIT Press

The quadratic model with units, C dv/dt = k (v − v_r)(v − v_t) − u + I (Eqs 8.5–8.6), with the
parameters of a regular spiking neuron and exponential synaptic currents, which learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.2 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (60 * mV), width=60 * mV)

C, k = 100 * pF, 0.7 * nS / mV
v_r, v_t, v_peak = -60 * mV, -40 * mV, 35 * mV
a, b, c, d = 0.03 / ms, -2 * nS, -50 * mV, 100 * pA
tau_s = 5 * ms

equations = """
dv/dt = (k*(v - v_r)*(v - v_t) - u + I)/C : volt
du/dt = a*(b*(v - v_r) - u) : amp
dI/dt = -I/tau_s : amp
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10, equations, threshold="v > v_peak", reset="v = c; u += d", method="euler"
    )
    neurons.v = v_r
    source = PoissonGroup(20, 60 * Hz)
    inputs = Trained(source, neurons, "w : amp", on_pre="I_post += w")
    inputs.connect()
    inputs.w = "60*pA*rand()"
    recurrent = Trained(neurons, neurons, "w : amp", on_pre="I_post += w", delay=1 * ms)
    recurrent.connect("i != j")
    recurrent.w = "20*pA*randn()"
    return Network(collect())
