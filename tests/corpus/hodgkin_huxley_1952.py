"""The action potential of the squid's giant axon, driven by synaptic currents.

Paper: Hodgkin & Huxley 1952, J. Physiol. 117:500

A space-clamped patch of membrane (Eqs 26 and 7, 15, 16, with the rates 20–24) in the modern
sign and with rest at −65 mV. A spike is the crossing of 0 mV; the refractory condition keeps it
to one per crossing. Inputs, as decaying currents, learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.05 * ms, 40 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (40 * mV), width=40 * mV)

C = 1 * uF / cm**2
g_Na, g_K, g_L = 120 * mS / cm**2, 36 * mS / cm**2, 0.3 * mS / cm**2
E_Na, E_K, E_L = 50 * mV, -77 * mV, -54.4 * mV
tau_s = 2 * ms

equations = """
dv/dt = (g_Na*m**3*h*(E_Na - v) + g_K*n**4*(E_K - v) + g_L*(E_L - v) + I)/C : volt
dm/dt = alpha_m*(1 - m) - beta_m*m : 1
dh/dt = alpha_h*(1 - h) - beta_h*h : 1
dn/dt = alpha_n*(1 - n) - beta_n*n : 1
u = (v + 65*mV)/mV : 1
alpha_m = 1/exprel((25 - u)/10)/ms : Hz
beta_m = 4*exp(-u/18)/ms : Hz
alpha_h = 0.07*exp(-u/20)/ms : Hz
beta_h = 1/(exp((30 - u)/10) + 1)/ms : Hz
alpha_n = 0.1/exprel((10 - u)/10)/ms : Hz
beta_n = 0.125*exp(-u/80)/ms : Hz
dI/dt = -I/tau_s : amp/meter**2
"""


def network(Trained=Synapses):
    axon = NeuronGroup(
        6,
        equations,
        threshold="v > 0*mV",
        refractory="v > 0*mV",
        method="exponential_euler",
    )
    axon.v, axon.m, axon.h, axon.n = -65 * mV, 0.053, 0.596, 0.318
    source = PoissonGroup(10, 200 * Hz)
    inputs = Trained(source, axon, "w : amp/meter**2", on_pre="I_post += w")
    inputs.connect()
    inputs.w = "rand()*10*uA/cm**2"
    return Network(collect())
