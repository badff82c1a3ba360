"""Central finite differences on smooth spikes: the check of the equations."""

import numpy as np

from ..rule import Problem, Rule


def gradient(problem: Problem, step: float = 1e-6):
    """(E(W + step) − E(W − step))/(2 step) for one weight after the other.

    The spike is the antiderivative of ψ, so that the surrogate gradient is the true one.
    Refractory steps, and the spikes in a detached reset, stay as they are at W.
    """
    gradient = {}
    for name, weights in problem.weights.items():
        gradient[name] = np.zeros_like(weights)
        for index in np.ndindex(weights.shape):
            sides = []
            for sign in (1, -1):
                varied = weights.copy()
                varied[index] += sign * step
                sides.append(problem.loss_of({name: varied}))
            gradient[name][index] = (sides[0] - sides[1]) / (2 * step)
    return gradient


RULE = Rule(
    name="finite_difference",
    gradient=gradient,
    source="definition of the derivative",
    exact=True,
    causal=False,
    smooth=True,
)
