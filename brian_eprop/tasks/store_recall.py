"""Store and recall: keep one bit of a stream until it is asked for."""

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import Bools, Floats, fraction, real, time, whole, whole_number
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .encoding import group_spikes
from .parts import drawable_rate, in_steps, spike_probability, steps_of, wrong_decisions

__all__ = [
    "TASK",
    "StoreRecall",
]

#: Groups of inputs and the number of inputs in each, in their order.
GROUPS = {"bit 0": 25, "bit 1": 25, "store": 25, "recall": 25}


@frozen(eq=False)
class StoreRecall:
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

    n_out = 2
    n_in = sum(GROUPS.values())
    input_groups = GROUPS

    @property
    def steps(self) -> int:
        """Time steps of a trial."""
        return self.characters * steps_of(self, "character")

    @property
    def learning_window(self) -> int:
        """Time steps of the recall: the last ones, in which errors count."""
        return steps_of(self, "character")

    @property
    def defaults(self) -> TrainingSetup:
        """
        The published network: 10 LIF and 10 ALIF neurons, whose thresholds remember for 1.2 s.

        After 400 iterations three seeds err on 1.0, 5.3 and 3.0 % of new trials, half of which have
        something to forget.
        """
        tau_m, tau_a = 20 * ms, 1200 * ms
        # as the authors' code scales it, to be comparable with a membrane of gain 1 − α
        beta = 1.7 * (1 - np.exp(-self.dt / tau_a)) / (1 - np.exp(-self.dt / tau_m))
        lif = {"tau_m": tau_m, "v_th": 0.6, "t_ref": 3 * ms}
        return TrainingSetup.of_decisions(
            neurons=(("lif", 10, lif), ("alif", 10, lif | {"tau_a": tau_a, "beta": float(beta)})),
            tau_out=20 * ms,
            gains={"w_in": 1.0, "w_rec": 0.5, "w_out": 1.0, "feedback": 1.0},
            learning_rate=CosineDecay(1e-2, 1e-3, 400),
            iterations=400,
            batch_size=128,
            goal=0.03,
            evaluation_trials=640,
            rate_target=10 * Hz,
            rate_strength=0.2 * self.learning_window,
        )

    def sample(self, rng: np.random.Generator, batch: int) -> tuple[Bools, Floats]:
        """
        Draw trials.

        Parameters
        ----------
        rng : numpy.random.Generator
        batch : int

        Returns
        -------
        inputs : (batch, steps, n_in) ndarray of bool
        targets : (batch, steps, n_out) ndarray of float
            The same in all steps of a trial.

        Raises
        ------
        ValueError
            If ``batch`` is less than 1.
        """
        whole_number("batch", batch)
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
        durations = [self.learning_window] * self.characters
        probability = spike_probability(self, "rate") * active
        inputs = group_spikes(rng, probability, durations, list(GROUPS.values()))
        targets = np.eye(self.n_out)[bits[trial, last]]
        return inputs, np.repeat(targets[:, np.newaxis], self.steps, axis=1)

    def metric(self, outputs: Floats, targets: Floats) -> float:
        """Fraction of wrong decisions, see :mod:`.parts.metrics`."""
        return wrong_decisions(self, outputs, targets)


TASK = StoreRecall
