"""Handwriting: the path of a pen out of frozen noise."""

from functools import cached_property

import numpy as np
from attrs import evolve, field, frozen
from scipy.special import ndtr

from ..checks import Floats, whole
from . import TrainingSetup
from .frozen_pattern import FrozenPattern

__all__ = [
    "TASK",
    "Handwriting",
]

#: Of the logarithm of the time that a stroke takes.
SPREAD = 0.3


@frozen(eq=False, slots=False)
class Handwriting(FrozenPattern):
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

    n_out = 2

    @property
    def defaults(self) -> TrainingSetup:
        """
        The network of :mod:`~brian_eprop.tasks.pattern_generation`.

        After 300 iterations the normalised error is about 0.025.
        """
        return evolve(super().defaults, iterations=300)

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


TASK = Handwriting
