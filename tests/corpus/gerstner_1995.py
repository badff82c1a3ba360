"""The simple spike response model, SRM₀.

Paper: Gerstner 1995, Phys. Rev. E 51:738

The membrane is a sum of two kernels: of the inputs (exponential synapses through a leaky
membrane) and of the last own spike (the reset replaces what is left of the spike before).
Excitatory and inhibitory inputs learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (10 * mV), width=10 * mV)

tau_m, tau_s, tau_r, theta, eta_0 = 10 * ms, 4 * ms, 12 * ms, 10 * mV, 15 * mV

equations = """
u = h + eta : volt
dh/dt = (i_syn - h)/tau_m : volt
di_syn/dt = -i_syn/tau_s : volt
deta/dt = -eta/tau_r : volt
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10, equations, threshold="u > theta", reset="eta = -eta_0", method="euler"
    )
    source = PoissonGroup(40, 50 * Hz)
    excitatory = Trained(source[:30], neurons, "w : volt", on_pre="i_syn += w")
    excitatory.connect()
    excitatory.w = "5*mV*rand()"
    inhibitory = Trained(source[30:], neurons, "w : volt", on_pre="i_syn -= w")
    inhibitory.connect()
    inhibitory.w = "3*mV*rand()"
    return Network(collect())
