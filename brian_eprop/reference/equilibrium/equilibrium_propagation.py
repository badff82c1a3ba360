"""Equilibrium propagation (Scellier & Bengio 2017)."""

import numpy as np
from numpy.typing import ArrayLike

from .network import ConvergentNetwork, as_task, finite_array
from .relaxation import fixed_point, settle
from .results import EquilibriumGradient

__all__ = ["equilibrium_propagation"]

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
    beta = finite_array("equilibrium_propagation", "nudging", nudging)
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
    asymmetry = np.abs(w_rec - w_rec.T)
    if np.max(asymmetry) > ROUNDING * np.max(np.abs(w_rec)):
        i, j = np.unravel_index(np.argmax(asymmetry), w_rec.shape)
        raise ValueError(
            f"ConvergentNetwork: 'w_rec' is asymmetric, w_rec[{i},{j}] = {w_rec[i, j]:g} but "
            f"w_rec[{j},{i}] = {w_rec[j, i]:g}, so there is no energy; give (w_rec + w_rec.T)/2, "
            "or take recurrent_backpropagation"
        )
