"""RTRL with a diagonal Jacobian and exponentially smoothed factors."""

from dataclasses import replace

import numpy as np

from ..options import positive_whole, require_single_delays
from ..rule import Recursion, Rule


class ESDRTRL(Recursion):
    """One trace of each presynaptic value and one of each unit, instead of one of each weight::

        ε_x,i^t = α ε_x,i^{t−1} + û_i^t
        ε_f,j^t = α D_j^t ε_f,j^{t−1} + (1 − α) K_j^t           for each state and gate
        dE/dW_ij ≈ Σ_t (∂E^t/∂c_j^t · ε_f,j^t)/(1 − α^t) ε_x,i^t,   t = 1, 2, …

    with α = (rank − 1)/(rank + 1). D is the implicit recurrence, as in e-prop, whose eligibility
    vector Σ_s (D … D) K^s û^s the product replaces; L goes through the true w_out. The authors'
    library calls the rule pp_prop.

    Biased by construction, for a single unit too: the product of two sums also pairs the
    presynaptic values of one step with the K of another, and α shortens the memory that D has. The
    factor 1/(1 − α^t) makes ε_f a weighted mean from the first step on. With rank 1
    (α = 0) only the immediate derivatives are left.

    Stored: ε_x and ε_f, O(n) numbers.

    Parameters
    ----------
    rank : int
        The smoothing covers 1/(1 − α) = (rank + 1)/2 steps.
    """

    def __init__(self, network, rng, *, rank=19):
        super().__init__(network, rng)
        require_single_delays("es_d_rtrl", network)
        rank = positive_whole("es_d_rtrl", "rank", rank)
        self.decay = (rank - 1) / (rank + 1)

    def start(self, batch):
        self.pre, self.post, self.n_steps = {}, None, 0

    def step(self, step, signal):
        decay = self.decay
        self.pre = {
            name: decay * self.pre.get(name, 0.0) + arrival
            for name, arrival in step.arrivals.items()
        }
        post = (1 - decay) * step.drive
        if self.post is not None:
            post += decay * np.einsum("srbj,rgbj->sgbj", step.implicit, self.post)
        self.post = post
        self.n_steps += 1
        mean = post / (1 - decay**self.n_steps)
        return replace(step, arrivals=self.pre, drive=mean).gradient(signal.credit(step))


RULE = Rule(
    name="es_d_rtrl",
    recursion=ESDRTRL,
    source="Wang et al. 2026, Nat. Commun. 17:1745, ES-D-RTRL; bioRxiv 2024.09.24.614728",
    facing="local",
    local=True,
    memory=(1, 0),
    time=(2, 0),
    parent="eprop",
    change="trace as a product of two filters",
)
