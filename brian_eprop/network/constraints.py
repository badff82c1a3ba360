"""Constraints on weights, from the start and after every update: signs, bounds, decay, rewiring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from attrs import field, frozen
from brian2.units import DimensionMismatchError

from ..checks import Bools, Floats, Matrix, any_seed, fraction, in_field, number, real, suggest

if TYPE_CHECKING:
    from .population import PopulationDescription

__all__ = [
    "CONSTRAINTS",
    "MATRICES",
    "Bounds",
    "DaleLaw",
    "DeepR",
    "WeightDecay",
]

#: The weights of a network that are trained.
MATRICES: tuple[Matrix, ...] = ("w_in", "w_rec", "w_out")


def _populations(name, numbers):
    """Numbers of populations as a tuple."""
    whole = isinstance(numbers, list | tuple) and all(type(number) is int for number in numbers)
    if not whole or min(numbers, default=0) < 0 or len(set(numbers)) < len(numbers):
        raise ValueError(
            f"{name} = {numbers!r} must be a list of different numbers of populations, such as [1] "
            "for the second one of RecurrentNetwork.neurons"
        )
    return tuple(numbers)


def _matrices(name, matrices):
    """Names of weight matrices as a tuple."""
    if not isinstance(matrices, list | tuple) or not matrices:
        raise ValueError(f"{name} = {matrices!r} must be a list of matrices, such as ['w_rec']")
    for matrix in matrices:
        if matrix not in MATRICES:
            raise ValueError(
                f"{name} names {matrix!r}, which is not one of {', '.join(MATRICES)}"
                f"{suggest(matrix, MATRICES)}"
            )
    if len(set(matrices)) < len(matrices):
        raise ValueError(f"{name} = {matrices!r} names a matrix twice; name each once")
    return tuple(matrices)


matrices_of = in_field(_matrices)


def _weight(name, value):
    """A weight in the model's unit; infinite for no bound at all."""
    must = "be a number, as weights are numbers in the model's weight_unit"
    try:
        return number(name, value, must, low=-np.inf, high=np.inf)
    except DimensionMismatchError:
        raise ValueError(f"{name} = {value!r} must {must}") from None


weight = in_field(_weight)


@frozen
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

    inhibitory: Sequence[int] = field(validator=in_field(_populations)())
    matrices: Sequence[Matrix] = field(default=("w_rec", "w_out"), validator=matrices_of())

    def __attrs_post_init__(self):
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


@frozen
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

    low: float = field(default=-np.inf, validator=weight())
    high: float = field(default=np.inf, validator=weight())
    matrices: Sequence[Matrix] = field(default=MATRICES, validator=matrices_of())

    def __attrs_post_init__(self):
        if not self.low < self.high:
            raise ValueError(f"Bounds.low = {self.low!r} must be below Bounds.high = {self.high!r}")

    def interval(self, populations: Sequence[PopulationDescription]) -> tuple[float, float]:
        """Lowest and highest weight."""
        return self.low, self.high


@frozen
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

    rate: float = field(validator=fraction())
    matrices: Sequence[Matrix] = field(default=MATRICES, validator=matrices_of())


