"""Reliability of spike timing: the same fluctuating current, again and again.

Paper: Mainen & Sejnowski 1995, Science 268:1503

Leaky integrate-and-fire neurons in the place of cortical cells: one frozen current for all, and
independent membrane noise. Each neuron is one trial. Weights of an added synaptic input learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (15 * mV), width=15 * mV)

tau_m, E_L, V_th, V_r = 20 * ms, -65 * mV, -50 * mV, -60 * mV
frozen = TimedArray((16 + 15 * np.random.default_rng(2).standard_normal(80)) * mV, dt=2.5 * ms)


def network(Trained=Synapses):
    trials = NeuronGroup(
        20,
        "dv/dt = (E_L - v + frozen(t))/tau_m + 1*mV*sqrt(2/tau_m)*xi : volt (unless refractory)",
        threshold="v > V_th",
        reset="v = V_r",
        refractory=2 * ms,
        method="euler",
    )
    trials.v = E_L
    source = PoissonGroup(5, 40 * Hz)
    inputs = Trained(source, trials, "w : volt", on_pre="v_post += w")
    inputs.connect()
    inputs.w = "2*mV*rand()"
    return Network(collect())
