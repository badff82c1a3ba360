"""Kinds of tasks: drawn in batches, decisions, trials with conditions, recorded examples.

And what they draw: examples, and evidence for one of two sides.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np
from brian2.units.fundamentalunits import (
    get_dimensions,
    get_unit,
    have_same_dimensions,
)

from ..checks import (
    Bools,
    Floats,
    check_unit,
    finite_array,
    whole_number,
)
from .encoding import group_spikes
from .metrics import wrong_decisions
from .options import steps_of


class SampledTask(ABC):
    """A task that draws its trials in batches."""

    def sample(self, rng: np.random.Generator, batch: int) -> tuple[Bools, Floats]:
        """
        Draw trials to learn from.

        Parameters
        ----------
        rng : numpy.random.Generator
            Trials that are frozen do not draw from it.
        batch : int
            Number of trials.

        Returns
        -------
        inputs : (batch, steps, n_in) ndarray of bool
        targets : (batch, steps, n_out) ndarray of float
            Of a decision the same in all steps of a trial; NaN in a step without an answer.

        Raises
        ------
        ValueError
            If ``batch`` is less than 1.
        """
        name = f"{type(self).__name__}.sample: batch"
        return self._draw(rng, whole_number(name, batch, why="draw one trial or more"))

    @abstractmethod
    def _draw(self, rng, batch):
        """Inputs and targets of so many trials."""


class Decision(SampledTask):
    """
    A task whose answer is one of ``n_out`` classes, given in the last phase of a trial.

    A task has the names of its phases in their order, ``_phases``, which are its durations, the
    sizes of its groups of inputs, ``input_groups``, and draws input spikes and the class of each
    trial, ``_decisions(rng, batch)``. Targets are the probability 1 of the right output.
    """

    @property
    def n_out(self) -> int:
        """Number of classes."""
        return 2

    @property
    @abstractmethod
    def input_groups(self) -> Mapping[str, int]:
        """Name and number of inputs of each group, in their order."""

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return sum(self.input_groups.values())

    @property
    def steps(self) -> int:
        """Time steps of a trial."""
        return sum(self._durations)

    @property
    def learning_window(self) -> int:
        """Time steps of the answer: the last ones, in which errors count."""
        return self._durations[-1]

    # kept: an environment asks in every step
    @cached_property
    def _durations(self):
        """Time steps of each phase."""
        return [steps_of(self, phase) for phase in self._phases]

    def _draw(self, rng, batch):
        inputs, classes = self._decisions(rng, batch)
        return inputs, self._targets(classes)

    def _targets(self, classes):
        return np.repeat(np.eye(self.n_out)[classes, np.newaxis], self.steps, axis=1)

    def _spikes(self, rng, probability):
        """Spikes of all inputs, from the probabilities (batch, phases, groups)."""
        return group_spikes(rng, probability, self._durations, list(self.input_groups.values()))

    def metric(self, outputs: Floats, targets: Floats) -> float:
        """Fraction of wrong decisions, see :mod:`.tasks.metrics`."""
        return wrong_decisions(self, outputs, targets)


class ConditionedTask(SampledTask):
    """
    A task whose trials differ in named conditions, such as a coherence, which can be chosen.

    A task has the range of each condition, ``condition_ranges``, draws them, ``conditions``, and
    makes trials of them, ``_presented(rng, conditions)``.
    """

    @property
    @abstractmethod
    def condition_ranges(self) -> Mapping[str, tuple[Any, Any]]:
        """The smallest and the largest value of each condition."""

    @abstractmethod
    def conditions(self, rng: np.random.Generator, batch: int) -> dict[str, Any]:
        """
        Draw the conditions of trials to learn from.

        Parameters
        ----------
        rng : numpy.random.Generator
        batch : int

        Returns
        -------
        dict of str to (batch,) ndarray or Quantity
        """

    @abstractmethod
    def _presented(self, rng, conditions):
        """Inputs and targets of trials with these conditions, which are numbers in SI units."""

    def trials(
        self, rng: np.random.Generator, conditions: Mapping[str, Any]
    ) -> tuple[Bools, Floats]:
        """
        Trials with conditions of one's choice, as a psychometric curve needs them.

        Parameters
        ----------
        rng : numpy.random.Generator
        conditions : dict of str to (batch,) array or Quantity
            Those that :meth:`conditions` draws.

        Returns
        -------
        inputs, targets : ndarray
            As from :meth:`sample`.

        Raises
        ------
        ValueError, DimensionMismatchError
            For conditions that are missing, unknown, of different lengths, without their unit or
            outside of their range.
        """
        name = f"{type(self).__name__}.trials: conditions"
        expected = self.condition_ranges
        if set(conditions) != set(expected):
            raise ValueError(f"{name} has {_quoted(conditions)}; expected {_quoted(expected)}")
        in_si = {
            key: _in_range(f"{name}[{key!r}]", conditions[key], *ends)
            for key, ends in expected.items()
        }
        shapes = {np.shape(values) for values in in_si.values()}
        if len(shapes) > 1 or len(min(shapes)) != 1 or min(shapes) == (0,):
            raise ValueError(f"{name} has the shapes {shapes}; expected one (batch,), not empty")
        return self._presented(rng, in_si)

    def _draw(self, rng, batch):
        return self.trials(rng, self.conditions(rng, batch))


class RecordedDecision(Decision):
    """A decision about recorded examples, of which some are never learned from."""

    @property
    @abstractmethod
    def split(self) -> Mapping[str, Any]:
        """Examples and their classes by part: "train", "validation" and "test"."""

    def _decisions(self, rng, batch):
        examples, classes = self.split["train"]
        chosen = drawn(rng, len(classes), batch)
        varied = self._varied(rng, [examples[k] for k in chosen])
        return self._encoded(varied), classes[chosen]

    def _varied(self, rng, examples):
        """The examples of a batch as they are learned from."""
        return examples

    @abstractmethod
    def _encoded(self, examples):
        """Input spikes (examples, steps, n_in)."""

    def held_out(self, split: Literal["validation", "test"]) -> tuple[Bools, Floats]:
        """
        All trials that are not learned from.

        Parameters
        ----------
        split : {"validation", "test"}

        Returns
        -------
        inputs, targets : ndarray
            As from :meth:`sample`.

        Raises
        ------
        ValueError
            For another name.
        """
        check_held_out(self, split)
        examples, classes = self.split[split]
        return self._encoded(examples), self._targets(classes)


def stratified(labels, shares, seed=0):
    """
    Divide examples so that every class has its share in every part.

    Parameters
    ----------
    labels : (n,) array of int
        Class of each example.
    shares : sequence of float
        Share of each part but the last one, which has the rest.
    seed : int
        Of the order in which the examples of a class are dealt out.

    Returns
    -------
    list of (…,) ndarray of int
        Indices of the examples of each part, increasing.
    """
    rng = np.random.default_rng(seed)
    parts = [[] for _ in range(len(shares) + 1)]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        ends = np.round(np.cumsum(shares) * len(members)).astype(int)
        for part, chosen in zip(parts, np.split(members, ends), strict=True):
            part.extend(chosen)
    return [np.sort(part) for part in parts]


def drawn(rng, n, batch):
    """Indices of a batch of n examples, of each at most once if there are enough."""
    return rng.choice(n, size=batch, replace=batch > n)


def signed(rng, values, batch):
    """Draw one of the values and its sign for each trial, all with equal chance."""
    return rng.choice(values, batch) * rng.choice([-1, 1], batch)


def side_of(rng, signed):
    """1 where a number is above 0, else 0; a toss-up where it is 0."""
    return np.where(signed == 0, rng.integers(2, size=len(signed)), signed > 0).astype(int)


def check_held_out(task, split):
    """Raise ValueError unless a part of the trials is one that is not learned from."""
    if split not in ("validation", "test"):
        raise ValueError(
            f"{type(task).__name__}.held_out: split = {split!r} must be 'validation' or "
            "'test', trials that are not learned from"
        )


def _in_range(name, values, low, high):
    """Values from low to high, as numbers in SI units."""
    check_unit(name, values, get_unit(get_dimensions(low)), f"{high!r}")
    numbers = finite_array(name, np.asarray(values))
    outside = (numbers < float(low)) | (numbers > float(high))
    if outside.any():
        wrong = np.asarray(values)[outside].flat[0]
        raise ValueError(
            f"{name} has {wrong:g}, which is not from {float(low):g} to {float(high):g}"
            + ("" if have_same_dimensions(low, 1) else f", in {get_unit(get_dimensions(low))!r}")
        )
    return numbers


def _quoted(names):
    return ", ".join(f"'{name}'" for name in names) or "none"
