"""Copy: repeat a string of bits, a longer one as soon as the present one is learned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .task import Task, Trials, bits_per_character

__all__ = ["TASK", "Copy"]

DELIMITER, RECALL = 2, 3  # inputs 0 and 1 are the bits
SPREAD = 5  # lengths below the longest that are still drawn


@dataclass(frozen=True)
class Copy(Task):
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

    level: int = 1
    threshold: float = 0.15
    name: ClassVar[str] = "copy"
    n_in: ClassVar[int] = 4
    n_out: ClassVar[int] = 2
    loss: ClassVar[str] = "cross_entropy"
    score_name: ClassVar[str] = "bits per character"

    def __post_init__(self):
        self._require_whole(1, "a string has at least one bit, so begin with 1", "level")
        # written so that NaN is refused too
        if not 0 < self.threshold < 1:
            raise ValueError(
                f"Copy.threshold = {self.threshold!r} must be between 0 (perfect) and 1 (a guess) "
                "bit per character; the paper has 0.15"
            )

    @property
    def steps(self):
        """2L + 1, whatever the lengths that are drawn."""
        return 2 * self.level + 1

    def score(self, outputs, trials):
        """Bits per recalled character."""
        return bits_per_character(outputs, trials)

    def after(self, score):
        """The next level if ``score``, in bits per character, is below the threshold."""
        return replace(self, level=self.level + 1) if score < self.threshold else self

    def _draw(self, rng, batch):
        shortest = max(self.level - SPREAD, 1)
        lengths = rng.integers(shortest, self.level, size=batch, endpoint=True)
        bits = rng.integers(2, size=(batch, self.level))
        inputs = np.full((batch, self.steps), -1)
        targets = np.full((batch, self.steps), -1)
        for trial, length in enumerate(lengths):
            recalled = slice(length + 1, 2 * length + 1)
            inputs[trial, :length] = bits[trial, :length]
            inputs[trial, length] = DELIMITER
            inputs[trial, recalled] = RECALL
            targets[trial, recalled] = bits[trial, :length]
        return Trials.of_symbols(inputs, self.n_in, targets, self.n_out)


TASK = Copy
