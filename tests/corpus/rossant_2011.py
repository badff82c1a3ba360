"""Fitting neuron models to spike trains: one population, one set of parameters per neuron.

Paper: Rossant et al. 2011, Front. Neurosci. 5:9

Leaky integrate-and-fire neurons with an adaptive threshold (the model of the fitting challenge)
receive the same injected current; R, τ and the threshold's jump differ from neuron to neuron.
Weights of an additional synaptic input learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 150 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (15 * mV), width=15 * mV)

rng = np.random.default_rng(3)
injected = TimedArray((0.5 + 0.4 * rng.standard_normal(300)) * nA, dt=0.5 * ms)

equations = """
dV/dt = (R*(injected(t) + I) - V)/tau : volt (unless refractory)
dV_t/dt = (15*mV - V_t)/tau_t : volt
dI/dt = -I/(5*ms) : amp
R : ohm (constant)
tau : second (constant)
tau_t : second (constant)
jump : volt (constant)
"""


def network(Trained=Synapses):
    models = NeuronGroup(
        10,
        equations,
        threshold="V > V_t",
        reset="V = 0*mV; V_t += jump",
        refractory=2 * ms,
        method="euler",
    )
    models.R = "(30 + 20*rand())*Mohm"
    models.tau = "(8 + 12*rand())*ms"
    models.tau_t = "(20 + 80*rand())*ms"
    models.jump = "5*mV*rand()"
    models.V_t = 15 * mV
    source = PoissonGroup(10, 60 * Hz)
    inputs = Trained(source, models, "w : amp", on_pre="I_post += w")
    inputs.connect()
    inputs.w = "0.2*nA*rand()"
    return Network(collect())
