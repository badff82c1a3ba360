"""Tasks of the study of rules whose inputs and answers are characters: aⁿbⁿ, copy, memorization."""

from __future__ import annotations

import numpy as np
from attrs import evolve, field, frozen

from ..checks import (
    ABOVE_0,
    BELOW_1,
    keep,
    real,
    whole,
    whole_number,
)
from ..tasks.kinds import SampledTask
from ..tasks.metrics import cross_entropy, fraction_right

DELIMITER = BLANK = 2  # inputs 0 and 1 are the bits
RECALL = 3
SPREAD = 5  # lengths below the longest that are still drawn


class Characters(SampledTask):
    """
    A task whose inputs and answers are characters, one-hot, a character a step.

    A task draws numbered characters and answers, (batch, steps) of int each, ``_text(rng, batch)``:
    −1 is a step without input, where all channels are 0, or without an answer.
    """

    loss = "cross_entropy"
    #: Target of all outputs in a step without an answer.
    unanswered = np.nan

    def _draw(self, rng, batch):
        characters, answers = self._text(rng, batch)
        targets = np.eye(self.n_out)[answers]
        targets[answers < 0] = self.unanswered
        return characters[..., np.newaxis] == np.arange(self.n_in), targets

    def _unwritten(self, batch):
        """Trials in which every step is still without input and without an answer."""
        return np.full((2, batch, self.steps), -1)

    def metric(self, outputs, targets):
        """Bits per character that counts."""
        return cross_entropy(self, outputs, targets) / float(np.log(2))


A, B, BOUNDARY = range(3)


@frozen
class AnBn(Characters):
    """
    Predict the next character of a string aⁿbⁿ between two boundaries.

    ::

        input   # a a a b b b
        target          b b #

    How many a there are cannot be known, but all that follows the first b can: those n
    steps count, the last of which demands the boundary. Characters are one-hot (a, b, boundary)
    in inputs and outputs; n is uniform on ``n_min`` … ``n_max``, and shorter strings are padded
    with inputs of 0 that do not count. An output that does not count at best
    predicts a boundary after each b with probability p = 1/⟨n⟩, at
    −p log₂ p − (1 − p) log₂(1 − p) bits per character: 0.33 with the default range. Since most
    counted characters are b, that is low; `accepted` is the sharper number.

    Parameters
    ----------
    n_min, n_max : int

    Raises
    ------
    ValueError
        If an option is out of its range.

    References
    ----------
    Gers & Schmidhuber (2001), IEEE Trans. Neural Networks 12(6), doi:10.1109/72.963769.
    Tallec & Ollivier (2018), ICLR, arXiv 1702.05043, with n = 1 … 32. That only the
    characters count which can be known is ours.
    """

    n_min: int = field(default=1, validator=whole(1, why="without an a there is nothing to count"))
    n_max: int = field(default=32)
    n_in = n_out = 3

    @n_max.validator
    def _check_range(self, field, n_max):
        why = f"the range of n begins at AnBn.n_min = {self.n_min}"
        keep(self, field, whole_number("AnBn.n_max", n_max, self.n_min, why=why))

    @property
    def steps(self):
        """2 n_max + 1, whatever the n that are drawn."""
        return 2 * self.n_max + 1

    def accepted(self, outputs, targets):
        """Fraction of the strings that are predicted right to the end, from the first b on."""
        return fraction_right(self, outputs, targets)

    def _text(self, rng, batch):
        inputs, answers = self._unwritten(batch)
        for trial, n in enumerate(rng.integers(self.n_min, self.n_max, size=batch, endpoint=True)):
            inputs[trial, 0] = BOUNDARY
            inputs[trial, 1 : n + 1] = A
            inputs[trial, n + 1 : 2 * n + 1] = B
            answers[trial, n + 1 : 2 * n] = B
            answers[trial, 2 * n] = BOUNDARY
        return inputs, answers


