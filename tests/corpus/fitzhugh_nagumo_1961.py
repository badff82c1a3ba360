"""Impulses and physiological states in the BVP model, with a threshold that detects spikes.

Papers: FitzHugh 1961, Biophys. J. 1:445; Nagumo, Arimoto & Yoshizawa 1962, Proc. IRE 50:2061

dv/dt = v − v³/3 − w + I and dw/dt = (v + a − b w)/τ without units. Refractory for 20 ms, since
nothing is reset; pulses of the inputs learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.2 * ms, 300 * ms
SURROGATE = PiecewiseLinear(height=0.3, width=1)

a, b, tau, I_0 = 0.7, 0.8, 12.5, 0.35

equations = """
dv/dt = (v - v**3/3 - u + I_0 + I)/ms : 1
du/dt = (v + a - b*u)/tau/ms : 1
dI/dt = -I/(5*ms) : 1
"""


def network(Trained=Synapses):
    cells = NeuronGroup(8, equations, threshold="v > 1", refractory=20 * ms, method="rk4")
    cells.v, cells.u = "-1.2 + 0.2*rand()", -0.6
    source = PoissonGroup(15, 40 * Hz)
    inputs = Trained(source, cells, "w : 1", on_pre="I_post += w")
    inputs.connect()
    inputs.w = "0.2*rand()"
    return Network(collect())
