"""Whiskers to barrels: a moving stimulus, layer 4 and layer 2/3 with space.

Paper: Kremer, Léger, Goodman, Brette & Bourdieu 2011, J. Neurosci. 31:10689

Each whisker's direction of movement drives direction-selective layer 4 cells by their tuning;
layer 2/3 has conductances, an adaptive threshold, and lateral synapses that fall off with
distance. Feedforward and lateral weights, which the paper adapts by spike timing, learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 120 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (15 * mV), width=15 * mV)

tau_m, tau_e, tau_i, E_L, E_e, E_i = 10 * ms, 2 * ms, 25 * ms, -70 * mV, 0 * mV, -80 * mV
tau_t, V_t0, jump = 15 * ms, -55 * mV, 10 * mV
direction = TimedArray([0.3, 1.6, 2.9], dt=40 * ms)

layer_4_equations = """
rate = 20*Hz + 150*Hz*exp(4*(cos(direction(t) - preferred) - 1)) : Hz
preferred : 1 (constant)
"""
layer_23_equations = """
dv/dt = (E_L - v + g_e*(E_e - v) + g_i*(E_i - v))/tau_m : volt
dv_t/dt = (V_t0 - v_t)/tau_t : volt
dg_e/dt = -g_e/tau_e : 1
dg_i/dt = -g_i/tau_i : 1
x : meter (constant)
"""


def network(Trained=Synapses):
    layer_4 = NeuronGroup(32, layer_4_equations, threshold="rand() < rate*dt")
    layer_4.preferred = "2*pi*rand()"
    layer_23 = NeuronGroup(
        16, layer_23_equations, threshold="v > v_t", reset="v = E_L; v_t += jump", method="euler"
    )
    layer_23.v, layer_23.v_t = E_L, V_t0
    layer_23.x = "i*25*um"
    feedforward = Trained(layer_4, layer_23, "w : 1", on_pre="g_e += w")
    feedforward.connect(p=0.5)
    feedforward.w = "0.4*rand()"
    lateral = Trained(layer_23[:12], layer_23, "w : 1", on_pre="g_e += w")
    lateral.connect("i != j", p="0.5*exp(-((x_pre - x_post)/(100*um))**2)")
    lateral.w = "0.1*rand()"
    inhibition = Synapses(layer_23[12:], layer_23, on_pre="g_i += 0.1")
    inhibition.connect(p=0.5)
    return Network(collect())
