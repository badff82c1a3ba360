"""Networks that are written once and made twice: of Brian2 alone, or to learn.

A network is a function of a `Sketch`, which makes its objects and knows which of the two is wanted.
They are in networks_from_papers.py, networks_by_reset.py and networks_by_feature.py.
"""

from __future__ import annotations

import numpy as np
from attrs import field, frozen
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    Synapses,
    defaultclock,
    ms,
    seed,
    volt,
)

from brian_eprop import EProp, LeakyReadout, Learner, PiecewiseLinear, TrainableSynapses

LIF = "dv/dt = -v/(20*ms) : volt"
SPIKING = {"threshold": "v > 15*mV", "reset": "v = 0*mV", "method": "euler"}


def drawn(seed, shape, mean=0.0, spread=1.0):
    """Normal numbers."""
    return mean + spread * np.random.default_rng(seed).standard_normal(shape)


@frozen
class Written:
    """A network, with what is not in its objects.

    Parameters
    ----------
    make : callable
        Makes the objects of a Sketch.
    orders : tuple
        That the engine of credit gives.
    traces : bool
        Whether eligibility traces give order 1.
    steps, dt : int, Quantity
    height, width : float
        ψ(x) = height · max(0, 1 − |x|/width), with x in volt.
    """

    make = field()
    orders = field(default=(1, 2, float("inf")))
    traces = field(default=True)
    steps = field(default=60)
    dt = field(default=1 * ms)
    height = field(default=20.0)
    width = field(default=15e-3)

    def surrogate(self, distance):
        """ψ, in numbers."""
        return self.height * np.maximum(0, 1 - np.abs(distance) / self.width)

    @property
    def targets(self):
        """(steps, 2) ndarray."""
        return drawn(99, (self.steps, 2))


WRITTEN = {}


def written(**options):
    """A network of this file, with options of `Written`."""

    def keep(make):
        WRITTEN[make.__name__] = Written(make, **options)
        return make

    return keep


class Sketch:
    """The objects of a network, with names in the order in which they are made.

    Parameters
    ----------
    of : Written
    rule : EProp, optional
        Without it: Synapses and a NeuronGroup of Brian2.
    """

    def __init__(self, of, rule=None):
        seed(11)
        defaultclock.dt = of.dt
        self.of, self.rule, self.made, self.weights = of, rule, [], []
        options = {"name": "answers"}
        if rule is None:
            equations = "dy/dt = -y/tau : 1\ntau : second (shared, constant)"
            self.readout = NeuronGroup(2, equations, method="exact", **options)
            self.readout.tau = 20 * ms
        else:
            self.readout = LeakyReadout(2, tau=20 * ms, target=of.targets, **options)
            self.learner = Learner(self.readout, rule, reset_every=of.steps * of.dt)
        of.make(self)
        self.network = Network(self.readout, *self.made)

    def add(self, kind, *arguments, **options):
        """An object of Brian2."""
        # By name Brian2 sorts what runs in the same slot
        made = kind(*arguments, name=f"object_{len(self.made):02d}", **options)
        self.made.append(made)
        return made

    def inputs(self, n=8, rate=0.3, draw=1, **options):
        """Random spikes, ``rate`` of them a step."""
        fires = np.random.default_rng(draw).random((self.of.steps, n)) < rate
        steps, channels = np.nonzero(fires)
        return self.add(SpikeGeneratorGroup, n, channels, steps * self.of.dt, **options)

    def neurons(self, equations=LIF, n=5, **options):
        """A NeuronGroup; it spikes at 15 mV if nothing else is said."""
        return self.add(
            NeuronGroup, n, equations, **(options if "threshold" in options else SPIKING | options)
        )

    def plain(self, source, target, *arguments, connect=None, **options):
        """Synapses that do not learn."""
        made = self.add(Synapses, source, target, *arguments, **options)
        made.connect(**(connect or {}))
        return made

    def learning(self, source, target, on_pre=None, mean=0.0, spread=1.0, **options):
        """Synapses that learn; all to all if nothing else is said.

        Parameters
        ----------
        mean, spread : float
            Of the weights.
        connect : dict
            Arguments of `Synapses.connect`.
        model : str
        **options
            Of the synapses; ``fixed`` and ``arrival`` of those that learn.
        """
        connect, model = options.pop("connect", {}), options.pop("model", "w : 1")
        arrival, fixed = options.pop("arrival", None), options.pop("fixed", False)
        if on_pre:
            options["on_pre"] = on_pre
        if self.rule is None:
            made = self.add(Synapses, source, target, model, **options)
            if arrival:
                made.pre.when = arrival
        else:
            options |= {"learner": self.learner}
            options |= {"arrival": arrival} if arrival else {}
            options |= {"fixed": True} if fixed else {}
            made = self.add(TrainableSynapses, source, target, model, **options)
        made.connect(**connect)
        made.w = drawn(len(self.made), len(made), mean, spread)
        if not fixed:
            self.weights.append((made, "w"))
        return made

    def forward(self, group, on_pre="v_post += w*mV", mean=4.0, spread=3.0, inputs=None, **options):
        """Random inputs → a group."""
        return self.learning(inputs or self.inputs(), group, on_pre, mean, spread, **options)

    def outputs(self, group, **options):
        """A group → the readout."""
        return self.learning(group, self.readout, "y_post += w", 0.3, 1, **options)

    def around(self, group, forward="v_post += w*mV", recurrent="v_post += w*mV", **options):
        """Inputs → the group → itself and the readout.

        Parameters
        ----------
        forward, recurrent : str
            What a spike does.
        weights : tuple of 4 float
            Mean and spread of the weights of inputs, and of those of the group onto itself.
        loop, entry : dict, optional
            Options of the synapses in the group, and of those onto it.
        """
        weights = options.pop("weights", (4, 3, 1, 3))
        self.forward(group, forward, *weights[:2], **options.pop("entry", {}))
        self.learning(group, group, recurrent, *weights[2:], **options.pop("loop", {}))
        self.outputs(group)


def made(name, order=None, engine="credit"):
    """A network that is written, as a Sketch: plain without an order."""
    of = WRITTEN[name]
    surrogate = PiecewiseLinear(of.height / volt, of.width * volt)
    return Sketch(of, order and EProp(order=order, engine=engine, surrogate=surrogate))
