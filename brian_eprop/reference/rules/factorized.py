"""The exact factorization into learning signals and eligibility traces."""

from ..propagation.backward import sweep
from ..propagation.eligibility import EligibilityVectors
from ..rule import Rule, added
from .bptt import BPTT


class Factorized(BPTT):
    """dE/dW_ij = Σ_t (dE/dh_j^t) e_ij^t, with the total derivative along explicit edges."""

    def finish(self):
        _, g = sweep(self.steps, self.credits)
        self.traces, gradient = EligibilityVectors(), {}
        for step, credit, explicit in zip(self.steps, self.credits, g, strict=True):
            self.traces.advance(step)
            total = credit + step.observation * explicit
            gradient = added(gradient, self.traces.gradient(total))
        return gradient


RULE = Rule(
    name="factorized",
    recursion=Factorized,
    source="Bellec et al. 2020, Nat. Commun. 11:3625, Eq. 1",
    facing="future",
    exact=True,
    parameters=True,
    causal=False,
    memory=(2, 0),
    time=(2, 0),
    parent="bptt",
    change="split into e_ij and dE/dh_j",
)
