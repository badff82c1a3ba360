"""Delayed comparison: which of two vibrations was faster, with a delay between them?"""

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import frequency, time, whole
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .kinds import ConditionedTask, Decision, side_of
from .options import drawable_rate, in_steps, lif_and_alif, spike_probability

__all__ = [
    "TASK",
    "DelayedComparison",
]

#: Groups of inputs and the number of inputs in each, in their order.
GROUPS = {"rises with f": 25, "falls with f": 25, "answer": 10}


@frozen(eq=False)
class DelayedComparison(ConditionedTask, Decision):
    """
    Say whether the second of two stimuli has the higher frequency, which takes a graded memory.

    A trial is a stimulus of the frequency f₁, the delay, a stimulus of f₂, and the answer. In a
    stimulus half of the inputs fire more for higher frequencies, as neurons of the secondary
    somatosensory cortex do, and half less: with the rates r x and r (1.1 − x), where

    .. math:: x = 0.1 + 0.9 (f - f_{\\min}) / (f_{\\max} - f_{\\min}).

    In the answer the inputs "answer" fire with r = ``rate``. Spikes are independent, with
    p = rate·dt per step. The target is the probability 1 of output 0 (f₁ > f₂) or 1 (f₂ > f₁); it
    counts during the answer only.

    A pair is two of the ``frequencies`` that are ``difference`` apart; all pairs and both orders
    have equal chance. Because the lowest and the highest of all can be one of a pair only, f₁
    alone tells more than half of the answers, see :meth:`first_alone`, as in the experiment.
    Trials of one's choice, :meth:`trials`, may have any frequencies in the range; two that are
    equal have a toss-up for a target.

    Parameters
    ----------
    lowest, highest : Quantity
        f_min and f_max.
    frequencies : int
        How many there are, evenly from ``lowest`` to ``highest``.
    difference : int
        Between the frequencies of a pair, in steps from one to the next.
    stimulus, delay, answer : Quantity
        Durations; multiples of ``dt``. The delay may be 0*ms.
    rate : Quantity
        r, of an input at the frequency it prefers.
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
    Romo, Brody, Hernández & Lemus (1999), Nature 399:470, doi:10.1038/20939: vibrations of 10 to
    34 Hz, of which most pairs differ by 8 Hz, with delays of 3 s; here the delay is shorter.
    """

    lowest: Quantity = field(default=10 * Hz, validator=frequency())
    highest: Quantity = field(default=34 * Hz, validator=frequency())
    frequencies: int = field(default=7, validator=whole(2))
    difference: int = field(default=2, validator=whole(1))
    stimulus: Quantity = field(default=250 * ms, validator=in_steps())
    delay: Quantity = field(default=500 * ms, validator=in_steps(may_be_zero=True))
    answer: Quantity = field(default=100 * ms, validator=in_steps())
    rate: Quantity = field(default=60 * Hz, validator=drawable_rate())
    dt: Quantity = field(default=1 * ms, validator=time())

    input_groups = GROUPS
    output_names = ("first higher", "second higher")
    _phases = ("stimulus", "delay", "stimulus", "answer")

    def __attrs_post_init__(self):
        if self.lowest >= self.highest:
            raise ValueError(
                f"DelayedComparison.lowest = {self.lowest!r} must be below highest = "
                f"{self.highest!r}"
            )
        if self.difference >= self.frequencies:
            raise ValueError(
                f"DelayedComparison.difference = {self.difference} must be below frequencies = "
                f"{self.frequencies}, so that there is a pair"
            )

    @property
    def condition_ranges(self) -> dict[str, tuple[Quantity, Quantity]]:
        """Both frequencies may be any from the lowest to the highest."""
        return dict.fromkeys(("first", "second"), (self.lowest, self.highest))

    @property
    def defaults(self) -> TrainingSetup:
        """30 LIF and 30 ALIF neurons, whose thresholds remember for 800 ms."""
        return TrainingSetup.of_decisions(
            neurons=lif_and_alif(30, 800 * ms, 0.2),
            gains={"w_in": 1.0, "w_rec": 0.5, "w_out": 1.0, "feedback": 1.0},
            learning_rate=CosineDecay(5e-3, 1e-4, 600),
            iterations=600,
            evaluation_trials=640,
            rate_strength=0.2 * self.learning_window,
        )

    @property
    def grid(self) -> Quantity:
        """The frequencies that are drawn."""
        return np.linspace(float(self.lowest), float(self.highest), self.frequencies) * Hz

    def conditions(self, rng: np.random.Generator, batch: int) -> dict[str, Quantity]:
        """Draw pairs of frequencies: dict of "first" and "second" to (batch,) Quantity."""
        lower = rng.integers(self.frequencies - self.difference, size=batch)
        pair = np.stack([lower, lower + self.difference])
        second_higher = rng.integers(2, size=batch)
        trial = np.arange(batch)
        return {
            "first": self.grid[pair[1 - second_higher, trial]],
            "second": self.grid[pair[second_higher, trial]],
        }

    @property
    def first_alone(self) -> float:
        """
        The fraction of right answers of who has only seen the first stimulus.

        The lowest and the highest ``difference`` frequencies give the answer away; where these
        overlap, all others, too.
        """
        pairs = self.frequencies - self.difference
        sure = min(self.difference, pairs)
        return (sure + (pairs - sure) / 2) / pairs

    def _presented(self, rng, conditions):
        r = spike_probability(self, "rate")
        low, high = float(self.lowest), float(self.highest)
        f = np.stack([conditions["first"], conditions["second"]], axis=1)
        x = 0.1 + 0.9 * (f - low) / (high - low)
        probability = np.zeros((len(f), 4, len(GROUPS)))
        probability[:, [0, 2], 0], probability[:, [0, 2], 1] = r * x, r * (1.1 - x)
        probability[:, 3, 2] = r
        second_higher = side_of(rng, f[:, 1] - f[:, 0])
        return self._spikes(rng, probability), self._targets(second_higher)


TASK = DelayedComparison
