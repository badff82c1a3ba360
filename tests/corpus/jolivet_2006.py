"""Escape noise: the probability of a spike grows with the membrane's distance to threshold.

Paper: Jolivet, Rauch, Lüscher & Gerstner 2006, J. Comput. Neurosci. 21:35

A leaky membrane with the rate of firing ρ₀ exp((v − θ)/Δu) (Eq. 5) and a threshold that jumps
with each spike. The random number is drawn in the threshold condition.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.5 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3, width=1)
REFUSED = "draws a random number"

tau_m, tau_theta, theta_0, Delta_u, rho_0 = 15 * ms, 40 * ms, 15 * mV, 2 * mV, 100 * Hz

equations = """
dv/dt = -v/tau_m : volt (unless refractory)
dtheta/dt = (theta_0 - theta)/tau_theta : volt
rho = rho_0*exp((v - theta)/Delta_u) : Hz
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10,
        equations,
        threshold="rand() < rho*dt",
        reset="v = 0*mV; theta += 4*mV",
        refractory=2 * ms,
        method="euler",
    )
    neurons.theta = theta_0
    source = PoissonGroup(20, 60 * Hz)
    inputs = Trained(source, neurons, "w : volt", on_pre="v_post += w")
    inputs.connect()
    inputs.w = "1.5*mV*rand()"
    return Network(collect())
