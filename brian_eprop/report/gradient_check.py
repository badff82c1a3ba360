"""Are the gradients of a trained network right? A short trial of its task, computed twice."""

import math
from dataclasses import dataclass, replace

import numpy as np

from .. import reference
from ..checking.comparison import Comparison
from ..constraints import MATRICES
from ..devices.runtime import numpy_runtime
from ..network import RecurrentNetwork
from ..types import Task

__all__ = ["GradientCheck", "check_gradients"]

#: The last steps of a trial, where its errors count, that are simulated.
STEPS = 500
#: Sums over steps and synapses in another order.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class GradientCheck:
    """What :func:`check_gradients` found.

    Attributes
    ----------
    against : str
        What the gradients were compared with; empty if there is nothing that knows the network.
    reason : str
        Why they are compared with that, or with nothing.
    order : int or inf
        Of the rule.
    steps, spikes : int
        Length of the trial, and spikes of all recurrent neurons in it.
    rows : tuple of Comparison
        The spikes, and the gradients of the weight matrices.
    """

    against: str
    reason: str
    order: float
    steps: int
    spikes: int
    rows: tuple[Comparison, ...]

    @property
    def passed(self) -> bool:
        """Whether there was something to compare with, and everything agrees."""
        return bool(self.rows) and all(row.passed for row in self.rows)


@numpy_runtime()
def check_gradients(network: RecurrentNetwork, task: Task, seed: int) -> GradientCheck:
    """Compute a network's gradients in Brian2, and once more without.

    Brian2 runs with its numpy target. The other gradients are those of the NumPy reference, with
    a simulation of its own; if it does not know the neurons, those of eligibility traces in
    Brian2, which are of order 1.

    Parameters
    ----------
    network : RecurrentNetwork
    task : object
        See :mod:`brian_eprop.tasks`.
    seed : int
        Of the trial; of a longer one the last 500 steps are taken.

    Returns
    -------
    GradientCheck
        Errors are relative to the largest entry; up to 1e-9 they pass.
    """
    inputs, targets = task.sample(np.random.default_rng([seed, 2]), 1)
    inputs, targets = inputs[0, -STEPS:], targets[0, -STEPS:]
    window = getattr(task, "learning_window", None)
    trial = (inputs, targets, None if window is None else min(window, len(inputs)))
    rule = network.description.rule
    against, reason = "the NumPy reference", ""
    try:
        same = network.reference_network()
        # No path crosses more synapses than there are steps.
        order = len(inputs) if rule.order == math.inf else rule.order
        expected = reference.gradients(
            same, *trial[:2], "eprop_reverse", trial[2], order=min(order, len(inputs))
        )
    except ValueError as error:
        reason = str(error)
        against, rule = "the eligibility traces in Brian2", replace(rule, order=1, engine="credit")
        try:
            network = _with_rule(network, rule)
            expected = _with_rule(network, replace(rule, engine="traces")).gradients(*trial)
        except ValueError as no_traces:
            return GradientCheck("", f"{reason}; {no_traces}", rule.order, len(inputs), 0, ())
    found = network.gradients(*trial)
    rows = [_spikes(found.spikes, expected.spikes)]
    rows += [_gradient(name, getattr(found, name), getattr(expected, name)) for name in MATRICES]
    spikes = int(found.spikes.sum())
    return GradientCheck(against, reason, rule.order, len(inputs), spikes, tuple(rows))


def _with_rule(network, rule):
    """The same network, weights only, with another rule."""
    d, weights = network.description, network.weights
    other = RecurrentNetwork.from_description(
        replace(d.with_parameters(network.parameters), rule=rule)
    )
    other.weights.update(weights)
    return other


def _spikes(found, expected):
    differ = int((found != expected).sum())
    reason = "" if found.any() else "no neuron fires"
    return Comparison("spikes", differ, 0.0, not reason and not differ, reason)


def _gradient(name, found, expected):
    largest = np.abs(expected).max()
    if largest == 0:
        return Comparison(name, math.nan, TOLERANCE, False, "the gradient is 0 throughout")
    error = float(np.abs(found - expected).max() / largest)
    return Comparison(name, error, TOLERANCE, error <= TOLERANCE)
