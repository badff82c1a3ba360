"""What annotations of the public interface share: arrays, names, and what a user may bring.

A user's class needs no base class of ours; it has the methods of the protocol.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from brian2 import Quantity

    from .tasks import TrainingSetup

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int_]
FilePath: TypeAlias = str | os.PathLike[str]

#: One iteration of training, see :func:`brian_eprop.network.training.fit`.
Entry: TypeAlias = dict[str, Any]

Loss: TypeAlias = Literal["mse", "cross_entropy"]
Feedback: TypeAlias = Literal["symmetric", "random", "adaptive"]
Engine: TypeAlias = Literal["credit", "traces"]
ResetPath: TypeAlias = Literal["implicit", "explicit", "detached"]
Matrix: TypeAlias = Literal["w_in", "w_rec", "w_out"]
Device: TypeAlias = Literal["cpp_standalone", "runtime"]
FigureFormat: TypeAlias = Literal["png", "svg", "pdf"]
Ending: TypeAlias = Literal["iterations", "goal", "patience", "interrupted", "diverged"]


class Surrogate(Protocol):
    """A pseudo-derivative, see :mod:`brian_eprop.surrogates`."""

    def expression(self, x: str) -> str:
        """Brian2 expression of ψ at the Brian2 expression ``x``."""


class TrialSource(Protocol):
    """What a network can be trained on, see :mod:`brian_eprop.tasks`."""

    def sample(self, rng: np.random.Generator, batch: int) -> tuple[ArrayLike, ArrayLike]:
        """Inputs (batch, T, n_in) and targets (batch, T, n_out)."""


class Task(Protocol):
    """What a run is made of, see :mod:`brian_eprop.tasks`: a dataclass with trials and a set-up."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def n_in(self) -> int:
        """Number of inputs."""

    @property
    def n_out(self) -> int:
        """Number of outputs."""

    @property
    def steps(self) -> int:
        """Steps of a trial."""

    @property
    def dt(self) -> Quantity:
        """Time step."""

    @property
    def defaults(self) -> TrainingSetup:
        """A set-up with which the task is learned."""

    def sample(self, rng: np.random.Generator, batch: int) -> tuple[Bools, Floats]:
        """Inputs (batch, T, n_in) and targets (batch, T, n_out)."""


class Judge(Protocol):
    """What tells how good outputs are."""

    def metric(self, outputs: Floats, targets: Floats) -> float:
        """One number, lower for better outputs."""


class Environment(Protocol):
    """Where an agent acts, see :mod:`brian_eprop.reward.environments`."""

    @property
    def n_in(self) -> int:
        """Numbers in an observation."""

    @property
    def n_actions(self) -> int:
        """Actions to choose from."""

    def reset(self, seed: int | None = None) -> tuple[ArrayLike, dict[str, Any]]:
        """Begin an episode: observation and info."""

    def step(self, action: int) -> tuple[ArrayLike, float, bool, bool, dict[str, Any]]:
        """Observation, reward, terminated, truncated, info."""
