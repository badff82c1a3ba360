"""Working memory in facilitating synapses.

Paper: Mongillo, Barak & Tsodyks 2008, Science 319:1543

Leaky integrate-and-fire neurons with white noise as background; synapses between excitatory
neurons facilitate and depress (Eqs 1–5 of the supporting material), with delays of up to 5 ms.
The excitatory synapses learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 100 * ms
ENGINE = "traces"
SURROGATE = PiecewiseLinear(height=0.3 / (20 * mV), width=20 * mV)

tau_m, V_th, V_r = 15 * ms, 20 * mV, 16 * mV
mu, sigma = 22 * mV, 1 * mV
U, tau_F, tau_D = 0.2, 1.5 * second, 0.2 * second

neuron = "dv/dt = (mu - v)/tau_m + sigma*sqrt(2/tau_m)*xi : volt (unless refractory)"
dynamic = """
w : volt
du/dt = (U - u)/tau_F : 1 (event-driven)
dx/dt = (1 - x)/tau_D : 1 (event-driven)
"""


def network(Trained=Synapses):
    options = dict(threshold="v > V_th", reset="v = V_r", refractory=2 * ms, method="euler")
    excitatory = NeuronGroup(32, neuron, **options)
    inhibitory = NeuronGroup(8, neuron, **options)
    excitatory.v = inhibitory.v = "V_r + rand()*(V_th - V_r)"
    e_to_e = Trained(
        excitatory, excitatory, dynamic, on_pre="v_post += w*u*x; x -= u*x; u += U*(1 - u)"
    )
    e_to_e.connect("i != j", p=0.3)
    e_to_e.w, e_to_e.u, e_to_e.x = 1.5 * mV, U, 1
    e_to_e.delay = "1*ms + 4*ms*rand()"
    e_to_i = Synapses(excitatory, inhibitory, on_pre="v_post += 0.5*mV", delay=1 * ms)
    e_to_i.connect(p=0.3)
    i_to_e = Synapses(inhibitory, excitatory, on_pre="v_post -= 1*mV", delay=1 * ms)
    i_to_e.connect(p=0.3)
    return Network(collect())
