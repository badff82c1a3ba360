"""Context-dependent decision: two kinds of evidence, of which a context says which one counts."""

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
    "ContextDecision",
]

#: Groups of inputs and the number of inputs in each, in their order.
GROUPS = {
    **{"motion left": 20, "motion right": 20, "colour left": 20, "colour right": 20},
    **{"judge motion": 10, "judge colour": 10, "answer": 10},
}
#: Smallest and largest value of each condition.
RANGES = {"motion": (-1, 1), "colour": (-1, 1), "context": (0, 1)}


@frozen(eq=False)
class ContextDecision(ConditionedTask, Decision):
    """
    Say on which side the evidence is of the kind that the context asks for; ignore the other.

    A trial is the stimulus and the answer. In the stimulus both kinds of evidence are there, each
    as in :mod:`~brian_eprop.tasks.perceptual_decision`: inputs for the right fire with the rate
    r (1 + c), those for the left with r (1 − c), with a signed coherence c of their own. All the
    time the inputs of the context fire with r = ``rate``, in the answer also the inputs "answer".
    Spikes are independent, with p = rate·dt per step. The target is the sign of the coherence
    that the context asks for, as the probability 1 of output 0 (left) or 1 (right); it counts
    during the answer only. Either kind alone is right in 50 % of the trials of the other context.

    Conditions of a trial are "motion" and "colour", the signed coherences, and "context", 0 where
    motion is to be judged and 1 for colour.

    Parameters
    ----------
    coherences : tuple of float
        Magnitudes of c, from 0 to 1, of both kinds; all, both signs and both contexts are drawn
        with equal chance.
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
    Mante, Sussillo, Shenoy & Newsome (2013), Nature 503:78, doi:10.1038/nature12742, with
    noise currents in the place of spikes.
    """

    coherences: tuple[float, ...] = field(default=(0.05, 0.15, 0.5), validator=strengths())
    stimulus: Quantity = field(default=500 * ms, validator=in_steps())
    answer: Quantity = field(default=100 * ms, validator=in_steps())
    rate: Quantity = field(default=40 * Hz, validator=drawable_rate(most=0.5))
    dt: Quantity = field(default=1 * ms, validator=time())

    input_groups = GROUPS
    output_names = ("left", "right")
    condition_ranges = RANGES
    _phases = ("stimulus", "answer")

    @property
    def defaults(self) -> TrainingSetup:
        """50 LIF and 50 ALIF neurons, whose thresholds remember for 500 ms."""
        return TrainingSetup.of_decisions(
            neurons=lif_and_alif(50, 500 * ms, 0.15),
            gains={"w_in": 1.0, "w_rec": 0.5, "w_out": 1.0, "feedback": 1.0},
            learning_rate=CosineDecay(5e-3, 1e-4, 600),
            iterations=600,
            evaluation_trials=640,
            rate_strength=0.2 * self.learning_window,
        )

    def conditions(self, rng: np.random.Generator, batch: int) -> dict[str, Floats]:
        """Draw coherences and contexts: dict of str to (batch,) ndarray."""
        evidence = {kind: signed(rng, self.coherences, batch) for kind in ("motion", "colour")}
        return evidence | {"context": rng.integers(2, size=batch)}

    def _presented(self, rng, conditions):
        context = conditions["context"].astype(int)
        if (context != conditions["context"]).any():
            raise ValueError("ContextDecision.trials: conditions['context'] must be 0 or 1")
        evidence = np.stack([conditions["motion"], conditions["colour"]], axis=1)
        p, trial = spike_probability(self, "rate"), np.arange(len(context))
        probability = np.zeros((len(context), 2, len(GROUPS)))
        probability[:, 0, [0, 2]], probability[:, 0, [1, 3]] = (
            p * (1 - evidence),
            p * (1 + evidence),
        )
        probability[trial, :, 4 + context] = p
        probability[:, 1, 6] = p
        asked = evidence[trial, context]
        return self._spikes(rng, probability), self._targets(side_of(rng, asked))


TASK = ContextDecision
