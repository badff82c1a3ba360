"""Evidence accumulation: count cues on two sides, remember, decide when asked."""

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import in_field, real, time, whole_number
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .kinds import Decision
from .options import drawable_rate, in_steps, lif_and_alif, published_beta, spike_probability

__all__ = [
    "TASK",
    "EvidenceAccumulation",
]

#: Groups of inputs and the number of inputs in each, in their order.
GROUPS = {"left": 10, "right": 10, "recall": 10, "background": 10}


def _odd(name, value):
    if whole_number(name, value) % 2 == 0:
        raise ValueError(f"{name} = {value!r} must be odd, so that one side has more cues")
    return int(value)


@frozen(eq=False)
class EvidenceAccumulation(Decision):
    """
    Say on which side there were more cues, after a delay much longer than a membrane remembers.

    A trial is n_cues times a gap and a cue, then the delay, then the recall. In a cue the
    inputs "left" or the inputs "right" fire with ``cue_rate``, in the recall the inputs
    "recall" do; the inputs "background" fire with ``background_rate`` all the time. Spikes
    are independent, with the probability p = rate·dt per step.

    In each trial one side, left or right with equal chance, is favoured: every cue is on
    it with the probability ``reliability``. The target is the side that in fact had more cues,
    as the probability 1 of output 0 (left) or 1 (right); it counts during the recall only.

    Parameters
    ----------
    n_cues : int
        Number of cues, odd.
    cue, gap, delay, recall : Quantity
        Durations of a cue, of the gap before each cue, of the delay after the last cue, and
        of the recall; multiples of ``dt``. Gap and delay may be 0*ms.
    cue_rate, background_rate : Quantity
        Rates of an input; the background may be silent.
    reliability : float
        Between 0.5 (every cue is a toss-up) and 1 (all cues are on one side).
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
    Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass (2020), Nature
    Communications 11:3625, Fig. 4, doi:10.1038/s41467-020-17236-y; after the experiments of
    Morcos & Harvey (2016), Nature Neuroscience 19:1672, doi:10.1038/nn.4403.
    """

    n_cues: int = field(default=7, validator=in_field(_odd)())
    cue: Quantity = field(default=100 * ms, validator=in_steps())
    gap: Quantity = field(default=50 * ms, validator=in_steps(may_be_zero=True))
    delay: Quantity = field(default=1050 * ms, validator=in_steps(may_be_zero=True))
    recall: Quantity = field(default=150 * ms, validator=in_steps())
    cue_rate: Quantity = field(default=40 * Hz, validator=drawable_rate())
    background_rate: Quantity = field(default=10 * Hz, validator=drawable_rate(may_be_zero=True))
    reliability: float = field(
        default=0.7, validator=real("be a number from 0.5 to 1", low=0.5, high=1.0)
    )
    dt: Quantity = field(default=1 * ms, validator=time())

    input_groups = GROUPS

    @property
    def _phases(self):
        return [*("gap", "cue") * self.n_cues, "delay", "recall"]

    @property
    def defaults(self) -> TrainingSetup:
        """
        The published network: 50 LIF and 50 ALIF neurons, whose thresholds remember for 2 s.

        Recurrent synapses start at 0.3 of the published strength, those of the readout at seven
        times, and the learning rate falls. What it comes to is in docs/reproductions.md.
        """
        tau_a = 2000 * ms
        return TrainingSetup.of_decisions(
            neurons=lif_and_alif(50, tau_a, published_beta(self.dt, tau_a), t_ref=5 * ms),
            # weak recurrent synapses, whose noise does not blur what thresholds remember, and a
            # readout as strong as random feedback: learning signals, which come back through it,
            # keep their signs from the start and hold against the regularizer
            gains={"w_in": 1.0, "w_rec": 0.3, "w_out": 10.0, "feedback": 10.0},
            learning_rate=CosineDecay(1e-2, 1e-4, 500),
            iterations=500,
            goal=0.07,
            evaluation_trials=640,
            # the authors' weight 1 of Σ (f − f*)², written with a factor ½ and divided by the
            # window as the loss is
            rate_strength=2.0 * self.learning_window,
        )

    def _decisions(self, rng, batch):
        favoured = rng.integers(2, size=(batch, 1))
        reliable = rng.random((batch, self.n_cues)) < self.reliability
        cues = np.where(reliable, favoured, 1 - favoured)
        of_cue = spike_probability(self, "cue_rate")
        probability = np.zeros((batch, len(self._phases), len(GROUPS)))
        probability[:, 1:-2:2, :2] = of_cue * (cues[..., np.newaxis] == [0, 1])
        probability[:, -1, 2] = of_cue
        probability[..., 3] = spike_probability(self, "background_rate")
        of_inputs = np.repeat(probability, list(GROUPS.values()), axis=2)
        spikes = np.empty((batch, self.steps, self.n_in), dtype=bool)
        # a trial at a time: its numbers stay in the processor's cache
        for fired, of_phases in zip(spikes, of_inputs, strict=True):
            np.less(rng.random(fired.shape), np.repeat(of_phases, self._durations, 0), out=fired)
        right = 2 * cues.sum(axis=1) > self.n_cues
        return spikes, right.astype(int)


TASK = EvidenceAccumulation
