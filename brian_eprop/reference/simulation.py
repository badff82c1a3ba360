"""Forward simulation with every per-step quantity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .cells import alif
from .losses import low_pass, task_error, task_loss
from .network import SpikingNetwork

__all__ = ["Trajectory", "simulate"]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A run of the network, per step.

    The axis ``batch`` is absent where the inputs had none. What needs targets is None without.

    Attributes
    ----------
    inputs : (batch, T, n_in) ndarray
    v, a, threshold, psi, spikes : (batch, T, n_rec) ndarrays
        Membrane before the reset, adaptation, threshold A, pseudo-derivative, spikes
        (bool; real numbers for smooth spikes).
    silent : (batch, T, n_rec) bool ndarray
        Refractory steps.
    readout : (batch, T, n_out) ndarray
        y, including the spikes of the same step.
    error : (batch, T, n_out) ndarray
        ∂E/∂y.
    learning_signal : (batch, T, n_rec) ndarray
        L_j^t = Σ_k B_kj error_k^t with the feedback of e-prop.
    loss, regularization : float
        Averaged over the batch.
    """

    inputs: np.ndarray
    v: np.ndarray
    a: np.ndarray
    threshold: np.ndarray
    psi: np.ndarray
    spikes: np.ndarray
    silent: np.ndarray
    readout: np.ndarray
    error: np.ndarray | None
    learning_signal: np.ndarray | None
    loss: float | None
    regularization: float


def as_network(network):
    """The SpikingNetwork itself, or the one that ``network.reference_network()`` returns."""
    if isinstance(network, SpikingNetwork):
        return network
    try:
        convert = network.reference_network
    except AttributeError:
        raise ValueError(
            f"network is {network!r}; give a SpikingNetwork or an object with a method "
            "'reference_network'"
        ) from None
    return convert()


def as_sequences(name, value, n_channels):
    """(batch, T, n_channels) float array, and whether a batch axis had to be added."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"'{name}' is {value!r}; give an array of numbers") from None
    if array.ndim not in (2, 3) or array.shape[-1] != n_channels or 0 in array.shape:
        raise ValueError(
            f"'{name}' has shape {array.shape}; give (T, {n_channels}) or (batch, T, {n_channels})"
        )
    if not np.all(np.isfinite(array)):
        raise ValueError(
            f"'{name}' contains {array[~np.isfinite(array)].flat[0]}; give finite numbers"
        )
    return (array[np.newaxis], True) if array.ndim == 2 else (array, False)


def as_targets(network, targets, inputs_shape, single, window):
    array, targets_single = as_sequences("targets", targets, network.n_out)
    if array.shape[:2] != inputs_shape[:2] or single != targets_single:
        expected = inputs_shape[1:2] if single else inputs_shape[:2]
        raise ValueError(
            f"'targets' has shape {np.shape(targets)}; give {(*expected, network.n_out)} "
            "for these inputs"
        )
    if network.loss == "cross_entropy":
        inside = array[:, array.shape[1] - window :]
        # ∂E/∂y = softmax(y) − y* holds for probabilities only
        if np.any(inside < 0) or not np.allclose(inside.sum(axis=-1), 1, atol=1e-6):
            raise ValueError(
                f"'targets' has values summing to {inside.sum(axis=-1).flat[0]} in a step; "
                "give probabilities (one-hot, say) in each step of the learning window "
                "for the loss 'cross_entropy'"
            )
    return array


def as_window(learning_window, n_steps):
    if learning_window is None:
        return n_steps
    if int(learning_window) != learning_window or not 1 <= learning_window <= n_steps:
        raise ValueError(
            f"'learning_window' is {learning_window!r}; give a whole number of steps from 1 to "
            f"{n_steps}, the length of the inputs"
        )
    return int(learning_window)


def readout_of(network, z):
    """y^t = κ y^{t−1} + readout_gain Σ_j w_out[j] z_j^t."""
    return low_pass(network.readout_gain * (z @ network.w_out), network.kappa)


def rate_penalty(network, z, window):
    """½ Σ_j c_j (f_j − f*_j)² of each trial (batch,), with f in spikes per step."""
    excess = z.mean(axis=1) - network.rate_target
    penalty = 0.5 * np.sum(network.rate_strength * excess**2, axis=-1)
    return penalty / (window if network.average else 1)


def simulate(network, inputs, targets=None, learning_window=None, smooth=False):
    """Run the network and record everything.

    Parameters
    ----------
    network : SpikingNetwork, or an object whose ``reference_network()`` returns one
    inputs : (T, n_in) or (batch, T, n_in) array
        ``inputs[t]`` acts on the membrane in step t, the recurrent spikes of t in t + 1.
    targets : (T, n_out) or (batch, T, n_out) array, optional
    learning_window : int, optional
        Number of last steps that count; default all.
    smooth : bool
        Smooth spikes with the derivative ψ (see `brian_eprop.reference.surrogates`).

    Returns
    -------
    Trajectory

    Raises
    ------
    ValueError
        Wrong shapes or values.
    """
    network = as_network(network)
    inputs, single = as_sequences("inputs", inputs, network.n_in)
    window = as_window(learning_window, inputs.shape[1])
    activity = alif.run(network, inputs, smooth)
    y = readout_of(network, activity.z)
    loss = error = learning_signal = None
    if targets is not None:
        targets = as_targets(network, targets, inputs.shape, single, window)
        loss = float(np.mean(task_loss(network, y, targets, window)))
        error = task_error(network, y, targets, window)
        learning_signal = error @ feedback_of(network)

    def of_input_shape(array):
        return array[0] if single and array is not None else array

    return Trajectory(
        inputs=of_input_shape(inputs),
        v=of_input_shape(activity.v),
        a=of_input_shape(activity.a),
        threshold=of_input_shape(activity.threshold),
        psi=of_input_shape(activity.psi),
        spikes=of_input_shape(activity.z if smooth else activity.z > 0),
        silent=of_input_shape(activity.silent),
        readout=of_input_shape(y),
        error=of_input_shape(error),
        learning_signal=of_input_shape(learning_signal),
        loss=loss,
        regularization=float(np.mean(rate_penalty(network, activity.z, window))),
    )


def feedback_of(network):
    """B (n_out, n_rec): the given feedback, or w_out.T for symmetric e-prop."""
    return network.w_out.T if network.feedback is None else network.feedback
