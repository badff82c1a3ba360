"""Plasticity that depends on the voltage of the neuron.

Paper: Clopath, Büsing, Vasilaki & Gerstner 2010, Nat. Neurosci. 13:344

Exponential neurons with a spike afterdepolarization and low-pass filtered voltages u_- and u_+;
presynaptic spikes depress, the presynaptic trace potentiates (Eqs 3–4), in a weight that changes
at every step. A gradient would need that rule's own derivative.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 100 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (20 * mV), width=20 * mV)
REFUSED = "'w' is not a parameter of the model"

C, g_L, E_L, D_T = 281 * pF, 30 * nS, -70.6 * mV, 2 * mV
V_T_rest, V_T_max = -50.4 * mV, -30.4 * mV
tau_z, tau_V_T, I_sp = 40 * ms, 50 * ms, 400 * pA
tau_minus, tau_plus, tau_x = 10 * ms, 7 * ms, 15 * ms
theta_minus, theta_plus = -70.6 * mV, -45.3 * mV
A_LTD, A_LTP, w_max = 1.4e-4 / mV, 0.8e-4 / mV**2 / ms, 3
unit = 500 * pA

neuron = """
du/dt = (-g_L*(u - E_L) + g_L*D_T*exp((u - V_T)/D_T) + z + I)/C : volt
dz/dt = -z/tau_z : amp
dV_T/dt = (V_T_rest - V_T)/tau_V_T : volt
dI/dt = -I/(3*ms) : amp
du_minus/dt = (u - u_minus)/tau_minus : volt
du_plus/dt = (u - u_plus)/tau_plus : volt
"""
synapse = """
dw/dt = A_LTP*x*rectified_plus*rectified_minus*int(w < w_max) : 1 (clock-driven)
dx/dt = -x/tau_x : 1 (clock-driven)
rectified_plus = clip(u_post - theta_plus, 0*mV, inf*mV) : volt
rectified_minus = clip(u_plus_post - theta_minus, 0*mV, inf*mV) : volt
"""
on_pre = """
I_post += w*unit
w = clip(w - A_LTD*clip(u_minus_post - theta_minus, 0*mV, inf*mV), 0, w_max)
x += 1
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        5,
        neuron,
        threshold="u > 0*mV",
        reset="u = E_L; z = I_sp; V_T = V_T_max",
        method="euler",
    )
    neurons.V_T = V_T_rest
    neurons.u = neurons.u_minus = neurons.u_plus = E_L
    source = PoissonGroup(20, 50 * Hz)
    inputs = Trained(source, neurons, synapse, on_pre=on_pre, method="euler")
    inputs.connect()
    inputs.w = "2*rand()"
    return Network(collect())
