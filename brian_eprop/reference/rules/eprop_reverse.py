"""e-prop as a reverse sweep: the same numbers as the forward traces, in O(T n) memory."""

from ..options import positive_whole
from ..propagation.backward import gradient_of, sweep_hops
from ..rule import Rule
from .bptt import BPTT


class EPropReverse(BPTT):
    """Back-propagation through time along paths of few explicit edges.

    Σ_t L^t F_κ(e)^t is linear in the immediate derivatives F, so it equals Σ_t λ^t · F^t with λ
    the adjoint of the traces' recursion. So does e-prop of order m, which needs n³ numbers and n⁴
    operations forwards, and O(m n²) operations backwards: see
    :func:`~brian_eprop.reference.propagation.backward.sweep_hops`.

    Parameters
    ----------
    order : int
        m, as ``eprop`` has it with the truncation "hops".
    """

    def __init__(self, network, rng, *, order=1):
        super().__init__(network, rng)
        self.hops = positive_whole("eprop_reverse", "order", order) - 1

    def finish(self):
        return gradient_of(self.steps, sweep_hops(self.steps, self.credits, self.hops))


RULE = Rule(
    name="eprop_reverse",
    recursion=EPropReverse,
    source="adjoint of Bellec et al. 2020, Methods Eqs 13–14 and 28",
    facing="future",
    parameters=True,
    causal=False,
    memory=(1, 1),
    time=(2, 0),
    uses_feedback=True,
    parent="eprop",
    change="the same numbers by a sweep backwards",
    examples=({}, {"order": 2}),
)
