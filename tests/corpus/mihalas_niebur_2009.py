"""A linear model with many spiking behaviours, by its update rules.

Paper: Mihalaş & Niebur 2009, Neural Comput. 21:704

Voltage, threshold and two spike-induced currents obey linear equations (Eq. 2.1); a spike
multiplies and adds to the currents, sets the voltage and bounds the threshold (Eq. 2.2). Both
currents hyperpolarize here. Synaptic currents of the inputs learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (20 * mV), width=20 * mV)

E_L, V_r, Theta_r, Theta_inf = -70 * mV, -70 * mV, -60 * mV, -50 * mV
G, k_1, k_2, a, b = 50 * Hz, 200 * Hz, 20 * Hz, 5 * Hz, 10 * Hz
R_1, R_2, A_1, A_2, tau_s = 0, 1, -1 * volt / second, -0.6 * volt / second, 5 * ms

equations = """
dV/dt = I_e + I_1 + I_2 - G*(V - E_L) : volt
dTheta/dt = a*(V - E_L) - b*(Theta - Theta_inf) : volt
dI_1/dt = -k_1*I_1 : volt/second
dI_2/dt = -k_2*I_2 : volt/second
dI_e/dt = -I_e/tau_s : volt/second
"""
reset = """
I_1 = R_1*I_1 + A_1
I_2 = R_2*I_2 + A_2
V = V_r
Theta = clip(Theta, Theta_r, 1*volt)
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(8, equations, threshold="V > Theta", reset=reset, method="euler")
    neurons.V, neurons.Theta = E_L, Theta_inf
    source = PoissonGroup(20, 100 * Hz)
    inputs = Trained(source, neurons, "w : volt/second", on_pre="I_e_post += w")
    inputs.connect()
    inputs.w = "1.5*volt/second*rand()"
    return Network(collect())
