"""Back-propagation through time."""

from ..adjoint import immediate_gradient, sweep
from ..rule import Problem, Rule


def gradient(problem: Problem):
    """dE/dW_ij = Σ_t (dE/dc_j^t) · (∂c_j^t/∂W_ij)."""
    _, lam = sweep(problem, through_explicit=True)
    return immediate_gradient(problem, lam)


RULE = Rule(
    name="bptt",
    gradient=gradient,
    source="Werbos 1990, Proc. IEEE 78(10)",
    exact=True,
    causal=False,
)
