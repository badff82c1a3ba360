"""Forward simulation with every per-step quantity."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from .cells.spikes import held_by
from .forward import run
from .losses import feedback_of, rate_penalty, step_weights, task_error, task_loss
from .problem import read
from .validation import AnyNetwork, as_network, as_sequences, as_targets

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


def simulate(
    network: AnyNetwork,
    inputs: ArrayLike,
    targets: ArrayLike | None = None,
    learning_window: int | None = None,
    smooth: bool = False,
) -> Trajectory:
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
    network = replace(as_network(network, spiking=True), adaptive=True)
    inputs, single = as_sequences("inputs", inputs, network.n_in)
    weight = step_weights(network, learning_window, *inputs.shape[:2])
    steps = run(network, inputs)
    if smooth:
        steps = run(replace(network, smooth=True), inputs, held_by(network, steps))
    y = np.stack([read(step, network.parameters) for step in steps], axis=1)
    loss = error = learning_signal = None
    if targets is not None:
        targets = as_targets(network, targets, inputs.shape, single, weight)
        loss = float(np.mean(np.sum(task_loss(network, y, targets, weight), axis=1)))
        error = task_error(network, y, targets, weight)
        learning_signal = error @ feedback_of(network)
    z = np.stack([step.observable for step in steps], axis=1)
    names = network.cell.states
    states = {name: np.stack([s.state[k] for s in steps], axis=1) for k, name in enumerate(names)}
    memory = zip(*(step.memory for step in steps), strict=True)
    threshold, psi, silent, _ = (np.stack(array, axis=1) for array in memory)

    def of_input_shape(array):
        return array[0] if single and array is not None else array

    return Trajectory(
        inputs=of_input_shape(inputs),
        v=of_input_shape(states["v"]),
        a=of_input_shape(states["a"]),
        threshold=of_input_shape(threshold),
        psi=of_input_shape(psi),
        spikes=of_input_shape(z if smooth else z > 0),
        silent=of_input_shape(silent),
        readout=of_input_shape(y),
        error=of_input_shape(error),
        learning_signal=of_input_shape(learning_signal),
        loss=loss,
        regularization=float(np.mean(rate_penalty(network, z, weight)[0])),
    )
