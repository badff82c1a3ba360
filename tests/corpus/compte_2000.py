"""A ring of neurons that holds a direction in mind.

Paper: Compte, Brunel, Goldman-Rakic & Wang 2000, Cereb. Cortex 10:910

Pyramidal cells prefer directions on a circle and excite each other by a Gaussian footprint
(Eq. 5) through slow NMDA-like conductances; one pool of interneurons inhibits all. A cue is
shown for 50 ms. Recurrent excitation and the cue's synapses learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.2 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (20 * mV), width=20 * mV)

n = 32
C, g_L, E_L, V_th, V_r, E_e, E_i = 0.5 * nF, 25 * nS, -70 * mV, -50 * mV, -60 * mV, 0 * mV, -70 * mV
tau_NMDA, tau_AMPA, tau_GABA = 100 * ms, 2 * ms, 10 * ms
J_plus, sigma = 1.62, 18.0

cell = """
dv/dt = (g_L*(E_L - v) + g_N/(1 + exp(-0.062*v/mV)/3.57)*(E_e - v) + g_A*(E_e - v)
         + g_G*(E_i - v))/C : volt (unless refractory)
dg_N/dt = -g_N/tau_NMDA : siemens
dg_A/dt = -g_A/tau_AMPA : siemens
dg_G/dt = -g_G/tau_GABA : siemens
"""
cue = TimedArray([300, 0, 0, 0] * Hz, dt=50 * ms)


def network(Trained=Synapses):
    ring = NeuronGroup(
        n, cell, threshold="v > V_th", reset="v = V_r", refractory=2 * ms, method="euler"
    )
    pool = NeuronGroup(
        8, cell, threshold="v > V_th", reset="v = V_r", refractory=1 * ms, method="euler"
    )
    ring.v = pool.v = "E_L + 10*mV*rand()"
    stimulus = PoissonGroup(n, rates="60*Hz + cue(t)*exp(-0.5*((i - n/2)/4.0)**2)")
    inputs = Trained(stimulus, ring, "w : siemens", on_pre="g_A += w")
    inputs.connect(j="i")
    inputs.w = 150 * nS
    recurrent = Trained(ring, ring, "w : siemens", on_pre="g_N += w", delay=0.6 * ms)
    recurrent.connect("i != j")
    recurrent.w = "nS*(0.2 + J_plus*exp(-0.5*((abs(i - j + 0.0) % (n/2))*360/n/sigma)**2))"
    to_pool = Synapses(ring, pool, on_pre="g_N += 1*nS")
    to_pool.connect()
    from_pool = Synapses(pool, ring, on_pre="g_G += 8*nS")
    from_pool.connect()
    return Network(collect())
