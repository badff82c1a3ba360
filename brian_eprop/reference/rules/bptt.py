"""Back-propagation through time."""

from ..propagation.backward import gradient_of, sweep
from ..rule import Recursion, Rule


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


RULE = Rule(
    name="bptt",
    recursion=BPTT,
    source="Werbos 1990, Proc. IEEE 78(10)",
    facing="future",
    exact=True,
    parameters=True,
    causal=False,
    memory=(1, 1),
    time=(2, 0),
)
