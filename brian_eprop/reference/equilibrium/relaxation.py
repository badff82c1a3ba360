"""Relaxation to a fixed point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .network import ConvergentNetwork, as_inputs

__all__ = ["FixedPoint", "NotConverged", "fixed_point", "relax", "settle"]


class NotConverged(ArithmeticError):
    """An iteration has not reached its fixed point."""


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """Where a network has settled. The axis ``batch`` is absent where the inputs had none.

    Attributes
    ----------
    u : (batch, n) ndarray
        Potentials.
    x : (batch, n) ndarray
        Rates φ(u); the last n_out are the output.
    iterations : int
        Steps until the last example of the batch had settled.
    """

    u: np.ndarray
    x: np.ndarray
    iterations: int


def fixed_point(network: ConvergentNetwork, inputs: ArrayLike) -> FixedPoint:
    """Let a network settle from u = 0: the free phase.

    Parameters
    ----------
    network : ConvergentNetwork
    inputs : (n_in,) or (batch, n_in) array
        s, constant while the network settles.

    Returns
    -------
    FixedPoint

    Raises
    ------
    NotConverged
        If ``network.max_iterations`` steps do not suffice.
    ValueError
        If the inputs do not fit the network.
    """
    external = network.external(as_inputs("fixed_point", network, inputs))
    return settle(network, external, np.zeros_like(external), "free phase")


def settle(network, external, start, phase, force=lambda x: 0.0, remedy=""):
    """Fixed point of du/dt = −u + w_recᵀ x + external + force(x), from u = start."""
    u, iterations = relax(
        network,
        lambda u: network.rate(u) @ network.w_rec + external + force(network.rate(u)) - u,
        start,
        scale=np.max(np.abs(external), initial=1.0),
        phase=phase,
        remedy=remedy,
    )
    return FixedPoint(u, network.rate(u), iterations)


def relax(network, velocity, start, scale, phase, remedy=""):
    """Iterate s ← s + h velocity(s) until max |velocity(s)| ≤ tolerance × scale.

    Returns the state and the number of steps; raises NotConverged.
    """
    state = start
    for iteration in range(network.max_iterations + 1):
        # an iteration that diverges is an error here, not a warning of NumPy
        with np.errstate(over="ignore", invalid="ignore"):
            change = velocity(state)
        residual = np.max(np.abs(change))
        if residual <= network.tolerance * scale:
            return state, iteration
        if not np.isfinite(residual):
            break
        state = state + network.step * change
    # more steps do not help an iteration that has diverged
    more = f" or 'max_iterations' above {network.max_iterations}" if np.isfinite(residual) else ""
    raise NotConverged(
        f"ConvergentNetwork: the {phase} has not settled: after {iteration} iterations the "
        f"residual is {residual:.2g}, allowed is {network.tolerance * scale:.2g}; give a 'w_rec' "
        f"with smaller weights or a 'step' below {network.step:g}{remedy}{more}"
    )
