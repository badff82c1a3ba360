"""Kernel RNN learning."""

from collections import deque

import numpy as np
from attrs import evolve

from ...checks import number
from ..backward import EligibilityVectors
from ..rule import Recursion, Rule, option


@Rule(
    name="kernl",
    source="Roth, Kanitscheider & Fiete 2019, ICLR; Marschall, Cho & Savin 2020, JMLR 21(135)",
    facing="past",
    stochastic=True,
    learned=True,
    parent="rtrl",
    change="learned kernel for the recurrence",
)
class KeRNL(Recursion):
    """A learned kernel A κ^Δ in place of the recurrence: dc_k^{t+Δ}/dc_j^t ≈ A_kj κ_j^Δ::

        B_ij^t = κ_j B_ij^{t−1} + F_ij^t
        dE/dW_ij ≈ Σ_t (Σ_k ∂E^t/∂c_k^t A_kj) B_ij^t

    A and κ are learned by perturbing all states with fresh normal noise ξ in every step, and
    regressing what becomes of it on its filtered self::

        δ^t = H^t δ^{t−1} + ξ^t,   Ω^t = κ Ω^{t−1} + ξ^t,   Γ^t = κ Γ^{t−1} + Ω^{t−1} = ∂Ω^t/∂κ
        error = A Ω − δ
        A ← A − rate error ⊗ Ω / |Ω|²
        κ_j ← κ_j − rate Γ_j Σ_k A_kj error_k / Σ_l Γ_l² Σ_k A_kl²,  clipped to [0, 1]

    with the means over the batch. The gradient has the new A. Where units have several states,
    indices k and j stand for one state of one unit each, and B has an entry for each state. What
    is learned stays from one sequence to the next; δ, Ω, Γ and B begin with 0.

    Where this departs from the paper and its re-implementations:

    - δ is the tangent of the trajectory, the limit of small noise, instead of the difference to a
      second, noisy run, in which spikes would not follow small perturbations.
    - ξ enters δ and Ω in the same step and after the transition, as weights do: so A is the
      identity at Δ = 0. Marschall et al. compare Ω with a δ that does not have the last ξ yet,
      which shrinks A by κ².
    - κ is a decay per step and not max(0, 1 − α): beyond 1 its traces would grow without bounds.
    - Both regressions are normalized (Nagumo & Noda 1967), so that their rates, from 0 to 2, do
      not depend on the size of the noise and of the network.

    Parameters
    ----------
    learning_rate_kernel, learning_rate_decay : float
        Of the regression of A and of κ.
    decay : float
        κ at the start; A is the identity.
    """

    learning_rate_kernel: float = option(number, "be from 0 to 2", high=2, default=0.05)
    learning_rate_decay: float = option(number, "be from 0 to 2", high=2, default=0.2)
    decay: float = option(number, "be from 0 to 1", high=1, default=0.8)

    def __attrs_post_init__(self):
        shape = (self.network.n_states, self.network.n_rec)
        self.decays = np.full(shape, self.decay)
        self.kernel = np.eye(self.decays.size).reshape(*shape, *shape)

    def start(self, batch):
        shape = (self.network.n_states, batch, self.network.n_rec)
        self.tangent, self.filtered, self.slope = np.zeros((3, *shape))
        self.observed = deque(maxlen=max(self.network.recurrent_lags))
        self.traces = EligibilityVectors()

    def step(self, step, signal):
        noise = self.rng.normal(size=step.state.shape)
        decays = self.decays[:, np.newaxis]
        if self.observed:
            explicit = step.through_explicit(self.observed)
            self.tangent = step.through_implicit(self.tangent) + explicit
        self.tangent = self.tangent + noise
        self.observed.append(step.observe(self.tangent))
        self.slope = decays * self.slope + self.filtered
        self.filtered = decays * self.filtered + noise
        diagonal = np.eye(len(decays))[:, :, np.newaxis, np.newaxis] * decays
        self.traces.advance(evolve(step, implicit=diagonal))
        self._learn()
        return self.traces.gradient(_back(self.kernel, signal.credit(step)))

    def _learn(self):
        error = np.einsum("skrj,rbj->sbk", self.kernel, self.filtered) - self.tangent
        of_decays = _back(self.kernel, error) * self.slope
        curvature = np.sum(self.kernel**2, axis=(0, 1))[:, np.newaxis] * self.slope**2
        regressor = _normalized(self.filtered, self.filtered**2)
        of_kernel = np.einsum("sbk,rbj->skrj", error, regressor) / error.shape[1]
        change = np.mean(_normalized(of_decays, curvature), axis=1)
        self.kernel = self.kernel - self.learning_rate_kernel * of_kernel
        self.decays = np.clip(self.decays - self.learning_rate_decay * change, 0, 1)


def _back(kernel, credit):
    """Aᵀ·credit, (S, batch, n_rec)."""
    return np.einsum("skrj,sbk->rbj", kernel, credit)


def _normalized(array, squares):
    """The array divided, for each sequence, by the sum of the squares; 0 where that is 0."""
    total = np.sum(squares, axis=(0, 2), keepdims=True)
    return np.divide(array, total, out=np.zeros_like(array), where=total > 0)
