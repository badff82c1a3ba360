"""Regularizers: what is added to the loss of the task."""

from dataclasses import dataclass, field

from brian2 import Quantity
from brian2.units import DimensionMismatchError, hertz

from .arguments import dimensions_of, number
from .types import Bools, Floats


@dataclass(frozen=True)
class FiringRateRegularizer:
    """Keeps the rate of every neuron near a target.

    ::

        E_reg = (c/2) Σ_j (f_j − f*)²       dE_reg/dW_ji = c (f_j − f*)/T · Σ_t e_ji^t

    f_j is the neuron's mean rate in a trial of T steps, in spikes per step, and e the
    unfiltered eligibility trace (Bellec et al. 2020, Nat. Commun. 11:3625, Methods, "Firing
    rate regularization"). With ``average=True`` in the readout it is divided by the length of
    the learning window, as the loss is.

    Parameters
    ----------
    target : Quantity
        f*, in Hz.
    strength : float
        c.
    """

    target: Quantity = field(default_factory=lambda: 10 * hertz)
    strength: float = 1.0

    def __post_init__(self):
        name = "FiringRateRegularizer.target"
        if dimensions_of(name, self.target, "10*Hz") is not hertz.dim:
            raise DimensionMismatchError(f"{name} = {self.target!r} must be a rate; write 10*Hz")
        number(name, self.target, "be one finite rate ≥ 0", any_unit=True)
        number("FiringRateRegularizer.strength", self.strength)

    def pressure(self, count: str, steps: str) -> str:
        """Brian2 expression of c (f − f*)/T from a neuron's spike count in ``steps`` steps."""
        return f"{float(self.strength)!r}*({count}/{steps} - {float(self.target)!r}*dt)/{steps}"

    def penalty(self, spikes: Bools, dt: Quantity) -> Floats:
        """E_reg of every trial.

        Parameters
        ----------
        spikes : (batch, T, n) bool array
        dt : Quantity

        Returns
        -------
        (batch,) ndarray
        """
        excess = spikes.mean(axis=1) - float(self.target * dt)
        return 0.5 * float(self.strength) * (excess**2).sum(axis=-1)
