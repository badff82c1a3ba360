"""Real-time recurrent learning with a random Kronecker product."""

import numpy as np

from ..options import positive_whole, require_single_delays
from ..propagation.kronecker import (
    balanced,
    carried,
    drive_jacobian,
    gradient_of_products,
    n_sources,
    presynaptic,
    signs,
)
from ..rule import Recursion, Rule


class KFRTRL(Recursion):
    """One product u ⊗ A, u of a value for each source and A of one for each state and drive::

        u^t = p_1 u^{t−1} + σ p_2 û^t
        A^t = H^t A^{t−1} / p_1 + σ D^t / p_2
        p_1 = √(‖H A‖ / ‖u‖),  p_2 = √(‖D‖ / ‖û‖)
        dE/dW_ij ≈ Σ_t u_i^t (∂E^t/∂c^t · A_j^t)

    with a random sign σ in every step. The paper draws a sign for either summand of u; the
    product depends on whether they are equal only. Where û or D is 0 nothing is added: see
    :func:`~brian_eprop.reference.propagation.kronecker.balanced`.

    Stored are u, (batch, copies, I), and A, (S, batch, n_rec, copies, G, n_rec).

    Parameters
    ----------
    average : int
        The number of independent copies of which the mean is taken (k-KF-RTRL-AVG).
    """

    def __init__(self, network, rng, *, average=1):
        super().__init__(network, rng)
        require_single_delays("kf_rtrl", network)
        self.copies = positive_whole("kf_rtrl", "average", average)

    def start(self, batch):
        network, copies = self.network, self.copies
        n_rec, gates = network.n_rec, network.cell.gates
        self.before = None
        self.u = np.zeros((batch, copies, n_sources(network)))
        self.a = np.zeros((network.n_states, batch, n_rec, copies, gates, n_rec))

    def step(self, step, signal):
        # axes of u and of A, without those of the batch and of the copies
        axes = (2,), (0, 2, 4, 5)
        u, a = balanced(self.u, axes[0], carried(step, self.before, self.a), axes[1])
        sent = presynaptic(step)[:, np.newaxis]
        driven = drive_jacobian(step)[:, :, :, np.newaxis]
        sent, driven = balanced(sent, axes[0], driven, axes[1])
        sign = signs(self.rng, u.shape[:2])
        self.before = step
        self.u = u + sign[:, :, np.newaxis] * sent
        self.a = a + sign[:, np.newaxis, :, np.newaxis, np.newaxis] * driven
        credit = signal.credit(step) / self.copies
        return gradient_of_products(self.network, credit, self.u, self.a)


RULE = Rule(
    name="kf_rtrl",
    recursion=KFRTRL,
    source="Mujika, Meier & Steger 2018, arXiv 1805.10842",
    facing="past",
    memory=(2, 0),
    time=(3, 0),
    stochastic=True,
    unbiased=True,
    parent="rtrl",
    change="one random Kronecker product",
    examples=({}, {"average": 4}),
)
