"""Simple recurrent unit of Elman."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .leaky_rate import rate_step

if TYPE_CHECKING:
    from ..networks.rate import RateNetwork
    from ..step import Step

__all__ = ["Elman"]


@dataclass(frozen=True)
class Elman:
    """The tanh unit of Elman 1990, Cognitive Science 14(2): all its memory is explicit.

    ::

        h_j^t = tanh(u_j^t)
        D = 0,  K_j = 1 − h_j²,  q = 1
    """

    name: ClassVar = "elman"
    states: ClassVar = ("h",)
    gates: ClassVar = 1
    gates_in: ClassVar = [0]
    gates_rec: ClassVar = [0]

    def check(self, network: RateNetwork) -> None:
        """Every network fits."""

    def default_mask(self, network: RateNetwork, name: str, shape: tuple[int, int]) -> np.ndarray:
        """All-to-all, self-connections included."""
        return np.ones(shape, dtype=bool)

    def advance(
        self, network: RateNetwork, before: Step | None, drive: np.ndarray, held: Any
    ) -> Step:
        """The next step; nothing is ever held."""
        h = np.tanh(drive[0])
        return rate_step(before, drive[0], 1.0, h, 1 - h**2)
