"""A spike threshold that follows the membrane, by inactivation of sodium channels.

Paper: Platkiewicz & Brette 2011, PLoS Comput. Biol. 7:e1001129

Leaky integrate-and-fire neurons with noise; the threshold relaxes to
θ_∞(v) = V_T + k_a log(1 + exp((v − V_i)/k_i)) (Eqs 4–5 of the inactivation model). Inputs learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 150 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (10 * mV), width=10 * mV)

tau_m, E_L, tau_theta, tau_s = 10 * ms, -65 * mV, 5 * ms, 3 * ms
V_T, V_i, k_a, k_i = -58 * mV, -60 * mV, 5 * mV, 5 * mV
sigma = 2 * mV

equations = """
dv/dt = (E_L - v + I)/tau_m + sigma*sqrt(2/tau_m)*xi : volt (unless refractory)
dI/dt = -I/tau_s : volt
dtheta/dt = (theta_inf - theta)/tau_theta : volt
theta_inf = V_T + k_a*log(1 + exp((v - V_i)/k_i)) : volt
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10,
        equations,
        threshold="v > theta",
        reset="v = E_L; theta += 3*mV",
        refractory=3 * ms,
        method="euler",
    )
    neurons.v, neurons.theta = E_L, V_T
    source = PoissonGroup(20, 100 * Hz)
    inputs = Trained(source, neurons, "w : volt", on_pre="I_post += w")
    inputs.connect()
    inputs.w = "6*mV*rand()"
    return Network(collect())
