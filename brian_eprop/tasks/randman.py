"""Randman: on which of several smooth random manifolds do the times of spikes lie?"""

from functools import cached_property

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import ABOVE_0, Floats, any_seed, real, time, whole
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .kinds import Decision
from .options import in_steps, steps_of

__all__ = [
    "TASK",
    "Randman",
]

#: Terms of the sums are left out where they are smaller than this, or so many.
SMALLEST, MOST_TERMS = 1e-3, 1000
#: Places at which the range of a function is looked for.
GRID = 2001


@frozen(eq=False, slots=False)
class Randman(Decision):
    """
    Say from which manifold the times at which inputs fire were drawn; each input fires once.

    A class is a manifold of ``dimension`` coordinates :math:`x_j ∼ U(0, 1)`, and input i fires at
    a time that is a smooth random function of them,

    .. math:: f_i(x) = \\prod_j \\sum_{k=1}^K k^{-α} A_{ijk} \\sin 2π (k x_j B_{ijk} + C_{ijk}),

    with A, B and C ∼ U(0, 1), drawn once from ``seed``, α = ``smoothness``, and K terms, until
    :math:`K^{-α}` is 10⁻³. It is scaled so that the least value of :math:`f_i` on the manifold
    is the first and the largest the last step of the time ``shown``. Then follows the time
    ``answer`` without inputs, in which the answer counts. The target is the probability 1 of the
    class; all have equal chance.

    How many spikes an input fires says nothing of the class: all is in their times.

    Parameters
    ----------
    classes : int
        At least 2.
    embedding : int
        Dimension of the space in which the manifolds are.
    dimension : int
        Of the manifolds.
    smoothness : float
        α: the larger, the smoother, and the easier.
    shown, answer : Quantity
        Durations; multiples of ``dt``.
    seed : int
        Of the manifolds.
    dt : Quantity
        Time step.

    Raises
    ------
    DimensionMismatchError
        If a quantity has the wrong unit or none.
    ValueError
        If an option is out of its range or a duration no multiple of ``dt``.

    References
    ----------
    Zenke & Vogels (2021), Neural Computation 33:899, doi:10.1162/neco_a_01367. There functions
    are scaled by their range over the points drawn, here over the whole manifold.
    """

    classes: int = field(default=10, validator=whole(2))
    embedding: int = field(default=20, validator=whole(1))
    dimension: int = field(default=1, validator=whole(1))
    smoothness: float = field(default=3.0, validator=real("be a number above 0", low=ABOVE_0))
    shown: Quantity = field(default=50 * ms, validator=in_steps())
    answer: Quantity = field(default=20 * ms, validator=in_steps())
    seed: int = field(default=0, validator=any_seed())
    dt: Quantity = field(default=1 * ms, validator=time())

    _phases = ("shown", "answer")

    @property
    def n_out(self) -> int:
        """Number of classes."""
        return self.classes

    @property
    def input_groups(self) -> dict[str, int]:
        """All inputs are one group."""
        return {"manifold": self.embedding}

    @property
    def output_names(self) -> tuple[str, ...]:
        """The classes, from 1."""
        return tuple(str(k + 1) for k in range(self.classes))

    @property
    def defaults(self) -> TrainingSetup:
        """100 LIF neurons."""
        return TrainingSetup.of_decisions(
            neurons=(("lif", 100, {"tau_m": 20 * ms, "v_th": 0.6, "t_ref": 2 * ms}),),
            gains={"w_in": 2.5, "w_rec": 0.3, "w_out": 1.0, "feedback": 1.0},
            learning_rate=CosineDecay(1e-2, 1e-4, 800),
            iterations=800,
            batch_size=128,
            evaluation_trials=1000,
            rate_target=30 * Hz,
            rate_strength=0.2 * self.learning_window,
        )

    @cached_property
    def coefficients(self) -> Floats:
        """A, B and C: (3, classes, embedding, dimension, K) ndarray."""
        terms = int(min(np.ceil(SMALLEST ** (-1 / self.smoothness)), MOST_TERMS))
        rng = np.random.default_rng([self.seed, 1])
        return rng.random((3, self.classes, self.embedding, self.dimension, terms))

    @cached_property
    def ranges(self) -> Floats:
        """Least and largest value of every function on its manifold: (2, classes, embedding)."""
        grid = np.linspace(0, 1, GRID)
        low, high = np.ones((2, self.classes, self.embedding))
        for k in range(self.classes):
            # the factors of a product depend on a coordinate each
            for j in range(self.dimension):
                factor = self._factor(np.full(GRID, k), grid, j)
                ends = np.stack([factor.min(axis=0), factor.max(axis=0)])
                products = np.concatenate([low[k] * ends, high[k] * ends])
                low[k], high[k] = products.min(axis=0), products.max(axis=0)
        return np.stack([low, high])

    def moments(self, classes: Floats, coordinates: Floats) -> Floats:
        """
        When inputs fire, from 0 to 1.

        Parameters
        ----------
        classes : (batch,) ndarray of int
        coordinates : (batch, dimension) ndarray
            x, from 0 to 1.

        Returns
        -------
        (batch, embedding) ndarray
        """
        values = np.ones((len(classes), self.embedding))
        for j in range(self.dimension):
            values *= self._factor(classes, coordinates[:, j], j)
        low, high = self.ranges[:, classes]
        # between two places of the grid a function may go a little further
        return np.clip((values - low) / (high - low), 0, 1)

    def _factor(self, classes, x, j):
        """The factor of coordinate j: (batch, embedding)."""
        a, b, c = self.coefficients[..., j, :]
        k = np.arange(1, a.shape[-1] + 1)
        found = np.empty((len(classes), self.embedding))
        # a class at a time: a number for each point, input and term is much memory
        for number in np.unique(classes):
            points = x[classes == number, np.newaxis, np.newaxis]
            waves = np.sin(2 * np.pi * (k * points * b[number] + c[number]))
            found[classes == number] = (a[number] * k**-self.smoothness * waves).sum(axis=-1)
        return found

    def _decisions(self, rng, batch):
        classes = rng.integers(self.classes, size=batch)
        moments = self.moments(classes, rng.random((batch, self.dimension)))
        step = np.floor(moments * (steps_of(self, "shown") - 1) + 0.5)
        return np.arange(self.steps)[:, np.newaxis] == step[:, np.newaxis], classes


TASK = Randman
