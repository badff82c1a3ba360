"""Neuronal bursting with three coupled first-order equations.

Paper: Hindmarsh & Rose 1984, Proc. R. Soc. Lond. B 221:87

ẋ = y − a x³ + b x² + I − z, ẏ = c − d x² − y, ż = r (s (x − x₁) − z), one unit of time being a
millisecond; a spike is the crossing of x = 1. Synaptic currents of the inputs learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.05 * ms, 60 * ms
SURROGATE = PiecewiseLinear(height=0.3, width=1.5)

a, b, c, d, r, s, x_1, I_0 = 1, 3, 1, 5, 0.006, 4, -1.6, 3

equations = """
dx/dt = (y - a*x**3 + b*x**2 + I_0 + I - z)/ms : 1
dy/dt = (c - d*x**2 - y)/ms : 1
dz/dt = r*(s*(x - x_1) - z)/ms : 1
dI/dt = -I/(2*ms) : 1
"""


def network(Trained=Synapses):
    cells = NeuronGroup(8, equations, threshold="x > 1", refractory="x > 0", method="rk4")
    cells.x, cells.y, cells.z = "-1.3 + 0.5*rand()", -6, 2.5
    source = PoissonGroup(10, 100 * Hz)
    inputs = Trained(source, cells, "w : 1", on_pre="I_post += w")
    inputs.connect()
    inputs.w = "0.5*rand()"
    return Network(collect())
