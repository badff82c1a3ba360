"""Bursts of the adaptive exponential model in its rescaled form.

Paper: Touboul & Brette 2008, Biol. Cybern. 99:319

dv/dt = −v + e^v − w + I and τ_w dw/dt = a v − w (Eq. 3) without units, reset to a value above
the threshold of the exponential, so that neurons burst. The pulses of the inputs learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 200 * ms
WEIGHT = "w_syn"
SURROGATE = PiecewiseLinear(height=0.1, width=3)

tau_m, tau_w, a, b, v_reset, v_cutoff, I_0 = 10 * ms, 120 * ms, 0.2, 1.5, 0.5, 5, 1

equations = """
dv/dt = (-v + exp(v) - w + I_0)/tau_m : 1
dw/dt = (a*v - w)/tau_w : 1
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        8, equations, threshold="v > v_cutoff", reset="v = v_reset; w += b", method="euler"
    )
    neurons.v = "-1.5 + rand()"
    source = PoissonGroup(20, 30 * Hz)
    inputs = Trained(source, neurons, "w_syn : 1", on_pre="v_post += w_syn")
    inputs.connect()
    inputs.w_syn = "0.4*rand()"
    return Network(collect())
