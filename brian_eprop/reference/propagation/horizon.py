"""Local traces with a learning signal that sees a few steps of the future."""

from __future__ import annotations

from dataclasses import replace

from ..rule import Recursion, added
from .backward import sweep
from .eligibility import EligibilityVectors

__all__ = ["HorizonSignal"]


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
        credits = self._credits()
        self.traces, gradient = EligibilityVectors(), {}
        for t, step in enumerate(self.steps):
            window = slice(t, t + self.order)
            _, explicit = sweep(self.steps[window], credits[window], first=t)
            self.traces.advance(step)
            signal = credits[t] + step.observation * explicit[0]
            gradient = added(gradient, self.traces.gradient(signal))
        return gradient

    def _without_memory_of_readout(self, step):
        if self.network.kappa == 0:
            return step
        implicit = step.implicit.copy()
        implicit[-1, -1] = 0
        return replace(step, implicit=implicit)

    def _credits(self):
        """∂E/∂c^t of all that the readout of step t leads to."""
        credits, future = [], 0.0
        for step, signal in zip(reversed(self.steps), reversed(self.signals), strict=True):
            future = signal.learning + self.network.kappa * future
            credits.append(replace(signal, learning=future).credit(step))
        return credits[::-1]