@frozen
class Copy(Characters):
    """
    See ℓ random bits and a delimiter, then say the bits in their order.

    ::

        input   1 0 1 | ? ? ?
        target          1 0 1

    The length ℓ of each trial is uniform on max(L − 5, 1) … L. The level L grows by one when
    the bits per character of an iteration are below a threshold; how far it comes in a given
    time is what rules are compared by. Trials shorter than 2L + 1 steps are padded with
    inputs of 0 that do not count. Inputs are one-hot (0, 1, delimiter, recall); outputs are
    the two bits, and only the recalled ones count. An output that knows nothing has 1 bit per
    character.

    Parameters
    ----------
    level : int
        L, the longest string.
    threshold : float
        Bits per character below which the next level begins.

    Raises
    ------
    ValueError
        If an option is out of its range.

    References
    ----------
    Menick, Elsen, Evci, Osindero, Simonyan & Graves (2021), ICLR, arXiv 2006.07232: the
    curriculum. The recall symbol and the padding are ours.
    """

    level: int = field(
        default=1, validator=whole(1, why="a string has at least one bit, so begin with 1")
    )
    threshold: float = field(
        default=0.15,
        validator=real(
            "be between 0 (perfect) and 1 (a guess) bit per character; the paper has 0.15",
            low=ABOVE_0,
            high=BELOW_1,
        ),
    )
    n_in, n_out = 4, 2

    @property
    def steps(self):
        """2L + 1, whatever the lengths that are drawn."""
        return 2 * self.level + 1

    def after(self, metric):
        """The next level if ``metric``, in bits per character, is below the threshold."""
        return evolve(self, level=self.level + 1) if metric < self.threshold else self

    def _text(self, rng, batch):
        shortest = max(self.level - SPREAD, 1)
        lengths = rng.integers(shortest, self.level, size=batch, endpoint=True)
        bits = rng.integers(2, size=(batch, self.level))
        inputs, answers = self._unwritten(batch)
        for trial, length in enumerate(lengths):
            recalled = slice(length + 1, 2 * length + 1)
            inputs[trial, :length] = bits[trial, :length]
            inputs[trial, length] = DELIMITER
            inputs[trial, recalled] = RECALL
            answers[trial, recalled] = bits[trial, :length]
        return inputs, answers


@frozen
class StringMemorization(Characters):
    """
    See a random string of bits, hold it while nothing comes, then say it in its order.

    ::

        input   1 0 1 . . . . ? ? ?
        target                1 0 1

    Unlike `Copy`, the time over which a gradient must reach is set by itself: every bit
    is recalled ``length + delay`` steps after it was shown. Inputs are one-hot (0, 1,
    blank, recall); outputs are the two bits, and only the recalled ones count. An output that
    knows nothing has 1 bit per character, one that holds m bits of the string 1 − m/length.

    Parameters
    ----------
    length : int
        Bits of the string.
    delay : int
        Blank steps between string and recall.

    Raises
    ------
    ValueError
        If an option is out of its range.

    References
    ----------
    Benzing, Gauy, Mujika, Martinsson & Steger (2019), ICML, arXiv 1902.03993, remember
    strings of binary characters; their layout of a trial could not be read, so the symbols,
    the delay, the default numbers and the absence of a curriculum are ours.
    """

    length: int = field(default=5, validator=whole(1, why="a string has at least one bit"))
    delay: int = field(default=10, validator=whole(0, why="0 asks for the string at once"))
    n_in, n_out = 4, 2
    unanswered = 1 / 2

    @property
    def steps(self):
        """2 length + delay."""
        return 2 * self.length + self.delay

    @property
    def learning_window(self):
        """The steps in which the string is recalled."""
        return self.length

    def _text(self, rng, batch):
        bits = rng.integers(2, size=(batch, self.length))
        inputs, answers = self._unwritten(batch)
        inputs[:, : self.length] = bits
        inputs[:, self.length : -self.length] = BLANK
        inputs[:, -self.length :] = RECALL
        answers[:, -self.length :] = bits
        return inputs, answers
