"""Winner take all: two populations that excite themselves and share one inhibition.

Paper: Rutishauser, Douglas & Slotine 2011, Neural Comput. 23:735

Spiking neurons in the place of the paper's rate units, with its motif: recurrent excitation α,
inhibition β₁ and its drive β₂ (Eqs 2.1–2.2). The external inputs and the self-excitation learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.2 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3, width=1)

tau, tau_s, alpha, beta_1, beta_2, leak_current = 20 * ms, 5 * ms, 0.25, 0.3, 0.25, 0.3

equations = """
dv/dt = (-v + leak_current + I)/tau : 1 (unless refractory)
dI/dt = -I/tau_s : 1
pool : integer (constant)
"""


def network(Trained=Synapses):
    options = dict(threshold="v > 1", reset="v = 0", refractory=2 * ms, method="euler")
    excitatory = NeuronGroup(20, equations, **options)
    excitatory.pool = "i // 10"
    inhibitory = NeuronGroup(4, equations, **options)
    source = PoissonGroup(20, rates="60*Hz + 40*Hz*int(i < 10)")
    inputs = Trained(source, excitatory, "w : 1", on_pre="I += w")
    inputs.connect("i // 10 == pool_post", p=0.5)
    inputs.w = "rand()"
    itself = Trained(excitatory, excitatory, "w : 1", on_pre="I += w")
    itself.connect("pool_pre == pool_post and i != j")
    itself.w = alpha
    to_inhibition = Synapses(excitatory, inhibitory, on_pre="I += beta_2")
    to_inhibition.connect()
    from_inhibition = Synapses(inhibitory, excitatory, on_pre="I -= beta_1")
    from_inhibition.connect()
    return Network(collect())
