"""Constraints that are an interval for each weight, and decay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from brian2 import Quantity

from ..quantities import suggest
from ..types import Floats, Matrix

if TYPE_CHECKING:
    from ..network.population import PopulationDescription

__all__ = ["Bounds", "DaleLaw", "WeightDecay", "check_fraction", "checked_matrices_of"]

#: The weights of a network that are trained.
MATRICES: tuple[Matrix, ...] = ("w_in", "w_rec", "w_out")


@dataclass(frozen=True)
class DaleLaw:
    """A neuron excites all its targets, or inhibits them all.

    ::

        w_jk ≤ 0 if j is inhibitory, w_jk ≥ 0 otherwise

    Initial weights keep their size and get the sign. A weight that an update would take across 0
    stays at 0 (a projection, which is what gradient descent under this constraint asks for).

    Parameters
    ----------
    inhibitory : sequence of int
        Numbers of the inhibitory populations, in the order of ``RecurrentNetwork.neurons``.
    matrices : sequence of {"w_rec", "w_out"}
        Weights of the synapses that these neurons send.

    Raises
    ------
    ValueError
        For a value that does not fit.
    """

    inhibitory: Sequence[int]
    matrices: Sequence[Matrix] = ("w_rec", "w_out")

    def __post_init__(self):
        given = self.inhibitory
        whole = isinstance(given, list | tuple) and all(type(number) is int for number in given)
        if not whole or min(given, default=0) < 0 or len(set(given)) < len(given):
            raise ValueError(
                f"DaleLaw.inhibitory = {given!r} must be a list of different numbers of "
                "populations, such as [1] for the second one of RecurrentNetwork.neurons"
            )
        object.__setattr__(self, "inhibitory", tuple(given))
        object.__setattr__(self, "matrices", checked_matrices_of(self))
        if "w_in" in self.matrices:
            raise ValueError(
                f"DaleLaw.matrices = {self.matrices!r}: 'w_in' comes from the inputs, which are no "
                "population; use Bounds(low=0, matrices=['w_in']) for excitatory inputs"
            )

    def interval(self, populations: Sequence[PopulationDescription]) -> tuple[Floats, Floats]:
        """Lowest and highest weight of each neuron's synapses : (n_rec, 1) ndarrays."""
        kinds = [k in self.inhibitory for k, p in enumerate(populations) for _ in range(p.count)]
        inhibits = np.array(kinds)[:, np.newaxis]
        return np.where(inhibits, -np.inf, 0.0), np.where(inhibits, 0.0, np.inf)


@dataclass(frozen=True)
class Bounds:
    """low ≤ w ≤ high, by clipping, for all synapses that exist.

    Parameters
    ----------
    low, high : float
        In the model's ``weight_unit``, as the weights are.
    matrices : sequence of {"w_in", "w_rec", "w_out"}

    Raises
    ------
    ValueError
        For a value that does not fit.
    """

    low: float = -np.inf
    high: float = np.inf
    matrices: Sequence[Matrix] = MATRICES

    def __post_init__(self):
        for name in ("low", "high"):
            value = _number(self, name)
            if value is None or np.isnan(value):
                raise ValueError(
                    f"Bounds.{name} = {getattr(self, name)!r} must be a number, as weights are "
                    "numbers in the model's weight_unit"
                )
        if not self.low < self.high:
            raise ValueError(f"Bounds.low = {self.low!r} must be below Bounds.high = {self.high!r}")
        object.__setattr__(self, "matrices", checked_matrices_of(self))

    def interval(self, populations: Sequence[PopulationDescription]) -> tuple[float, float]:
        """Lowest and highest weight."""
        return self.low, self.high


@dataclass(frozen=True)
class WeightDecay:
    """w ← (1 − rate) w − step: decoupled from the gradient and what optimizers make of it.

    (Loshchilov & Hutter 2019, arXiv 1711.05101, AdamW; there the rate is ηλ.)

    Parameters
    ----------
    rate : float
        Fraction by which weights shrink in an update; it does not change with the learning rate.
    matrices : sequence of {"w_in", "w_rec", "w_out"}

    Raises
    ------
    ValueError
        For a value that does not fit.
    """

    rate: float
    matrices: Sequence[Matrix] = MATRICES

    def __post_init__(self):
        check_fraction(self, "rate")
        object.__setattr__(self, "matrices", checked_matrices_of(self))


def check_fraction(constraint, name):
    """Raise an error unless a field is a number from 0 to 1."""
    value = _number(constraint, name)
    if value is None or not 0 <= value <= 1:
        raise ValueError(
            f"{type(constraint).__name__}.{name} = {getattr(constraint, name)!r} must be a number "
            "from 0 to 1"
        )


def checked_matrices_of(constraint):
    """The field ``matrices`` as a tuple of names of weight matrices."""
    given, kind = constraint.matrices, type(constraint).__name__
    if not isinstance(given, list | tuple) or not given:
        raise ValueError(
            f"{kind}.matrices = {given!r} must be a list of matrices, such as ['w_rec']"
        )
    for name in given:
        if name not in MATRICES:
            raise ValueError(
                f"{kind}.matrices names {name!r}, which is not one of {', '.join(MATRICES)}"
                f"{suggest(name, MATRICES)}"
            )
    return tuple(given)


def _number(constraint, name):
    """The value of a field as a float, None if it is none."""
    value = getattr(constraint, name)
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool | Quantity)
    return float(value) if number else None
