"""The (adaptive) leaky integrate-and-fire cell of Bellec et al. 2020."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..linearization import Linearization
from ..network import SpikingNetwork
from ..surrogates import antiderivative, pseudo_derivative

__all__ = ["Activity", "linearize", "run"]


@dataclass(frozen=True, eq=False)
class Activity:
    """Hidden states and spikes of a run, each array (batch, T, n_rec).

    Attributes
    ----------
    v : ndarray
        Membrane before the reset is subtracted.
    a, threshold : ndarray
        Adaptation and A = v_th + βa.
    silent : bool ndarray
        Refractory steps.
    psi, z : ndarray
        Pseudo-derivative and spikes.
    """

    v: np.ndarray
    a: np.ndarray
    threshold: np.ndarray
    silent: np.ndarray
    psi: np.ndarray
    z: np.ndarray


def by_delay(matrix, delay):
    """{d: matrix where the delay is d and 0 elsewhere}; the sum over d is the matrix."""
    return {int(d): np.where(delay == d, matrix, 0.0) for d in np.unique(delay)}


def run(
    network: SpikingNetwork, inputs: np.ndarray, smooth: bool = False, base: Activity | None = None
) -> Activity:
    """Run the cell through a sequence (Bellec et al. 2020, Methods Eqs 6–11).

    Parameters
    ----------
    network : SpikingNetwork
    inputs : (batch, T, n_in) ndarray
    smooth : bool
        z = Φ(v − A) with Φ' = ψ instead of a step. What has no derivative is then kept from
        the spiking run: the refractory steps.
    base : Activity, optional
        A smooth run from which the refractory steps and, for a detached `reset_path`, the spikes
        in the reset are taken. Weights that are varied around those of `base` so see exactly
        the paths that the gradient follows.

    Returns
    -------
    Activity
    """
    batch, n_steps = inputs.shape[:2]
    n_rec = network.n_rec
    if smooth:
        silent_steps = (run(network, inputs) if base is None else base).silent
    drive_in = np.zeros((batch, n_steps, n_rec))
    for d, weights in by_delay(network.w_in, network.delay_in).items():
        drive_in[:, d:] += inputs[:, : max(n_steps - d, 0)] @ weights
    recurrent = by_delay(network.w_rec, network.delay_rec)

    v, a, threshold, psi, z = (np.zeros((batch, n_steps, n_rec)) for _ in range(5))
    silent = np.zeros((batch, n_steps, n_rec), dtype=bool)
    nothing = np.zeros((batch, n_rec))
    countdown = np.zeros((batch, n_rec), dtype=int)

    own = Activity(v, a, threshold, silent, psi, z)

    def own_spike(variable, t):
        detached = network.reset_path[variable] == "detached"
        return (base if base is not None and detached else own).z[:, t]

    for t in range(n_steps):
        countdown = np.maximum(countdown - 1, 0)
        silent[:, t] = silent_steps[:, t] if smooth else countdown > 0
        drive = drive_in[:, t].copy()
        for d, weights in recurrent.items():
            if t - 1 - d >= 0:
                drive += z[:, t - 1 - d] @ weights
        v_last, a_last = (v[:, t - 1], a[:, t - 1]) if t else (nothing, nothing)
        z_v, z_a = (own_spike("v", t - 1), own_spike("a", t - 1)) if t else (nothing, nothing)
        v[:, t] = network.alpha * v_last + drive - network.v_th * z_v
        a[:, t] = network.rho * a_last + z_a
        threshold[:, t] = network.v_th + network.beta * a[:, t]
        if smooth:
            fires = antiderivative(network, v[:, t] - threshold[:, t])
        else:
            fires = v[:, t] > threshold[:, t]
        z[:, t] = fires * ~silent[:, t]
        countdown = np.where(z[:, t] > 0, network.n_ref, countdown)
    psi[...] = pseudo_derivative(network, v - threshold) * ~silent
    return own


def linearize(network: SpikingNetwork, inputs: np.ndarray, activity: Activity) -> Linearization:
    """Jacobians of the cell, with states c = (v, a) and observable z.

    The own spike enters v with −v_th and a with 1. Where `reset_path` calls that edge implicit,
    it is substituted into D through z = z(v, a); where it calls it explicit, it stands on the
    diagonal of R; where detached, nowhere::

        q_j^t = (ψ_j^t, −β_j ψ_j^t)
        D_j^t = diag(α_j, ρ_j) + (implicit self-edge) ⊗ q_j^{t−1}
        R_lk  = (w_rec[l,k], 0) at lag 1 + delay  (+ explicit self-edge for l = k at lag 1)
        F_ij  = (x_i or z_i, 0), delayed

    Sources: Bellec et al. 2020, Methods Eqs 13, 22–25.
    """
    batch, n_steps = inputs.shape[:2]
    n_rec = network.n_rec
    psi = activity.psi.swapaxes(0, 1)
    readout = np.stack([psi, -network.beta * psi], axis=1)

    self_edge = np.stack([-network.v_th, np.ones(n_rec)])
    kinds = np.array([network.reset_path["v"], network.reset_path["a"]])[:, np.newaxis]
    implicit_edge = np.where(kinds == "implicit", self_edge, 0.0)
    explicit_edge = np.where(kinds == "explicit", self_edge, 0.0)

    implicit = np.zeros((n_steps, 2, 2, batch, n_rec))
    implicit[:, 0, 0] = network.alpha
    implicit[:, 1, 1] = network.rho
    implicit[1:] += np.einsum("sj,trbj->tsrbj", implicit_edge, readout[:-1])

    explicit = {1: np.zeros((2, n_rec, n_rec))}
    explicit[1][:, range(n_rec), range(n_rec)] = explicit_edge
    for d, weights in by_delay(network.w_rec, network.delay_rec).items():
        explicit.setdefault(1 + d, np.zeros((2, n_rec, n_rec)))[0] += weights
    shape = (n_steps, 2, batch, n_rec, n_rec)
    explicit = {lag: np.broadcast_to(r[:, np.newaxis], shape) for lag, r in explicit.items()}

    present_in = by_delay(network.mask_in.astype(float), network.delay_in)
    present_rec = by_delay(network.mask_rec.astype(float), network.delay_rec)

    def arrivals(t, signal, present, lag):
        value = np.zeros((2, batch, signal.shape[2], n_rec))
        for d, mask in present.items():
            if t - lag - d >= 0:
                value[0] += signal[:, t - lag - d, :, np.newaxis] * mask
        return value

    def immediate(t):
        return {
            "w_in": arrivals(t, inputs, present_in, lag=0),
            "w_rec": arrivals(t, activity.z, present_rec, lag=1),
        }

    return Linearization(implicit, readout, explicit, immediate)
