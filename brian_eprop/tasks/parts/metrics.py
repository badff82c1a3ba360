"""Numbers by which people judge what a network does in a task; less is better."""

import numpy as np

__all__ = ["normalized_error", "wrong_decisions"]


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
    outputs, targets = np.asarray(outputs, dtype=float), np.asarray(targets, dtype=float)
    expected = (task.steps, task.n_out)
    if outputs.shape != targets.shape or targets.shape[-2:] != expected or targets.ndim > 3:
        raise ValueError(
            f"'outputs' has the shape {outputs.shape} and 'targets' {targets.shape}; expected "
            f"the same (batch, {task.steps}, {task.n_out}) or {expected}"
        )
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
    outputs, targets = np.asarray(outputs, dtype=float), np.asarray(targets, dtype=float)
    if outputs.shape != targets.shape or targets.ndim not in (2, 3):
        raise ValueError(
            f"'outputs' has the shape {outputs.shape} and 'targets' {targets.shape}; expected "
            f"the same (batch, steps, n_out) or (steps, n_out)"
        )
    mean = targets.mean(axis=tuple(range(targets.ndim - 1)))
    variation = ((targets - mean) ** 2).sum()
    if variation == 0:
        raise ValueError(
            f"'targets' of shape {targets.shape} are constant: the error cannot be normalised"
        )
    return float(((outputs - targets) ** 2).sum() / variation)
