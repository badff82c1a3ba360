"""Competitive Hebbian learning through spike-timing-dependent plasticity.

Paper: Song, Miller & Abbott 2000, Nat. Neurosci. 3:919

One conductance per excitatory synapse, which spike timing increases and decreases (Eqs 1–3), of
a leaky integrate-and-fire neuron with Poisson inputs. Both rules would write the same weight.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (20 * mV), width=20 * mV)
REFUSED = "assigns to the weight 'w', which the learner changes"

tau_m, E_L, E_ex, E_in, V_th, V_r = 20 * ms, -74 * mV, 0 * mV, -70 * mV, -54 * mV, -60 * mV
tau_ex, tau_in, tau_plus, tau_minus = 5 * ms, 5 * ms, 20 * ms, 20 * ms
g_max, A_plus = 0.15, 0.005
A_minus = 1.05 * A_plus

equations = """
dv/dt = (E_L - v + g_ex*(E_ex - v) + g_in*(E_in - v))/tau_m : volt
dg_ex/dt = -g_ex/tau_ex : 1
dg_in/dt = -g_in/tau_in : 1
"""
stdp = """
w : 1
dP/dt = -P/tau_plus : 1 (event-driven)
dM/dt = -M/tau_minus : 1 (event-driven)
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(2, equations, threshold="v > V_th", reset="v = V_r", method="euler")
    neurons.v = E_L
    source, inhibition = PoissonGroup(50, 20 * Hz), PoissonGroup(10, 10 * Hz)
    inputs = Trained(
        source,
        neurons,
        stdp,
        on_pre="g_ex_post += w; P += A_plus*g_max; w = clip(w + M, 0, g_max)",
        on_post="M -= A_minus*g_max; w = clip(w + P, 0, g_max)",
    )
    inputs.connect()
    inputs.w = "g_max*rand()"
    inhibitory = Synapses(inhibition, neurons, on_pre="g_in += 0.05")
    inhibitory.connect()
    return Network(collect())
