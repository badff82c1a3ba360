"""The exponential integrate-and-fire neuron under fluctuating input.

Paper: Fourcaud-Trocmé, Hansel, van Vreeswijk & Brunel 2003, J. Neurosci. 23:11628

C dV/dt = −g_L (V − V_L) + g_L Δ_T exp((V − V_T)/Δ_T) + I (Eqs 7 and 12) with parameters fitted to
the Wang–Buzsáki model, colored noise in the current and a refractory reset. Inputs learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.05 * ms, 100 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (30 * mV), width=30 * mV)

C, g_L = 1 * uF / cm**2, 0.1 * mS / cm**2
V_L, V_T, Delta_T, V_r, V_s = -65 * mV, -59.9 * mV, 3.48 * mV, -68 * mV, -30 * mV
tau_ref, tau_s, mu, sigma = 1.7 * ms, 5 * ms, 0.1 * uA / cm**2, 0.3 * uA / cm**2

equations = """
dV/dt = (-g_L*(V - V_L) + g_L*Delta_T*exp((V - V_T)/Delta_T) + mu + I_noise + I)/C
      : volt (unless refractory)
dI_noise/dt = -I_noise/tau_s + sigma*sqrt(2/tau_s)*xi : amp/meter**2
dI/dt = -I/tau_s : amp/meter**2
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        8, equations, threshold="V > V_s", reset="V = V_r", refractory=tau_ref, method="euler"
    )
    neurons.V = V_L
    source = PoissonGroup(10, 60 * Hz)
    inputs = Trained(source, neurons, "w : amp/meter**2", on_pre="I_post += w")
    inputs.connect()
    inputs.w = "rand()*0.6*uA/cm**2"
    return Network(collect())
