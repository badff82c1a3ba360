"""The network that runs is read: what is differentiated, given and followed."""

import math

import numpy as np
import pytest
from brian2 import (
    Network,
    NetworkOperation,
    NeuronGroup,
    SpikeGeneratorGroup,
    Synapses,
    defaultclock,
    ms,
    mV,
    start_scope,
    volt,
)

from brian_eprop import EProp, LeakyReadout, Learner, PiecewiseLinear, TrainableSynapses

pytestmark = pytest.mark.usefixtures("numpy_target")
STEPS = 60
RNG = np.random.default_rng(1)
TIMES, CHANNELS = np.nonzero(RNG.random((STEPS, 8)) < 0.2)
WEIGHTS = RNG.standard_normal(40) * 4 + 5


class Small:
    """8 inputs → 5 neurons ⇄ themselves → a readout."""

    def __init__(self, hook=None, order=math.inf, **learner):
        start_scope()
        defaultclock.dt = 1 * ms
        period = dict(period=STEPS * ms)
        source = SpikeGeneratorGroup(8, CHANNELS, TIMES * ms, name="source", **period)
        spiking = dict(threshold="v > 15*mV", reset="v = 0*mV", method="euler")
        self.group = NeuronGroup(5, "dv/dt = -v/(20*ms) : volt", name="neurons", **spiking)
        target = np.ones(STEPS)
        self.readout = LeakyReadout(1, tau=20 * ms, target=target, name="answers", **period)
        rule = EProp(order=order, surrogate=PiecewiseLinear(20 / volt, 15 * mV))
        self.learner = Learner(self.readout, rule, reset_every=STEPS * ms, **learner)
        self.inputs = self._project(source, self.group, "v_post += w*mV", "inputs", WEIGHTS)
        self.recurrent = self._project(self.group, self.group, "v_post += w*mV", "recurrent", 1)
        outputs = self._project(self.group, self.readout, "y_post += w", "outputs", 1)
        objects = [source, self.group, self.readout, self.inputs, self.recurrent, outputs]
        self.network = Network(*objects, *(hook(self) if hook else ()))

    def _project(self, source, target, on_pre, name, weights):
        synapses = TrainableSynapses(source, target, on_pre=on_pre, name=name, learner=self.learner)
        synapses.connect()
        synapses.w = weights
        return synapses

    def run(self):
        self.network.run(STEPS * ms)
        return np.concatenate([self.inputs.grad[:], self.recurrent.grad[:]])


def decay(small):
    small.group.run_regularly("v *= 0.99", name="decay")
    return []


def test_it_is_printed_in_the_order_of_a_step():
    small = Small(decay)
    lines = str(small.learner.network).split("Group 'neurons'")[1].split("\n\n")[0].splitlines()[1:]
    slots = [line.split("  ")[1].split(",")[0] for line in lines]
    assert slots == ["start", "groups", "thresholds", "synapses", "synapses", "resets"]
    roles = [line.split("  ")[-1] for line in lines]
    assert roles.count("trained") == 2
    assert "code 'decay'" in lines[0]
    assert roles[0] == "differentiated"


def test_a_stored_network_goes_on_in_objects_that_have_never_run(tmp_path):
    one = Small(decay)
    one.run()
    one.network.store(filename=tmp_path / "state")
    expected = one.run()
    other = Small(decay)
    other.network.restore(filename=tmp_path / "state")
    assert np.any(expected != 0)
    assert np.array_equal(other.run(), expected)


def test_it_is_read_again_when_objects_were_added_or_moved():
    small, explicit = Small(order=1), Small(decay, order=1)
    without, expected = small.run(), explicit.run()
    small.group.run_regularly("v *= 0.99", name="decay")
    second = small.run() - without
    # The same trial, now with the new code; a first trial of the other network
    assert np.any(without != expected)
    np.testing.assert_allclose(second, expected, rtol=1e-10, atol=1e-12)


def test_python_that_changes_a_state_is_noticed_unless_it_counts_as_given():
    def push(small):
        def change():
            small.group.v_[0] = 0.003

        return [NetworkOperation(change, dt=1 * ms, name="push")]

    with pytest.raises(Exception) as raised:
        Small(push).run()
    error = raised.value.__cause__ or raised.value
    assert "network operation 'push' changes 'v' of group 'neurons'" in str(error)
    assert "Learner(given=[operation])" in str(error)

    def meant(small):
        (operation,) = push(small)
        small.learner.__dict__["given"] = (operation,)
        return [operation]

    assert np.any(Small(meant).run() != 0)


def test_python_that_changes_nothing_is_left_alone():
    seen = []

    def watch(small):
        return [NetworkOperation(lambda t: seen.append(float(small.group.v_[0])), name="watch")]

    assert np.array_equal(Small(watch).run(), Small().run())
    assert len(seen) == STEPS


@pytest.mark.slow
def test_plain_synapses_are_followed_as_if_they_were_fixed():
    def loop(make):
        def hook(small):
            spiking = dict(threshold="v > 15*mV", reset="v = 0*mV", method="euler")
            others = NeuronGroup(3, "dv/dt = -v/(20*ms) : volt", name="others", **spiking)
            made = []
            for source, target, weight in ((small.group, others, 9), (others, small.group, -5)):
                synapses = make(small, source, target)
                synapses.connect()
                synapses.w = weight
                synapses.pre.delay = "(i % 3)*ms"
                made.append(synapses)
            return [others, *made]

        return hook

    def plain(small, source, target):
        return Synapses(source, target, "w : 1", on_pre="v_post += w*mV")

    def fixed(small, source, target):
        text = dict(on_pre="v_post += w*mV", fixed=True)
        return TrainableSynapses(source, target, "w : 1", learner=small.learner, **text)

    expected = Small(loop(fixed)).run()
    assert np.abs(expected - Small().run()).max() > 1e-3 * np.abs(expected).max()
    np.testing.assert_allclose(Small(loop(plain)).run(), expected, rtol=1e-10, atol=1e-12)
