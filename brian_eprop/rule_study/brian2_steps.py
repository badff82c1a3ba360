"""Networks that Brian2 runs, as the rules of the reference see them: their steps, one by one.

Brian2 runs every trial once; the engine ``credit`` records what a step's Jacobians are made of,
and `recorded_steps` has them from threshold to threshold. So the rules, which are written for any
units, have those of a user's own equations.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import evolve, field, frozen
from brian2 import StateMonitor

from ..brian import schedule
from ..network.checked_model import weight_unit
from ..network.projections import BatchShape, blocks, spans
from ..network.reference_conversion import connections, reference_network
from ..network.runtime import RuntimeNetwork, numpy_runtime
from ..network.validation import checked_trials
from ..reference import SpikingNetwork
from ..reference.problem import Problem
from ..reference.rules import RULES
from ..reference.spiking import SPIKING, FiringNetwork
from ..reference.step import Step
from .recorded_steps import Arrival, RecordedGroup

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


@frozen(eq=False, kw_only=True, slots=False)
class RecordedNetwork(FiringNetwork):
    """A network whose steps Brian2 has taken.

    Parameters
    ----------
    cell : Units
    """

    cell: Units = field()


@numpy_runtime()
def problem_of(network, inputs, targets, learning_window=None):
    """Sequences that a network has run through in Brian2, with their loss.

    Each trial is run once, by Brian2's numpy target with float64. What the rules see of lif and
    alif neurons has the states, and the parameters, of the reference; of other models it has the
    states that can reach the threshold, each in its own standard deviations, so that no rule
    depends on whether they are in mV or pA.

    Parameters
    ----------
    network : RecurrentNetwork
    inputs, targets, learning_window
        As for :meth:`RecurrentNetwork.gradients`.

    Returns
    -------
    Problem

    Raises
    ------
    ValueError
        Shapes that do not fit; delays onto the readout; several regularizers.
    ArithmeticError
        If back-propagation along the steps is not the gradient that Brian2 has found.
    """
    d, single = network.description, np.ndim(inputs) == 2
    inputs, targets, window, _ = checked_trials(d, inputs, targets, learning_window)
    d = d.with_parameters(network.parameters)
    connected = connections(d, network.weights)
    d = evolve(
        d,
        rule=evolve(d.rule, order=math.inf, engine="credit"),
        feedback="symmetric",
        feedback_decay=0.0,
    )
    trials = BatchShape(1, inputs.shape[1], window)
    running = RuntimeNetwork(d, trials, inputs[0], targets[0])
    monitors = _monitors(running)
    runs, found = [], {"w_in": 0.0, "w_rec": 0.0}
    for x, y in zip(inputs, targets, strict=True):
        results = running.run(network.weights, x[np.newaxis], y[np.newaxis])
        runs.append(_recorded(running, monitors, results["spikes"][0]))
        found = {name: total + results[name] for name, total in found.items()}
    described, steps = _described(d, network.weights, connected, runs)
    sequences = (inputs[0], targets[0]) if single else (inputs, targets)
    problem = Problem(described, *sequences, window, steps=steps)
    _check_agreement(problem, found)
    return problem


def _monitors(running):
    """{population: monitor} of the states that learning groups have at the threshold."""
    objects, monitors = running.assembly.objects, {}
    for k, _ in enumerate(running.description.populations):
        group = objects[f"population_{k}"]
        population = objects["readout"].learner.populations.get(group)
        if population is not None and population.learns:
            moment = schedule.just_before(group.thresholder["spike"])
            monitors[k] = StateMonitor(
                group,
                list(population.adjoint.states),
                record=True,
                when=moment.when,
                order=moment.order,
                name=f"{group.name}_states",
            )
    running.assembly.network.add(*monitors.values())
    running.assembly.network.store("start")
    return monitors


@frozen(eq=False)
class _Run:
    """What a trial has left of each population.

    Attributes
    ----------
    spikes : (T, n_rec) ndarray
    groups : dict of int to RecordedGroup
    states : dict of int to (T, S, n) ndarray
    drives : dict of int to dict of str to (T, S, n) ndarray
        K of the inputs and of recurrent spikes, for one unit of the weight matrix.
    """

    spikes: np.ndarray
    groups: dict
    states: dict
    drives: dict


def _recorded(running, monitors, spikes):
    objects, d = running.assembly.objects, running.description
    learner = objects["readout"].learner
    by_name = {pathway.synapses.name: pathway for pathway in learner.engine.pathways}
    groups, states, drives = {}, {}, {k: {} for k in monitors}
    for k, monitor in monitors.items():
        population = learner.populations[objects[f"population_{k}"]]
        groups[k] = RecordedGroup(population, 0, len(spikes))
        # copies: from Brian2 2.10 on, what a monitor holds is gone with it
        courses = [np.array(getattr(monitor, f"{name}_").T) for name in groups[k].states]
        states[k] = np.stack(courses, axis=1)
    for block in blocks(d, running.trials):
        if block.matrix in ("w_in", "w_rec") and block.matrix not in drives[block.post]:
            pathway = by_name[block.name]
            place = pathway.receiver.place(pathway.early)
            arrival = Arrival(pathway.common, pathway.early, place)
            unit = float(weight_unit(d.populations[block.post].model))
            drives[block.post][block.matrix] = unit * groups[block.post].drive(arrival)
    return _Run(spikes.astype(float), groups, states, drives)


def _described(d, weights, connected, runs):
    """The network for the reference, and its steps."""
    try:
        same = reference_network(d, weights)
    except ValueError:
        return _of_any_models(d, connected, runs)
    adaptive = any("a" in group.states for group in runs[0].groups.values())
    network = evolve(same, feedback=connected["feedback"], adaptive=adaptive)
    units = {k: (0.0, np.ones((len(g.states), 1))) for k, g in runs[0].groups.items()}
    # inputs and recurrent spikes act alike on these neurons
    return network, _steps(d, network.cell.states, [("w_in", "w_rec")], units, runs)


def _of_any_models(d, connected, runs):
    names = dict.fromkeys(p.model.name for p in d.populations)
    name = " and ".join(names)
    if name in SPIKING:
        # rules for those of the reference ask for their parameters
        name = f"{name} with other code"
    most = max((len(group.states) for group in runs[0].groups.values()), default=1)
    states = tuple(f"state {k}" for k in range(most))
    network = RecordedNetwork(**connected, cell=Units(name, states, 2, [0], [1]))
    units = {k: _own_unit(runs, k) for k in runs[0].groups}
    return network, _steps(d, states, [("w_in",), ("w_rec",)], units, runs)


def _own_unit(runs, k):
    """Mean and standard deviation of the states of a population, (S, 1) each; 1 where it is 0."""
    states = np.concatenate([run.states[k] for run in runs])
    mean, deviation = (f(states, axis=(0, 2))[:, np.newaxis] for f in (np.mean, np.std))
    return mean, np.where(deviation > 0, deviation, 1.0)


def _steps(d, states, gates, units, runs):
    """The steps of all trials side by side.

    Parameters
    ----------
    states : tuple of str
        Of a unit; populations that have fewer have zeros in their place.
    gates : list of tuple of str
        The weights that feed each gate; the first of them that a population has says what it does.
    units : dict of int to (mean, unit)
        The origin and the unit of the states of a population.
    runs : list of _Run
    """
    n_steps, n_rec = runs[0].spikes.shape
    n, batch = len(states), len(runs)
    whole = {
        "state": np.zeros((n_steps, n, batch, n_rec)),
        "implicit": np.zeros((n_steps, n, n, batch, n_rec)),
        "observation": np.zeros((n_steps, n, batch, n_rec)),
        "self_edge": np.zeros((n_steps, n, batch, n_rec)),
        "drive": np.zeros((n_steps, n, len(gates), batch, n_rec)),
    }
    for b, run in enumerate(runs):
        for k, group in run.groups.items():
            span, (origin, unit) = spans(d)[k], units[k]
            at = [states.index(name) if name in states else s for s, name in enumerate(group.states)]
            whole["state"][:, at, b, span] = (run.states[k] - origin) / unit
            square = np.ix_(range(n_steps), at, at)
            whole["implicit"][..., b, span][square] = group.implicit / unit[:, np.newaxis] * unit
            whole["observation"][:, at, b, span] = group.observation * unit
            whole["self_edge"][:, at, b, span] = group.self_edge / unit
            for g, names in enumerate(gates):
                drive = next((run.drives[k][m] for m in names if m in run.drives[k]), 0.0)
                whole["drive"][:, at, g, b, span] = drive / unit
    observable = np.stack([run.spikes for run in runs], axis=1)
    return [
        Step(observable=observable[t], **{name: values[t] for name, values in whole.items()})
        for t in range(n_steps)
    ]


def _check_agreement(problem, found):
    """Raise an error unless back-propagation along the steps is what Brian2 has found."""
    bptt = RULES["bptt"]
    gradient = problem.gradient(bptt.at_work(problem.network, np.random.default_rng(0)), bptt)
    for name, expected in found.items():
        computed = np.where(problem.network.mask_of(name), gradient[name][0], 0.0)
        difference, largest = np.abs(computed - expected).max(), np.abs(expected).max()
        if not difference <= TOLERANCE * largest:
            raise ArithmeticError(
                f"back-propagation along the steps of Brian2 differs from Brian2's own gradient "
                f"of '{name}' by {difference:.2g} of {largest:.2g}; this is an error of "
                "brian_eprop, please report it"
            )
