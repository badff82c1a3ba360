"""Environment trials: what an environment of Gymnasium's kind, such as NeuroGym's, has for right.

An environment with trials has Gymnasium's ``observation_space`` (Box of shape (d,)) and
``action_space`` (Discrete), and as those of NeuroGym

* ``new_trial()``, which makes a trial;
* ``ob``, the observations (T, d), and ``gt``, the right action (T,) in each of its steps;
* ``dt``, the time of a step in ms;
* ``seed(number)``, or Gymnasium's ``reset(seed=number)``, after which trials are the same.
"""

from collections.abc import Mapping
from functools import cached_property
from inspect import signature
from typing import Any

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms
from numpy.typing import ArrayLike

from ..checks import Floats, Ints, keep, number, table, time, whole
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .encoding import population_code
from .kinds import SampledTask
from .metrics import wrong_decisions
from .options import drawable_rate, in_steps, lif_and_alif, spike_probability, steps_of

__all__ = [
    "TASK",
    "EnvironmentTrials",
]

#: What an environment with trials needs besides Gymnasium's spaces.
OF_TRIALS = ("new_trial", "dt")


@frozen(eq=False, slots=False)
class EnvironmentTrials(SampledTask):
    """
    Act at the end of a trial as the environment says is right; nothing is done before.

    Each number of an observation has ``n`` inputs with Gaussian tuning curves between ``low`` and
    ``high``, which fire with ``rate`` at their preferred values, independently, with p = rate·dt
    per step; see :func:`.encoding.population_code`. A trial that is shorter than ``duration``
    begins with more time of its first observation. The target is the probability 1 of the right
    action, which counts in the last time ``answer``. The metric is the fraction of wrong
    decisions: where the right action changes within the answer, that which is right for longer.

    Trials are those that the environment has for a network that does nothing until the end;
    environments in which an action changes what follows are for :mod:`brian_eprop.reward`.

    Parameters
    ----------
    environment : str or object
        A name that Gymnasium knows, ``"package:Name-v0"`` of a package that is imported for it; or
        an object as :mod:`~brian_eprop.tasks.environment_trials` describes.
    arguments : dict
        With which Gymnasium makes it by its name.
    duration : Quantity
        Of a trial, at least the environment's longest; a multiple of ``dt``.
    answer : Quantity
        At the end, at most ``duration``; a multiple of ``dt``.
    low, high : float or (d,) array, optional
        Ranges of the numbers. Default: those of the space.
    n : int
        Inputs per number.
    rate : Quantity
        Of an input at its preferred value.
    dt : Quantity
        Time step of the network; that of the environment is a multiple.

    Raises
    ------
    DimensionMismatchError
        If a quantity has the wrong unit or none.
    ImportError
        For a name, if Gymnasium is not installed.
    ValueError
        If the environment has no trials or spaces of other kinds, ranges are missing, an option is
        out of its range, or trials are not the same after the same seed; when a trial is made, if
        it is longer than ``duration``, or its arrays do not fit.

    References
    ----------
    Molano-Mazón, Barbosa, Pastor-Ciurana, Fradera, Zhang, Forest, del Pozo Lérida, Ji-An, Cueva,
    de la Rocha, Narain & Yang (2022), NeuroGym: An open resource for developing and sharing
    neuroscience tasks, PsyArXiv, doi:10.31234/osf.io/aqc9n.
    """

    environment: Any = field(default=None)
    arguments: dict[str, Any] = field(factory=dict)
    duration: Quantity = field(default=3000 * ms, validator=in_steps())
    answer: Quantity = field(default=100 * ms, validator=in_steps())
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    n: int = field(default=10, validator=whole(1))
    rate: Quantity = field(default=100 * Hz, validator=drawable_rate())
    dt: Quantity = field(default=1 * ms, validator=time())

    @arguments.validator
    def _check_arguments(self, field, value):
        keep(self, field, table("EnvironmentTrials.arguments", value, '{"dt": 20}'))

    def __attrs_post_init__(self):
        if self.answer > self.duration:
            raise ValueError(
                f"EnvironmentTrials.answer = {self.answer!r} must be at most duration = "
                f"{self.duration!r}"
            )
        if self._step != round(self._step) or self._step < 1:
            raise ValueError(
                f"EnvironmentTrials.environment has steps of {self._source.dt} ms, no multiple of "
                f"dt = {self.dt!r}: change one of them"
            )
        _ = self.n_out, self._range
        (once, *_), (again, *_) = self._made(0, 1), self._made(0, 1)
        if not all(np.array_equal(a, b) for a, b in zip(once, again, strict=True)):
            raise ValueError(
                f"EnvironmentTrials.environment = {self.environment!r} makes another trial after "
                "the same seed; it needs a method seed(number), or reset(seed=number), that its "
                "random numbers follow"
            )

    @cached_property
    def _source(self):
        """The environment, as far as it has trials."""
        made = self.environment
        if isinstance(made, str):
            made = made_environment("EnvironmentTrials", made, self.arguments)
        # wrappers of Gymnasium do not pass on what is not theirs
        made = made if hasattr(made, "new_trial") else getattr(made, "unwrapped", made)
        if isinstance(made, type):
            raise ValueError(
                f"EnvironmentTrials.environment = {made!r} is a class; give an object of it"
            )
        lacks = [name for name in OF_TRIALS if not hasattr(made, name)]
        if lacks:
            raise ValueError(
                f"EnvironmentTrials.environment = {self.environment!r} has no {lacks[0]!r}; give "
                "one with trials, as those of NeuroGym: new_trial(), ob, gt, dt and seed(number)"
            )
        return made

    @cached_property
    def _range(self):
        return observed_range(
            "EnvironmentTrials",
            getattr(self._source, "observation_space", None),
            self.low,
            self.high,
        )

    @cached_property
    def _actions(self):
        """How many there are, and the number of the first."""
        actions = getattr(self._source, "action_space", None)
        if (found := elements_of(actions)) is None:
            raise ValueError(
                f"EnvironmentTrials.environment has the action space {actions!r}; a decision is "
                "for one of n actions, as in Gymnasium's Discrete(n)"
            )
        return found

    @property
    def _step(self):
        """Time steps of the network in one of the environment."""
        name = "EnvironmentTrials.environment.dt"
        of_environment = number(name, self._source.dt, "be a time in ms, above 0", low=1e-9)
        return float(np.round(of_environment / float(self.dt / ms), 9))

    @property
    def n_out(self) -> int:
        """Number of actions."""
        return self._actions[0]

    @property
    def input_groups(self) -> dict[str, int]:
        """The inputs of each number of an observation."""
        return {f"number {k + 1}": self.n for k in range(len(self._range[0]))}

    @property
    def output_names(self) -> tuple[str, ...]:
        """The actions, from 0."""
        return tuple(f"action {k}" for k in range(self.n_out))

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return sum(self.input_groups.values())

    @property
    def steps(self) -> int:
        """Time steps of a trial."""
        return steps_of(self, "duration")

    @property
    def learning_window(self) -> int:
        """Time steps of the answer."""
        return steps_of(self, "answer")

    @property
    def defaults(self) -> TrainingSetup:
        """50 LIF and 50 ALIF neurons, whose thresholds remember for a third of a trial."""
        return TrainingSetup.of_decisions(
            neurons=lif_and_alif(50, self.duration / 3, 0.15),
            gains={"w_in": 1.0, "w_rec": 0.5, "w_out": 1.0, "feedback": 1.0},
            learning_rate=CosineDecay(5e-3, 1e-4, 400),
            iterations=400,
            evaluation_trials=640,
            rate_strength=0.2 * self.learning_window,
        )

    def metric(self, outputs: Floats, targets: Floats) -> float:
        """Fraction of wrong decisions, see :mod:`.tasks.metrics`."""
        return wrong_decisions(self, outputs, targets)

    def _made(self, seed, batch):
        """So many trials: observations and right actions of each."""
        source = self._source
        if hasattr(source, "seed"):
            source.seed(seed)
        elif takes_seed(getattr(source, "reset", None)):
            source.reset(seed=seed)
        else:
            raise ValueError(
                f"EnvironmentTrials.environment = {self.environment!r} has no method seed(number), "
                "nor reset(seed=number), after which trials are the same; add one"
            )
        trials = []
        for _ in range(batch):
            source.new_trial()
            for name in ("ob", "gt"):
                if not hasattr(source, name):
                    raise ValueError(
                        f"EnvironmentTrials.environment = {self.environment!r} has no '{name}' "
                        "after new_trial(); it has to say what is seen, ob, and what is right, gt"
                    )
            try:
                observations = np.array(source.ob, float)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"EnvironmentTrials.environment.ob is no array of numbers: {error}"
                ) from None
            trials.append(self._checked(observations, np.array(source.gt)))
        return trials

    def _checked(self, observations: Floats, right: Ints):
        """Observations and right actions in every time step of the network."""
        name, d = "EnvironmentTrials.environment", len(self._range[0])
        if observations.ndim != 2 or observations.shape[1] != d or not len(observations):
            raise ValueError(
                f"{name}.ob has the shape {observations.shape}; expected (T, {d}), as its "
                "observation_space says"
            )
        if not np.isfinite(observations).all():
            raise ValueError(
                f"{name}.ob of shape {observations.shape} has numbers that are not finite"
            )
        whole = right.dtype.kind in "iu" and right.shape == (len(observations),)
        n, first = self._actions
        if not whole or right.min() < first or right.max() >= first + n:
            raise ValueError(
                f"{name}.gt of shape {right.shape} and type {right.dtype} must have an action, "
                f"{first} to {first + n - 1}, for each of the {len(observations)} observations"
            )
        right = right.astype(int) - first
        both = [np.repeat(values, int(self._step), axis=0) for values in (observations, right)]
        before = self.steps - len(both[0])
        if before < 0:
            raise ValueError(
                f"{name} has made a trial of {len(both[0]) * self.dt!s}, longer than "
                f"EnvironmentTrials.duration = {self.duration!s}: give a longer one"
            )
        return [np.concatenate([values[:1].repeat(before, axis=0), values]) for values in both]

    def _draw(self, rng, batch):
        made = self._made(int(rng.integers(2**31)), batch)
        observations, right = (np.stack(values) for values in zip(*made, strict=True))
        code = population_code(observations, *self._range, self.n)
        inputs = rng.random(code.shape) < spike_probability(self, "rate") * code
        return inputs, np.eye(self.n_out)[right]


