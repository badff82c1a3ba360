"""Long short-term memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..step import Step

if TYPE_CHECKING:
    from ..networks.rate import RateNetwork

__all__ = ["LSTM", "logistic"]


def logistic(u):
    """1/(1 + exp(−u)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * u))


@dataclass(frozen=True)
class LSTM:
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000)::

        i = σ(u_0),  f = σ(u_1),  g = tanh(u_2),  o = σ(u_3)
        c^t = f c^{t−1} + i g,      h^t = o tanh(c^t)
        D = [[f, 0], [0, 0]],       q = (o (1 − tanh²c), tanh c)
        K = c-row (g i(1 − i), c^{t−1} f(1 − f), i (1 − g²), 0), o-row (0, 0, 0, o(1 − o))

    The output gate is a second hidden state without memory: so h is a function of the states, as
    every rule expects, and c is the implicit recurrence (Bellec et al. 2020, supplement).
    `w_in`, `w_rec` and `bias` have the axis (i, f, g, o).
    """

    name: ClassVar = "lstm"
    states: ClassVar = ("c", "o")
    gates: ClassVar = 4
    gates_in: ClassVar = [0, 1, 2, 3]
    gates_rec: ClassVar = [0, 1, 2, 3]

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
        i, f, o = logistic(drive[[0, 1, 3]])
        g = np.tanh(drive[2])
        c = f * last + i * g
        squashed = np.tanh(c)
        implicit = np.zeros((2, 2, *c.shape))
        implicit[0, 0] = f
        gain = np.zeros((2, 4, *c.shape))
        gain[0, :3] = g * i * (1 - i), last * f * (1 - f), i * (1 - g**2)
        gain[1, 3] = o * (1 - o)
        return Step(
            state=np.stack([c, o]),
            observable=o * squashed,
            implicit=implicit,
            observation=np.stack([o * (1 - squashed**2), squashed]),
            drive=gain,
            self_edge=np.zeros((2, *c.shape)),
        )
