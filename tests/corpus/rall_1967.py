"""Currents of the shape of an α-function onto a passive membrane.

Paper: Rall 1967, J. Neurophysiol. 30:1138

The synaptic current t/τ exp(1 − t/τ) (the time course of the paper's Eq. 2) as two coupled
equations, and a leaky membrane with a threshold. Fast and slow inputs learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 150 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (15 * mV), width=15 * mV)

tau_m, tau_fast, tau_slow, R = 10 * ms, 2 * ms, 10 * ms, 100 * Mohm

equations = """
dv/dt = (-v + R*(I_fast + I_slow))/tau_m : volt (unless refractory)
dI_fast/dt = (x_fast*exp(1) - I_fast)/tau_fast : amp
dx_fast/dt = -x_fast/tau_fast : amp
dI_slow/dt = (x_slow*exp(1) - I_slow)/tau_slow : amp
dx_slow/dt = -x_slow/tau_slow : amp
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10,
        equations,
        threshold="v > 15*mV",
        reset="v = 0*mV",
        refractory=2 * ms,
        method="euler",
    )
    source = PoissonGroup(20, 60 * Hz)
    fast = Trained(source[:10], neurons, "w : amp", on_pre="x_fast += w")
    fast.connect()
    fast.w = "80*pA*rand()"
    slow = Trained(source[10:], neurons, "w : amp", on_pre="x_slow += w")
    slow.connect()
    slow.w = "40*pA*rand()"
    return Network(collect())
