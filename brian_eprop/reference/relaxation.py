"""Rate networks that settle: their description, the relaxation to a fixed point, its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from attrs import field, fields, frozen
from numpy.typing import ArrayLike

from ..checks import ABOVE_0, choice, finite_array, real, whole
from .network import array_of
from .rate import logistic

# φ(u), and its derivative as a function of the rate x = φ(u)
PHI: dict[str, tuple[Callable, Callable]] = {
    "tanh": (np.tanh, lambda x: 1 - x**2),
    "logistic": (logistic, lambda x: x * (1 - x)),
}


def above_0():
    """The validator of a number above 0 and at most 1."""
    return real("be above 0 and at most 1", low=ABOVE_0, high=1.0)


@frozen(eq=False)
class ConvergentNetwork:
    """One layer of rate units, driven by a constant input s until it settles.

    Row = pre, column = post in every matrix. Potential u, rate x, input s::

        du_j/dt = −u_j + Σ_i w_rec[i,j] x_i + Σ_i w_in[i,j] s_i + b_j,    x_j = φ(u_j)

    so that x_j = φ(Σ_i w_rec[i,j] x_i + Σ_i w_in[i,j] s_i + b_j) at the fixed point. The output y
    is the rate of the last ``n_out`` units; its cost is C = ½ Σ_k (y_k − y*_k)².

    Any w_rec with which the network settles suits recurrent backpropagation. With a symmetric
    w_rec there is an energy, Hopfield's, whose stationary points are the fixed points::

        E(x) = Σ_j ∫^{x_j} φ⁻¹(r) dr − ½ Σ_ij w_rec[i,j] x_i x_j − Σ_ij w_in[i,j] s_i x_j
               − Σ_j b_j x_j,        du_j/dt = −∂E/∂x_j,        dE/dt = −Σ_j φ'(u_j) (du_j/dt)² ≤ 0

    Equilibrium propagation asks for any energy. Scellier & Bengio 2017 take ½ Σ_j u_j² in place of
    the integral and cost the potentials; this one has the fixed points of the rate network, so
    that both rules have the same gradient.

    Parameters
    ----------
    w_in : (n_in, n) array
    w_rec : (n, n) array
        Self-connections are allowed.
    bias : (n,) array
        b, given as a number or as an array.
    n_out : int
    phi : {"tanh", "logistic"}
    step : float
        Length h of a step u ← u + h du/dt, in time constants; below 1 the iteration is damped. It
        converges near a fixed point if every eigenvalue λ of the linearized w_rec has
        ``|1 − h + hλ| < 1``.
    tolerance : float
        The iteration ends when no ``|du_j/dt|`` is larger, in units of
        ``max(1, max_j |Σ_i w_in[i,j] s_i + b_j|)``.
    max_iterations : int

    Raises
    ------
    ValueError
        Wrong shape, a value that is not finite or out of range, or an unknown name.

    References
    ----------
    Pineda 1987, Phys. Rev. Lett. 59:2229 (the network); Hopfield 1984, PNAS 81:3088 (the energy);
    Scellier & Bengio 2017, Front. Comput. Neurosci. 11:24, Section 2.
    """

    w_in: np.ndarray
    w_rec: np.ndarray = field(validator=array_of("n", "n"))
    bias: np.ndarray | float = field(default=0.0, validator=array_of("n", single=True))
    n_out: int = field(default=1, validator=whole(1))
    phi: Literal["tanh", "logistic"] = field(default="tanh", validator=choice(PHI))
    step: float = field(default=0.5, validator=above_0())
    tolerance: float = field(default=1e-12, validator=above_0())
    max_iterations: int = field(default=10_000, validator=whole(1))

    def __attrs_post_init__(self):
        # the number of units is known when w_rec has been checked
        array_of("n_in", "n")(self, fields(type(self)).w_in, self.w_in)
        if self.n_out > self.n:
            raise ValueError(
                f"ConvergentNetwork.n_out = {self.n_out} is more than the {self.n} units; give at "
                f"most {self.n}"
            )

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return np.shape(self.w_in)[-2]

    @property
    def n(self) -> int:
        """Number of units."""
        return np.shape(self.w_rec)[-1]

    def external(self, inputs: np.ndarray) -> np.ndarray:
        """Drive from outside the layer, Σ_i w_in[i,j] s_i + b_j."""
        return inputs @ self.w_in + self.bias

    def rate(self, u: np.ndarray) -> np.ndarray:
        """x = φ(u)."""
        return PHI[self.phi][0](u)

    def slope(self, x: np.ndarray) -> np.ndarray:
        """φ'(u) at the rate x = φ(u)."""
        return PHI[self.phi][1](x)

    def error(self, x: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """∂C/∂x, (batch, n): y − y* in the output units and 0 in the others."""
        error = np.zeros_like(x)
        error[:, -self.n_out :] = x[:, -self.n_out :] - targets
        return error

    def loss(self, x: np.ndarray, targets: np.ndarray) -> float:
        """C, averaged over the batch."""
        return float(0.5 * np.sum(self.error(x, targets) ** 2) / len(x))


def as_inputs(owner, network, inputs):
    """Inputs (n_in,) or (batch, n_in)."""
    inputs = finite_array(f"{owner}: 'inputs'", inputs)
    empty = inputs.ndim == 2 and len(inputs) == 0
    if inputs.ndim not in (1, 2) or inputs.shape[-1] != network.n_in or empty:
        raise ValueError(
            f"{owner}: 'inputs' has shape {inputs.shape}; "
            f"give ({network.n_in},) or (batch, {network.n_in}), with at least one example"
        )
    return inputs


def as_task(owner, network, inputs, targets):
    """Inputs (batch, n_in) and targets (batch, n_out); a single example is a batch of one."""
    inputs = as_inputs(owner, network, inputs)
    targets = finite_array(f"{owner}: 'targets'", targets)
    expected = (*inputs.shape[:-1], network.n_out)
    if targets.shape != expected:
        raise ValueError(
            f"{owner}: 'targets' has shape {targets.shape}; "
            f"give {expected} for 'inputs' of shape {inputs.shape}"
        )
    return np.atleast_2d(inputs), np.atleast_2d(targets)


class NotConverged(ArithmeticError):
    """An iteration has not reached its fixed point."""


@frozen(eq=False)
class FixedPoint:
    """The fixed point of a network. The axis ``batch`` is absent where the inputs had none.

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


@frozen(eq=False)
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
