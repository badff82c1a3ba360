"""The implicit function theorem: the oracle of the rules."""

import numpy as np
from numpy.typing import ArrayLike

from .network import ConvergentNetwork, as_task
from .relaxation import fixed_point
from .results import EquilibriumGradient, chain_rule

__all__ = ["fixed_point_gradient"]


def fixed_point_gradient(
    network: ConvergentNetwork, inputs: ArrayLike, targets: ArrayLike
) -> EquilibriumGradient:
    """Gradient by solving for the sensitivity of the fixed point.

    A current dI shifts the fixed point by du = dI + w_recᵀ φ' du. Hence, with D = diag φ'(u)::

        S = du/dI = (1 − w_recᵀ D)⁻¹,        dC/dI_j = Σ_k (∂C/∂x_k) φ'(u_k) S[k,j]

    Unlike the rules it goes forwards, from the current to the cost, and does not iterate: it
    also differentiates a fixed point that is not stable.

    Parameters
    ----------
    network : ConvergentNetwork
        w_rec may be asymmetric.
    inputs : (n_in,) or (batch, n_in) array
    targets : (n_out,) or (batch, n_out) array

    Returns
    -------
    EquilibriumGradient
        The entries of w_rec are independent: w_rec[i,j] and w_rec[j,i] differ.

    Raises
    ------
    NotConverged
        If the network does not settle.
    ArithmeticError
        If 1 − w_recᵀ D is singular: the fixed point is at a bifurcation.
    ValueError
        If inputs or targets do not fit the network.
    """
    inputs, targets = as_task("fixed_point_gradient", network, inputs, targets)
    free = fixed_point(network, inputs)
    slope = network.slope(free.x)
    identity = np.eye(network.n)
    try:
        sensitivity = np.linalg.solve(identity - network.w_rec.T * slope[:, np.newaxis], identity)
    except np.linalg.LinAlgError:
        raise ArithmeticError(
            "ConvergentNetwork: 'w_rec' gives a fixed point at a bifurcation, where it has no "
            "gradient (1 - w_rec.T phi' is singular); give a 'w_rec' with smaller weights or "
            "another 'bias'"
        ) from None
    error = network.error(free.x, targets)
    z = np.einsum("bk,bkj->bj", error * slope, sensitivity)
    return chain_rule(inputs, free.x, z, network.loss(free.x, targets), free.iterations)
