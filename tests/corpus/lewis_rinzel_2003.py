"""Interneurons coupled by gap junctions.

Paper: Lewis & Rinzel 2003, J. Comput. Neurosci. 14:283

Leaky integrate-and-fire cells whose membranes are coupled: each receives g_c Σ (v_pre − v_post)
(Eqs 1–2), so that a membrane depends on all others at once, and not by spikes alone.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 150 * ms
SURROGATE = PiecewiseLinear(height=0.3, width=1)

tau, I_0, g_c = 10 * ms, 1.1, 0.02

equations = """
dv/dt = (I_0 - v + gap)/tau : 1
gap : 1
"""


def network(Trained=Synapses):
    cells = NeuronGroup(10, equations, threshold="v > 1", reset="v = 0", method="euler")
    cells.v = "rand()"
    junctions = Synapses(cells, cells, "gap_post = g_c*(v_pre - v_post) : 1 (summed)")
    junctions.connect("i != j")
    source = PoissonGroup(10, 40 * Hz)
    inputs = Trained(source, cells, "w : 1", on_pre="v_post += w")
    inputs.connect()
    inputs.w = "0.2*rand()"
    return Network(collect())