@frozen
class DeepR:
    """DEEP R: synapses that cross 0 go dormant, and as many others become active.

    Each synapse that may exist has a sign s, which it keeps, and a size θ = s w. In an update,
    for all active synapses and with the learning rate η of the optimizer::

        θ ← θ − s·step − η l1 + √(2 η temperature) ν,   ν ~ N(0, 1)

    Those with θ < 0 become dormant, w = 0; then dormant ones are drawn, all with the same
    probability, and become active with θ = 0, until there are as many as before (Bellec, Kappel,
    Maass & Legenstein 2018, ICLR, arXiv 1711.05136, algorithm 1). ``step`` is that of the
    optimizer: η s dE/dw as in the paper with :class:`GradientDescent`; others replace it, and
    keep η in the other two terms. What the optimizer remembers of a synapse starts at 0 each time
    it becomes active.

    At the start the active synapses are drawn among those whose weights are not 0, and if these
    are too few, among the others. Signs are those of the initial weights, else drawn; DaleLaw and
    Bounds on one side of 0 decide first.

    Parameters
    ----------
    density : float
        Fraction of the synapses of ``connectivity`` that are active at any time, above 0.
    temperature, l1 : float
        T and α of the paper.
    matrices : sequence of {"w_in", "w_rec", "w_out"}
    seed : int
        Of all that is drawn, together with the number of the update: training that is continued
        is the same as without a break.

    Raises
    ------
    ValueError
        For a value that does not fit.

    Notes
    -----
    Simulation and gradient contain all synapses of ``connectivity``, dormant ones with the weight
    0: rewiring needs no compilation, but no less time and memory than training them all.
    """

    density: float = field(validator=fraction())
    temperature: float = field(default=0.0, validator=real())
    l1: float = field(default=0.0, validator=real())
    matrices: Sequence[Matrix] = field(default=("w_in", "w_rec"), validator=matrices_of())
    seed: int = field(default=0, validator=any_seed())

    def count(self, mask: Bools) -> int:
        """How many of the synapses in a mask are active."""
        return round(self.density * int(mask.sum()))

    def start(
        self, name: Matrix, weights: Floats, mask: Bools, low: Floats | float, high: Floats | float
    ) -> dict[str, np.ndarray]:
        """Which synapses are active before the first update.

        Parameters
        ----------
        name : str
            Of the matrix.
        weights : (n_pre, n_post) ndarray
            Between low and high.
        mask : (n_pre, n_post) bool ndarray
            The synapses that may exist.
        low, high : (n_pre, n_post) ndarray
            Between them are the weights.

        Returns
        -------
        dict of str to (n_pre, n_post) ndarray
            ``active`` : bool; ``signs`` : 1 or −1.
        """
        rng = self._generator(name, 0)
        signs = np.where(rng.random(mask.shape) < 0.5, -1.0, 1.0)
        signs = np.where(weights != 0, np.sign(weights), signs)
        signs = np.where(low >= 0, 1.0, np.where(high <= 0, -1.0, signs))
        order = rng.permutation(np.flatnonzero(mask))
        order = order[np.argsort(weights.ravel()[order] == 0, kind="stable")]
        active = np.zeros(mask.shape, dtype=bool)
        active.ravel()[order[: self.count(mask)]] = True
        return {"active": active, "signs": signs}

    def rewired(
        self,
        name: Matrix,
        weights: Floats,
        mask: Bools,
        wiring: Mapping[str, np.ndarray],
        rate: float,
        updates: int,
    ) -> tuple[Floats, dict[str, np.ndarray], Bools]:
        """Weights and active synapses after an update.

        Parameters
        ----------
        name : str
            Of the matrix.
        weights : (n_pre, n_post) ndarray
            After the optimizer's step.
        mask : (n_pre, n_post) bool ndarray
        wiring : dict
            As from :meth:`start`.
        rate : float
            η.
        updates : int
            1 in the first update.

        Returns
        -------
        weights : (n_pre, n_post) ndarray
        wiring : dict
        kept : (n_pre, n_post) bool ndarray
            Active before and since.
        """
        rng, signs = self._generator(name, updates), wiring["signs"]
        noise = np.sqrt(2 * rate * self.temperature) * rng.standard_normal(mask.shape)
        size = signs * weights - rate * self.l1 + noise
        kept = wiring["active"] & (size >= 0)
        missing = self.count(mask) - np.count_nonzero(kept)
        drawn = rng.choice(np.flatnonzero(mask & ~kept), missing, replace=False)
        active = kept.copy()
        active.ravel()[drawn] = True
        return np.where(kept, signs * size, 0.0), dict(wiring) | {"active": active}, kept

    def _generator(self, name, updates):
        return np.random.default_rng([self.seed, updates, MATRICES.index(name)])


Constraint: TypeAlias = DaleLaw | Bounds | WeightDecay | DeepR
CONSTRAINTS = {cls.__name__: cls for cls in (DaleLaw, Bounds, WeightDecay, DeepR)}
