"""Environments: what an agent sees, as firing probabilities of its inputs, and what it may do.

An environment has Gymnasium's methods

    reset(seed=None) → observation, info
    step(action) → observation, reward, terminated, truncated, info

and, for an `Agent`, the numbers ``n_in`` and ``n_actions``; its observations are probabilities
(n_in,) that an input fires in a time step. ``info["decides"] = False`` says that an agent has
nothing to decide on this observation.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from attrs import define, field
from numpy.typing import ArrayLike

from ..checks import ABOVE_0, Floats, real
from ..tasks.encoding import population_code
from ..tasks.environment_trials import elements_of, made_environment, observed_range, takes_seed

#: What methods return.
ANSWERS = {
    "reset": ("observation", "info"),
    "step": ("observation", "reward", "terminated", "truncated", "info"),
}

OLD_GYM = "environments of the old Gym need a wrapper, such as those of the package shimmy"


def answer_of(environment: Any, method: str, *given: Any, **named: Any) -> tuple[Any, ...]:
    """
    What a method of an environment returns.

    Parameters
    ----------
    environment : object
    method : {"reset", "step"}
    *given, **named
        Its arguments.

    Returns
    -------
    tuple

    Raises
    ------
    TypeError
        If it is not what Gymnasium's methods return.
    """
    answer, expected = getattr(environment, method)(*given, **named), ANSWERS[method]
    fits = isinstance(answer, tuple) and len(answer) == len(expected)
    if not fits or not isinstance(answer[-1], Mapping):
        raise TypeError(
            f"{type(environment).__name__}.{method} returned {answer!r}; expected "
            f"({', '.join(expected)}), with a dict as info: {OLD_GYM}"
        )
    return answer


@define(eq=False, slots=False)
class CodedEnvironment:
    """An environment with Gymnasium's spaces, whose observations are coded by populations.

    Each number of an observation has n inputs with Gaussian tuning curves between ``low`` and
    ``high``, which fire most at their preferred values; beyond its range a number looks like the
    nearest end, so that the agent cannot tell how far outside it is. Observations of a space
    ``Discrete`` have one input for each of its elements.

    Parameters
    ----------
    environment : str or object
        A name that Gymnasium knows, such as ``"CartPole-v1"``, or an object with its API:
        ``reset``, ``step``, ``observation_space`` (Box or Discrete), ``action_space`` (Discrete).
    low, high : float or (d,) array, optional
        Ranges of the numbers. Default: those of the space.
    n : int
        Inputs per number.
    width : float
        Of the tuning curves, in units of their distance.
    peak : float
        Probability that an input fires in a time step at its preferred value.

    Raises
    ------
    ImportError
        For a name, if Gymnasium is not installed.
    ValueError
        For spaces of other kinds, ranges that are missing or not in order, numbers out of range,
        and, while it acts, observations that are not of its space.
    TypeError
        While it acts, for answers that are not Gymnasium's.
    """

    environment: Any
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    n: int = 10
    width: float = 1.0
    peak: float = field(
        default=0.5,
        validator=real(
            "be a probability above 0; the largest is 1, a spike in every step",
            low=ABOVE_0,
            high=1.0,
        ),
    )

    def __attrs_post_init__(self):
        if isinstance(self.environment, str):
            self.environment = made_environment("CodedEnvironment", self.environment)
        actions = getattr(self.environment, "action_space", None)
        if (found := elements_of(actions)) is None:
            raise ValueError(
                f"CodedEnvironment.environment has the action space {actions!r}; an agent chooses "
                "among n actions, as in Gymnasium's Discrete(n): make continuous actions discrete, "
                "by a wrapper for example"
            )
        self.n_actions, self._first_action = found
        for name in ("reset", "step"):
            if not hasattr(self.environment, name):
                raise ValueError(
                    f"CodedEnvironment.environment = {self.environment!r} has no '{name}'; give an "
                    "object with Gymnasium's methods"
                )
        if not takes_seed(self.environment.reset):
            raise ValueError(
                f"CodedEnvironment.environment = {self.environment!r} has no reset(seed=number), "
                f"as Gymnasium has it; {OLD_GYM}"
            )
        observations = getattr(self.environment, "observation_space", None)
        self._elements = elements_of(observations)
        if self._elements is None:
            self._set_range(observations)
        self.n_in = len(self._coded(self._elements[1] if self._elements else self.low))

    def _set_range(self, space):
        self.low, self.high = observed_range("CodedEnvironment", space, self.low, self.high)

    def _coded(self, observation):
        try:
            values = np.asarray(observation, dtype=float)
        except (TypeError, ValueError):
            values = np.array(np.nan)
        if self._elements is not None:
            n, first = self._elements
            if values.size != 1 or not np.isin(values, np.arange(first, first + n)).all():
                raise self._no_observation(
                    observation, f"a whole number, {first} to {first + n - 1}"
                )
            return self.peak * np.eye(n)[int(values.item()) - first]
        if values.shape != self.low.shape or not np.isfinite(values).all():
            raise self._no_observation(observation, f"{len(self.low)} finite numbers")
        return self.peak * population_code(values, self.low, self.high, self.n, self.width)

    def _no_observation(self, observation, expected):
        return ValueError(
            f"CodedEnvironment.environment = {self.environment!r} returned the observation "
            f"{observation!r}; expected {expected}, as its observation_space says"
        )

    def reset(self, seed: int | None = None) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode, as Gymnasium does, with a coded observation."""
        observation, info = answer_of(self.environment, "reset", seed=seed)
        return self._coded(observation), info

    def step(self, action: int) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Act, as in Gymnasium, with a coded observation."""
        observation, *outcome = answer_of(self.environment, "step", action + self._first_action)
        return self._coded(observation), *outcome


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
