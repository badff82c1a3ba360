"""Voltage oscillations in the barnacle's giant muscle fiber.

Paper: Morris & Lecar 1981, Biophys. J. 35:193

Calcium that activates at once and slow potassium (Eqs 2 and 9), with the usual constants of the
Hopf regime; a spike is the crossing of 0 mV. Conductances of the inputs learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.5 * ms, 300 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (30 * mV), width=30 * mV)

C = 20 * uF / cm**2
g_L, g_Ca, g_K = 2 * mS / cm**2, 4.4 * mS / cm**2, 8 * mS / cm**2
E_L, E_Ca, E_K, E_e = -60 * mV, 120 * mV, -84 * mV, 0 * mV
V_1, V_2, V_3, V_4, phi = -1.2 * mV, 18 * mV, 2 * mV, 30 * mV, 0.04 / ms
I_app, tau_e = 85 * uA / cm**2, 10 * ms

equations = """
dV/dt = (I_app - g_L*(V - E_L) - g_Ca*M_inf*(V - E_Ca) - g_K*N_open*(V - E_K)
         - g_e*(V - E_e))/C : volt
dN_open/dt = phi*cosh((V - V_3)/(2*V_4))*(N_inf - N_open) : 1
M_inf = 0.5*(1 + tanh((V - V_1)/V_2)) : 1
N_inf = 0.5*(1 + tanh((V - V_3)/V_4)) : 1
dg_e/dt = -g_e/tau_e : siemens/meter**2
"""


def network(Trained=Synapses):
    fibers = NeuronGroup(6, equations, threshold="V > 0*mV", refractory="V > 0*mV", method="rk2")
    fibers.V, fibers.N_open = "-60*mV + 10*mV*rand()", 0.01
    source = PoissonGroup(10, 30 * Hz)
    inputs = Trained(source, fibers, "w : siemens/meter**2", on_pre="g_e += w")
    inputs.connect()
    inputs.w = "rand()*0.3*mS/cm**2"
    return Network(collect())
