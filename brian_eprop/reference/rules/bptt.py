"""Back-propagation through time: whole, truncated, and factorized into signals and traces."""

from collections import deque

import numpy as np

from ...checks import whole_number
from ..backward import EligibilityVectors, gradient_of, sweep
from ..rule import Recursion, Rule, option


@Rule(
    name="bptt",
    source="Werbos 1990, Proc. IEEE 78(10)",
    facing="future",
    exact=True,
    parameters=True,
    causal=False,
    memory=(1, 1),
)
class BPTT(Recursion):
    """dE/dW_ij = Σ_t (dE/dc_j^t) · (∂c_j^t/∂W_ij)."""

    def start(self, batch):
        self.steps, self.credits = [], []

    def step(self, step, signal):
        self.steps.append(step)
        self.credits.append(signal.credit(step))

    def finish(self):
        lam, _ = sweep(self.steps, self.credits)
        return gradient_of(self.steps, lam)


@Rule(
    name="tbptt",
    source="Williams & Peng 1990, Neural Computation 2(4):490, BPTT(h; h')",
    facing="future",
    memory=(1, 0),
    parent="bptt",
    change="paths cut at the edge of a window",
    examples=({"horizon": 10}, {"horizon": 10, "every": 10}),
)
class TBPTT(Recursion):
    """BPTT(h; h') of Williams & Peng: every h' steps, back through the last h steps::

        dE/dW_ij ≈ Σ_t Σ_{s = t0−h+1}^{t} (∂E^t/∂c_j^s)_{paths inside} · F_ij^s

    with t0 the end of the block of h' steps to which t belongs. Each error is injected once, and
    sees h − (t0 − t) steps, from h − h' + 1 to h of them. BPTT(h; 1) is the truncation at a fixed
    depth, BPTT(h; h) that in separate chunks. All paths are cut at the edge of the window, those
    through delays and through the filter of the readout too. The last block may be shorter; a
    horizon of the whole sequence gives the exact gradient.

    Stored: the h last steps, h·n numbers, and the credits of at most h' of them.

    Parameters
    ----------
    horizon : int
        h.
    every : int
        h', at most h.
    """

    horizon: int = option(whole_number)
    every: int = option(whole_number, default=1)

    def __attrs_post_init__(self):
        if self.every > self.horizon:
            raise ValueError(
                f"rule 'tbptt': 'every' is {self.every}, but 'horizon' is {self.horizon}; the "
                "errors of the last 'every' steps need a horizon of at least as many"
            )

    def start(self, batch):
        self.steps, self.credits = deque(maxlen=self.horizon), []
        self.n_steps = 0

    def step(self, step, signal):
        self.n_steps += 1
        self.steps.append(step)
        self.credits.append(signal.credit(step))
        return self._back() if len(self.credits) == self.every else None

    def finish(self):
        return self._back() if self.credits else None

    def _back(self):
        steps = list(self.steps)
        spent = [np.zeros_like(self.credits[0])] * (len(steps) - len(self.credits))
        lam, _ = sweep(steps, spent + self.credits, first=self.n_steps - len(steps))
        self.credits = []
        return gradient_of(steps, lam)


@Rule(
    name="factorized",
    source="Bellec et al. 2020, Nat. Commun. 11:3625, Eq. 1",
    facing="future",
    exact=True,
    parameters=True,
    causal=False,
    parent="bptt",
    change="split into e_ij and dE/dh_j",
)
class Factorized(BPTT):
    """dE/dW_ij = Σ_t (dE/dh_j^t) e_ij^t, with the total derivative along explicit edges."""

    def finish(self):
        _, g = sweep(self.steps, self.credits)
        return EligibilityVectors().along(self.steps, self.credits, g)
