"""The network whose steps Brian2 has taken, and these steps as the reference has them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from attrs import field, frozen

from ..brian import schedule
from ..reference.drawing import CELLS
from ..reference.problem import Problem
from ..reference.rules import RULES
from ..reference.spiking import FiringNetwork
from ..reference.step import Step
from .recorded_steps import RecordedGroup

#: Sums over steps and synapses in another order.
TOLERANCE = 1e-8


@frozen
class Units:
    """Units that Brian2 has run: how many states and drives they have.

    Attributes
    ----------
    name : str
        Of their models.
    states : tuple of str
        Places for states; which they are may differ from population to population.
    gates : int
        Drives: the ways in which spikes act.
    gates_in, gates_rec : list of int
        Which of them inputs and recurrent connections feed.
    """

    name: str
    states: tuple[str, ...]
    gates: int
    gates_in: list[int]
    gates_rec: list[int]

    @classmethod
    def of(cls, names, runs, gates_in, gates_rec):
        """Those of groups or models with some names, with the most states that one of them has."""
        name = " and ".join(dict.fromkeys(names))
        if name in CELLS:
            # rules for units of the reference ask for their parameters
            name = f"{name} with other code"
        most = max((len(p.group.states) for p in runs[0].populations), default=1)
        states = tuple(f"state {k}" for k in range(most))
        first = len(gates_in)
        numbers = list(range(first)), list(range(first, first + len(gates_rec)))
        return cls(name, states, first + len(gates_rec), *numbers)


@frozen(eq=False, kw_only=True, slots=False)
class RecordedNetwork(FiringNetwork):
    """A network whose steps Brian2 has taken.

    Parameters
    ----------
    cell : Units
    existing : mapping of str to (gates, n_pre, n_rec) bool ndarray
        Which weights of w_in and w_rec exist, where gates differ in that.
    places : mapping of str to (matrix, rows, columns)
        Of synapses of one's own, by their name: where their weights are in w_in or w_rec, whose
        gates stand one below the other.
    """

    cell: Units = field()
    existing: Mapping[str, np.ndarray] = field(factory=dict)
    places: Mapping[str, tuple[str, np.ndarray, np.ndarray]] = field(factory=dict)

    def mask_of(self, name: str) -> np.ndarray | bool:
        """Which of the weights exist; those of w_in and w_rec perhaps gate by gate."""
        return self.existing[name] if name in self.existing else super().mask_of(name)


@frozen(eq=False)
class RecordedPopulation:
    """What a trial has left of a population.

    Attributes
    ----------
    span : slice
        Its units among all.
    group : RecordedGroup
    states : (T, S, n) ndarray
        At the threshold.
    drives : dict of key to (T, S, n) ndarray
        K of each way in which spikes act on it, for one unit of their weights.
    """

    span: slice
    group: RecordedGroup
    states: np.ndarray
    drives: Mapping[Hashable, np.ndarray]


@frozen(eq=False)
class RecordedRun:
    """What a trial has left.

    Attributes
    ----------
    spikes : (T, n_rec) ndarray
    populations : list of RecordedPopulation
    """

    spikes: np.ndarray
    populations: Sequence[RecordedPopulation]


def at_threshold(group):
    """The moment at which the states of a group are those of its step in the reference."""
    return schedule.just_before(group.thresholder["spike"])


def own_units(runs):
    """Mean and standard deviation of the states of each population, (S, 1); 1 where it is 0."""
    units = []
    for populations in zip(*(run.populations for run in runs), strict=True):
        states = np.concatenate([p.states for p in populations])
        mean, deviation = (f(states, axis=(0, 2))[:, np.newaxis] for f in (np.mean, np.std))
        units.append((mean, np.where(deviation > 0, deviation, 1.0)))
    return units


def steps_of(runs, states, gates, units):
    """The steps of all trials side by side.

    Parameters
    ----------
    runs : list of RecordedRun
    states : tuple of str
        Of a unit; populations that have fewer have zeros in their place.
    gates : list of tuple
        For each gate the keys of `drives`; the first that a population has says what it does.
    units : list of (origin, unit)
        Of the states of each population, (S, 1) each.

    Returns
    -------
    list of Step
    """
    (n_steps, n_rec), n, batch = runs[0].spikes.shape, len(states), len(runs)
    whole = {
        "state": np.zeros((n_steps, n, batch, n_rec)),
        "implicit": np.zeros((n_steps, n, n, batch, n_rec)),
        "observation": np.zeros((n_steps, n, batch, n_rec)),
        "self_edge": np.zeros((n_steps, n, batch, n_rec)),
        "drive": np.zeros((n_steps, n, len(gates), batch, n_rec)),
    }
    for b, run in enumerate(runs):
        for population, (origin, unit) in zip(run.populations, units, strict=True):
            group, span = population.group, population.span
            known = enumerate(group.states)
            at = [states.index(name) if name in states else s for s, name in known]
            square = np.ix_(range(n_steps), at, at)
            whole["implicit"][..., b, span][square] = group.implicit / unit[:, np.newaxis] * unit
            whole["state"][:, at, b, span] = (population.states - origin) / unit
            whole["observation"][:, at, b, span] = group.observation * unit
            whole["self_edge"][:, at, b, span] = group.self_edge / unit
            for g, keys in enumerate(gates):
                key = next((key for key in keys if key in population.drives), None)
                if key is not None:
                    whole["drive"][:, at, g, b, span] = population.drives[key] / unit
    observable = np.stack([run.spikes for run in runs], axis=1)
    return [
        Step(observable=observable[t], **{name: values[t] for name, values in whole.items()})
        for t in range(n_steps)
    ]


def check_agreement(problem: Problem, found: Mapping[str, np.ndarray], order=np.inf) -> None:
    """Raise an error unless the steps give the gradient that Brian2 itself has found.

    Parameters
    ----------
    problem : Problem
    found : dict of str to ndarray
        Gradients of w_in and w_rec, summed over the batch, as the network has the weights.
    order : int or inf
        Of e-prop.

    Raises
    ------
    ArithmeticError
    """
    limited = order < problem.n_steps
    rule, options = (RULES["eprop_reverse"], {"order": order}) if limited else (RULES["bptt"], {})
    recursion = rule.at_work(problem.network, np.random.default_rng(0), **options)
    # the learning signal goes through the feedback weights, as that of the engines does
    gradient = problem.gradient(recursion, RULES["eprop"])
    for name, expected in found.items():
        computed = np.where(problem.network.mask_of(name), gradient[name], 0.0)
        computed = computed.reshape(expected.shape)
        difference, largest = np.abs(computed - expected).max(), np.abs(expected).max()
        if not difference <= TOLERANCE * largest:
            raise ArithmeticError(
                f"the steps that Brian2 has taken give a gradient of '{name}' that differs from "
                f"Brian2's own by {difference:.2g} of {largest:.2g}; this is an error of "
                "brian_eprop, please report it"
            )
