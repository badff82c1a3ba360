"""e-prop as a reverse sweep: the same numbers as the forward traces, in O(T n) memory."""

from ..backward import gradient_of, sweep
from ..rule import Rule
from .bptt import BPTT


class EPropReverse(BPTT):
    """Back-propagation through time from which the explicit edges R are left out.

    Σ_t L^t F_κ(e)^t is linear in the immediate derivatives F, so it equals Σ_t λ^t · F^t with λ
    the adjoint of the traces' recursion.
    """

    def finish(self):
        lam, _ = sweep(self.steps, self.credits, through_explicit=False)
        return gradient_of(self.steps, lam)


RULE = Rule(
    name="eprop_reverse",
    recursion=EPropReverse,
    source="adjoint of Bellec et al. 2020, Methods Eqs 13–14 and 28",
    facing="future",
    causal=False,
    memory=(1, 1),
    time=(2, 0),
    uses_feedback=True,
    parent="eprop",
    change="the same number as a sweep backwards",
)
