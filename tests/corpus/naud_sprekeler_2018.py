"""Two compartments: a burst says that soma and apical dendrite are driven at once.

Paper: Naud & Sprekeler 2018, PNAS 115:E6329

The two-compartment model of layer-5 pyramidal neurons with a regenerative dendritic current and
spikes that travel back into the dendrite (here with an exponential instead of a box of 2 ms).
Synapses onto the soma and onto the dendrite, from other populations and recurrent, learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear, load_model

DT, DURATION = 0.1 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height="0.3/(v_th - E_L)", width="v_th - E_L")


def network(Trained=Synapses):
    neurons = load_model("two_compartment").group(12, name="pyramidal")
    bottom_up = PoissonGroup(20, 60 * Hz)
    top_down = PoissonGroup(20, 40 * Hz)
    onto_soma = Trained(bottom_up, neurons, "w : amp", on_pre="I_syn_post += w")
    onto_soma.connect()
    onto_soma.w = "300*rand()*pA"
    onto_dendrite = Trained(top_down, neurons, "w : amp", on_pre="I_apical_post += w")
    onto_dendrite.connect()
    onto_dendrite.w = "300*rand()*pA"
    recurrent = Trained(neurons, neurons, "w : amp", on_pre="I_apical_post += w")
    recurrent.connect("i != j")
    recurrent.w = "100*rand()*pA"
    return Network(collect())
