"""Leaky readout, losses and the learning window."""

from __future__ import annotations

import numpy as np

__all__ = ["low_pass", "reverse_low_pass", "task_error", "task_loss"]


def low_pass(signal, decay):
    """F_κ(x)^t = κ F_κ(x)^{t−1} + x^t along the axis 1 of (batch, T, n)."""
    filtered = np.zeros_like(signal, dtype=np.float64)
    state = np.zeros_like(filtered[:, 0])
    for t in range(signal.shape[1]):
        state = decay * state + signal[:, t]
        filtered[:, t] = state
    return filtered


def reverse_low_pass(signal, decay):
    """Σ_{t' ≥ t} κ^{t'−t} x^{t'}, the adjoint of `low_pass`."""
    return low_pass(signal[:, ::-1], decay)[:, ::-1]


def _log_softmax(y):
    shifted = y - y.max(axis=-1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))


def _weight(network, n_steps, window):
    """(T, 1): 0 outside the learning window; 1 or 1/window inside."""
    inside = np.arange(n_steps) >= n_steps - window
    return (inside / (window if network.average else 1))[:, np.newaxis]


def task_loss(network, y, targets, window):
    """Loss of each trial.

    Parameters
    ----------
    network : SpikingNetwork
    y, targets : (batch, T, n_out) ndarray
    window : int
        Number of last steps that count.

    Returns
    -------
    loss : (batch,) ndarray
        Σ_t ½Σ_k (y_k − y*_k)² or −Σ_t Σ_k y*_k log softmax(y)_k, over the window.
    """
    if network.loss == "mse":
        per_output = 0.5 * (y - targets) ** 2
    else:
        per_output = -targets * _log_softmax(y)
    return np.sum(_weight(network, y.shape[1], window) * per_output, axis=(1, 2))


def task_error(network, y, targets, window):
    """∂E/∂y: y − y* or softmax(y) − y*, 0 outside the window; (batch, T, n_out)."""
    prediction = y if network.loss == "mse" else np.exp(_log_softmax(y))
    return _weight(network, y.shape[1], window) * (prediction - targets)
