"""A run of a spiking network, and its eligibility traces, recorded step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import ArrayLike

from .backward import EligibilityVectors
from .losses import feedback_of, rate_penalty, step_weights, task_error, task_loss
from .problem import (
    AnyNetwork,
    as_network,
    as_sequences,
    as_targets,
    read,
)
from .spiking import held_by
from .step import run


@frozen(eq=False)
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
    network = evolve(as_network(network, spiking=True), adaptive=True)
    inputs, single = as_sequences("inputs", inputs, network.n_in)
    weight = step_weights(network, learning_window, *inputs.shape[:2])
    steps = run(network, inputs)
    if smooth:
        steps = run(evolve(network, smooth=True), inputs, held_by(network, steps))
    y = np.stack([read(step, network.parameters) for step in steps], axis=1)
    loss = error = learning_signal = None
    if targets is not None:
        targets = as_targets(network, targets, inputs.shape, single, weight)
        loss = float(np.mean(np.sum(task_loss(network, y, targets, weight), axis=1)))
        error = task_error(network, y, targets, weight)
        learning_signal = error @ feedback_of(network)
    z = np.stack([step.observable for step in steps], axis=1)
    arrays: dict[str, Any] = {
        name: np.stack([step.state[k] for step in steps], axis=1)
        for k, name in enumerate(("v", "a"))
    }
    for name in ("threshold", "psi", "silent"):
        arrays[name] = np.stack([getattr(step.memory, name) for step in steps], axis=1)
    arrays |= {"inputs": inputs, "spikes": z if smooth else z > 0, "readout": y}
    arrays |= {"error": error, "learning_signal": learning_signal}
    if single:
        arrays = {name: array if array is None else array[0] for name, array in arrays.items()}
    penalty = float(np.mean(rate_penalty(network, z, weight)[0]))
    return Trajectory(**arrays, loss=loss, regularization=penalty)


@frozen(eq=False)
class EligibilityTraces:
    """Traces of one projection at every step, (batch, T, n_pre, n_rec) each.

    The axis ``batch`` is absent where the inputs had none. Absent synapses have 0.

    Attributes
    ----------
    eps_v, eps_a : ndarray
        Eligibility vector after the step t: ∂v_j^t/∂w_ij and ∂a_j^t/∂w_ij along implicit edges.
    e_trace : ndarray
        e = ψ (eps_v − β eps_a).
    e_bar : ndarray
        F_κ(e), with the gain of the readout.
    """

    eps_v: np.ndarray
    eps_a: np.ndarray
    e_trace: np.ndarray
    e_bar: np.ndarray


def eligibility_traces(network: AnyNetwork, inputs: ArrayLike) -> dict[str, EligibilityTraces]:
    """Eligibility traces of a spiking network at every step.

    Parameters
    ----------
    network : SpikingNetwork, or an object whose ``reference_network()`` returns one
    inputs : (T, n_in) or (batch, T, n_in) array

    Returns
    -------
    dict of str to EligibilityTraces
        Keys "w_in" and "w_rec".
    """
    network = evolve(as_network(network, spiking=True), adaptive=True)
    inputs, single = as_sequences("inputs", inputs, network.n_in)
    traces = EligibilityVectors()
    steps: dict[str, list] = {name: [] for name in network.blocks}
    for step in run(network, inputs):
        for name, value in traces.advance(step).items():
            e_trace = np.einsum("sbj,sbgij->bgij", step.observation, value)
            # run() has added the readout
            e_bar = np.einsum("sbj,sbgij->bgij", step.readout, value)  # type: ignore[arg-type]
            steps[name].append((value[0], value[1], e_trace, e_bar))

    def stack(arrays):
        stacked = np.stack([array[:, 0] for array in arrays], axis=1)
        return stacked[0] if single else stacked

    return {
        name: EligibilityTraces(*map(stack, zip(*of_block, strict=True)))
        for name, of_block in steps.items()
    }
