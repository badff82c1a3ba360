"""A network of simple model neurons that spike and burst.

Paper: Izhikevich 2003, IEEE Trans. Neural Netw. 14:1569

Dimensionless v and u (Eqs 1–3) with parameters that differ between neurons, a thalamic current
that is drawn anew each millisecond, and pulses as synapses. All synapses learn. Steps of 0.2 ms
instead of 0.5 ms, in which v would leave the paper's range.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.2 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / 60, width=60)

equations = """
dv/dt = (0.04*v**2 + 5*v + 140 - u + I)/ms : 1
du/dt = a*(b*v - u)/ms : 1
I : 1
a : 1
b : 1
c : 1
d : 1
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(50, equations, threshold="v >= 30", reset="v = c; u += d", method="euler")
    excitatory, inhibitory = neurons[:40], neurons[40:]
    excitatory.a, excitatory.b = 0.02, 0.2
    excitatory.c = "-65 + 15*rand()**2"
    excitatory.d = "8 - 6*rand()**2"
    inhibitory.a = "0.02 + 0.08*rand()"
    inhibitory.b = "0.25 - 0.05*rand()"
    inhibitory.c, inhibitory.d = -65, 2
    neurons.v = -65
    neurons.u = "b*v"
    neurons.run_regularly("I = 5*randn()", dt=1 * ms)
    from_e = Trained(excitatory, neurons, "w : 1", on_pre="v_post += w")
    from_e.connect()
    from_e.w = "2*rand()"
    from_i = Trained(inhibitory, neurons, "w : 1", on_pre="v_post += w")
    from_i.connect()
    from_i.w = "-3*rand()"
    return Network(collect())
