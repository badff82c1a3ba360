"""Vowels: tell nine speakers by how they say two vowels."""

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import Floats, Ints, real, time, whole
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .encoding import level_crossing
from .kinds import RecordedDecision, stratified
from .options import in_steps, lif_and_alif, steps_of

__all__ = [
    "TASK",
    "Vowels",
    "read_utterances",
]

SPEAKERS, CHANNELS = 9, 12
#: Frames of a trial: the longest utterance has 29, and begins from the mean of all.
FRAMES = 30


@frozen(eq=False, slots=False)
class Vowels(RecordedDecision):
    """
    Say which of nine men has spoken two Japanese vowels, from spikes.

    An utterance is a row of 7 to 29 frames of 12 LPC cepstrum coefficients. Its trial ends with
    its last frame; from the frame before its first one, and all the time before, coefficients
    are at their means, and between frames, which are ``frame`` apart, they go straight. Where
    one crosses one of ``levels`` levels, an input fires once: one for crossings upwards, one
    for those downwards, see :func:`.encoding.level_crossing`. Levels are the
    quantiles (l + ½)/levels of the coefficient in the utterances to learn from. The target is
    the speaker, as the probability 1 of his output.

    The recordings are those of the package aeon: of its 270 utterances to learn from, 6 of each
    speaker, drawn once and for all, are held out for "validation"; its 370 others are "test".
    The 216 that are left are few: each time that one is drawn, its coefficients are shifted by
    normally distributed amounts, the same in all its frames, so that it is not learned by heart.

    Parameters
    ----------
    levels : int
        Levels per coefficient, at least 1.
    jitter : float
        Standard deviation of the shifts, in units of that of the coefficient over all frames.
    frame : Quantity
        Time from frame to frame; a multiple of ``dt``.
    window : Quantity
        Time at the end in which the answer counts; a multiple of ``dt``, at most 30 frames.
    dt : Quantity
        Time step.

    Raises
    ------
    DimensionMismatchError
        If a quantity has the wrong unit or none.
    ValueError
        If an option is out of its range or no multiple of ``dt``.
    ModuleNotFoundError
        When the recordings are needed, if they are not installed.

    References
    ----------
    Kudo, Toyama & Shimbo (1999), Pattern Recognition Letters 20:1103,
    doi:10.1016/S0167-8655(99)00077-X; UCI Machine Learning Repository, Japanese Vowels,
    doi:10.24432/C5NS47.
    """

    levels: int = field(default=16, validator=whole(1))
    jitter: float = field(default=0.3, validator=real())
    frame: Quantity = field(default=20 * ms, validator=in_steps())
    window: Quantity = field(default=50 * ms, validator=in_steps())
    dt: Quantity = field(default=1 * ms, validator=time())

    n_out = SPEAKERS
    # the speakers, as the recordings number them
    output_names = tuple(str(k + 1) for k in range(SPEAKERS))
    _phases = ("frame",) * FRAMES

    def __attrs_post_init__(self):
        if self.learning_window > self.steps:
            raise ValueError(
                f"Vowels.window = {self.window!r} must be at most the {FRAMES} frames of a trial, "
                f"{FRAMES * self.frame!r}"
            )

    @property
    def input_groups(self) -> dict[str, int]:
        """The inputs of each coefficient."""
        return {f"c{k + 1}": 2 * self.levels for k in range(CHANNELS)}

    @property
    def learning_window(self) -> int:
        """Time steps at the end in which errors count."""
        return steps_of(self, "window")

    @property
    def defaults(self) -> TrainingSetup:
        """
        50 LIF and 50 ALIF neurons, whose membranes, as the readout, remember an utterance.

        Readout weights are strong, as what comes back along them by symmetric feedback is to be:
        the best of a search by cross-validation.
        """
        return TrainingSetup.of_decisions(
            neurons=lif_and_alif(50, 200 * ms, 0.1, tau_m=300 * ms, t_ref=2 * ms),
            tau_out=300 * ms,
            gains={"w_in": 1.5, "w_rec": 0.3, "w_out": 25.0, "feedback": 1.0},
            learning_rate=CosineDecay(1e-2, 1e-4, 800),
            iterations=800,
            batch_size=54,
            rate_target=30 * Hz,
            rate_strength=2.0 * self.learning_window,
        )

    @cached_property
    def split(self) -> dict[str, tuple[list[Floats], Ints]]:
        """Utterances and speakers by part: "train", "validation" and "test"."""
        utterances, speakers = read_utterances("TRAIN")
        parts = zip(("train", "validation"), stratified(speakers, [0.8]), strict=True)
        split = {
            part: ([utterances[k] for k in chosen], speakers[chosen]) for part, chosen in parts
        }
        return split | {"test": read_utterances("TEST")}

    @cached_property
    def frames(self) -> Floats:
        """All frames to learn from: (n, 12) ndarray."""
        return np.concatenate(self.split["train"][0])

    @cached_property
    def thresholds(self) -> Floats:
        """The levels of each coefficient: (12, levels) ndarray."""
        places = (np.arange(self.levels) + 0.5) / self.levels
        return np.quantile(self.frames, places, axis=0).T

    def _varied(self, rng, examples):
        spread = self.jitter * self.frames.std(axis=0)
        shifts = spread * rng.standard_normal((len(examples), CHANNELS))
        return [frames + shift for frames, shift in zip(examples, shifts, strict=True)]

    def _encoded(self, examples):
        return level_crossing(self.coefficients(examples), self.thresholds)

    def coefficients(self, utterances: Sequence[Floats]) -> Floats:
        """
        What crosses the levels: the coefficients in every time step.

        Parameters
        ----------
        utterances : sequence of (frames, 12) ndarray

        Returns
        -------
        (len(utterances), steps, 12) ndarray
        """
        rows = np.tile(self.frames.mean(axis=0), (len(utterances), FRAMES, 1))
        for row, utterance in zip(rows, utterances, strict=True):
            row[FRAMES - len(utterance) :] = utterance
        # row r is reached at the end of its frame
        position = np.maximum((np.arange(self.steps) + 1) / steps_of(self, "frame") - 1, 0)
        before = position.astype(int)
        after = np.minimum(before + 1, FRAMES - 1)
        part = (position - before)[:, np.newaxis]
        return rows[:, before] + part * (rows[:, after] - rows[:, before])


def read_utterances(part: Literal["TRAIN", "TEST"]) -> tuple[list[Floats], Ints]:
    """
    The recordings as the package aeon has them, read without its code.

    Parameters
    ----------
    part : {"TRAIN", "TEST"}

    Returns
    -------
    utterances : list of (frames, 12) ndarray
    speakers : (n,) ndarray of int
        From 0.

    Raises
    ------
    ModuleNotFoundError
        If aeon is not installed, or without its data.
    """
    # the package is not imported: that takes seconds
    package = find_spec("aeon")
    folders = (package and package.submodule_search_locations) or []
    name = f"datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts"
    files = [Path(folder) / name for folder in folders if (Path(folder) / name).exists()]
    if not files:
        raise ModuleNotFoundError(
            "the recordings of task 'vowels' come with the package aeon, which is not installed; "
            'install it: pip install "brian_eprop[data]"'
        )
    # a line is an utterance: 'coefficient 1 : … : coefficient 12 : speaker', each a row of numbers
    utterances, speakers = [], []
    for line in files[0].read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "@")):
            *channels, speaker = line.split(":")
            utterances.append(np.array([channel.split(",") for channel in channels], float).T)
            speakers.append(int(speaker) - 1)
    return utterances, np.array(speakers)


TASK = Vowels