def made_environment(owner: str, name: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """
    An environment that Gymnasium makes by its name.

    Parameters
    ----------
    owner : str
        Whose attribute it is, for messages.
    name : str
    arguments : dict

    Returns
    -------
    object

    Raises
    ------
    ImportError
        If Gymnasium is not installed.
    ValueError
        If Gymnasium cannot make it.
    """
    try:
        import gymnasium
    except ImportError:
        raise ImportError(
            f"{owner}.environment = '{name}' is one of Gymnasium, which is not installed; "
            "install it with: python3 -m pip install 'brian_eprop[rl]'"
        ) from None
    try:
        return gymnasium.make(name, **(arguments or {}))
    # a package that it imports, and what it calls there, have their own errors
    except Exception as error:
        raise ValueError(
            f"{owner}.environment = '{name}' cannot be made by Gymnasium: {error}"
        ) from error


def elements_of(space: Any) -> tuple[int, int] | None:
    """
    How many elements a space of Gymnasium's kind Discrete has, and the first of them.

    Parameters
    ----------
    space : object

    Returns
    -------
    (n, start) or None
        None for spaces of other kinds; MultiBinary has an ``n`` too, but is one of vectors.
    """
    n = getattr(space, "n", None)
    if not isinstance(n, int | np.integer) or tuple(getattr(space, "shape", None) or ()):
        return None
    return int(n), int(getattr(space, "start", 0))


def takes_seed(reset: Any) -> bool:
    """
    Whether a method can be called as ``reset(seed=number)``.

    Parameters
    ----------
    reset : callable, or None

    Returns
    -------
    bool
    """
    try:
        signature(reset).bind(seed=0)
    except (TypeError, ValueError):
        return False
    return True


def observed_range(
    owner: str, space: Any, low: ArrayLike | None, high: ArrayLike | None
) -> list[Floats]:
    """
    The range of each number of an observation: that of the space, where none is given.

    Parameters
    ----------
    owner : str
        Whose attributes they are, for messages.
    space : object
        As Gymnasium's Box of shape (d,).
    low, high : float or (d,) array, optional

    Returns
    -------
    low, high : (d,) ndarray

    Raises
    ------
    ValueError
        If the space is another, or there is no finite range.
    """
    if len(getattr(space, "shape", None) or ()) != 1:
        raise ValueError(
            f"{owner}.environment has the observation space {space!r}; observations are vectors, "
            "as in Gymnasium's Box of shape (d,): flatten them by a wrapper"
        )
    ends = []
    for name, given in (("low", low), ("high", high)):
        # not all spaces of vectors have an end
        values = np.array(getattr(space, name, np.nan) if given is None else given, dtype=float)
        try:
            values = np.broadcast_to(values, space.shape).copy()
        except ValueError:
            raise ValueError(
                f"{owner}.{name} has the shape {values.shape}; give one number, or one for each of "
                f"the {space.shape[0]} in an observation"
            ) from None
        # the largest number of single precision stands for no bound
        wrong = ~(np.abs(values) < np.finfo(np.float32).max)
        if wrong.any():
            raise ValueError(
                f"{owner}.{name}[{np.argmax(wrong)}] = {values[wrong][0]} is no end of a range to "
                f"be coded; give {name}=[...], {space.shape[0]} finite numbers"
            )
        ends.append(values)
    return ends


TASK = EnvironmentTrials
