"""What a task of the study is, what it gives, and the scores that several tasks share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Self

import numpy as np

from ..checks import whole_number


class Trials(NamedTuple):
    """
    What a network is shown and what it is to answer.

    Attributes
    ----------
    inputs : (batch, T, n_in) ndarray of float
    targets : (batch, T, n_out) ndarray of float
        For the cross-entropy, they sum to 1 in every step.
    weight : (batch, T) ndarray of float
        1 in the steps that count in the loss, 0 in the others.
    """

    inputs: np.ndarray
    targets: np.ndarray
    weight: np.ndarray

    @classmethod
    def of_symbols(cls, inputs: np.ndarray, n_in: int, targets: np.ndarray, n_out: int) -> Self:
        """
        One-hot trials, out of numbered symbols.

        Parameters
        ----------
        inputs : (batch, T) ndarray of int
            0 to ``n_in`` − 1, or −1 in a step without input, where all channels are 0.
        targets : (batch, T) ndarray of int
            0 to ``n_out`` − 1, or −1 in a step that does not count. There the target is uniform.
        """
        counts = targets >= 0
        one_hot = np.where(counts[..., np.newaxis], _one_hot(targets, n_out), 1 / n_out)
        return cls(_one_hot(inputs, n_in), one_hot, counts.astype(float))


class Task(ABC):
    """
    A source of trials. Those of the package are frozen classes of attrs whose fields are options.

    Attributes
    ----------
    name : str
    n_in, n_out : int
        Numbers of inputs and of outputs.
    steps : int
        Steps T of a trial, padding included.
    loss : str
        ``"mse"``, or ``"cross_entropy"`` of the softmax of the outputs.
    score_name : str
        What ``score(outputs, trials)`` returns. Lower is better. ``outputs``
        (batch, T, n_out) are those of the readout, before the softmax.
    """

    name: ClassVar[str]

    def sample(self, rng: np.random.Generator, batch: int) -> Trials:
        """
        Draw trials.

        Parameters
        ----------
        rng : numpy.random.Generator
        batch : int
            Number of trials.

        Returns
        -------
        Trials

        Raises
        ------
        ValueError
            If ``batch`` is not a whole number ≥ 1.
        """
        name = f"{type(self).__name__}.sample(batch)"
        return self._draw(rng, whole_number(name, batch, why="draw one trial or more"))

    @abstractmethod
    def _draw(self, rng: np.random.Generator, batch: int) -> Trials: ...

    @abstractmethod
    def score(self, outputs: np.ndarray, trials: Trials) -> float:
        """How far the outputs (batch, T, n_out) are off; see ``score_name``."""

    def after(self, score: float) -> Task:
        """The task of the next iteration, given the score of this one: a curriculum or itself."""
        return self


def mean_squared_error(outputs, trials):
    """Σ_t w_t Σ_k (y_k − y*_k)² / (n_out Σ_t w_t), over all trials."""
    outputs = _matching(outputs, trials)
    return _mean(np.mean((outputs - trials.targets) ** 2, axis=-1), trials.weight)


def cross_entropy(outputs, trials):
    """−Σ_t w_t Σ_k y*_k log softmax(y)_k / Σ_t w_t in nats, over all trials."""
    outputs = _matching(outputs, trials)
    log_softmax = outputs - np.logaddexp.reduce(outputs, axis=-1, keepdims=True)
    return _mean(-np.sum(trials.targets * log_softmax, axis=-1), trials.weight)


def bits_per_character(outputs, trials):
    """The cross-entropy in bits, for targets that are characters."""
    return cross_entropy(outputs, trials) / float(np.log(2))


def fraction_right(outputs, trials):
    """Fraction of trials of which the likeliest character is right in every counted step."""
    outputs = _matching(outputs, trials)
    right = np.argmax(outputs, axis=-1) == np.argmax(trials.targets, axis=-1)
    return float(np.mean(np.all(right | (trials.weight == 0), axis=1)))


def _one_hot(symbols, n):
    return (symbols[..., np.newaxis] == np.arange(n)).astype(float)


def _mean(values, weight):
    return float(np.sum(weight * values) / np.sum(weight))


def _matching(outputs, trials):
    outputs = np.asarray(outputs, dtype=float)
    if outputs.shape != trials.targets.shape:
        raise ValueError(
            f"outputs.shape = {outputs.shape} must be {trials.targets.shape}, that of the targets; "
            "give the outputs of all steps and trials as (batch, T, n_out)"
        )
    return outputs
