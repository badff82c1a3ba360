"""What the gradient of a fixed point is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["EquilibriumGradient", "chain_rule"]


@dataclass(frozen=True, eq=False)
class EquilibriumGradient:
    """Gradient of the cost at the free fixed point, averaged over the batch.

    Attributes
    ----------
    w_in : (n_in, n) ndarray
    w_rec : (n, n) ndarray
        Row = pre, column = post.
    bias : (n,) ndarray
    loss : float
        Cost C of the free fixed point.
    iterations : int
        Steps of all relaxations together.
    """

    w_in: np.ndarray
    w_rec: np.ndarray
    bias: np.ndarray
    loss: float
    iterations: int


def chain_rule(inputs, x, z, loss, iterations):
    """Gradient from z_j = dC/dI_j, the effect of a current into unit j on the cost.

    dC/dw_rec[i,j] = x_i z_j, dC/dw_in[i,j] = s_i z_j, dC/db_j = z_j, all (batch, ·) averaged.
    """
    batch = len(x)
    return EquilibriumGradient(
        w_in=inputs.T @ z / batch,
        w_rec=x.T @ z / batch,
        bias=z.mean(axis=0),
        loss=loss,
        iterations=iterations,
    )
