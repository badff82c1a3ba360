"""The generalized integrate-and-fire neuron, fitted to cortical cells.

Paper: Mensi et al. 2012, J. Neurophysiol. 107:1756

A current η and a moving threshold that are both triggered by spikes (Eqs 1–3), and escape noise
λ = λ₀ exp((V − V_T)/ΔV). A spike is drawn in the threshold with the probability of the step.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3, width=1)
REFUSED = "draws a random number"

C, g_L, E_L, V_r = 100 * pF, 5 * nS, -65 * mV, -55 * mV
V_T0, DV, lambda_0 = -48 * mV, 1.5 * mV, 1 * kHz
tau_eta, tau_gamma, tau_s = 60 * ms, 40 * ms, 4 * ms

equations = """
dV/dt = (g_L*(E_L - V) - eta + I)/C : volt (unless refractory)
deta/dt = -eta/tau_eta : amp
dV_T/dt = (V_T0 - V_T)/tau_gamma : volt
dI/dt = -I/tau_s : amp
escape = lambda_0*exp((V - V_T)/DV) : Hz
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10,
        equations,
        threshold="rand() < 1 - exp(-escape*dt)",
        reset="V = V_r; eta += 20*pA; V_T += 3*mV",
        refractory=4 * ms,
        method="euler",
    )
    neurons.V, neurons.V_T = E_L, V_T0
    source = PoissonGroup(20, 100 * Hz)
    inputs = Trained(source, neurons, "w : amp", on_pre="I_post += w")
    inputs.connect()
    inputs.w = "30*pA*rand()"
    return Network(collect())
