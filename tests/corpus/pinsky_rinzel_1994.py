"""Soma and dendrite of a CA3 pyramidal cell, as one group of neurons.

Paper: Pinsky & Rinzel 1994, J. Comput. Neurosci. 1:39

Two compartments joined by g_c, sodium and potassium in the soma, calcium and a calcium-gated
potassium current in the dendrite (Eqs 1–2, reduced: the fast calcium and C-type currents act at
once). Synapses onto the dendrite learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.05 * ms, 60 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (40 * mV), width=40 * mV)

C, p, g_c = 3 * uF / cm**2, 0.5, 2.1 * mS / cm**2
g_L, g_Na, g_K = 0.1 * mS / cm**2, 30 * mS / cm**2, 15 * mS / cm**2
g_Ca, g_AHP = 10 * mS / cm**2, 0.8 * mS / cm**2
E_L, E_Na, E_K, E_Ca, E_e = -60 * mV, 60 * mV, -75 * mV, 80 * mV, 0 * mV
I_s, tau_e = 1 * uA / cm**2, 3 * ms

equations = """
dVs/dt = (-g_L*(Vs - E_L) - g_Na*m_inf**2*h*(Vs - E_Na) - g_K*n*(Vs - E_K)
          + g_c/p*(Vd - Vs) + I_s/p)/C : volt
dVd/dt = (-g_L*(Vd - E_L) - g_Ca*s_inf**2*(Vd - E_Ca) - g_AHP*q*(Vd - E_K)
          + g_c/(1 - p)*(Vs - Vd) - g_e/(1 - p)*(Vd - E_e))/C : volt
dh/dt = alpha_h*(1 - h) - beta_h*h : 1
dn/dt = alpha_n*(1 - n) - beta_n*n : 1
dq/dt = 0.01/ms*(Ca/(1 + Ca) - q) : 1
dCa/dt = 2*s_inf**2/ms - 0.075/ms*Ca : 1
dg_e/dt = -g_e/tau_e : siemens/meter**2
u = Vs/mV : 1
m_inf = alpha_m/(alpha_m + beta_m) : 1
alpha_m = 1.28/exprel((-46.9 - u)/4)/ms : Hz
beta_m = 1.4/exprel((u + 19.9)/5)/ms : Hz
alpha_h = 0.128*exp((-43 - u)/18)/ms : Hz
beta_h = 4/(1 + exp((-20 - u)/5))/ms : Hz
alpha_n = 0.08/exprel((-24.9 - u)/5)/ms : Hz
beta_n = 0.25*exp(-1 - 0.025*u)/ms : Hz
s_inf = 1/(1 + exp(-0.072*(Vd/mV - 5))) : 1
"""


def network(Trained=Synapses):
    cells = NeuronGroup(6, equations, threshold="Vs > 0*mV", refractory="Vs > -10*mV", method="rk2")
    cells.Vs = cells.Vd = E_L
    cells.h, cells.n = 0.99, 0.01
    source = PoissonGroup(10, 100 * Hz)
    inputs = Trained(source, cells, "w : siemens/meter**2", on_pre="g_e += w")
    inputs.connect()
    inputs.w = "rand()*0.15*mS/cm**2"
    return Network(collect())
