"""Frozen patterns: noise that is the same in every trial, to be turned into a signal."""

from abc import abstractmethod
from functools import cached_property

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import Bools, Floats, any_seed, time, whole
from . import TrainingSetup
from .encoding import frozen_noise
from .kinds import SampledTask
from .metrics import normalized_error
from .options import drawable_rate, spike_probability


@frozen(eq=False, slots=False)
class FrozenPattern(SampledTask):
    """
    A task of one trial: turn Poisson noise that is the same each time into a signal, ``target``.

    A spike of input i in step t ≥ 1 has the probability p = input_rate·dt, step 0 has none.
    """

    n_in: int = field(default=100, validator=whole(1))
    steps: int = field(default=1000, validator=whole(10))
    dt: Quantity = field(default=1 * ms, validator=time())
    input_rate: Quantity = field(default=50 * Hz, validator=drawable_rate())
    seed: int = field(default=0, validator=any_seed())

    @property
    @abstractmethod
    def n_out(self) -> int:
        """Number of readouts."""

    @property
    @abstractmethod
    def target(self) -> Floats:
        """The signal to generate, shape (steps, n_out)."""

    @cached_property
    def inputs(self) -> Bools:
        """The frozen input, shape (steps, n_in), of bool."""
        p = spike_probability(self, "input_rate")
        return frozen_noise([self.seed, 0], self.steps, self.n_in, p)

    @property
    def defaults(self) -> TrainingSetup:
        """
        A set-up that learns the task with every kind of feedback.

        Over ten seeds, both kinds of patterns and symmetric, random and adaptive feedback, the loss
        falls at least 60 times, at 9 to 36 spikes/s throughout. The network is that of the
        published task but for the scale of the membrane: with v_th = 0.6 instead of 0.03 one
        learning rate suits hidden and readout weights.
        """
        return TrainingSetup(
            neurons=(("lif", 100, {"tau_m": 30 * ms, "t_ref": 0 * ms}),),
            tau_out=30 * ms,
            loss="mse",
            # about 15 spikes/s before training, at the model's threshold of 0.6
            gains={"w_in": 0.45, "w_rec": 0.45, "w_out": 0.03, "feedback": 0.03},
            feedback="symmetric",
            optimizer="Adam",
            # In one step a hidden weight moves little against the threshold, but a readout
            # weight a good part of its size: outputs then grow without a burst of spikes.
            learning_rate=1e-3,
            iterations=200,
            batch_size=1,  # all trials are the same
            evaluation_trials=1,
            rate_target=15 * Hz,
            # grows with the loss that it has to balance
            rate_strength=750.0 * self.n_out,
        )

    def _draw(self, rng, batch):
        return np.stack([self.inputs] * batch), np.stack([self.target] * batch)

    def metric(self, outputs: Floats, targets: Floats) -> float:
        """Normalised error, see :mod:`.tasks.metrics`."""
        return normalized_error(outputs, targets)
