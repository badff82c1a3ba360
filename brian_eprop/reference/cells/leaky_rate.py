"""Leaky rate unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..step import Step

if TYPE_CHECKING:
    from ..networks.rate import RateNetwork

__all__ = ["LeakyRate", "rate_step"]


def rate_step(before, u, leak, phi, slope) -> Step:
    """c^t = (1 − leak) c^{t−1} + leak φ(u), h = c, for any cell of this form.

    Parameters
    ----------
    before : Step or None
    u : (batch, n_rec) ndarray
    leak : float
    phi, slope : (batch, n_rec) ndarrays
        φ(u) and φ'(u).
    """
    last = np.zeros_like(u) if before is None else before.state[0]
    h = (1 - leak) * last + leak * phi
    one = np.ones((1, *u.shape))
    return Step(
        state=h[np.newaxis],
        observable=h,
        implicit=(1 - leak) * one[np.newaxis],
        observation=one,
        drive=leak * slope[np.newaxis, np.newaxis],
        self_edge=np.zeros_like(one),
    )


@dataclass(frozen=True)
class LeakyRate:
    """The leaky unit of RFLO (Murray 2019, eLife 8:e43299, Eq. 1).

    ::

        h_j^t = (1 − a) h_j^{t−1} + a tanh(u_j^t)
        D = 1 − a,  K_j = a (1 − tanh²(u_j)),  q = 1

    Parameters
    ----------
    leak : float
        a = dt/τ, above 0 and at most 1.
    """

    leak: float = 0.1

    name: ClassVar = "leaky_rate"
    states: ClassVar = ("h",)
    gates: ClassVar = 1
    gates_in: ClassVar = [0]
    gates_rec: ClassVar = [0]

    def __post_init__(self):
        if not 0 < self.leak <= 1:
            raise ValueError(f"LeakyRate: 'leak' is {self.leak}; give dt/τ, above 0 and at most 1")

    def check(self, network: RateNetwork) -> None:
        """Every network fits."""

    def default_mask(self, network: RateNetwork, name: str, shape: tuple[int, int]) -> np.ndarray:
        """All-to-all, self-connections included."""
        return np.ones(shape, dtype=bool)

    def advance(
        self, network: RateNetwork, before: Step | None, drive: np.ndarray, held: Any
    ) -> Step:
        """The next step; nothing is ever held."""
        phi = np.tanh(drive[0])
        return rate_step(before, drive[0], self.leak, phi, 1 - phi**2)
