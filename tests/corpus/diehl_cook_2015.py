"""Unsupervised digit recognition: competition with adaptive thresholds.

Paper: Diehl & Cook 2015, Front. Comput. Neurosci. 9:99

Rate-coded inputs onto excitatory neurons with conductance-based synapses and a threshold θ that
grows with each spike; each excites one inhibitory neuron, which inhibits all other excitatory
ones. The synapses of the inputs learn from an error here, instead of by spike timing.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.5 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (13 * mV), width=13 * mV)

tau_e, tau_i, tau_g_e, tau_g_i, tau_theta = 100 * ms, 10 * ms, 1 * ms, 2 * ms, 1e7 * ms
E_e, E_i = -65 * mV, -60 * mV
intensity = TimedArray(60 * np.random.default_rng(1).random((2, 40)) * Hz, dt=100 * ms)

excitatory_neuron = """
dv/dt = (E_e - v + g_e*(0*mV - v) + g_i*(-100*mV - v))/tau_e : volt (unless refractory)
dg_e/dt = -g_e/tau_g_e : 1
dg_i/dt = -g_i/tau_g_i : 1
dtheta/dt = -theta/tau_theta : volt
"""
inhibitory_neuron = """
dv/dt = (E_i - v + g_e*(0*mV - v))/tau_i : volt (unless refractory)
dg_e/dt = -g_e/tau_g_e : 1
"""


def network(Trained=Synapses):
    image = PoissonGroup(40, rates="intensity(t, i)")
    excitatory = NeuronGroup(
        10,
        excitatory_neuron,
        threshold="v > theta - 52*mV",
        reset="v = E_e; theta += 0.05*mV",
        refractory=5 * ms,
        method="euler",
    )
    inhibitory = NeuronGroup(
        10,
        inhibitory_neuron,
        threshold="v > -40*mV",
        reset="v = -45*mV",
        refractory=2 * ms,
        method="euler",
    )
    excitatory.v, inhibitory.v = E_e, E_i
    inputs = Trained(image, excitatory, "w : 1", on_pre="g_e_post += w")
    inputs.connect()
    inputs.w = "2.5*rand()"
    inputs.delay = "5*ms*rand()"
    one_to_one = Synapses(excitatory, inhibitory, on_pre="g_e_post += 10.4")
    one_to_one.connect(j="i")
    lateral = Synapses(inhibitory, excitatory, on_pre="g_i_post += 4")
    lateral.connect("i != j")
    return Network(collect())
