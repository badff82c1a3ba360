"""Inhibitory plasticity that balances excitation.

Paper: Vogels, Sprekeler, Zenke, Clopath & Gerstner 2011, Science 334:1569

Neurons with conductance-based synapses; inhibitory synapses follow a symmetric spike-timing rule
with a target rate (Eqs 6–7 of the supporting material) and keep doing so. The excitatory inputs
learn: what the plastic inhibition does counts as given.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (10 * mV), width=10 * mV)

tau_m, E_L, E_e, E_i, V_th = 20 * ms, -60 * mV, 0 * mV, -80 * mV, -50 * mV
tau_e, tau_i, tau_stdp, eta, rate_0, w_max = 5 * ms, 10 * ms, 20 * ms, 0.05, 10 * Hz, 3
alpha = 2 * rate_0 * tau_stdp

equations = """
dv/dt = (E_L - v + g_e*(E_e - v) + g_i*(E_i - v))/tau_m : volt (unless refractory)
dg_e/dt = -g_e/tau_e : 1
dg_i/dt = -g_i/tau_i : 1
"""
plastic = """
w_i : 1
dx_in/dt = -x_in/tau_stdp : 1 (event-driven)
dx_out/dt = -x_out/tau_stdp : 1 (event-driven)
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10, equations, threshold="v > V_th", reset="v = E_L", refractory=5 * ms, method="euler"
    )
    neurons.v = "E_L + rand()*(V_th - E_L)"
    excitation, inhibition = PoissonGroup(30, 60 * Hz), PoissonGroup(10, 60 * Hz)
    inputs = Trained(excitation, neurons, "w : 1", on_pre="g_e += w")
    inputs.connect()
    inputs.w = "0.15*rand()"
    balance = Synapses(
        inhibition,
        neurons,
        plastic,
        on_pre="x_in += 1; w_i = clip(w_i + eta*(x_out - alpha), 0, w_max); g_i_post += w_i",
        on_post="x_out += 1; w_i = clip(w_i + eta*x_in, 0, w_max)",
    )
    balance.connect()
    balance.w_i = 0.1
    return Network(collect())
