"""Learning by the dendritic prediction of somatic spiking.

Paper: Urbanczik & Senn 2014, Neuron 81:521

A dendrite V_w with the plastic synapses, a soma U with the conductances of a teacher, and spikes
drawn with the rate φ(U) (Eqs 1–4). The number that decides is drawn into a variable first, so that
it is the same for the gradient. Synapses onto the dendrite learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.2 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3, width=1)

g_L, g_D, E_e, E_i = 0.1 / ms, 2 / ms, 4.67, -0.33
tau_s, phi_max, k, beta, theta = 3 * ms, 150 * Hz, 0.5, 5, 1
teacher = TimedArray([0.1, 0.0, 0.2, 0.05], dt=50 * ms)

equations = """
dU/dt = -g_L*U + g_D*(V_w - U) + teacher(t)/ms*(E_e - U) + 0.05/ms*(E_i - U) : 1
dV_w/dt = (-V_w + PSP)/(10*ms) : 1
dPSP/dt = -PSP/tau_s : 1
phi = phi_max/(1 + k*exp(beta*(theta - U))) : Hz
drawn : 1
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(10, equations, threshold="phi*dt > drawn", method="euler")
    neurons.run_regularly("drawn = rand()", dt=DT)
    source = PoissonGroup(30, 30 * Hz)
    inputs = Trained(source, neurons, "w : 1", on_pre="PSP_post += w")
    inputs.connect()
    inputs.w = "0.4*rand()"
    return Network(collect())
