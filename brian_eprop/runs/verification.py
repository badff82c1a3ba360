"""Checks from the command line: the network of a user's script, and gradients of a trained network.

The script is run up to its first run with a learner, which is checked instead. The gradients are
those of a short trial of the network's task, computed twice.
"""

import math

import numpy as np
from attrs import evolve, frozen

from .. import reference
from ..checking.own_network import check_network, instead_of_learning
from ..checking.report import NetworkCheck
from ..checks import FilePath
from ..network import RecurrentNetwork
from ..network.constraints import MATRICES
from ..network.model_check import CheckedQuantity
from ..network.runtime import numpy_runtime
from ..tasks import Task


def check_script(path: FilePath, synapses: int = 20, seed: int = 0) -> NetworkCheck:
    """Run a script, and check the learner of its first run that has one.

    Parameters
    ----------
    path : str or Path
        Is run as ``__main__``; what it does before that run, it does.
    synapses, seed : int
        As for :meth:`Learner.check`.

    Returns
    -------
    NetworkCheck

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file; or its runs contain no learner.
    """

    def check(learner, network, duration, namespace, level):
        length = duration if learner.trial is None else None
        return check_network(learner, length, network, synapses, seed, namespace, level)

    return instead_of_learning(path, "to check", check)


#: The last steps of a trial, where its errors count, that are simulated.
STEPS = 500
#: Sums over steps and synapses in another order.
TOLERANCE = 1e-9


@frozen
class GradientCheck:
    """The gradients of a network against those of a second computation, by weight matrix.

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
    rows : tuple of CheckedQuantity
        The spikes, and the gradients of the weight matrices.
    """

    against: str
    reason: str
    order: float
    steps: int
    spikes: int
    rows: tuple[CheckedQuantity, ...]

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
    # a part of a trial may be shorter than delays may come to be
    network = _with_rule(network, rule)
    against, reason = "the NumPy reference", ""
    try:
        if not rule.complete:
            raise ValueError(f"the reference is asked for e-prop, not for {rule.title}")
        same = network.reference_network()
        # No path crosses more synapses than there are steps.
        order = len(inputs) if rule.order == math.inf else rule.order
        expected = reference.gradients(
            same, *trial[:2], "eprop_reverse", trial[2], order=min(order, len(inputs))
        )
    except ValueError as error:
        reason = str(error)
        against = "the eligibility traces in Brian2"
        try:
            of_traces = rule.with_engine("traces")
            rule = of_traces.with_engine("credit")
            network = _with_rule(network, rule)
            expected = _with_rule(network, of_traces).gradients(*trial)
        except ValueError as no_traces:
            return GradientCheck("", f"{reason}; {no_traces}", rule.order, len(inputs), 0, ())
    computed = network.gradients(*trial)
    rows = [_spikes(computed.spikes, expected.spikes)]
    rows += [_gradient(name, getattr(computed, name), getattr(expected, name)) for name in MATRICES]
    spikes = int(computed.spikes.sum())
    return GradientCheck(against, reason, rule.order, len(inputs), spikes, tuple(rows))


def _with_rule(network, rule):
    """The same network, weights only, with another rule."""
    d, weights = network.description, network.weights
    other = RecurrentNetwork.from_description(
        evolve(d.with_parameters(network.parameters), rule=rule)
    )
    other.weights.update(weights)
    return other


def _spikes(computed, expected):
    """The row of the spikes, which must be the same."""
    differ = int((computed != expected).sum())
    reason = "" if computed.any() else "no neuron fires"
    return CheckedQuantity("spikes", differ, 0.0, not reason and not differ, reason)


def _gradient(name, computed, expected):
    """The row of a gradient: its error relative to the largest entry."""
    largest = np.abs(expected).max()
    if largest == 0:
        return CheckedQuantity(name, math.nan, TOLERANCE, False, "the gradient is 0 throughout")
    error = float(np.abs(computed - expected).max() / largest)
    return CheckedQuantity(name, error, TOLERANCE, error <= TOLERANCE)
