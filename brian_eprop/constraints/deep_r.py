"""Rewiring while learning: a fixed number of synapses that move to where they are of use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..types import Bools, Floats, Matrix
from .limits import MATRICES, check_fraction, checked_matrices_of

__all__ = ["DeepR"]


@dataclass(frozen=True)
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

    density: float
    temperature: float = 0.0
    l1: float = 0.0
    matrices: Sequence[Matrix] = ("w_in", "w_rec")
    seed: int = 0

    def __post_init__(self):
        check_fraction(self, "density")
        for name in ("temperature", "l1"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value < np.inf:
                raise ValueError(f"DeepR.{name} = {value!r} must be a finite number ≥ 0")
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(f"DeepR.seed = {self.seed!r} must be an integer ≥ 0")
        object.__setattr__(self, "matrices", checked_matrices_of(self))

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
