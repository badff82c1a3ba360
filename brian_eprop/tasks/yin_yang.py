"""Yin-Yang: in which part of the sign is a point, told by the times of spikes?"""

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import Floats, Ints, time
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .kinds import Decision
from .options import in_steps, steps_of

__all__ = [
    "TASK",
    "YinYang",
    "class_of",
]

#: Radius of the sign, which touches the sides of the unit square, and that of its dots.
RADIUS, DOT = 0.5, 0.1
GROUPS = dict.fromkeys(("x", "y", "1 - x", "1 - y", "bias"), 1)
YIN, YANG, DOTS = range(3)


@frozen(eq=False)
class YinYang(Decision):
    """
    Say whether a point of the yin-yang sign is in yin, in yang, or in one of the two dots.

    A point (x, y) of the disc of radius ½ in the unit square is told by four spikes, one of each
    input: an input of the value u in x, y, 1 − x, 1 − y fires in step ⌊u (T − 1) + ½⌋ of the T
    steps of the time ``shown``, a fifth one in step 0. Then follows the time ``answer`` without
    inputs, in which the answer counts. The target is the probability 1 of one of three classes,
    each with equal chance; within a class points are uniform.

    With the distances d_l and d_r to the centres (¼, ½) and (¾, ½), a point is in a dot where the
    smaller one is at most 0.1, else in yin where d_l ≤ ¼, or y > ½ and d_r > ¼, else in yang. No
    linear classifier is right in much more than 60 % of all points.

    Parameters
    ----------
    shown, answer : Quantity
        Durations; multiples of ``dt``.
    dt : Quantity
        Time step.

    Raises
    ------
    DimensionMismatchError
        If a quantity has the wrong unit or none.
    ValueError
        If a duration is out of its range or no multiple of ``dt``.

    References
    ----------
    Kriener, Göltz & Petrovici (2022), NICE, doi:10.1145/3517343.3517380, arXiv 2102.08211: 5000
    points to learn from; here each one is new.
    """

    shown: Quantity = field(default=40 * ms, validator=in_steps())
    answer: Quantity = field(default=20 * ms, validator=in_steps())
    dt: Quantity = field(default=1 * ms, validator=time())

    n_out = 3
    input_groups = GROUPS
    output_names = ("yin", "yang", "dot")
    _phases = ("shown", "answer")

    @property
    def defaults(self) -> TrainingSetup:
        """120 LIF neurons, as many as in the publication."""
        return TrainingSetup.of_decisions(
            neurons=(("lif", 120, {"tau_m": 20 * ms, "v_th": 0.6, "t_ref": 2 * ms}),),
            gains={"w_in": 2.0, "w_rec": 0.3, "w_out": 1.0, "feedback": 1.0},
            learning_rate=CosineDecay(5e-3, 1e-4, 1500),
            iterations=1500,
            batch_size=128,
            evaluation_trials=1000,
            rate_target=20 * Hz,
            rate_strength=0.2 * self.learning_window,
        )

    def points(self, rng: np.random.Generator, classes: Ints) -> Floats:
        """
        Draw points of the classes that are given.

        Parameters
        ----------
        rng : numpy.random.Generator
        classes : (batch,) ndarray of int
            0 (yin), 1 (yang) or 2 (dot).

        Returns
        -------
        (batch, 2) ndarray
        """
        found = np.full((len(classes), 2), np.nan)
        open_ = np.arange(len(classes))
        while len(open_):
            tried = rng.random((len(open_), 2))
            inside = ((tried - RADIUS) ** 2).sum(axis=1) <= RADIUS**2
            fits = inside & (class_of(tried) == classes[open_])
            found[open_[fits]] = tried[fits]
            open_ = open_[~fits]
        return found

    def _decisions(self, rng, batch):
        classes = rng.integers(self.n_out, size=batch)
        points = self.points(rng, classes)
        values = np.concatenate([points, 1 - points, np.zeros((batch, 1))], axis=1)
        moment = np.floor(values * (steps_of(self, "shown") - 1) + 0.5)
        return np.arange(self.steps)[:, np.newaxis] == moment[:, np.newaxis], classes


def class_of(points: Floats) -> Ints:
    """
    The class of points in the sign: 0 (yin), 1 (yang) or 2 (dot).

    Parameters
    ----------
    points : (n, 2) ndarray
        In the disc of radius ½ around (½, ½).

    Returns
    -------
    (n,) ndarray of int
    """
    left, right = (
        np.hypot(points[:, 0] - centre, points[:, 1] - RADIUS) for centre in (0.25, 0.75)
    )
    yin = (left <= RADIUS / 2) | ((points[:, 1] > RADIUS) & (right > RADIUS / 2))
    return np.where(np.minimum(left, right) <= DOT, DOTS, np.where(yin, YIN, YANG))


TASK = YinYang
