"""Dynamic synapses: depression and facilitation of a projection.

Paper: Tsodyks, Pawelzik & Markram 1998, Neural Comput. 10:821

Resources x recover with τ_rec, their use u relaxes with τ_facil (Eqs 2.1–2.3 and 3.1); each
spike sends w·u·x as a decaying current to a leaky integrate-and-fire neuron. The absolute
efficacy w learns.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 200 * ms
ENGINE = "traces"
SURROGATE = PiecewiseLinear(height=0.3 / (15 * mV), width=15 * mV)

tau_mem, tau_in, V_th, V_r, R = 40 * ms, 3 * ms, 15 * mV, 13.5 * mV, 100 * Mohm
tau_rec, tau_facil, U = 130 * ms, 530 * ms, 0.3

neuron = """
dv/dt = (R*I - v)/tau_mem : volt (unless refractory)
dI/dt = -I/tau_in : amp
"""
synapse = """
w : amp
dx/dt = (1 - x)/tau_rec : 1 (event-driven)
du/dt = -u/tau_facil : 1 (event-driven)
"""
on_pre = """
u += U*(1 - u)
I_post += w*u*x
x -= u*x
"""


def network(Trained=Synapses):
    source = PoissonGroup(20, 40 * Hz)
    neurons = NeuronGroup(
        5, neuron, threshold="v > V_th", reset="v = V_r", refractory=3 * ms, method="euler"
    )
    inputs = Trained(source, neurons, synapse, on_pre=on_pre)
    inputs.connect()
    inputs.w = "1*nA*rand()"
    inputs.x = 1
    return Network(collect())
