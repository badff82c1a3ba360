"""12AX: letters whose meaning depends on the letter before and on the last digit."""

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import Floats, Ints, fraction, time, whole
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .encoding import group_spikes
from .kinds import SampledTask
from .metrics import same_shape
from .options import drawable_rate, in_steps, lif_and_alif, spike_probability, steps_of

__all__ = [
    "TASK",
    "TwelveAX",
    "right_answers",
]

#: Characters, each with inputs of its own.
ONE, TWO, A, B, C, X, Y, Z = range(8)
CHARACTERS = "12ABCXYZ"
INPUTS = 10


@frozen(eq=False)
class TwelveAX(SampledTask):
    """
    Answer "right" to X after A if the last digit was 1, to Y after B if it was 2, else "left".

    A trial is a row of characters, each shown for the time ``character``. It is made of outer
    loops: a digit, 1 or 2, then one to four inner loops, each a letter of A, B, C and a letter of
    X, Y, Z. An inner loop is the one that the digit asks for with the probability ``asked``, else
    any of the nine pairs with equal chance. What does not fit at the end is cut. Every character
    has inputs of its own, which fire with ``rate`` while it is shown; spikes are independent, with
    p = rate·dt per step. The target is the probability 1 of output 0 (left) or 1 (right) for as
    long as the character is shown, and errors count all the time.

    Parameters
    ----------
    characters : int
        How many a trial has, at least 3.
    asked : float
    character : Quantity
        Duration; a multiple of ``dt``.
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
    O'Reilly & Frank (2006), Neural Computation 18:283, doi:10.1162/089976606775093909; by
    spiking networks, in trials of 90 characters: Salaj, Subramoney, Kraišniković, Bellec,
    Legenstein & Maass (2021), eLife 10:e65459, doi:10.7554/eLife.65459.
    """

    characters: int = field(default=15, validator=whole(3))
    asked: float = field(default=0.4, validator=fraction())
    character: Quantity = field(default=100 * ms, validator=in_steps())
    rate: Quantity = field(default=60 * Hz, validator=drawable_rate())
    dt: Quantity = field(default=1 * ms, validator=time())

    input_groups = dict.fromkeys(CHARACTERS, INPUTS)
    output_names = ("left", "right")
    n_in = INPUTS * len(CHARACTERS)
    n_out = 2

    @property
    def steps(self) -> int:
        """Time steps of a trial."""
        return self.characters * steps_of(self, "character")

    @property
    def defaults(self) -> TrainingSetup:
        """50 LIF and 50 ALIF neurons, whose thresholds remember for 800 ms."""
        return TrainingSetup.of_decisions(
            neurons=lif_and_alif(50, 800 * ms, 0.15),
            gains={"w_in": 1.0, "w_rec": 0.5, "w_out": 1.0, "feedback": 1.0},
            learning_rate=CosineDecay(1e-2, 1e-4, 800),
            iterations=800,
            batch_size=32,
            evaluation_trials=320,
            rate_strength=0.2 * self.steps,
        )

    def metric(self, outputs: Floats, targets: Floats) -> float:
        """Fraction of characters at which the output with the larger mean is the wrong one."""
        return float(self._wrong(outputs, targets).mean())

    def wrong_trials(self, outputs: Floats, targets: Floats) -> float:
        """Fraction of trials with a wrong answer to any of their characters."""
        return float(self._wrong(outputs, targets).any(axis=-1).mean())

    def _wrong(self, outputs, targets):
        """Where the answer to a character is wrong: (…, characters)."""
        both = same_shape(outputs, targets, (self.steps, self.n_out))
        answers, right = (
            values.reshape(*values.shape[:-2], self.characters, -1, 2).mean(axis=-2).argmax(axis=-1)
            for values in both
        )
        return answers != right

    def _draw(self, rng, batch):
        text = np.array([self._row(rng) for _ in range(batch)])
        each = steps_of(self, "character")
        active = text[..., np.newaxis] == np.arange(len(CHARACTERS))
        probability = spike_probability(self, "rate") * active
        lengths, sizes = [each] * self.characters, [INPUTS] * len(CHARACTERS)
        inputs = group_spikes(rng, probability, lengths, sizes)
        return inputs, np.repeat(np.eye(2)[right_answers(text)], each, axis=1)

    def _row(self, rng):
        """The characters of a trial."""
        row = []
        while len(row) < self.characters:
            digit = int(rng.integers(2))
            row.append((ONE, TWO)[digit])
            for _ in range(rng.integers(1, 5)):
                if rng.random() < self.asked:
                    row += ((A, X), (B, Y))[digit]
                else:
                    row += [A + rng.integers(3), X + rng.integers(3)]
        return row[: self.characters]


def right_answers(text: Ints) -> Ints:
    """
    The answer to each character, 0 (left) or 1 (right).

    Parameters
    ----------
    text : (batch, characters) ndarray of int
        Indices into ``"12ABCXYZ"``; the first one is a digit.

    Returns
    -------
    (batch, characters) ndarray of int
    """
    place = np.where(text <= TWO, np.arange(text.shape[1]), 0)
    digit = np.take_along_axis(text, np.maximum.accumulate(place, axis=1), axis=1)
    before = np.pad(text, ((0, 0), (1, 0)))[:, :-1]
    first = (digit == ONE) & (before == A) & (text == X)
    return (first | ((digit == TWO) & (before == B) & (text == Y))).astype(int)


TASK = TwelveAX
