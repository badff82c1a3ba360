"""Recurrent backpropagation (Almeida 1987, Pineda 1987)."""

import numpy as np
from numpy.typing import ArrayLike

from .network import ConvergentNetwork, as_task
from .relaxation import fixed_point, relax
from .results import EquilibriumGradient, chain_rule

__all__ = ["recurrent_backpropagation"]


def recurrent_backpropagation(
    network: ConvergentNetwork, inputs: ArrayLike, targets: ArrayLike
) -> EquilibriumGradient:
    """Gradient by relaxation of a second, linear network with the transposed weights.

    At the fixed point (u, x) of the free phase, with e = ∂C/∂x::

        dz_i/dt = −z_i + φ'(u_i) (Σ_j w_rec[i,j] z_j + e_i)
        dC/dw_rec[i,j] = x_i z_j,    dC/dw_in[i,j] = s_i z_j,    dC/db_j = z_j

    The two networks have the same eigenvalues at the fixed point: the second settles wherever
    the first is stable.

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
        If one of the two networks does not settle.
    ValueError
        If inputs or targets do not fit the network.

    References
    ----------
    Almeida 1987, Proc. IEEE First Int. Conf. Neural Networks, San Diego, 2:609.
    Pineda 1987, Phys. Rev. Lett. 59:2229.
    """
    inputs, targets = as_task("recurrent_backpropagation", network, inputs, targets)
    free = fixed_point(network, inputs)
    z, iterations = adjoint(network, network.slope(free.x), network.error(free.x, targets))
    loss = network.loss(free.x, targets)
    return chain_rule(inputs, free.x, z, loss, free.iterations + iterations)


def adjoint(network, slope, error):
    """Fixed point of z = φ' ∘ (w_rec z + e), (batch, n), and the number of steps."""
    source = slope * error
    return relax(
        network,
        lambda z: slope * (z @ network.w_rec.T) + source - z,
        start=np.zeros_like(source),
        # z is linear in the error, which vanishes as the network learns: a relative tolerance
        scale=np.max(np.abs(source)),
        phase="adjoint phase",
    )
