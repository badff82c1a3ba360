"""Losses of the readout, the learning window, and the regularization of firing rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax


def _no_probabilities(targets):
    return np.any(targets < 0, axis=-1) | (np.abs(targets.sum(axis=-1) - 1) > 1e-6)


class Loss(NamedTuple):
    """A loss of outputs y and targets y*, each (..., n_out).

    Attributes
    ----------
    per_output : callable
        (y, y*) → loss of each output; E is their sum.
    error : callable
        (y, y*) → ∂E/∂y.
    wrong : callable
        y* → (...) bool, which targets this error is not the derivative for.
    needs : str
        What targets must be, if not all may be any numbers.
    """

    per_output: Callable
    error: Callable
    wrong: Callable = lambda targets: np.zeros(targets.shape[:-1], bool)
    needs: str = ""


#: name → Loss
LOSSES = {
    "mse": Loss(lambda y, target: 0.5 * (y - target) ** 2, lambda y, target: y - target),
    "cross_entropy": Loss(
        lambda y, target: -target * log_softmax(y, axis=-1),
        lambda y, target: softmax(y, axis=-1) - target,
        _no_probabilities,
        "probabilities (one-hot, say)",
    ),
    "linear": Loss(lambda y, target: target * y, lambda y, target: np.array(target, dtype=float)),
}


def step_weights(network, learning_window, batch, n_steps):
    """How much each step counts, (batch, T): 0 or 1, or divided by the number of those that do.

    Parameters
    ----------
    learning_window : int, (T,) or (batch, T) array, or None
        Number of last steps that count, or a weight for each; None is all.

    Raises
    ------
    ValueError
        A window longer than the sequence, or weights of another shape.
    """
    if learning_window is None:
        weight = np.ones((batch, n_steps))
    elif np.ndim(learning_window) == 0:
        if int(learning_window) != learning_window or not 1 <= learning_window <= n_steps:
            raise ValueError(
                f"'learning_window' is {learning_window!r}; give a whole number of steps from 1 "
                f"to {n_steps}, the length of the inputs"
            )
        inside = np.arange(n_steps) >= n_steps - int(learning_window)
        weight = np.broadcast_to(inside.astype(float), (batch, n_steps))
    else:
        weight = np.asarray(learning_window, dtype=float)
        if weight.shape not in ((n_steps,), (batch, n_steps)):
            raise ValueError(
                f"'learning_window' has shape {weight.shape}; give a number of steps, or weights "
                f"of shape ({n_steps},) or ({batch}, {n_steps})"
            )
        if not np.all(weight >= 0) or not np.all(np.isfinite(weight)):
            raise ValueError(
                f"'learning_window' contains {weight[~(weight >= 0)].flat[0]}; give weights of "
                "0 or more"
            )
        weight = np.broadcast_to(weight, (batch, n_steps))
    if network.average:
        weight = weight / np.maximum(np.sum(weight, axis=1, keepdims=True), 1)
    return weight


def task_loss(network, y, targets, weight):
    """Loss of each step, summed over outputs and weighted.

    Parameters
    ----------
    network : Network
    y, targets : (..., n_out) ndarray
    weight : (...) ndarray

    Returns
    -------
    loss : (...) ndarray
    """
    return weight * np.sum(LOSSES[network.loss].per_output(y, targets), axis=-1)


def task_error(network, y, targets, weight):
    """∂E/∂y of each step, weighted; shapes as in :func:`task_loss`."""
    return weight[..., np.newaxis] * LOSSES[network.loss].error(y, targets)


def rate_penalty(network, spikes, weight):
    """Firing-rate regularization of each trial.

    Parameters
    ----------
    network : SpikingNetwork
    spikes : (batch, T, n_rec) ndarray
    weight : (batch, T) ndarray

    Returns
    -------
    penalty : (batch,) ndarray
        ½ Σ_j c_j (f_j − f*_j)², f in spikes per step; divided by the number of steps that count
        for a network with ``average``.
    signal : (batch, n_rec) ndarray
        ∂penalty/∂z_j^t, the same in each step: c_j (f_j − f*_j)/T.
    """
    excess = spikes.mean(axis=1) - network.rate_target
    scale = weight.max(axis=1, keepdims=True) if network.average else 1.0
    penalty = 0.5 * np.sum(scale * network.rate_strength * excess**2, axis=-1)
    return penalty, scale * network.rate_strength * excess / spikes.shape[1]


def feedback_of(network):
    """B (n_out, n_rec): the given feedback, or w_out.T for symmetric e-prop."""
    return network.w_out.T if network.feedback is None else network.feedback
