"""Real-time recurrent learning."""

from collections import defaultdict, deque

import numpy as np

from ..rule import Recursion, Rule


class RTRL(Recursion):
    """Forward accumulation of the influence of every weight on every unit::

        G_k^t = D_k^t G_k^{t−1} + Σ_lag Σ_l R_lk^t (q_l^{t−lag} · G_l^{t−lag}) + δ_kj F_ij^t
        dE/dW_ij = Σ_t Σ_k ∂E^t/∂c_k^t · G_k^t

    with G_k^t = dc_k^t/dW_ij of shape (S, batch, n_rec, gates, n_pre, n_rec).
    """

    def start(self, batch):
        self.influence = {}
        longest = max(self.network.recurrent_lags)
        self.observed = defaultdict(lambda: deque(maxlen=longest))

    def step(self, step, signal):
        gradient, credit = {}, signal.credit(step)
        units = np.arange(self.network.n_rec)
        for name in step.trained:
            immediate, observed = step.immediate(name), self.observed[name]
            if observed:
                influence = step.through_implicit(self.influence[name])
                influence = influence + step.through_explicit(observed)
            else:
                influence = np.zeros((*immediate.shape[:2], len(units), *immediate.shape[2:]))
            influence[:, :, units, ..., units] += immediate.transpose(4, 0, 1, 2, 3)
            self.influence[name] = influence
            observed.append(step.observe(influence))
            gradient[name] = np.einsum("sbk,sbkgij->gij", credit, influence)
        return gradient


RULE = Rule(
    name="rtrl",
    recursion=RTRL,
    source="Williams & Zipser 1989, Neural Computation 1(2)",
    facing="past",
    exact=True,
    parameters=True,
    memory=(3, 0),
    time=(4, 0),
    parent="bptt",
    change="the same sum from front to back",
)
