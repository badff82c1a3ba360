"""Unbiased online recurrent optimization."""

import numpy as np

from ..options import require_single_delays
from ..propagation.kronecker import balanced, by_block, carried, existing, presynaptic, signs
from ..rule import Recursion, Rule

NOISE = ("all", "driven")


class UORO(Recursion):
    """One random product s̃ ⊗ θ̃ of a change of all states and one of all weights::

        s̃^t = ρ_0 H^t s̃^{t−1} + ρ_1 ν^t
        θ̃^t = θ̃^{t−1} / ρ_0 + ν^tᵀ F^t / ρ_1
        ρ_0 = √(‖θ̃^{t−1}‖ / ‖H^t s̃^{t−1}‖),  ρ_1 = √(‖νᵀF‖ / ‖ν‖)
        dE/dW_ij ≈ Σ_t (∂E^t/∂c^t · s̃^t) θ̃_ij^t

    with fresh random signs ν in every step, one for each state of each unit. Norms are those of
    one sequence and of existing weights. The published small constant in the norms is not needed:
    see :func:`~brian_eprop.reference.propagation.kronecker.balanced`.

    Stored are s̃, (S, batch, n_rec), and θ̃, (batch, G, n_pre of all blocks, n_rec).

    Parameters
    ----------
    noise : {"all", "driven"}
        The states that get noise: all, as published, or only those on which a weight acts in the
        step, K ≠ 0. The noise of the others does not bear on the mean; for an ALIF neuron it is
        that on the adaptation, whose F is 0. Not in the paper.
    """

    def __init__(self, network, rng, *, noise="all"):
        super().__init__(network, rng)
        require_single_delays("uoro", network)
        if noise not in NOISE:
            raise ValueError(f"rule 'uoro': 'noise' is {noise!r}; give 'all' or 'driven'")
        self.noise = noise
        self.exists = existing(network)

    def start(self, batch):
        self.before = None
        self.states = np.zeros((self.network.n_states, batch, self.network.n_rec))
        self.weights = np.zeros((batch, *self.exists.shape))

    def step(self, step, signal):
        noise = signs(self.rng, step.state.shape)
        if self.noise == "driven":
            noise *= np.any(step.drive != 0, axis=1)
        of_drive = np.einsum("sgbj,sbj->bgj", step.drive, noise)
        immediate = np.einsum("bi,bgj->bgij", presynaptic(step), of_drive) * self.exists
        # axes of a change of the states and of the weights, without that of the batch
        axes = (0, 2), (1, 2, 3)
        old = carried(step, self.before, self.states)
        old, old_weights = balanced(old, axes[0], self.weights, axes[1])
        new, new_weights = balanced(noise, axes[0], immediate, axes[1])
        self.before, self.states, self.weights = step, old + new, old_weights + new_weights
        paid = np.einsum("sbk,sbk->b", signal.credit(step), self.states)
        return by_block(self.network, np.einsum("b,bgij->gij", paid, self.weights))


RULE = Rule(
    name="uoro",
    recursion=UORO,
    source="Tallec & Ollivier 2017, arXiv 1702.05043, Algorithm 1",
    facing="past",
    memory=(2, 0),
    time=(2, 0),
    stochastic=True,
    unbiased=True,
    parent="rtrl",
    change="one random product",
    examples=({}, {"noise": "driven"}),
)
