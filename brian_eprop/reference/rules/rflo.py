"""Random feedback local online learning."""

from ..options import refusal
from ..propagation.eligibility import EligibilityVectors
from ..rule import Recursion, Rule

LEAKY = ("leaky_rate", "elman", "jordan")


class RFLO(Recursion):
    """A trace of each weight that decays with the unit, and the error through random feedback::

        B_ij^t = (1 − a) B_ij^{t−1} + a φ'(u_j^t) û_i^t
        dE/dW_ij ≈ Σ_t L_j^t F_κ(B_ij)^t

    for units h^t = (1 − a) h^{t−1} + a φ(u^t); û are the inputs of the step and the h of the step
    before. This is e-prop for such units: the trace has the implicit recurrence, and leaves out
    all of w_rec, its diagonal too. With a = 1 (elman, jordan) the trace has no memory.

    Departure: the paper's readout is instantaneous; the filter F_κ, with the gain of the readout,
    is that of a leaky one.

    Stored: B and F_κ(B), each of the size of the weights.
    """

    def __init__(self, network, rng):
        super().__init__(network, rng)
        if network.cell.name not in LEAKY:
            known = ", ".join(f"'{name}'" for name in LEAKY)
            raise refusal(
                "rflo",
                network,
                f"its trace decays with the constant leak of a rate unit ({known}); 'eprop' is "
                "the same for other units",
            )

    def start(self, batch):
        # with one state of constant leak the eligibility vector is B
        self.traces = EligibilityVectors()

    def step(self, step, signal):
        self.traces.advance(step)
        return self.traces.gradient(signal.credit(step))


RULE = Rule(
    name="rflo",
    recursion=RFLO,
    source="Murray 2019, eLife 8:e43299",
    facing="local",
    local=True,
    memory=(2, 0),
    time=(2, 0),
    uses_feedback=True,
    parent="eprop",
    change="leaky rate units",
)
