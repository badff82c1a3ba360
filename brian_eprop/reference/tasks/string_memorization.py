"""String memorization: hold a string of bits over a silence, then say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .task import Task, Trials, bits_per_character

__all__ = ["TASK", "StringMemorization"]

BLANK, RECALL = 2, 3  # inputs 0 and 1 are the bits


@dataclass(frozen=True)
class StringMemorization(Task):
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

    length: int = 5
    delay: int = 10
    name: ClassVar[str] = "string_memorization"
    n_in: ClassVar[int] = 4
    n_out: ClassVar[int] = 2
    loss: ClassVar[str] = "cross_entropy"
    score_name: ClassVar[str] = "bits per character"

    def __post_init__(self):
        self._require_whole(1, "a string has at least one bit", "length")
        self._require_whole(0, "0 asks for the string at once", "delay")

    @property
    def steps(self):
        """2 length + delay."""
        return 2 * self.length + self.delay

    def score(self, outputs, trials):
        """Bits per recalled character."""
        return bits_per_character(outputs, trials)

    def _draw(self, rng, batch):
        bits = rng.integers(2, size=(batch, self.length))
        inputs = np.full((batch, self.steps), BLANK)
        inputs[:, : self.length] = bits
        inputs[:, -self.length :] = RECALL
        targets = np.full((batch, self.steps), -1)
        targets[:, -self.length :] = bits
        return Trials.of_symbols(inputs, self.n_in, targets, self.n_out)


TASK = StringMemorization
