"""Recorded: decide to which class a trial of recorded events belongs, one's own or public ones."""

from functools import cached_property
from typing import Any

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import Ints, time, truth, whole
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .event_files import EventFile
from .kinds import RecordedDecision, stratified
from .options import in_steps, lif_and_alif, steps_of

__all__ = [
    "TASK",
    "Recorded",
]

#: Spikes of a batch, a byte an input and step, that are not made.
MOST_BYTES = 2 * 2**30


@frozen(eq=False, slots=False)
class Recorded(RecordedDecision):
    """
    Say of which class a trial of recorded events is, such as a spoken word or a seen digit.

    Trials are in event files, of the layout of the Spiking Heidelberg Digits;
    :func:`.convert_events` makes them of N-MNIST, AEDAT, Neo, NWB and tables. An input fires in a
    time step in which its channel has an event, or more: step ⌊t/dt⌋. With ``pool``, so many
    channels that are neighbours, or pool × pool pixels of a sensor, are one input. Then follows
    the time ``answer`` without inputs, in which the answer counts. The target is the class, as the
    probability 1 of its output.

    What is not given apart is taken from ``train``, of each class the same share, once and for
    all: a fifth for "validation", and a fifth for "test". Only labels are in memory, and the
    events of a batch.

    Parameters
    ----------
    train : path-like
        Event file.
    validation, test : path-like, optional
        Event files of trials that are not learned from.
    channels : int, optional
        Of files that do not say it: 700 in SHD and SSC.
    pool : int
        Channels, or pixels of a side, that are one input.
    duration : Quantity
        Of what is read of a trial; a multiple of ``dt``.
    cut : bool
        Whether events after ``duration`` may be left out; if not, there must be none.
    answer : Quantity
        A multiple of ``dt``.
    held_out_trials : int
        Of "validation", and of "test", at most: if there are more, these are drawn, of each class
        its share, once and for all.
    dt : Quantity
        Time step.

    Raises
    ------
    DimensionMismatchError
        If a quantity has the wrong unit or none.
    FileNotFoundError
        If there is no such file.
    ValueError
        If an option is out of its range, or a file is not as :meth:`.EventFile.read` wants it;
        when a trial is read, for events that are not, or that are after ``duration``; for a batch
        that would take more than 2 GiB.

    References
    ----------
    Cramer, Stradmann, Schemmel & Zenke (2022), IEEE TNNLS 33:2744,
    doi:10.1109/TNNLS.2020.3044364.
    """

    train: str = field(default="", converter=str)
    validation: str = field(default="", converter=str)
    test: str = field(default="", converter=str)
    channels: int | None = field(default=None)
    pool: int = field(default=1, validator=whole(1))
    duration: Quantity = field(default=1000 * ms, validator=in_steps())
    cut: bool = field(default=False, validator=truth())
    answer: Quantity = field(default=100 * ms, validator=in_steps())
    held_out_trials: int = field(default=500, validator=whole(1))
    dt: Quantity = field(default=1 * ms, validator=time())

    _phases = ("duration", "answer")

    def __attrs_post_init__(self):
        if not self.train:
            raise ValueError(
                "Recorded.train is the path of an event file to learn from; give one, in a "
                "configuration as [options] train = 'shd_train.h5'"
            )
        shapes = {file.shape for file in self.files.values()}
        if len(shapes) > 1:
            raise ValueError(
                f"the files of Recorded have the channels {sorted(shapes)}: one for all"
            )
        for part, (_, labels) in self.split.items():
            unknown = sorted(set(labels) - set(self.split["train"][1]))
            if unknown:
                raise ValueError(
                    f"Recorded.{part} has trials of class {unknown[0]}, of which there are none "
                    "to learn from"
                )

    @cached_property
    def files(self) -> dict[str, EventFile]:
        """The event files that are given, by the part that is read from them."""
        given = {part: getattr(self, part) for part in ("train", "validation", "test")}
        return {part: EventFile.read(p, self.channels) for part, p in given.items() if p}

    @cached_property
    def split(self) -> dict[str, tuple[Any, Ints]]:
        """Trials and classes by part; a trial is (part whose file has it, row in that file)."""
        labels = self.files["train"].labels
        left_out = [part for part in ("validation", "test") if part not in self.files]
        shares = [1 - 0.2 * len(left_out)] + [0.2] * (len(left_out) - 1)
        rows = stratified(labels, shares) if left_out else [np.arange(len(labels))]
        for part, found in zip(["train", *left_out], rows, strict=True):
            if not len(found):
                raise ValueError(
                    f"Recorded.train = '{self.train}' has {len(labels)} trials, of which a fifth "
                    f"of each class leaves none for {part!r}; give {' and '.join(left_out)}"
                )
        parts = {part: ("train", r) for part, r in zip(["train", *left_out], rows, strict=True)}
        for part in set(self.files) - {"train"}:
            parts[part] = (part, np.arange(len(self.files[part].labels)))
        split = {}
        for part in ("train", "validation", "test"):
            file, rows_of = parts[part]
            classes = self.files[file].labels[rows_of]
            most = self.held_out_trials
            if part != "train" and len(rows_of) > most:
                chosen = stratified(classes, [most / len(rows_of)])[0]
                rows_of, classes = rows_of[chosen], classes[chosen]
            split[part] = [(file, int(row)) for row in rows_of], classes
        return split

    @property
    def n_out(self) -> int:
        """Number of classes."""
        return int(self.files["train"].labels.max()) + 1

    @property
    def input_groups(self) -> dict[str, int]:
        """The inputs of each polarity of a sensor, or all as one group."""
        pooled = self._pooled_shape
        names = [f"polarity {k}" for k in range(pooled[0])] if len(pooled) == 3 else ["channels"]
        return dict.fromkeys(names, int(np.prod(pooled)) // len(names))

    @property
    def output_names(self) -> tuple[str, ...]:
        """The classes, by the names that the file has for them."""
        known = self.files["train"].names
        return known if len(known) == self.n_out else tuple(str(k) for k in range(self.n_out))

    @property
    def defaults(self) -> TrainingSetup:
        """100 LIF and 100 ALIF neurons, whose thresholds remember for half a trial."""
        return TrainingSetup.of_decisions(
            neurons=lif_and_alif(100, self.duration / 2, 0.1, t_ref=2 * ms),
            gains={"w_in": 1.5, "w_rec": 0.3, "w_out": 1.0, "feedback": 1.0},
            learning_rate=CosineDecay(5e-3, 1e-4, 1000),
            iterations=1000,
            rate_target=15 * Hz,
            rate_strength=0.2 * self.learning_window,
        )

    @property
    def _pooled_shape(self):
        """The shape of the inputs: channels, or polarities, height and width."""
        *first, size = self.files["train"].shape
        sides = [*first[1:], size]
        return (*first[:1], *(-(-side // self.pool) for side in sides))

    def _pooled(self, units):
        """The inputs of channels."""
        shape = self.files["train"].shape
        if len(shape) == 1:
            return units // self.pool
        polarity, y, x = np.unravel_index(units, shape)
        _, height, width = self._pooled_shape
        return (polarity * height + y // self.pool) * width + x // self.pool

    def _encoded(self, examples):
        shape = len(examples), self.steps, self.n_in
        if np.prod(shape, dtype=float) > MOST_BYTES:
            raise ValueError(
                f"Recorded: the spikes of {shape[0]} trials, {shape[1]} steps and {shape[2]} "
                "inputs are more than 2 GiB; make the batch or held_out_trials smaller, dt larger, "
                "or pool channels"
            )
        spikes = np.zeros(shape, bool)
        end = steps_of(self, "duration")
        for part, file in self.files.items():
            places = [k for k, (source, _) in enumerate(examples) if source == part]
            rows = [examples[k][1] for k in places]
            for k, row, (times, units) in zip(places, rows, file.events(rows), strict=True):
                # a time that is a multiple of dt up to round-off is in the step that begins then
                step = np.floor(times / float(self.dt) + 1e-6).astype(int)
                late = step >= end
                if late.any() and not self.cut:
                    raise ValueError(
                        f"the event file '{file.path}', trial {row}, has {late.sum()} of "
                        f"{len(times)} events after Recorded.duration = {self.duration!s}, the "
                        f"last at {times[-1]:g} s: make it longer, or say cut=True"
                    )
                spikes[k, step[~late], self._pooled(units[~late])] = True
        return spikes


TASK = Recorded
