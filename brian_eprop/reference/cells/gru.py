"""Gated recurrent unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..step import Step
from .lstm import logistic

if TYPE_CHECKING:
    from ..networks.rate import RateNetwork

__all__ = ["GRU"]


@dataclass(frozen=True)
class GRU:
    """The gated recurrent unit with the reset gate after the recurrent product::

        r = σ(u_0),  z = σ(u_1),  h̃ = tanh(u_2 + r u_3)
        h^t = z h^{t−1} + (1 − z) h̃
        D = z,  q = 1
        K = (k u_3 r(1 − r), (h^{t−1} − h̃) z(1 − z), k, k r),  k = (1 − z)(1 − h̃²)

    The drives u are those of reset gate, update gate, and the candidate's from the inputs (u_2)
    and from the recurrent connections (u_3). `w_in` has the axis (r, z, u_2), `w_rec`
    (r, z, u_3), `bias` all four. Only in this form, in which the gate of a unit acts on that
    unit alone, does a weight act in one step on one unit (as in Menick et al. 2020,
    arXiv 2006.07232). Cho et al. 2014, arXiv 1406.1078.
    """

    name: ClassVar = "gru"
    states: ClassVar = ("h",)
    gates: ClassVar = 4
    gates_in: ClassVar = [0, 1, 2]
    gates_rec: ClassVar = [0, 1, 3]

    def check(self, network: RateNetwork) -> None:
        """Every network fits."""

    def default_mask(self, network: RateNetwork, name: str, shape: tuple[int, int]) -> np.ndarray:
        """All-to-all, self-connections included."""
        return np.ones(shape, dtype=bool)

    def advance(
        self, network: RateNetwork, before: Step | None, drive: np.ndarray, held: Any
    ) -> Step:
        """The next step; nothing is ever held."""
        last = np.zeros_like(drive[0]) if before is None else before.state[0]
        r, z = logistic(drive[:2])
        candidate = np.tanh(drive[2] + r * drive[3])
        h = z * last + (1 - z) * candidate
        onto_candidate = (1 - z) * (1 - candidate**2)
        gains = [
            onto_candidate * drive[3] * r * (1 - r),
            (last - candidate) * z * (1 - z),
            onto_candidate,
            onto_candidate * r,
        ]
        one = np.ones((1, *h.shape))
        return Step(
            state=h[np.newaxis],
            observable=h,
            implicit=z[np.newaxis, np.newaxis],
            observation=one,
            drive=np.stack(gains)[np.newaxis],
            self_edge=np.zeros_like(one),
        )
