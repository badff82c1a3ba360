"""AMPA, NMDA and GABA conductances with different time courses on one membrane.

Paper: Destexhe, Mainen & Sejnowski 1998, in Koch & Segev, Methods in Neuronal Modeling, MIT Press

Two-state kinetics whose receptors saturate (opening in proportion to those still closed), with
the magnesium block of NMDA by Jahr & Stevens. Excitatory and inhibitory weights learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 150 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (20 * mV), width=20 * mV)
IN_TRIALS = True  # credit goes through saturating jumps in whole trials only

C, g_L, E_L, E_e, E_i, V_th = 200 * pF, 10 * nS, -70 * mV, 0 * mV, -80 * mV, -50 * mV
beta_AMPA, beta_NMDA, beta_GABA = 0.18 / ms, 0.0066 / ms, 0.18 / ms
g_AMPA, g_NMDA, g_GABA = 40 * nS, 10 * nS, 40 * nS

equations = """
dv/dt = (g_L*(E_L - v) + g_AMPA*r_AMPA*(E_e - v) + g_NMDA*r_NMDA*block*(E_e - v)
         + g_GABA*r_GABA*(E_i - v))/C : volt (unless refractory)
block = 1/(1 + exp(-0.062*v/mV)/3.57) : 1
dr_AMPA/dt = -beta_AMPA*r_AMPA : 1
dr_NMDA/dt = -beta_NMDA*r_NMDA : 1
dr_GABA/dt = -beta_GABA*r_GABA : 1
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10, equations, threshold="v > V_th", reset="v = E_L", refractory=2 * ms, method="euler"
    )
    neurons.v = E_L
    source = PoissonGroup(20, 50 * Hz)
    excitatory = Trained(
        source[:14],
        neurons,
        "w : 1",
        on_pre="r_AMPA_post += w*(1 - r_AMPA_post); r_NMDA_post += 0.3*w*(1 - r_NMDA_post)",
    )
    excitatory.connect()
    excitatory.w = "0.15*rand()"
    inhibitory = Trained(source[14:], neurons, "w : 1", on_pre="r_GABA_post += w*(1 - r_GABA_post)")
    inhibitory.connect()
    inhibitory.w = "0.15*rand()"
    return Network(collect())
