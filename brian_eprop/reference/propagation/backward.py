"""The sweep backwards in time from which the rules that look at the future are made."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ..rule import added

__all__ = ["gradient_of", "sweep", "sweep_hops"]


def sweep(steps, credits, first=0):
    """Derivatives of the loss along a trajectory, from the last step to the first::

        g_j^t = Σ_lag Σ_k R_jk^{t+lag} · λ_k^{t+lag}
        λ_j^t = (D_j^{t+1})ᵀ λ_j^{t+1} + ∂E^t/∂c_j^t + q_j^t g_j^t

    Parameters
    ----------
    steps : list of Step
    credits : list of (S, batch, n_rec) ndarrays
        ∂E^t/∂c^t, the direct effect.
    first : int
        Which step of the sequence `steps` begins with; for the message of an error.

    Returns
    -------
    lam : list of (S, batch, n_rec) ndarrays
        λ^t = dE/dc^t.
    g : list of (batch, n_rec) ndarrays
        The effect of the observables by explicit edges.

    Raises
    ------
    ArithmeticError
        If λ is not finite, with the step.
    """
    n_steps = len(steps)
    lam, g = [None] * n_steps, [None] * n_steps
    pending = defaultdict(float)
    for t in reversed(range(n_steps)):
        step = steps[t]
        g[t] = np.zeros_like(step.observable) + pending.pop(t, 0.0)
        lam[t] = credits[t] + step.observation * g[t]
        if t + 1 < n_steps:
            lam[t] = lam[t] + steps[t + 1].back_through_implicit(lam[t + 1])
        if not np.all(np.isfinite(lam[t])):
            raise ArithmeticError(
                f"the derivative of the loss became {lam[t][~np.isfinite(lam[t])].flat[0]} at step "
                f"{first + t}, going backwards from step {first + n_steps - 1}"
            )
        for lag, received in step.back_through_explicit(lam[t]).items():
            pending[t - lag] = pending[t - lag] + received
    return lam, g


def sweep_hops(steps, credits, hops):
    """Derivatives of the loss along paths of at most so many explicit edges::

        λ_j^{(0),t} = (D_j^{t+1})ᵀ λ_j^{(0),t+1} + ∂E^t/∂c_j^t
        λ_j^{(q),t} = (D_j^{t+1})ᵀ λ_j^{(q),t+1} + q_j^t Σ_lag Σ_k R_jk^{t+lag} · λ_k^{(q−1),t+lag}

    Returns
    -------
    list of (S, batch, n_rec) ndarrays
        Σ_q λ^{(q),t}.
    """
    later = [np.zeros_like(credits[0]) for _ in range(hops + 1)]
    pending = [defaultdict(float) for _ in range(hops + 1)]
    total = [None] * len(steps)
    for t in reversed(range(len(steps))):
        step, now = steps[t], []
        for q in range(hops + 1):
            direct = step.observation * pending[q].pop(t, 0.0) if q else credits[t]
            if t + 1 < len(steps):
                direct = direct + steps[t + 1].back_through_implicit(later[q])
            now.append(direct)
        for q in range(hops):
            for lag, received in step.back_through_explicit(now[q]).items():
                pending[q + 1][t - lag] = pending[q + 1][t - lag] + received
        later, total[t] = now, sum(now)
    return total


def gradient_of(steps, lam):
    """dE/dW_ij = Σ_t λ_j^t · F_ij^t, summed over the batch."""
    gradient = {}
    for step, credit in zip(steps, lam, strict=True):
        gradient = added(gradient, step.gradient(credit))
    return gradient
