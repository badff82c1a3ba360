"""Slow dynamics in balanced networks with clustered connections.

Paper: Litwin-Kumar & Doiron 2012, Nat. Neurosci. 15:1498

Leaky integrate-and-fire neurons with double exponential synapses and a bias that differs between
neurons (Online Methods); excitatory connections are denser and stronger within a cluster. All
recurrent synapses learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 150 * ms
SURROGATE = PiecewiseLinear(height=0.3, width=1)

n_e, n_i, clusters = 40, 10, 4
tau_1, tau_e, tau_i, tau_m = 1 * ms, 3 * ms, 2 * ms, 15 * ms

equations = """
dv/dt = (mu - v)/tau_m + g_e - g_i : 1 (unless refractory)
dg_e/dt = (x_e - g_e)/tau_e : Hz
dx_e/dt = -x_e/tau_1 : Hz
dg_i/dt = (x_i - g_i)/tau_i : Hz
dx_i/dt = -x_i/tau_1 : Hz
mu : 1 (constant)
cluster : integer (constant)
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        n_e + n_i, equations, threshold="v > 1", reset="v = 0", refractory=5 * ms, method="euler"
    )
    neurons.v = "rand()"
    neurons.mu = "1.1 + 0.1*rand()"
    neurons.cluster = "i // (n_e // clusters)"
    excitatory, inhibitory = neurons[:n_e], neurons[n_e:]
    within = Trained(excitatory, excitatory, "w : Hz", on_pre="x_e += w")
    within.connect("cluster_pre == cluster_post and i != j", p=0.5)
    within.w = 60 * Hz
    across = Trained(excitatory, neurons, "w : Hz", on_pre="x_e += w")
    across.connect("cluster_pre != cluster_post", p=0.2)
    across.w = 30 * Hz
    inhibition = Trained(inhibitory, neurons, "w : Hz", on_pre="x_i += w")
    inhibition.connect(p=0.5)
    inhibition.w = 90 * Hz
    return Network(collect())
