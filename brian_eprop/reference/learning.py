"""Training a network by any rule, an update per sequence or per step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from .forward import Simulation
from .losses import step_weights, task_error, task_loss
from .networks.network import Network
from .optimizers import Adam, Optimizer
from .problem import Problem, divergence_of, finite, read, readout_gradient
from .rule import Signal
from .rules import rule_named
from .tasks.task import Task
from .validation import AnyNetwork, as_network, as_targets

__all__ = ["Training", "train"]

UPDATES = ("sequence", "step")


@dataclass(frozen=True, eq=False)
class Training:
    """A finished training.

    Attributes
    ----------
    network : Network
        With the weights after the last update.
    task : Task
        Where the curriculum has come to.
    history : list of dict
        For each iteration its ``iteration``, ``loss`` (of the task, summed over time, averaged
        over the batch), ``score`` (``task.score``), and ``steps``, the length of the sequences.
    """

    network: Network
    task: Task
    history: list[dict[str, Any]]


def train(
    network: AnyNetwork,
    task: Task,
    rule: str = "bptt",
    optimizer: Optimizer | None = None,
    iterations: int = 100,
    *,
    batch: int = 1,
    update: Literal["sequence", "step"] = "sequence",
    adaptive_feedback: bool = False,
    decay: float = 0.0,
    seed: int = 0,
    callback: Callable[[dict[str, Any]], object] | None = None,
    **options: Any,
) -> Training:
    """Train a network on a task.

    Parameters
    ----------
    network : SpikingNetwork or RateNetwork, or an object whose ``reference_network()`` returns one
        It is not changed. Its `feedback` is that of rules that have one.
    task : Task
        An object of `brian_eprop.reference.tasks`, or one with the same attributes.
    rule : str
        A key of `RULES`.
    optimizer : SGD or Adam, optional
        Default Adam(1e-3).
    iterations : int
        Number of batches of sequences.
    batch : int
        Sequences in a batch; the gradient is their average.
    update : {"sequence", "step"}
        Whether the weights change after each batch of sequences, or in every step in which the
        rule knows something of the gradient. The rule then sees weights that change under it, as
        in Williams & Zipser 1989.
    adaptive_feedback : bool
        Let the feedback weights B receive the same gradient as w_out (Kolen & Pollack 1994;
        adaptive e-prop of Bellec et al. 2020). The network must have a `feedback` to begin with.
    decay : float
        Fraction by which each update shrinks w_out, and adaptive feedback weights too.
    seed : int
        Of the sequences and of stochastic rules; each has a stream of its own.
    callback : function, optional
        Called with each entry of the history.
    **options
        Options of the rule.

    Returns
    -------
    Training

    Raises
    ------
    ValueError
        Unknown rule or option, a task that does not fit the network, values out of range.
    ArithmeticError
        If loss or gradient become non-finite, with iteration and step.
    """
    network = as_network(network)
    rule = rule_named(rule)
    _check(network, task, update, adaptive_feedback, decay, iterations)
    trial_rng, rule_rng = np.random.default_rng(seed).spawn(2)
    recursion = rule.at_work(network, rule_rng, **options)
    learner = _Learner(recursion, rule, optimizer or Adam(1e-3), adaptive_feedback, decay)
    history = []
    for iteration in range(iterations):
        trials = task.sample(trial_rng, batch)
        try:
            outputs, loss = (
                learner.after_each_sequence(trials)
                if update == "sequence"
                else learner.in_each_step(trials)
            )
        except ArithmeticError as error:
            raise ArithmeticError(f"iteration {iteration}: {error}") from None
        score = task.score(outputs, trials)
        entry = {"iteration": iteration, "loss": loss, "score": score, "steps": outputs.shape[1]}
        history.append(entry)
        if callback is not None:
            callback(entry)
        task = task.after(score)
    return Training(learner.present_network(), task, history)


def _check(network, task, update, adaptive_feedback, decay, iterations):
    for name in ("n_in", "n_out", "loss"):
        wanted, found = getattr(task, name), getattr(network, name)
        if wanted != found:
            raise ValueError(
                f"train: the network has {name} = {found!r}, but the task '{task.name}' "
                f"{wanted!r}; make the network for the task"
            )
    if update not in UPDATES:
        raise ValueError(f"train: 'update' is {update!r}; give one of 'sequence' and 'step'")
    if update == "step" and network.rate_regularized:
        raise ValueError(
            "train: the firing rate of a trial is known at its end only; give update='sequence' or "
            "a network without 'rate_strength'"
        )
    if adaptive_feedback and network.feedback is None:
        raise ValueError(
            "train: adaptive feedback needs weights to begin with; give the network a 'feedback'"
        )
    if not 0 <= decay < 1:
        raise ValueError(f"train: 'decay' is {decay!r}; give a fraction of 0 or more, below 1")
    if isinstance(iterations, bool) or iterations != int(iterations) or iterations < 0:
        raise ValueError(f"train: 'iterations' is {iterations!r}; give a whole number, 0 or more")


class _Learner:
    """A network whose weights change, the rule at work on it, and the optimizer."""

    def __init__(self, recursion, rule, optimizer, adaptive_feedback, decay):
        self.recursion, self.rule, self.optimizer = recursion, rule, optimizer
        self.network = network = recursion.network
        self.adaptive, self.decay = adaptive_feedback, decay
        self.weights = dict(network.parameters)
        if adaptive_feedback:
            self.weights["feedback"] = network.feedback
        self.optimizer_state = optimizer.start(self.weights)

    def present_network(self):
        """The network with the present weights."""
        shaped = {
            name: array.reshape(np.shape(getattr(self.network, name)))
            for name, array in self.weights.items()
        }
        return replace(self.network, **shaped)

    def after_each_sequence(self, trials):
        """Learn from whole sequences, and return outputs and loss."""
        problem = Problem(self.present_network(), trials.inputs, trials.targets, trials.weight)
        loss = float(np.mean(problem.loss))
        _check_loss(loss, problem.n_steps - 1)
        gradient = problem.gradient(self.recursion, self.rule) | problem.readout_gradient()
        self._update(gradient, problem.batch)
        return problem.y, loss

    def in_each_step(self, trials):
        """Learn while sequences go on, and return outputs and loss."""
        network, (batch, n_steps) = self.network, trials.weight.shape
        weight = step_weights(network, trials.weight, batch, n_steps)
        targets = as_targets(network, trials.targets, trials.inputs.shape, False, weight)
        forced = network.forced(targets, weight)
        simulation, outputs, loss = Simulation(network, batch), [], 0.0
        no_rate = np.zeros((batch, network.n_rec))
        self.recursion.start(batch)
        for t in range(n_steps):
            simulation.step(trials.inputs[:, t], self.weights)
            if forced is not None:
                simulation.force(forced[t])
            step = simulation.last
            y, counts = read(step, self.weights), weight[:, t]
            loss += float(np.mean(task_loss(network, y, targets[:, t], counts)))
            _check_loss(loss, t)
            error = task_error(network, y, targets[:, t], counts)
            learning = error @ self._feedback()
            signal = Signal(error, targets[:, t], learning, no_rate, counts)
            with divergence_of(self.rule):
                gradient = finite(self.recursion.step(step, signal), t)
            of_readout = readout_gradient(network, step, error)
            self._update((gradient or {}) | of_readout, batch)
            outputs.append(y)
        with divergence_of(self.rule):
            rest = finite(self.recursion.finish(), n_steps - 1)
        self._update(rest or {}, batch)
        return np.stack(outputs, axis=1), loss

    def _feedback(self):
        if self.rule.uses_feedback and self.network.feedback is not None:
            return self.weights.get("feedback", self.network.feedback)
        return self.weights.get("w_out", self.network.w_out).T

    def _update(self, gradient, batch):
        """One step of the optimizer; a gradient that is 0 everywhere says nothing."""
        gradient = {
            name: np.where(self.network.mask_of(name), array, 0.0) / batch
            for name, array in gradient.items()
        }
        if not any(np.any(array) for array in gradient.values()):
            return
        nothing = {name: np.zeros_like(array) for name, array in self.weights.items()}
        if self.adaptive and "w_out" in gradient:
            gradient["feedback"] = gradient["w_out"].T
        self.weights, self.optimizer_state = self.optimizer.update(
            self.weights, nothing | gradient, self.optimizer_state
        )
        for name in ("w_out", "feedback"):
            if self.decay and name in self.weights:
                self.weights[name] = (1 - self.decay) * self.weights[name]


def _check_loss(loss, t):
    if not np.isfinite(loss):
        raise ArithmeticError(
            f"the loss became {loss} at step {t}; make the learning rate or the weights smaller"
        )
