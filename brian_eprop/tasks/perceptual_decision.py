"""Perceptual decision: on which side is the evidence stronger, and how sure can one be?"""

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import Floats, time
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .kinds import ConditionedTask, Decision, side_of, signed
from .options import drawable_rate, in_steps, lif_and_alif, spike_probability, strengths

__all__ = [
    "TASK",
    "PerceptualDecision",
]

#: Groups of inputs and the number of inputs in each, in their order.
GROUPS = {"left": 20, "right": 20, "answer": 10}
#: Smallest and largest value of each condition.
RANGES = {"coherence": (-1, 1)}


@frozen(eq=False)
class PerceptualDecision(ConditionedTask, Decision):
    """
    Say on which side inputs fire more, where the difference is small and drowned in noise.

    A trial is the stimulus and the answer. In the stimulus the inputs "right" fire with the rate
    r (1 + c), the inputs "left" with r (1 − c), of mean r = ``rate``; c is the signed coherence of
    the trial. In the answer only the inputs "answer" fire, with ``rate``. Spikes are independent,
    with p = rate·dt per step. The target is the sign of c, as the probability 1 of output 0
    (left) or 1 (right), and a toss-up for c = 0; it counts during the answer only.

    Of n inputs a side, in T steps with p = r·dt, the best that can be done is to count: the side
    with more spikes is the right one with the probability

    .. math:: Φ(|c| \\sqrt{2 n T p / (1 - p (1 + c²))}),

    a normal approximation; see :meth:`counting_accuracy`.

    Parameters
    ----------
    coherences : tuple of float
        Magnitudes of c, from 0 to 1; all, and both signs, are drawn with equal chance.
    stimulus, answer : Quantity
        Durations; multiples of ``dt``.
    rate : Quantity
        r; at most half of what can be drawn with ``dt``.
    dt : Quantity
        Time step.

    Raises
    ------
    DimensionMismatchError
        If a quantity has the wrong unit or none.
    ValueError
        If an option is out of its range, a duration no multiple of ``dt``, or the probability
        of a spike above 1.

    References
    ----------
    Britten, Shadlen, Newsome & Movshon (1992), Journal of Neuroscience 12:4745,
    doi:10.1523/JNEUROSCI.12-12-04745.1992; coherences of Roitman & Shadlen (2002), Journal of
    Neuroscience 22:9475, doi:10.1523/JNEUROSCI.22-21-09475.2002.
    """

    coherences: tuple[float, ...] = field(
        default=(0.0, 0.032, 0.064, 0.128, 0.256, 0.512), validator=strengths()
    )
    stimulus: Quantity = field(default=500 * ms, validator=in_steps())
    answer: Quantity = field(default=100 * ms, validator=in_steps())
    rate: Quantity = field(default=40 * Hz, validator=drawable_rate(most=0.5))
    dt: Quantity = field(default=1 * ms, validator=time())

    input_groups = GROUPS
    condition_ranges = RANGES
    _phases = ("stimulus", "answer")

    @property
    def defaults(self) -> TrainingSetup:
        """20 LIF and 20 ALIF neurons, whose thresholds remember for 500 ms."""
        return TrainingSetup.of_decisions(
            neurons=lif_and_alif(20, 500 * ms, 0.15),
            gains={"w_in": 1.0, "w_rec": 0.5, "w_out": 1.0, "feedback": 1.0},
            learning_rate=CosineDecay(5e-3, 1e-4, 200),
            iterations=200,
            evaluation_trials=640,
            rate_strength=0.2 * self.learning_window,
        )

    def conditions(self, rng: np.random.Generator, batch: int) -> dict[str, Floats]:
        """Draw signed coherences: dict of "coherence" to (batch,) ndarray."""
        return {"coherence": signed(rng, self.coherences, batch)}

    def counting_accuracy(self, coherence: Floats) -> Floats:
        """
        Probability that the side with more spikes is the right one, ½ for a coherence of 0.

        Parameters
        ----------
        coherence : array
            From −1 to 1.

        Returns
        -------
        ndarray
        """
        # not at the top: it takes long to import, and no training needs it
        from scipy.special import ndtr

        c, p = np.asarray(coherence, float), spike_probability(self, "rate")
        draws = GROUPS["left"] * self._durations[0]
        return ndtr(abs(c) * np.sqrt(2 * draws * p / (1 - p * (1 + c**2))))

    def _presented(self, rng, conditions):
        c, p = conditions["coherence"], spike_probability(self, "rate")
        probability = np.zeros((len(c), 2, len(GROUPS)))
        probability[:, 0, 0], probability[:, 0, 1] = p * (1 - c), p * (1 + c)
        probability[:, 1, 2] = p
        return self._spikes(rng, probability), self._targets(side_of(rng, c))


TASK = PerceptualDecision
