"""Networks that Brian2 runs, as the rules of the reference see them: RecurrentNetworks.

Brian2 runs every trial once; the engine ``credit`` records what a step's Jacobians are made of,
and `recorded_steps` has them from threshold to threshold. So the rules, which are written for any
units, have those of a user's own equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import evolve
from brian2 import StateMonitor
from numpy.typing import ArrayLike

from ..checks import ABOVE_0, FilePath, number
from ..learning.rule import BPTT
from ..network import RecurrentNetwork
from ..network.checked_model import TAU_STEPS, firing_scale, weight_unit
from ..network.model_check import time_step
from ..network.projections import BatchShape, blocks, spans
from ..network.reference_conversion import connections, reference_network
from ..network.runtime import RuntimeNetwork, numpy_runtime
from ..network.validation import checked_trials
from ..neurons.neuron_model import NeuronModel, load_model
from ..reference.problem import Problem
from .recorded_network import (
    RecordedNetwork,
    RecordedPopulation,
    RecordedRun,
    Units,
    at_threshold,
    check_agreement,
    own_units,
    steps_of,
)
from .recorded_steps import Arrival, RecordedGroup


@numpy_runtime()
def problem_in_brian2(
    network: RecurrentNetwork,
    inputs: ArrayLike,
    targets: ArrayLike,
    learning_window: ArrayLike | None = None,
) -> Problem:
    """Sequences that a network has run through in Brian2, with their loss.

    Each trial is run once, by Brian2's numpy target with float64. Lif and alif neurons have the
    states, and the parameters, of the reference. Others have those states of their model from which
    the threshold can be reached, each measured from its mean in its own standard deviations, so
    that no rule depends on whether they are in mV or pA. Trained parameters of neurons have their
    present values.

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
    d, weights = d.with_parameters(network.parameters), network.weights
    described = _described(d, weights)
    d = evolve(
        d,
        rule=BPTT(d.rule.surrogate, d.rule.reset_path),
        feedback="symmetric",
        feedback_decay=0.0,
    )
    running = RuntimeNetwork(d, BatchShape(1, inputs.shape[1], window), inputs[0], targets[0])
    monitors, runs = _monitors(running), []
    found: dict[str, Any] = {"w_in": 0.0, "w_rec": 0.0}
    for x, y in zip(inputs, targets, strict=True):
        results = running.run(weights, x[np.newaxis], y[np.newaxis])
        runs.append(_recorded(running, monitors, results["spikes"][0]))
        found = {name: total + results[name] for name, total in found.items()}
    if isinstance(described, dict):
        names = [p.model.name for p in d.populations]
        gates, units = [("w_in",), ("w_rec",)], own_units(runs)
        described = RecordedNetwork(**described, cell=Units.of(names, runs, *([g] for g in gates)))
    else:
        # inputs and recurrent spikes act alike on these neurons
        gates = [("w_in", "w_rec")]
        units = [(0.0, np.ones((len(p.group.states), 1))) for p in runs[0].populations]
        adaptive = any("a" in p.group.states for p in runs[0].populations)
        described = evolve(described, adaptive=adaptive)
    steps = steps_of(runs, described.cell.states, gates, units)
    sequences = (inputs[0], targets[0]) if single else (inputs, targets)
    problem = Problem(described, *sequences, window, steps=steps)
    check_agreement(problem.with_symmetric_feedback(), found)
    return problem


@numpy_runtime()
def network_of_model(
    model: NeuronModel | FilePath,
    inputs: ArrayLike,
    n_rec: int,
    n_out: int,
    *,
    density: float = 1.0,
    seed: int | Sequence[int] = 0,
) -> RecurrentNetwork:
    """A random network of one neuron model, with input weights at which the neurons fire.

    Input weights are exponential, recurrent ones normal; both as strong as the weakest inputs at
    which the neurons fire some times each in the first sequence, the latter divided by the root
    of the number that each neuron has. The time step is the one that the model suggests, and
    the readout has 20 of them.

    Parameters
    ----------
    model : NeuronModel, str or Path
        A model, its name, or the path of its file.
    inputs : (batch, T, n_in) bool array
    n_rec, n_out : int
    density : float
        Fraction of recurrent connections that exist, above 0 and at most 1.
    seed : int

    Returns
    -------
    RecurrentNetwork

    Raises
    ------
    ModelError
        If there is no such model.
    ValueError
        For a density that is none.
    """
    number("network_of_model: 'density'", density, "be above 0 and at most 1", ABOVE_0, 1.0)
    if not isinstance(model, NeuronModel):
        model = load_model(model)
    inputs, rng, dt = np.asarray(inputs, dtype=bool), np.random.default_rng(seed), time_step(model)
    w_in = rng.exponential(size=(inputs.shape[2], n_rec))
    scale = firing_scale(model, model.method, inputs[0], w_in, dt)
    mask = (rng.random((n_rec, n_rec)) < density) & ~np.eye(n_rec, dtype=bool)
    fan_in = max(mask.sum() / n_rec, 1)
    return RecurrentNetwork(
        model,
        inputs.shape[2],
        n_rec,
        n_out,
        dt=dt,
        tau_out=TAU_STEPS * dt,
        normalize=True,
        weights={
            "w_in": scale * w_in,
            "w_rec": scale / np.sqrt(fan_in) * rng.normal(size=(n_rec, n_rec)) * mask,
            "w_out": rng.normal(0, 1 / np.sqrt(n_rec), (n_rec, n_out)),
            "feedback": rng.normal(0, 1 / np.sqrt(n_rec), (n_out, n_rec)),
        },
        connectivity={"w_rec": mask},
        feedback="random",
    )


def _described(d, weights):
    """The SpikingNetwork of lif and alif neurons; of others what is the same for all units."""
    of_any = connections(d, weights)
    try:
        return reference_network(d, weights)
    except ValueError:
        return of_any


def _monitors(running):
    """{population: monitor} of the states that learning groups have at the threshold."""
    objects, monitors = running.assembly.objects, {}
    for k, _ in enumerate(running.description.populations):
        group = objects[f"population_{k}"]
        population = objects["readout"].learner.populations.get(group)
        if population is not None and population.learns:
            when, order = at_threshold(group)
            names, name = list(population.adjoint.states), f"{group.name}_states"
            monitors[k] = StateMonitor(group, names, True, when=when, order=order, name=name)
    running.assembly.network.add(*monitors.values())
    running.assembly.network.store("start")
    return monitors


def _recorded(running, monitors, spikes):
    objects, d = running.assembly.objects, running.description
    learner = objects["readout"].learner
    by_name = {pathway.synapses.name: pathway for pathway in learner.engine.pathways}
    groups, drives = {}, {k: {} for k in monitors}
    for k in monitors:
        groups[k] = RecordedGroup(learner.populations[objects[f"population_{k}"]], 0, len(spikes))
    for block in blocks(d, running.trials):
        if block.matrix in ("w_in", "w_rec") and block.matrix not in drives[block.post]:
            arrival = Arrival.of(by_name[block.name])
            unit = float(weight_unit(d.populations[block.post].model))
            drives[block.post][block.matrix] = unit * groups[block.post].drive(arrival)
    populations = []
    for k, monitor in monitors.items():
        # copies: from Brian2 2.10 on, what a monitor holds is gone with it
        courses = [np.array(getattr(monitor, f"{name}_").T) for name in groups[k].states]
        states = np.stack(courses, axis=1)
        populations.append(RecordedPopulation(spans(d)[k], groups[k], states, drives[k]))
    return RecordedRun(spikes.astype(float), populations)
