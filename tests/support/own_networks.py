"""Small networks as people write them, in two ways: one simulation, so one gradient, or an error.

`Small` is 8 inputs → 5 neurons → a readout, and what a case adds to it.
"""

from __future__ import annotations

import numpy as np
from brian2 import (
    Network,
    NetworkOperation,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    ms,
    mV,
    seed,
    start_scope,
    volt,
)
from brian2.units import DimensionMismatchError

from brian_eprop import EProp, LeakyReadout, Learner, PiecewiseLinear, TrainableSynapses

#: Both ways are the same sums in another order
TOLERANCE = 1e-9
T, N, CHANNELS = 80, 5, 8
RNG = np.random.default_rng(1)
STEPS, INPUTS = np.nonzero(RNG.random((T, CHANNELS)) < 0.2)
WEIGHTS = RNG.standard_normal(CHANNELS * N) * 4 + 3
STIM = TimedArray(RNG.random(T) * 6, dt=1 * ms)
LIF = "dv/dt = -v/(20*ms) : volt"
SPIKING = {"threshold": "v > 15*mV", "reset": "v = 0*mV", "method": "euler"}
WIDE = PiecewiseLinear(20 / volt, 15 * mV)


class Small:
    """8 inputs → 5 neurons → a readout, and the objects that ``others`` makes of it.

    Parameters
    ----------
    equations : str
        Of the neurons.
    others : callable, optional
        Makes further objects of the network from this one.
    first : callable, optional
        Changes the neurons before anything is connected to them.
    order, engine, feedback
        Of learning.
    on_pre, model, synapses : str, str, dict
        Of the projection from the inputs.
    parameters : list of str, optional
        Parameters of the neurons that learn, too.
    rule : EProp or BPTT, optional
    schedule : list of str, optional
        Slots of the network.
    names : dict, optional
        What the text of the neurons may use besides STIM.
    **neurons
        Further arguments of the neurons.
    """

    def __init__(
        self,
        equations=LIF,
        others=None,
        first=None,
        *,
        order=1,
        engine="credit",
        feedback="symmetric",
        rule=None,
        on_pre="v_post += w*mV",
        model="w : 1",
        synapses=None,
        schedule=None,
        names=None,
        weights=WEIGHTS,
        learner=None,
        **neurons,
    ):
        start_scope()
        seed(1)
        defaultclock.dt = 1 * ms
        self.source = SpikeGeneratorGroup(
            CHANNELS, INPUTS, STEPS * ms, period=T * ms, name="source"
        )
        namespace = {"STIM": STIM} | (names or {})
        options = SPIKING | {"namespace": namespace, "name": "neurons"} | neurons
        self.group = NeuronGroup(N, equations, **options)
        if first:
            first(self)
        self.readout = LeakyReadout(
            1, tau=20 * ms, target=np.ones(T), period=T * ms, name="answers"
        )
        rule = rule or EProp(order=order, engine=engine, surrogate=WIDE)
        self.learner = Learner(
            self.readout, rule, feedback=feedback, reset_every=T * ms, **(learner or {})
        )
        self.inputs = TrainableSynapses(
            self.source,
            self.group,
            model,
            on_pre=on_pre,
            learner=self.learner,
            name="inputs",
            **(synapses or {}),
        )
        self.inputs.connect()
        self.inputs.w = weights
        self.outputs = TrainableSynapses(
            self.group, self.readout, on_pre="y_post += w", learner=self.learner, name="outputs"
        )
        self.outputs.connect()
        self.outputs.w = 1
        self.spikes = SpikeMonitor(self.group)
        self.network = Network(
            self.source, self.group, self.readout, self.inputs, self.outputs, self.spikes
        )
        self.network.add(*(others(self) or ()) if others else ())
        if schedule:
            self.network.schedule = schedule

    def run(self):
        """Run a trial; the loss and the gradient of the inputs."""
        self.network.run(T * ms)
        return self.loss, self.gradient

    @property
    def loss(self):
        """Of the trial."""
        return float(self.readout.loss[0])

    @property
    def gradient(self):
        """With respect to the weights of the inputs."""
        return np.array(self.inputs.grad[:])


def set_in_start(small):
    """The parameter g, set before the update of the same step; so by the two below."""
    small.group.run_regularly("g = STIM(t)", dt=1 * ms)


def summed(small):
    others = NeuronGroup(1, "s = STIM(t) : 1", namespace={"STIM": STIM})
    synapses = Synapses(others, small.group, "g_post = s_pre : 1 (summed)")
    synapses.connect()
    return [others, synapses]


def set_by_operation(small):
    return [NetworkOperation(lambda t: setattr(small.group, "g", float(STIM(t))), dt=1 * ms)]


def refusal(action):
    """The text of the error of ours with which an action ends; None if it ends well.

    An AttributeError or a KeyError is no error of ours.
    """
    try:
        action()
    except Exception as error:
        root = error
        while root.__cause__ is not None:
            root = root.__cause__
        if isinstance(root, ValueError | TypeError | DimensionMismatchError):
            return str(root)
        raise
    return None


def recorded(build, variable, when, order=-0.5):
    """What a variable is in every step, at the moment at which something uses it."""
    kept = []

    def watched(small):
        kept[:] = [StateMonitor(small.group, variable, record=True, when=when, order=order)]
        return kept

    build(watched).run()
    return np.asarray(kept[0].variables[variable].get_value())


def assert_one_simulation(first, second):
    """Two networks with equal losses, in which neurons fire and learn, have equal gradients."""
    assert first.spikes.num_spikes > 10
    np.testing.assert_allclose(second.loss, first.loss, rtol=TOLERANCE)
    largest = np.abs(first.gradient).max()
    assert largest > 0
    np.testing.assert_allclose(second.gradient, first.gradient, atol=TOLERANCE * largest)


def assert_same_or_refused(right, other, says=None):
    """The second way of writing a network has the gradient of the first, or is refused.

    Parameters
    ----------
    right, other : callable
        Make the networks.
    says : str, optional
        What the error says; without it there must be none.
    """
    found = {}

    def run():
        found["other"] = other()
        found["other"].run()

    error = refusal(run)
    if says is not None:
        assert error is not None, "was accepted"
        assert says in error
        # Before the first step
        assert "other" not in found or found["other"].network.t == 0 * ms
        return
    assert error is None, error
    expected = right()
    expected.run()
    assert_one_simulation(expected, found["other"])
