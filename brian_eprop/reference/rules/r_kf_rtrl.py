"""Real-time recurrent learning with the other random Kronecker product."""

import numpy as np

from ..options import require_single_delays
from ..propagation.kronecker import balanced, by_block, carried, n_sources, presynaptic, signs
from ..rule import Recursion, Rule


class ReverseKFRTRL(Recursion):
    """One product A ⊗ B, A of a value for each drive and B of one for each state and source::

        A^t = p_0 A^{t−1} + p_1 ν^t
        B^t = H^t B^{t−1} / p_0 + (D^t ν^t) ⊗ û^t / p_1
        p_0 = √(‖H B‖ / ‖A‖),  p_1 = √(‖(D ν) ⊗ û‖ / ‖ν‖)
        dE/dW_ij ≈ Σ_t A_j^t (∂E^t/∂c^t · B_i^t)

    with fresh random signs ν in every step, one for each drive of each unit. Where û is 0 nothing
    is added, ν neither: see :func:`~brian_eprop.reference.propagation.kronecker.balanced`.

    Stored are A, (batch, G, n_rec), and B, (S, batch, n_rec, I).
    """

    def __init__(self, network, rng):
        super().__init__(network, rng)
        require_single_delays("r_kf_rtrl", network)

    def start(self, batch):
        network = self.network
        self.before = None
        self.a = np.zeros((batch, network.cell.gates, network.n_rec))
        self.b = np.zeros((network.n_states, batch, network.n_rec, n_sources(network)))

    def step(self, step, signal):
        # axes of A and of B, without that of the batch
        axes = (1, 2), (0, 2, 3)
        a, b = balanced(self.a, axes[0], carried(step, self.before, self.b), axes[1])
        noise = signs(self.rng, a.shape)
        of_states = np.einsum("sgbk,bgk->sbk", step.drive, noise)
        driven = np.einsum("sbk,bi->sbki", of_states, presynaptic(step))
        noise, driven = balanced(noise, axes[0], driven, axes[1])
        self.before, self.a, self.b = step, a + noise, b + driven
        paid = np.einsum("sbk,sbki->bi", signal.credit(step), self.b)
        return by_block(self.network, np.einsum("bgj,bi->gij", self.a, paid))


RULE = Rule(
    name="r_kf_rtrl",
    recursion=ReverseKFRTRL,
    source="Marschall, Cho & Savin 2020, J. Mach. Learn. Res. 21(135), R-KF-RTRL",
    facing="past",
    memory=(2, 0),
    time=(3, 0),
    stochastic=True,
    unbiased=True,
    parent="kf_rtrl",
    change="the other index in the vector",
)
