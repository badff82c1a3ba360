"""The exact factorization into learning signals and eligibility traces."""

import numpy as np

from ..adjoint import sweep
from ..rule import Problem, Rule
from ..traces import forward_traces


def gradient(problem: Problem):
    """dE/dW_ij = Σ_t (dE/dz_j^t) e_ij^t, with the total derivative along explicit edges."""
    g, _ = sweep(problem, through_explicit=True)
    gradient = {}
    # dE/dz sees the readout already: the trace that it meets is the unfiltered one
    for t, traces in enumerate(forward_traces(problem.linearization, kappa=0.0, readout_gain=1.0)):
        for name, (_, trace, _) in traces.items():
            gradient[name] = gradient.get(name, 0.0) + np.einsum("bj,bij->ij", g[:, t], trace)
    return gradient


RULE = Rule(
    name="factorized",
    gradient=gradient,
    source="Bellec et al. 2020, Nat. Commun. 11:3625, Eq. 1",
    exact=True,
    causal=False,
)
