"""e-prop as a reverse sweep: the same numbers as the forward traces, in O(T n) memory."""

from ..adjoint import immediate_gradient, sweep
from ..rule import Problem, Rule


def gradient(problem: Problem):
    """Back-propagation through time from which the explicit edges R are left out.

    Σ_t L^t F_κ(e)^t is linear in the immediate derivatives F, so it equals Σ_t λ^t · F^t with λ
    the adjoint of the traces' recursion.
    """
    _, lam = sweep(problem, through_explicit=False)
    return immediate_gradient(problem, lam)


RULE = Rule(
    name="eprop_reverse",
    gradient=gradient,
    source="adjoint of Bellec et al. 2020, Methods Eqs 13–14 and 28",
    exact=False,
    causal=False,
    uses_feedback=True,
)
