"""Store and recall: keep one bit of a stream until it is asked for."""

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import fraction, real, time, whole
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .kinds import Decision
from .options import drawable_rate, in_steps, lif_and_alif, published_beta, spike_probability

__all__ = [
    "TASK",
    "StoreRecall",
]

#: Groups of inputs and the number of inputs in each, in their order.
GROUPS = {"bit 0": 25, "bit 1": 25, "store": 25, "recall": 25}


@frozen(eq=False)
class StoreRecall(Decision):
    """
    Say which bit was shown with the last command to store, among bits that do not matter.

    A trial is a row of characters. In each but the last one a bit is shown, 0 or 1 with equal
    chance, by the inputs "bit 0" or "bit 1", which fire with ``rate``. In some of them the
    inputs "store" fire too: this is the bit to keep. In the last character only the inputs
    "recall" fire, and the answer counts: the probability 1 of the output that is the bit shown
    with the last "store". Spikes are independent, with p = rate·dt per step.

    The number of characters from the last "store" to the recall is geometric,

    .. math:: P(d) ∝ (1 - q)^{d-1} q, \\quad q = 1/\\mathtt{expected\\_delay}, \\quad
              1 ≤ d < \\mathtt{characters},

    and what is stored before it, in a ``rewrite`` part of the trials, once and at any earlier
    character, has to be forgotten.

    Parameters
    ----------
    characters : int
        Number of characters, the recall included; at least 2.
    expected_delay : float
        Mean number of characters to wait, at least 1, without the limit to the trial.
    rewrite : float
        Probability, where there is room, of an earlier command to store.
    character : Quantity
        Duration of a character; a multiple of ``dt``.
    rate : Quantity
        Of an input that is active.
    dt : Quantity
        Time step.

    Raises
    ------
    DimensionMismatchError
        If a quantity has the wrong unit or none.
    ValueError
        If an option is out of its range, the duration no multiple of ``dt``, or the probability
        of a spike above 1.

    References
    ----------
    Bellec, Salaj, Subramoney, Legenstein & Maass (2018), NeurIPS 31, arXiv 1803.09574; by
    e-prop: Bellec, Scherr, Hajek, Salaj, Legenstein & Maass (2019), arXiv 1901.09049. There,
    commands to recall are anywhere in a trial; here the one that counts is the last character.
    """

    characters: int = field(default=12, validator=whole(2))
    expected_delay: float = field(default=6.0, validator=real("be a number from 1", low=1.0))
    rewrite: float = field(default=0.5, validator=fraction())
    character: Quantity = field(default=200 * ms, validator=in_steps())
    rate: Quantity = field(default=50 * Hz, validator=drawable_rate())
    dt: Quantity = field(default=1 * ms, validator=time())

    input_groups = GROUPS

    @property
    def _phases(self):
        return ["character"] * self.characters

    @property
    def defaults(self) -> TrainingSetup:
        """
        The published network: 10 LIF and 10 ALIF neurons, whose thresholds remember for 1.2 s.

        After 400 iterations three seeds err on 1.0, 5.3 and 3.0 % of new trials, half of which have
        something to forget.
        """
        tau_a = 1200 * ms
        return TrainingSetup.of_decisions(
            neurons=lif_and_alif(10, tau_a, published_beta(self.dt, tau_a)),
            gains={"w_in": 1.0, "w_rec": 0.5, "w_out": 1.0, "feedback": 1.0},
            learning_rate=CosineDecay(1e-2, 1e-3, 400),
            iterations=400,
            batch_size=128,
            goal=0.03,
            evaluation_trials=640,
            rate_strength=0.2 * self.learning_window,
        )

    def _decisions(self, rng, batch):
        shown = self.characters - 1
        bits = rng.integers(2, size=(batch, shown))
        delays = np.arange(1, shown + 1)
        chance = (1 - 1 / self.expected_delay) ** (delays - 1.0)
        last = shown - rng.choice(delays, size=batch, p=chance / chance.sum())
        # an earlier command is at one of the `last` characters before
        earlier = np.floor(rng.random(batch) * last).astype(int)
        again = (rng.random(batch) < self.rewrite) & (last > 0)
        trial = np.arange(batch)
        active = np.zeros((batch, self.characters, len(GROUPS)))
        active[:, :-1, :2] = bits[..., np.newaxis] == [0, 1]
        active[trial, last, 2] = 1
        active[trial[again], earlier[again], 2] = 1
        active[:, -1, 3] = 1
        inputs = self._spikes(rng, spike_probability(self, "rate") * active)
        return inputs, bits[trial, last]


TASK = StoreRecall
