"""e-prop with forward eligibility traces."""

import numpy as np

from ..rule import Problem, Rule
from ..traces import forward_traces


def gradient(problem: Problem):
    """dE/dW_ij ≈ Σ_t L_j^t ē_ij^t + c_j (f_j − f*_j)/T Σ_t e_ij^t."""
    gradient = {}
    steps = forward_traces(problem.linearization, problem.kappa, problem.readout_gain)
    for t, traces in enumerate(steps):
        signal = problem.learning_signal[:, t]
        for name, (_, trace, filtered) in traces.items():
            task = np.einsum("bj,bij->ij", signal, filtered)
            # the rate does not pass through the readout: its trace is not filtered
            rate = np.einsum("bj,bij->ij", problem.rate_signal, trace)
            gradient[name] = gradient.get(name, 0.0) + task + rate
    return gradient


RULE = Rule(
    name="eprop",
    gradient=gradient,
    source="Bellec et al. 2020, Nat. Commun. 11:3625, Methods Eqs 13–14 and 28",
    exact=False,
    causal=True,
    uses_feedback=True,
)
