"""Learning at a fixed point: recurrent backpropagation and equilibrium propagation.

Dense NumPy code in float64 for rate networks that settle, with the implicit function theorem
as the oracle. Sources: Almeida 1987, Pineda 1987; Scellier & Bengio 2017.
"""

import numpy as np
from numpy.typing import ArrayLike

from ..checks import finite_array
from .relaxation import (
    ConvergentNetwork,
    EquilibriumGradient,
    FixedPoint,
    NotConverged,
    as_task,
    chain_rule,
    fixed_point,
    relax,
    settle,
)

__all__ = [
    "ConvergentNetwork",
    "EquilibriumGradient",
    "FixedPoint",
    "NotConverged",
    "equilibrium_propagation",
    "fixed_point",
    "fixed_point_gradient",
    "recurrent_backpropagation",
]


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


# w_rec may be asymmetric by rounding, as after the steps of an optimizer
ROUNDING = 1e-12


def equilibrium_propagation(
    network: ConvergentNetwork,
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    nudging: float = 1e-3,
    symmetric: bool = True,
) -> EquilibriumGradient:
    """Gradient from two fixed points of one network, by a rule local to the synapse.

    In a nudged phase the energy is E + βC, which pulls the outputs towards their targets::

        du_j/dt = −u_j + Σ_i w_rec[i,j] x_i + Σ_i w_in[i,j] s_i + b_j − β ∂C/∂x_j

    It starts from the free fixed point x⁰ and ends in x^β. With Δ[a] = (a^β − a^−β)/2β if
    symmetric and Δ[a] = (a^β − a⁰)/β if not::

        dC/dw_rec[i,j] = −Δ[x_i x_j]  (i ≠ j),      dC/dw_rec[i,i] = −½ Δ[x_i²]
        dC/dw_in[i,j]  = −s_i Δ[x_j],               dC/db_j = −Δ[x_j]

    The error is O(β²) if symmetric and O(β) if not; the residual of the relaxation is divided by β.

    **The gradient of w_rec is that of tied weights**: w_rec[i,j] and w_rec[j,i] are one parameter,
    and both entries hold its derivative. With U[i,j] the derivative of `fixed_point_gradient`
    and `recurrent_backpropagation`, for which they are two, it is U[i,j] + U[j,i] off the
    diagonal and U[i,i] on it. The gradients of w_in and b are the same.

    Parameters
    ----------
    network : ConvergentNetwork
        w_rec must be symmetric.
    inputs : (n_in,) or (batch, n_in) array
    targets : (n_out,) or (batch, n_out) array
    nudging : float
        β, not 0. A negative one pushes the outputs away.
    symmetric : bool
        Two nudged phases ±β in the place of one.

    Returns
    -------
    EquilibriumGradient

    Raises
    ------
    NotConverged
        If one of the phases does not settle.
    ValueError
        If w_rec is not symmetric, or inputs, targets or nudging are not valid.

    References
    ----------
    Scellier & Bengio 2017, Front. Comput. Neurosci. 11:24, Theorem 1.
    Scellier & Bengio 2019, Neural Comput. 31:312 (equivalence to recurrent backpropagation).
    Laborieux et al. 2021, Front. Neurosci. 15:633674 (symmetric nudging).
    """
    inputs, targets = as_task("equilibrium_propagation", network, inputs, targets)
    check_symmetric(network.w_rec)
    beta = finite_array("equilibrium_propagation: 'nudging'", nudging)
    if beta.ndim or beta == 0:
        raise ValueError(
            f"equilibrium_propagation: 'nudging' is {nudging!r}; give one number that is not 0"
        )

    free = fixed_point(network, inputs)

    def nudged(strength):
        return settle(
            network,
            network.external(inputs),
            # the free fixed point, lest a network with several settle in another one
            start=free.u,
            phase="nudged phase",
            force=lambda x: -strength * network.error(x, targets),
            remedy=f" or a 'nudging' smaller than {abs(beta):g}",
        )

    towards = nudged(beta)
    away, distance = (nudged(-beta), 2 * beta) if symmetric else (free, beta)
    phases = [free, towards, away] if symmetric else [free, towards]

    unit = 1 / (distance * len(inputs))
    w_rec = unit * (away.x.T @ away.x - towards.x.T @ towards.x)
    # x_i² enters the energy with ½ w_ii, x_i x_j with ½ (w_ij + w_ji) = w_ij
    w_rec[np.diag_indices(network.n)] /= 2
    change = unit * (away.x - towards.x)
    return EquilibriumGradient(
        w_in=inputs.T @ change,
        w_rec=w_rec,
        bias=change.sum(axis=0),
        loss=network.loss(free.x, targets),
        iterations=sum(phase.iterations for phase in phases),
    )


def check_symmetric(w_rec):
    """Raise ValueError for an asymmetric w_rec, for which there is no energy."""
    asymmetry = np.abs(w_rec - w_rec.T)
    if np.max(asymmetry) > ROUNDING * np.max(np.abs(w_rec)):
        i, j = np.unravel_index(np.argmax(asymmetry), w_rec.shape)
        raise ValueError(
            f"ConvergentNetwork: 'w_rec' is asymmetric, w_rec[{i},{j}] = {w_rec[i, j]:g} but "
            f"w_rec[{j},{i}] = {w_rec[j, i]:g}, so there is no energy; give (w_rec + w_rec.T)/2, "
            "or take recurrent_backpropagation"
        )
