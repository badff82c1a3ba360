"""Metrics: numbers by which people judge what a network does; less is better.

Those of a task count the steps in which the task demands an answer, see :func:`counted_steps`.
"""

import numpy as np

from ..checks import Bools, Floats
from ..network.validation import checked_window


def counted_steps(task: object, targets: Floats) -> Bools:
    """
    The steps in which errors count.

    They are the last ``task.learning_window`` steps, or all if the task has no such window, but
    for those whose targets are NaN.

    Parameters
    ----------
    task : object
    targets : (batch, steps, n_out) or (steps, n_out) ndarray

    Returns
    -------
    (batch, steps) or (steps,) ndarray of bool

    Raises
    ------
    ValueError
        If the window is no whole number of the trial's steps.
    """
    steps = targets.shape[-2]
    window = checked_window(getattr(task, "learning_window", None), steps) or steps
    return (np.arange(steps) >= steps - window) & ~np.isnan(targets).any(axis=-1)


def wrong_decisions(task, outputs, targets):
    """
    Fraction of wrong decisions: the output with the largest mean over the last steps that count.

    Parameters
    ----------
    task : object
        With ``steps``, ``n_out`` and ``learning_window``.
    outputs, targets : (batch, steps, n_out) or (steps, n_out) ndarray

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes differ or are not those of the task.
    """
    outputs, targets = same_shape(outputs, targets, (task.steps, task.n_out))
    decisions, right = (
        values[..., -task.learning_window :, :].mean(axis=-2).argmax(axis=-1)
        for values in (outputs, targets)
    )
    return float((decisions != right).mean())


def normalized_error(outputs, targets):
    """
    Normalised mean square error, Σ(y − y*)² / Σ(y* − ⟨y*⟩)².

    The mean ⟨y*⟩ is over trials and steps, for each readout: 1 is what the best constant output
    attains, 0 is perfect.

    Parameters
    ----------
    outputs, targets : (batch, steps, n_out) or (steps, n_out) ndarray

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes differ, or the targets are constant.
    """
    outputs, targets = same_shape(outputs, targets)
    mean = targets.mean(axis=tuple(range(targets.ndim - 1)))
    variation = ((targets - mean) ** 2).sum()
    if variation == 0:
        raise ValueError(
            f"'targets' of shape {targets.shape} are constant: the error cannot be normalised"
        )
    return float(((outputs - targets) ** 2).sum() / variation)


def mean_squared_error(task, outputs, targets):
    """Σ_k (y_k − y*_k)² / n_out, mean over the steps of all trials that count."""
    outputs, targets = same_shape(outputs, targets)
    return _mean(np.mean((outputs - targets) ** 2, axis=-1), counted_steps(task, targets))


def cross_entropy(task, outputs, targets):
    """−Σ_k y*_k log softmax(y)_k in nats, mean over the steps of all trials that count."""
    outputs, targets = same_shape(outputs, targets)
    log_softmax = outputs - np.logaddexp.reduce(outputs, axis=-1, keepdims=True)
    return _mean(-np.sum(targets * log_softmax, axis=-1), counted_steps(task, targets))


def fraction_right(task, outputs, targets):
    """Fraction of trials of which the largest output is right in every step that counts."""
    outputs, targets = same_shape(outputs, targets)
    right = outputs.argmax(axis=-1) == targets.argmax(axis=-1)
    return float(np.mean(np.all(right | ~counted_steps(task, targets), axis=-1)))


def same_shape(outputs, targets, trial=("steps", "n_out")):
    """Both as arrays of float; an error unless both have the shape of a trial, or of a batch."""
    outputs, targets = np.asarray(outputs, dtype=float), np.asarray(targets, dtype=float)
    other = trial[0] != "steps" and targets.shape[-2:] != trial
    if outputs.shape != targets.shape or targets.ndim not in (2, 3) or other:
        shape = f"{trial[0]}, {trial[1]}"
        raise ValueError(
            f"'outputs' has the shape {outputs.shape} and 'targets' {targets.shape}; expected "
            f"the same (batch, {shape}) or ({shape})"
        )
    return outputs, targets


def _mean(values, counted):
    return float(np.sum(np.where(counted, values, 0)) / np.sum(counted))
