"""Interneurons that inhibit each other in the gamma rhythm.

Paper: Wang & Buzsáki 1996, J. Neurosci. 16:6402

Fast spiking cells (Eqs 1–4) with instantaneous sodium activation. The synaptic gate s follows
the presynaptic voltage and is summed over all senders, so that membranes act on each other
without spikes.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.05 * ms, 50 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (40 * mV), width=40 * mV)

C, phi = 1 * uF / cm**2, 5
g_L, g_Na, g_K, g_syn = 0.1 * mS / cm**2, 35 * mS / cm**2, 9 * mS / cm**2, 0.1 * mS / cm**2
E_L, E_Na, E_K, E_syn = -65 * mV, 55 * mV, -90 * mV, -75 * mV
I_app, tau_s = 1 * uA / cm**2, 2 * ms

equations = """
dv/dt = (I_app + I - g_L*(v - E_L) - g_Na*m_inf**3*h*(v - E_Na) - g_K*n**4*(v - E_K)
         - g_syn*s_total*(v - E_syn))/C : volt
dh/dt = phi*(alpha_h*(1 - h) - beta_h*h) : 1
dn/dt = phi*(alpha_n*(1 - n) - beta_n*n) : 1
ds/dt = 12/ms*F*(1 - s) - 0.1/ms*s : 1
dI/dt = -I/tau_s : amp/meter**2
s_total : 1
u = v/mV : 1
F = 1/(1 + exp(-u/2)) : 1
m_inf = alpha_m/(alpha_m + beta_m) : 1
alpha_m = 1/exprel(-0.1*(u + 35))/ms : Hz
beta_m = 4*exp(-(u + 60)/18)/ms : Hz
alpha_h = 0.07*exp(-(u + 58)/20)/ms : Hz
beta_h = 1/(exp(-0.1*(u + 28)) + 1)/ms : Hz
alpha_n = 0.1/exprel(-0.1*(u + 34))/ms : Hz
beta_n = 0.125*exp(-(u + 44)/80)/ms : Hz
"""


def network(Trained=Synapses):
    cells = NeuronGroup(10, equations, threshold="v > 0*mV", refractory="v > 0*mV", method="rk2")
    cells.v = "-70*mV + 15*mV*rand()"
    cells.h, cells.n = 0.8, 0.1
    source = PoissonGroup(10, 100 * Hz)
    inputs = Trained(source, cells, "w : amp/meter**2", on_pre="I += w")
    inputs.connect()
    inputs.w = "rand()*2*uA/cm**2"
    gaba = Synapses(cells, cells, "s_total_post = s_pre/N_pre : 1 (summed)")
    gaba.connect("i != j")
    return Network(collect())
