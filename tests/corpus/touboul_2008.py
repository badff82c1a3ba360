"""The quartic model, which has subthreshold oscillations.

Paper: Touboul 2008, SIAM J. Appl. Math. 68:1045

dv/dt = v⁴ + 2av − u + I and du/dt = a(bv − u) (Eq. 3.4) without units, cut off at a peak and
reset. Synaptic currents decay with time; the inputs learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.1, width=3)

tau, a, b, c, d, I_0, tau_s = 10 * ms, 1, 1.5, -0.8, 1, 1.4, 5 * ms

equations = """
dv/dt = (v**4 + 2*a*v - u + I_0 + I_syn)/tau : 1
du/dt = a*(b*v - u)/tau : 1
dI_syn/dt = -I_syn/tau_s : 1
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(8, equations, threshold="v > 2.5", reset="v = c; u += d", method="euler")
    neurons.v = "c + 0.2*rand()"
    neurons.u = "b*v"
    source = PoissonGroup(20, 40 * Hz)
    inputs = Trained(source, neurons, "w : 1", on_pre="I_syn += w")
    inputs.connect()
    inputs.w = "0.8*rand()"
    return Network(collect())
