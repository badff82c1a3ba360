"""The backward pass, the eligibility vectors, and rules between the two.

Rules that look at the future are made from the adjoint recursion, or from local traces with a
learning signal that sees a few steps of the future.
"""

from __future__ import annotations

from collections import defaultdict
from functools import reduce

import numpy as np
from attrs import evolve

from .rule import Recursion, added


class EligibilityVectors:
    """The eligibility vectors of all synapses and parameters, step by step.

    ε_ij^t = D_j^t ε_ij^{t−1} + F_ij^t (Bellec et al. 2020, Methods Eq. 13).

    Attributes
    ----------
    values : dict of str to (S, batch, gates, n_pre, n_rec) ndarray
    """

    def __init__(self):
        self.values = {}

    def advance(self, step):
        """Take one step and return `values`."""
        values = {}
        for name in step.trained:
            values[name] = step.immediate(name)
            if self.values:
                decayed = np.einsum("srbj,rbgij->sbgij", step.implicit, self.values[name])
                values[name] = values[name] + decayed
        self.values = values
        return values

    def gradient(self, credit):
        """Σ_batch Σ_s credit_s,j ε_s,ij for all that is trained; credit (S, batch, n_rec)."""
        return {
            name: np.einsum("sbj,sbgij->gij", credit, value) for name, value in self.values.items()
        }

    def along(self, steps, credits, g):
        """Σ_t (∂E^t/∂c_j^t + q_j^t g_j^t) · ε_ij^t over some more steps, with g as of `sweep`."""
        gradient = {}
        for step, credit, explicit in zip(steps, credits, g, strict=True):
            self.advance(step)
            gradient = added(gradient, self.gradient(credit + step.observation * explicit))
        return gradient


class LocalTraces(Recursion):
    """dE/dW_ij ≈ Σ_t ∂E^t/∂c_j^t · ε_ij^t, the paths without explicit edges."""

    def start(self, batch):
        self.traces = EligibilityVectors()

    def step(self, step, signal):
        self.traces.advance(step)
        return self.traces.gradient(signal.credit(step))


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
    return reduce(added, (step.gradient(credit) for step, credit in zip(steps, lam, strict=True)))


class HorizonSignal(Recursion):
    """dE/dW_ij ≈ Σ_s [dE/dh_j^s]_m e_ij^s, with e_ij the local trace of e-prop.

    [dE/dh_j^s]_m counts what is read out at h^s, …, h^{s+m−1} and the paths that lead there from
    h_j^s by explicit edges. A leaky readout sees h^u in all later steps; all of that counts::

        ℓ^u = Σ_{t≥u} κ^{t−u} L^t

    So the trace is not filtered, but the signal is, and both are complete at the end only.

    Parameters
    ----------
    network : Network
    rng : numpy.random.Generator
    order : int
        m. Each step has a sweep of its own over m steps.
    """

    def __init__(self, network, rng, order):
        super().__init__(network, rng)
        self.order = order

    def start(self, batch):
        self.steps, self.signals = [], []

    def step(self, step, signal):
        self.steps.append(self._without_memory_of_readout(step))
        self.signals.append(signal)

    def finish(self):
        credits, g = self._credits(), []
        for t in range(len(self.steps)):
            window = slice(t, t + self.order)
            _, explicit = sweep(self.steps[window], credits[window], first=t)
            g.append(explicit[0])
        return EligibilityVectors().along(self.steps, credits, g)

    def _without_memory_of_readout(self, step):
        if self.network.kappa == 0:
            return step
        implicit = step.implicit.copy()
        implicit[-1, -1] = 0
        return evolve(step, implicit=implicit)

    def _credits(self):
        """∂E/∂c^t of all that the readout of step t leads to."""
        credits, future = [], 0.0
        for step, signal in zip(reversed(self.steps), reversed(self.signals), strict=True):
            future = signal.learning + self.network.kappa * future
            credits.append(evolve(signal, learning=future).credit(step))
        return credits[::-1]
