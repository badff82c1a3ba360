"""Decision between two pools through slow NMDA recurrence.

Paper: Wang 2002, Neuron 36:955

Pyramidal cells with AMPA, GABA and saturating NMDA gating (Eqs in Experimental Procedures, after
Brunel & Wang 2001), an inhibitory pool, and two Poisson stimuli. NMDA gating is a variable of
the sending cell that the receiving cell sums up: states act on each other past spikes.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 100 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (20 * mV), width=20 * mV)

E_L, V_th, V_r, E_I = -70 * mV, -50 * mV, -55 * mV, -70 * mV
C, g_L = 0.5 * nF, 25 * nS
tau_AMPA, tau_GABA, tau_rise, tau_NMDA, alpha = 2 * ms, 5 * ms, 2 * ms, 100 * ms, 0.5 / ms
g_AMPA, g_NMDA, g_GABA = 20 * nS, 8 * nS, 26 * nS

pyramidal = """
dv/dt = (g_L*(E_L - v) - I_AMPA - I_NMDA - I_GABA)/C : volt (unless refractory)
I_AMPA = g_AMPA*s_AMPA*v : amp
I_NMDA = g_NMDA*s_total*v/(1 + exp(-0.062*v/mV)/3.57) : amp
I_GABA = g_GABA*s_GABA*(v - E_I) : amp
ds_AMPA/dt = -s_AMPA/tau_AMPA : 1
ds_GABA/dt = -s_GABA/tau_GABA : 1
ds/dt = -s/tau_NMDA + alpha*x*(1 - s) : 1
dx/dt = -x/tau_rise : 1
s_total : 1
"""
interneuron = """
dv/dt = (g_L*(E_L - v) - g_AMPA*s_AMPA*v)/C : volt (unless refractory)
ds_AMPA/dt = -s_AMPA/tau_AMPA : 1
"""


def network(Trained=Synapses):
    cells = NeuronGroup(
        20,
        pyramidal,
        threshold="v > V_th",
        reset="v = V_r; x += 1",
        refractory=2 * ms,
        method="euler",
    )
    inhibition = NeuronGroup(
        5, interneuron, threshold="v > V_th", reset="v = V_r", refractory=1 * ms, method="euler"
    )
    cells.v = "E_L + 15*mV*rand()"
    inhibition.v = E_L
    stimulus = PoissonGroup(20, rates="50*Hz + 50*Hz*int(i < 10)")
    inputs = Trained(stimulus, cells, "w : 1", on_pre="s_AMPA += w")
    inputs.connect("int(i < 10) == int(j < 10)")
    inputs.w = "0.5 + rand()"
    nmda = Synapses(cells, cells, "w : 1\ns_total_post = w*s_pre : 1 (summed)")
    nmda.connect("i != j")
    nmda.w = "1.7*int(int(i < 10) == int(j < 10)) + 0.5*int(int(i < 10) != int(j < 10))"
    to_inhibition = Synapses(cells, inhibition, on_pre="s_AMPA += 0.5")
    to_inhibition.connect()
    from_inhibition = Synapses(inhibition, cells, on_pre="s_GABA += 0.3")
    from_inhibition.connect()
    return Network(collect())
