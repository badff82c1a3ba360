"""Training a network by any rule, an update per sequence or per step, with optimizers of arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from ..reference.forward import Simulation
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
from .task import Task

#: Arrays by the names of the weights.
Weights: TypeAlias = dict[str, np.ndarray]
#: parameter → lowest value, value below which it must stay, usual value
RANGES = {
    "learning_rate": (0, np.inf, 0.01),
    # a mean that decays by a factor of 1 never forgets
    "momentum": (0, 1, 0.9),
    "b1": (0, 1, 0.9),
    "b2": (0, 1, 0.999),
    # Adam divides by √s + ε, and s is 0 where every gradient was
    "eps": (np.finfo(float).tiny, np.inf, 1e-8),
}


class Optimizer:
    """
    A rule by which gradients change weights.

    ``start(weights)`` returns the state before the first update,
    ``update(weights, gradient, state)`` new weights and a new state. Weights and gradient are
    dicts of the same names to arrays of the same shapes.
    """

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            lowest, limit, usual = RANGES[field.name]
            try:
                number = float(value)
            except (TypeError, ValueError):
                number = np.nan
            if not lowest <= number < limit:
                raise ValueError(
                    f"{type(self).__name__}.{field.name} = {value!r} must be a number ≥ "
                    f"{lowest:g} and < {limit:g}; {usual:g} is usual"
                )
            object.__setattr__(self, field.name, number)

    def _check(self, weights, gradient):
        for name in sorted(weights.keys() ^ gradient.keys()):
            missing = "gradient" if name in weights else "weights"
            raise ValueError(
                f"{type(self).__name__}.update: '{name}' is not in the {missing}; give every "
                "weight its gradient, of 0 where it is to stay"
            )
        for name, weight in weights.items():
            if np.shape(gradient[name]) != np.shape(weight):
                raise ValueError(
                    f"{type(self).__name__}.update: the gradient of '{name}' has the shape "
                    f"{np.shape(gradient[name])}, which must be {np.shape(weight)}, that of the "
                    "weight; sum it over trials and steps first"
                )


@dataclass(frozen=True)
class SGD(Optimizer):
    """
    Gradient descent with momentum: v ← μ v + g, w ← w − η v, with v = 0 at the start.

    Parameters
    ----------
    learning_rate : float
        η. It multiplies v, as in PyTorch, not g.
    momentum : float
        μ, below 1; 0 is plain gradient descent.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or weights and gradient do not match.

    References
    ----------
    Sutskever, Martens, Dahl & Hinton (2013), ICML, eqs 1–2, with η moved from g to v.
    """

    learning_rate: float
    momentum: float = 0.0

    def start(self, weights: Weights) -> Weights:
        """Velocities of 0, a dict like the weights."""
        return {name: np.zeros_like(w, dtype=float) for name, w in weights.items()}

    def update(
        self, weights: Weights, gradient: Weights, state: Weights
    ) -> tuple[Weights, Weights]:
        """New weights and new velocities."""
        self._check(weights, gradient)
        velocity = {name: self.momentum * state[name] + gradient[name] for name in weights}
        stepped = {name: w - self.learning_rate * velocity[name] for name, w in weights.items()}
        return stepped, velocity


class AdamState(NamedTuple):
    """
    What Adam remembers from update to update.

    Attributes
    ----------
    updates : int
        How many there have been.
    m, s : dict of str to ndarray
        Means of the gradient and of its square, 0 at the start.
    """

    updates: int
    m: Weights
    s: Weights


@dataclass(frozen=True)
class Adam(Optimizer):
    """
    Adam in TensorFlow's form, with ε outside the bias correction.

    ::

        m ← β₁ m + (1 − β₁) g,   s ← β₂ s + (1 − β₂) g²
        w ← w − η √(1 − β₂ⁿ)/(1 − β₁ⁿ) · m/(√s + ε)

    in the n-th update. PyTorch adds ε to √(s/(1 − β₂ⁿ)) instead, which differs while n is
    small and g is not large against ε.

    Parameters
    ----------
    learning_rate : float
        η.
    b1, b2 : float
        β₁ and β₂, below 1.
    eps : float
        ε.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or weights and gradient do not match.

    References
    ----------
    Kingma & Ba (2015), arXiv 1412.6980, the reordered form at the end of §2; there ε is
    called ε-hat.
    """

    learning_rate: float
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def start(self, weights: Weights) -> AdamState:
        """An `AdamState` before any update."""
        zeros = {name: np.zeros_like(w, dtype=float) for name, w in weights.items()}
        return AdamState(0, zeros, zeros)

    def update(
        self, weights: Weights, gradient: Weights, state: AdamState
    ) -> tuple[Weights, AdamState]:
        """New weights and a new `AdamState`."""
        self._check(weights, gradient)
        n = state.updates + 1
        m = {k: self.b1 * state.m[k] + (1 - self.b1) * gradient[k] for k in weights}
        s = {k: self.b2 * state.s[k] + (1 - self.b2) * np.square(gradient[k]) for k in weights}
        rate = self.learning_rate * np.sqrt(1 - self.b2**n) / (1 - self.b1**n)
        stepped = {k: w - rate * m[k] / (np.sqrt(s[k]) + self.eps) for k, w in weights.items()}
        return stepped, AdamState(n, m, s)


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
        An object of `brian_eprop.rule_study.task`, or one with the same attributes.
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
