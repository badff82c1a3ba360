"""Training a network of the reference by any rule, an update per sequence or per step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from attrs import evolve, frozen

from ..checks import BELOW_1, Entry, number, one_of, whole_number
from ..learning.optimizers import Adam, Optimizer
from ..network.training import ended_by
from ..network.validation import checked_optimizer
from ..reference.losses import step_weights, task_error, task_loss
from ..reference.network import Network
from ..reference.problem import (
    AnyNetwork,
    Problem,
    as_network,
    as_targets,
    divergence_of,
    finite,
    read,
    readout_gradient,
)
from ..reference.rule import Signal
from ..reference.rules import rule_named
from ..reference.step import Simulation
from ..tasks import Task
from ..tasks.metrics import counted_steps

Updates: TypeAlias = Literal["sequence", "step"]


@frozen(eq=False)
class Training:
    """A finished training.

    Attributes
    ----------
    network : Network
        With the weights after the last update.
    task : Task
        Where the curriculum has come to.
    history : list of dict
        Entries as of :func:`brian_eprop.network.training.fit`: for each iteration its
        ``iteration``, ``loss`` (of the task, summed over time, averaged over the batch), ``metric``
        (if the task has one), and ``steps``, the length of the sequences.
    """

    network: Network
    task: Task
    history: list[Entry]


def train(
    network: AnyNetwork,
    task: Task,
    rule: str = "bptt",
    optimizer: Optimizer | None = None,
    iterations: int = 100,
    *,
    batch: int = 1,
    update: Updates = "sequence",
    adaptive_feedback: bool = False,
    decay: float = 0.0,
    seed: int = 0,
    callbacks: Sequence[Callable[[Entry], object]] = (),
    **options: Any,
) -> Training:
    """Train a network on a task.

    Parameters
    ----------
    network : SpikingNetwork or RateNetwork, or an object whose ``reference_network()`` returns one
        It is not changed. Its `feedback` is that of rules that have one.
    task : object
        See :mod:`brian_eprop.tasks`, and `TASKS` for those of the study.
    rule : str
        A key of `RULES`.
    optimizer : GradientDescent or Adam, optional
        Of :mod:`brian_eprop.learning.optimizers`. Default Adam(1e-3).
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
    callbacks : sequence of callable
        Each is called with the entry of every iteration, after its update; may raise
        `StopTraining` to end training.
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
    optimizer = checked_optimizer(optimizer, "train.optimizer") or Adam(1e-3)
    learner = _Learner(recursion, rule, optimizer, adaptive_feedback, decay)
    learn = learner.after_each_sequence if update == "sequence" else learner.in_each_step
    history: list[Entry] = []
    for iteration in range(iterations):
        inputs, targets = task.sample(trial_rng, batch)
        try:
            outputs, loss = learn(*_weighted(task, inputs, targets))
        except ArithmeticError as error:
            raise ArithmeticError(f"iteration {iteration}: {error}") from None
        entry = {"iteration": iteration, "loss": loss, "steps": outputs.shape[1]}
        if hasattr(task, "metric"):
            entry["metric"] = task.metric(outputs, targets)
        history.append(entry)
        if hasattr(task, "after"):
            task = task.after(entry["metric"])
        if ended_by(callbacks, entry):
            break
    return Training(learner.present_network(), task, history)


def _check(network, task, update, adaptive_feedback, decay, iterations):
    for name in ("n_in", "n_out", "loss"):
        of_network = getattr(network, name)
        of_task = getattr(task, name, of_network)
        if of_task != of_network:
            raise ValueError(
                f"train: the network has {name} = {of_network!r}, but the task {task!r} "
                f"{of_task!r}; make the network for the task"
            )
    one_of("train: 'update'", update, get_args(Updates))
    if update == "step" and network.rate_regularized:
        raise ValueError(
            "train: the firing rate of a trial is known at its end only; give update='sequence' or "
            "a network without 'rate_strength'"
        )
    if adaptive_feedback and network.feedback is None:
        raise ValueError(
            "train: adaptive feedback needs weights to begin with; give the network a 'feedback'"
        )
    number("train: 'decay'", decay, "be a fraction ≥ 0, below 1", high=BELOW_1)
    whole_number("train: 'iterations'", iterations, 0)


def _weighted(task, inputs, targets):
    """A batch of a task as the reference takes it: every step with its weight, 0 or 1."""
    unanswered = np.isnan(targets)
    weight = counted_steps(task, targets).astype(float)
    # rules that look at targets see equal ones where there is no answer
    return np.asarray(inputs, float), np.where(unanswered, 1 / targets.shape[-1], targets), weight


class _Learner:
    """A network whose weights change, the rule at work on it, and the optimizer."""

    def __init__(self, recursion, rule, optimizer, adaptive_feedback, decay):
        self.recursion, self.rule, self.optimizer = recursion, rule, optimizer
        self.network = network = recursion.network
        self.adaptive, self.decay = adaptive_feedback, decay
        self.weights = dict(network.parameters)
        if adaptive_feedback:
            self.weights["feedback"] = network.feedback
        #: What the optimizer remembers, by the names of the weights.
        self.moments = {name: {} for name in self.weights}
        self.updates = 0

    def present_network(self):
        """The network with the present weights."""
        shaped = {
            name: array.reshape(np.shape(getattr(self.network, name)))
            for name, array in self.weights.items()
        }
        return evolve(self.network, **shaped)

    def after_each_sequence(self, inputs, targets, weight):
        """Learn from whole sequences, and return outputs and loss."""
        problem = Problem(self.present_network(), inputs, targets, weight)
        loss = float(np.mean(problem.loss))
        _check_loss(loss, problem.n_steps - 1)
        gradient = problem.gradient(self.recursion, self.rule) | problem.readout_gradient()
        self._update(gradient, problem.batch)
        return problem.y, loss

    def in_each_step(self, inputs, targets, weight):
        """Learn while sequences go on, and return outputs and loss."""
        network, (batch, n_steps) = self.network, weight.shape
        weight = step_weights(network, weight, batch, n_steps)
        targets = as_targets(network, targets, inputs.shape, False, weight)
        forced = network.forced(targets, weight)
        simulation, outputs, loss = Simulation(network, batch), [], 0.0
        no_rate = np.zeros((batch, network.n_rec))
        self.recursion.start(batch)
        for t in range(n_steps):
            simulation.step(inputs[:, t], self.weights)
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
        if self.adaptive and "w_out" in gradient:
            gradient["feedback"] = gradient["w_out"].T
        for name, array in gradient.items():
            if name not in self.weights or array.shape != self.weights[name].shape:
                raise ValueError(
                    f"rule '{self.rule.name}': the gradient of '{name}' has the shape "
                    f"{array.shape}, but the weights are "
                    f"{ {name: weight.shape for name, weight in self.weights.items()} }"
                )
        self.updates += 1
        for name, weight in self.weights.items():
            step = gradient.get(name, np.zeros_like(weight))
            step = self.optimizer.step(step, self.moments[name], self.updates)
            self.weights[name] = weight - step
        for name in ("w_out", "feedback"):
            if self.decay and name in self.weights:
                self.weights[name] = (1 - self.decay) * self.weights[name]


def _check_loss(loss, t):
    if not np.isfinite(loss):
        raise ArithmeticError(
            f"the loss became {loss} at step {t}; make the learning rate or the weights smaller"
        )
