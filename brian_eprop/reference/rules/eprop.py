"""e-prop with forward eligibility traces."""

from ..rule import Recursion, Rule
from ..traces import EligibilityVectors


class EProp(Recursion):
    """dE/dW_ij ≈ Σ_t L_j^t ē_ij^t + c_j (f_j − f*_j)/T Σ_t e_ij^t."""

    def start(self, batch):
        self.traces = EligibilityVectors()

    def step(self, step, signal):
        self.traces.advance(step)
        return self.traces.gradient(signal.credit(step))


RULE = Rule(
    name="eprop",
    recursion=EProp,
    source="Bellec et al. 2020, Nat. Commun. 11:3625, Methods Eqs 13–14 and 28",
    facing="local",
    local=True,
    memory=(2, 0),
    time=(2, 0),
    uses_feedback=True,
)
