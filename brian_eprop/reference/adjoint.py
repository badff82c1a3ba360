"""The reverse sweep from which the rules that look back in time are made."""

from __future__ import annotations

import numpy as np

from .losses import reverse_low_pass
from .rule import Problem

__all__ = ["immediate_gradient", "sweep"]


def sweep(problem: Problem, through_explicit: bool) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of the loss along a trajectory, backwards in time::

        ℓ_j^t = Σ_{t' ≥ t} κ^{t'−t} readout_gain L_j^{t'} + ∂E_reg/∂z_j^t
        g_j^t = ℓ_j^t + Σ_lag Σ_k R_jk^{t+lag} · λ_k^{t+lag}
        λ_j^t = (D_j^{t+1})ᵀ λ_j^{t+1} + q_j^t g_j^t

    Parameters
    ----------
    problem : Problem
    through_explicit : bool
        Whether the sum with R is taken. Then g = dE/dz (total along explicit edges) and
        λ = dE/dc; else g is the direct effect on the loss only.

    Returns
    -------
    g : (batch, T, n_rec) ndarray
    lam : (T, n_states, batch, n_rec) ndarray
    """
    linear = problem.linearization
    direct = problem.readout_gain * reverse_low_pass(problem.learning_signal, problem.kappa)
    direct = direct + problem.rate_signal[:, np.newaxis]
    g = direct.copy()
    lam = np.zeros_like(linear.readout)
    for t in reversed(range(problem.n_steps)):
        if through_explicit:
            for lag, r in linear.explicit.items():
                if t + lag < problem.n_steps:
                    g[:, t] += np.einsum("sbjk,sbk->bj", r[t + lag], lam[t + lag])
        lam[t] = linear.readout[t] * g[:, t]
        if t + 1 < problem.n_steps:
            lam[t] += np.einsum("rsbj,rbj->sbj", linear.implicit[t + 1], lam[t + 1])
    return g, lam


def immediate_gradient(problem: Problem, lam: np.ndarray) -> dict[str, np.ndarray]:
    """dE/dW_ij = Σ_t λ_j^t · F_ij^t, summed over the batch."""
    gradient = {}
    for t in range(problem.n_steps):
        for name, immediate in problem.linearization.immediate(t).items():
            credit = np.einsum("sbj,sbij->ij", lam[t], immediate)
            gradient[name] = gradient.get(name, 0.0) + credit
    return gradient
