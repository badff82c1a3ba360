"""Handwriting: the path of a pen out of frozen noise."""

from functools import cached_property

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms
from scipy.special import ndtr

from ..checks import Bools, Floats, any_seed, time, whole, whole_number
from . import TrainingSetup
from .encoding import frozen_noise
from .parts import drawable_rate, normalized_error, spike_probability

__all__ = [
    "TASK",
    "Handwriting",
]

#: Of the logarithm of the time that a stroke takes.
SPREAD = 0.3


@frozen(eq=False, slots=False)
class Handwriting:
    """
    Move a pen along strokes that overlap in time, as a hand does, from the same input each time.

    The input is Poisson noise, drawn once from ``seed`` and then frozen: a spike of input i in
    step t ≥ 1 has the probability p = input_rate·dt. The target is the position of the pen,

    .. math:: s(t) = \\sum_i D_i \\int_0^{F_i(t)} (\\cos, \\sin)(θ_i + Δ_i f)\\, df, \\quad
              F_i(t) = Φ(\\ln((t - t_i)/τ) / 0.3),

    of strokes that begin one after the other, at :math:`t_i = i h`, with the bell-shaped speed
    of a log-normal distribution of median τ = 0.8 h, and turn by :math:`Δ_i` on their way.
    h = 1/(strokes + 1) of the trial, so that the last one is over at its end. Lengths are
    :math:`D_i ∼ U(0.5, 1)`, directions alternate between up and down, :math:`θ_i = ±1.2 +
    N(0, 0.5²)`, and turns are :math:`|Δ_i| ∼ U(0.5, 2.5)` to either side. The path begins at 0
    and is divided by its largest magnitude (of both coordinates).

    Parameters
    ----------
    strokes : int
    n_in : int
        Number of inputs.
    steps : int
        Steps of a trial, at least 10.
    dt : Quantity
        Time step.
    input_rate : Quantity
        Mean rate of an input.
    seed : int
        Of input and strokes.

    Raises
    ------
    DimensionMismatchError
        If ``dt`` or ``input_rate`` has the wrong unit or none.
    ValueError
        If another option is out of its range, or the probability of a spike above 1.

    References
    ----------
    The sigma-lognormal model of strokes: Plamondon & Djioua (2006), Human Movement Science
    25:586, doi:10.1016/j.humov.2006.07.004.
    """

    strokes: int = field(default=6, validator=whole(1))
    n_in: int = field(default=100, validator=whole(1))
    steps: int = field(default=1000, validator=whole(10))
    dt: Quantity = field(default=1 * ms, validator=time())
    input_rate: Quantity = field(default=50 * Hz, validator=drawable_rate())
    seed: int = field(default=0, validator=any_seed())

    n_out = 2

    @property
    def defaults(self) -> TrainingSetup:
        """
        The network of :mod:`~brian_eprop.tasks.pattern_generation`.

        After 300 iterations the normalised error is about 0.025.
        """
        return TrainingSetup(
            neurons=(("lif", 100, {"tau_m": 30 * ms, "t_ref": 0 * ms}),),
            tau_out=30 * ms,
            loss="mse",
            gains={"w_in": 0.45, "w_rec": 0.45, "w_out": 0.03, "feedback": 0.03},
            feedback="symmetric",
            optimizer="Adam",
            learning_rate=1e-3,
            iterations=300,
            batch_size=1,  # all trials are the same
            evaluation_trials=1,
            rate_target=15 * Hz,
            # grows with the loss that it has to balance
            rate_strength=1500.0,
        )

    @cached_property
    def inputs(self) -> Bools:
        """The frozen input, shape (steps, n_in), of bool."""
        p = spike_probability(self, "input_rate")
        return frozen_noise([self.seed, 0], self.steps, self.n_in, p)

    @cached_property
    def target(self) -> Floats:
        """Positions of the pen, shape (steps, 2)."""
        # a stream of its own: the same path whatever the number of inputs
        rng, n = np.random.default_rng([self.seed, 1]), self.strokes
        length = rng.uniform(0.5, 1, n)
        direction = 1.2 * (-1.0) ** np.arange(n) + 0.5 * rng.standard_normal(n)
        turn = rng.uniform(0.5, 2.5, n) * rng.choice([-1, 1], n)
        # in units of the time between two strokes
        since = np.linspace(0, n + 1, self.steps)[:, np.newaxis] - np.arange(n)
        with np.errstate(divide="ignore"):  # before a stroke: Φ(−∞) = 0
            done = ndtr(np.log(np.maximum(since, 0) / 0.8) / SPREAD)
        angle = direction + turn * done
        across = np.sin(angle) - np.sin(direction)
        up = np.cos(direction) - np.cos(angle)
        path = np.stack([across, up], axis=-1) * (length / turn)[:, np.newaxis]
        path = path.sum(axis=1)
        return path / abs(path).max()

    def sample(self, rng: np.random.Generator, batch: int) -> tuple[Bools, Floats]:
        """
        Trials to train on; all are the same here.

        Parameters
        ----------
        rng : numpy.random.Generator
            Not drawn from: input and target are frozen.
        batch : int

        Returns
        -------
        inputs : (batch, steps, n_in) ndarray of bool
        targets : (batch, steps, n_out) ndarray of float

        Raises
        ------
        ValueError
            If ``batch`` is less than 1.
        """
        whole_number("batch", batch)
        return np.stack([self.inputs] * batch), np.stack([self.target] * batch)

    def metric(self, outputs: Floats, targets: Floats) -> float:
        """Normalised error, see :mod:`.parts.metrics`."""
        return normalized_error(outputs, targets)


TASK = Handwriting
