"""aⁿbⁿ: count the a, so as to know where the b end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .task import Task, Trials, bits_per_character, fraction_right

__all__ = ["TASK", "AnBn"]

A, B, BOUNDARY = range(3)


@dataclass(frozen=True)
class AnBn(Task):
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

    n_min: int = 1
    n_max: int = 32
    name: ClassVar[str] = "anbn"
    n_in: ClassVar[int] = 3
    n_out: ClassVar[int] = 3
    loss: ClassVar[str] = "cross_entropy"
    score_name: ClassVar[str] = "bits per character"

    def __post_init__(self):
        self._require_whole(1, "without an a there is nothing to count", "n_min")
        self._require_whole(
            self.n_min, f"the range of n begins at AnBn.n_min = {self.n_min}", "n_max"
        )

    @property
    def steps(self):
        """2 n_max + 1, whatever the n that are drawn."""
        return 2 * self.n_max + 1

    def score(self, outputs, trials):
        """Bits per character that can be known."""
        return bits_per_character(outputs, trials)

    def accepted(self, outputs, trials):
        """Fraction of the strings that are predicted right to the end, from the first b on."""
        return fraction_right(outputs, trials)

    def _draw(self, rng, batch):
        inputs = np.full((batch, self.steps), -1)
        targets = np.full((batch, self.steps), -1)
        for trial, n in enumerate(rng.integers(self.n_min, self.n_max, size=batch, endpoint=True)):
            inputs[trial, 0] = BOUNDARY
            inputs[trial, 1 : n + 1] = A
            inputs[trial, n + 1 : 2 * n + 1] = B
            targets[trial, n + 1 : 2 * n] = B
            targets[trial, 2 * n] = BOUNDARY
        return Trials.of_symbols(inputs, self.n_in, targets, self.n_out)


TASK = AnBn
