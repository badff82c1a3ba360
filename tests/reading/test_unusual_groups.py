"""Groups whose step is more than their equations, threshold and reset: refused by name."""

import numpy as np
import pytest
from brian2 import (
    NeuronGroup,
    Soma,
    SpatialNeuron,
    SpikeGeneratorGroup,
    Synapses,
    cm,
    ms,
    mV,
    ohm,
    siemens,
    start_scope,
    uF,
    um,
    volt,
)
from own_networks import LIF, SPIKING, Small, refusal

from brian_eprop import EProp, LeakyReadout, Learner, PiecewiseLinear, TrainableSynapses

pytestmark = pytest.mark.usefixtures("numpy_target")


def soma():
    """A ball of membrane that fires above −40 mV."""
    neuron = SpatialNeuron(
        Soma(30 * um),
        """Im = gl*(-70*mV - v) + gs*(0*mV - v) : amp/meter**2
        dgs/dt = -gs/(5*ms) : siemens/meter**2""",
        threshold="v > -40*mV",
        reset="v = -70*mV",
        method="exponential_euler",
        Cm=1 * uF / cm**2,
        Ri=100 * ohm * cm,
        namespace={"gl": 1e-4 * siemens / cm**2},
        name="soma",
    )
    neuron.v = -70 * mV
    return neuron


class ByHand(NeuronGroup):
    """A group in whose step code with a template of its own runs."""

    def __init__(self, *args, **kwds):
        super().__init__(*args, **kwds)
        runner = self.run_regularly("v = v", when="groups", order=1)
        runner.template = "mine"


def learner():
    """Of a readout with one output."""
    start_scope()
    readout = LeakyReadout(1, tau=20 * ms, target=np.ones(20))
    rule = EProp(surrogate=PiecewiseLinear(20 / volt, 15 * mV))
    return Learner(readout, rule, reset_every=20 * ms)


def test_a_spatial_neuron_that_is_to_learn_is_refused():
    learns = learner()
    source = SpikeGeneratorGroup(1, [0], [1] * ms)
    on_pre = "gs_post += w*siemens/meter**2"
    error = refusal(lambda: TrainableSynapses(source, soma(), on_pre=on_pre, learner=learns))
    assert "'soma' is a SpatialNeuron" in error
    assert "variables of a NeuronGroup" in error


def test_a_spatial_neuron_that_credit_would_have_to_cross_is_refused():
    def others(small):
        neuron = soma()
        there = Synapses(small.group, neuron, on_pre="gs_post += 1*siemens/meter**2")
        back = Synapses(neuron, small.group, on_pre="v_post += 1*mV")
        there.connect()
        back.connect()
        return [neuron, there, back]

    error = refusal(lambda: Small(others=others, order=float("inf")).run())
    assert "'soma' is a SpatialNeuron" in error


def test_a_group_with_code_that_is_no_equation_is_refused():
    learns = learner()
    source = SpikeGeneratorGroup(1, [0], [1] * ms)
    target = ByHand(2, LIF, name="mine", **SPIKING)
    on_pre = "v_post += w*mV"
    error = refusal(lambda: TrainableSynapses(source, target, on_pre=on_pre, learner=learns))
    assert "'mine' is a ByHand" in error
    assert "use a NeuronGroup" in error
