"""Problems on which rules are compared as recursions, below `gradients`."""

from __future__ import annotations

import numpy as np
import pytest
from attrs import evolve
from cell_networks import ALL, SPIKING, cell_network, cell_task

from brian_eprop.reference import RULES
from brian_eprop.reference.problem import Problem

NETWORKS = (
    {"kappa": 0.0},
    {"kappa": 0.8, "loss": "cross_entropy"},
    {"kappa": 0.7, "density": 0.5, "readout_gain": 0.3},
)

DELAYED = {"delay_rec": np.arange(25).reshape(5, 5) % 3}

every_network = pytest.mark.parametrize("options", NETWORKS)
every_cell = pytest.mark.parametrize("name", ALL)


def problem_of(name, seed=1, n_steps=12, batch=2, **options):
    """A random network of a cell and what it has run through."""
    network = cell_network(name, seed, **options)
    problem = Problem(network, *cell_task(network, seed, batch, n_steps))
    assert_active(problem)
    return problem


def assert_active(problem):
    """In a silent network all rules agree."""
    if problem.network.cell.name in SPIKING:
        assert sum(np.sum(step.observable) for step in problem.steps) > 5
        assert sum(np.sum(step.memory.psi) for step in problem.steps) > 1


def vector(problem, gradient):
    """The weights of the recurrent layer that exist, side by side."""
    blocks = problem.network.blocks.items()
    return np.concatenate([np.ravel(gradient[name] * block.mask) for name, block in blocks])


def at_work(problem, rule, seed=0, **options):
    return RULES[rule].at_work(problem.network, np.random.default_rng(seed), **options)


def gradient(problem, rule, seed=0, repetitions=1, **options):
    """As a vector, through the true weights of the readout."""
    recursion = at_work(problem, rule, seed, **options)
    signal = evolve(RULES[rule], uses_feedback=False)
    for _ in range(repetitions):
        found = problem.gradient(recursion, signal)
    return vector(problem, found)


def credits_of(problem):
    """∂E^t/∂c^t of every step, through the true weights of the readout."""
    learning = problem.learning_signal(False)
    return [step.readout * learning[:, t] for t, step in enumerate(problem.steps)]


def distance(a, b):
    """‖a − b‖/‖b‖; b must not vanish."""
    norm = np.linalg.norm(b)
    assert norm > 0, "the gradient vanishes: nothing is compared"
    return np.linalg.norm(a - b) / norm
