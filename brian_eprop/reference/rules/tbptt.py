"""Truncated back-propagation through time."""

from collections import deque

import numpy as np

from ..options import positive_whole
from ..propagation.backward import gradient_of, sweep
from ..rule import Recursion, Rule


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

    def __init__(self, network, rng, *, horizon, every=1):
        super().__init__(network, rng)
        self.horizon = positive_whole("tbptt", "horizon", horizon)
        self.every = positive_whole("tbptt", "every", every)
        if self.every > self.horizon:
            raise ValueError(
                f"rule 'tbptt': 'every' is {every}, but 'horizon' is {horizon}; the errors of the "
                "last 'every' steps need a horizon of at least as many"
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


RULE = Rule(
    name="tbptt",
    recursion=TBPTT,
    source="Williams & Peng 1990, Neural Computation 2(4):490, BPTT(h; h')",
    facing="future",
    memory=(1, 0),
    time=(2, 0),
    parent="bptt",
    change="paths cut at the edge of a window",
    examples=({"horizon": 10}, {"horizon": 10, "every": 10}),
)
