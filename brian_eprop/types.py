"""What annotations of the public interface share: arrays, names, and what a user may bring.

A user's class needs no base class of ours; it has the methods of the protocol.
"""

from __future__ import annotations

import os
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int_]
FilePath: TypeAlias = str | os.PathLike[str]

#: One iteration of training, see :func:`brian_eprop.network.training.fit`.
Entry: TypeAlias = dict[str, Any]

Feedback: TypeAlias = Literal["symmetric", "random", "adaptive"]
Engine: TypeAlias = Literal["credit", "traces"]
ResetPath: TypeAlias = Literal["implicit", "explicit", "detached"]
Matrix: TypeAlias = Literal["w_in", "w_rec", "w_out"]
Device: TypeAlias = Literal["cpp_standalone", "runtime"]
FigureFormat: TypeAlias = Literal["png", "svg", "pdf"]
Ending: TypeAlias = Literal["iterations", "goal", "patience", "interrupted", "diverged"]


class Surrogate(Protocol):
    """A pseudo-derivative, see :mod:`brian_eprop.neurons.surrogates`."""

    def expression(self, x: str) -> str:
        """Brian2 expression of ψ at the Brian2 expression ``x``."""


class TrialSource(Protocol):
    """What a network can be trained on, see :mod:`brian_eprop.tasks`."""

    def sample(self, rng: np.random.Generator, batch: int) -> tuple[ArrayLike, ArrayLike]:
        """Inputs (batch, T, n_in) and targets (batch, T, n_out)."""


class Judge(Protocol):
    """What tells how good outputs are."""

    def metric(self, outputs: Floats, targets: Floats) -> float:
        """One number, lower for better outputs."""
