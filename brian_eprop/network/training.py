"""The training loop, and when it ends before its last iteration.

That is judged from the history alone. A history read from a file leads to the same decision as one
in memory: training that is resumed stops where training without a break does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from brian2 import Hz, Quantity
from numpy.typing import ArrayLike

from ..checks import (
    ABOVE_0,
    Entry,
    Floats,
    check_seed,
    check_unit,
    number,
    shown,
    whole_number,
)
from .training_state import check_present
from .validation import entries_of
from .workers import Workers

#: Iterations over which the metric is averaged (the published criterion of evidence
#: accumulation: ten batches).
AVERAGED = 10
#: Iterations in a row in which no neuron fires, or rates are too high: a regularizer may still
#: bring a network back.
SILENT_FOR, RUNAWAY_FOR = 20, 10


def check_criteria(goal, max_rate):
    """Raise an error for a goal that is no number, or a rate that is none above 0."""
    if goal is not None:
        number("goal", goal, "be a number", low=-np.inf, high=np.inf)
    check_unit("max_rate", max_rate, Hz, "200*Hz")
    number("max_rate", max_rate, "be one rate above 0", ABOVE_0, np.inf, any_unit=True)


def goal_reached(history, goal):
    """Whether the mean metric of the last ten iterations is below the goal."""
    recent = [entry["metric"] for entry in history[-AVERAGED:]]
    return len(recent) == AVERAGED and float(np.mean(recent)) < goal


def out_of_patience(history, patience):
    """Whether the last ``patience`` validations were no better than the best before them."""
    validations = [entry["validation"] for entry in history if "validation" in entry]
    recent, before = validations[-patience:], validations[:-patience]
    return bool(before) and min(recent) >= min(before)


def diagnosis(history, max_rate):
    """What has gone wrong with training, in words; None if nothing has.

    Parameters
    ----------
    history : list of dict
    max_rate : float
        In spikes per second.
    """
    last = history[-1]
    if not np.isfinite(last["loss"]):
        return (
            f"the loss is {last['loss']} in iteration {last['iteration']}: training has diverged; "
            "use a smaller learning rate"
        )
    if _streak(history, _silent) >= SILENT_FOR:
        return (
            f"no neuron has fired since iteration {history[-SILENT_FOR]['iteration']}: the network "
            "is silent; use larger initial weights, a smaller learning rate, or a "
            "FiringRateRegularizer"
        )
    if _streak(history, lambda entry: entry["rate"] > max_rate) >= RUNAWAY_FOR:
        return (
            f"the mean rate is {last['rate']:.0f} spikes/s, above max_rate = {max_rate:g} since "
            f"iteration {history[-RUNAWAY_FOR]['iteration']}: activity runs away; use a smaller "
            "learning rate, weaker weights, or a FiringRateRegularizer"
        )
    return None


def last_fine(history, max_rate):
    """Whether the last iteration was neither silent nor above the rate."""
    return not _silent(history[-1]) and not history[-1]["rate"] > max_rate


def _silent(entry):
    return entry["rate"] == 0


def _streak(history, condition):
    """How many entries at the end meet a condition."""
    count = 0
    while count < len(history) and condition(history[-1 - count]):
        count += 1
    return count


#: What distinguishes the trials of a split from those of any iteration.
SPLITS = {"validation": 2**32 - 1, "test": 2**32 - 2}


class StopTraining(Exception):
    """Raised by a callback to end training after the present iteration; it is no error."""


def ended_by(callbacks, entry):
    """Whether a callback ends training, when all are called with the entry of an iteration."""
    try:
        for callback in callbacks:
            callback(entry)
    except StopTraining:
        return True
    return False


class TrainingDiverged(FloatingPointError):
    """Training has gone wrong; the message says how, and the network has its last good weights."""


class TrialSource(Protocol):
    """What a network can be trained on, see :mod:`brian_eprop.tasks`."""

    def sample(self, rng: np.random.Generator, batch: int) -> tuple[ArrayLike, ArrayLike]:
        """Inputs (batch, T, n_in) and targets (batch, T, n_out)."""


class Judge(Protocol):
    """What tells how good outputs are."""

    def metric(self, outputs: Floats, targets: Floats) -> float:
        """One number, lower for better outputs."""


class Alignment(Protocol):
    """What measures rules while a network trains, a ``brian_eprop.rule_study.AlignmentMonitor``."""

    def due(self, iteration: int) -> bool:
        """Whether it measures in an iteration."""

    def of_network(
        self, network: Any, inputs: Any, targets: Any, learning_window: int | None = None
    ) -> Entry:
        """What it adds to the entry of an iteration."""

    def of_learner(self, learner: Any, network: Any, namespace: Any, number: int) -> Entry:
        """The same for one's own network."""


class TrainableNetwork(Protocol):
    """The network that is trained, a :class:`~brian_eprop.network.recurrent.RecurrentNetwork`."""

    optimizer: Any
    state: Any

    @property
    def updates(self) -> int:
        """Number of updates so far."""

    @property
    def description(self) -> Any:
        """The network without its weights."""

    def apply(self, gradients: Any) -> None:
        """Update weights and trained parameters."""


def fit(
    network: TrainableNetwork,
    task: TrialSource,
    iterations: int,
    batch_size: int = 1,
    callbacks: Sequence[Callable[[Entry], object]] = (),
    seed: int | None = None,
    *,
    workers: int = 1,
    threads: int = 1,
    goal: float | None = None,
    evaluate_every: int | None = None,
    evaluation_trials: int = 64,
    patience: int | None = None,
    max_rate: Quantity = 200 * Hz,
    previous: Sequence[Entry] = (),
    alignment: Alignment | None = None,
) -> list[Entry]:
    """Train a network on a task.

    Parameters
    ----------
    network : RecurrentNetwork
        With an optimizer. Its weights and trained parameters change.
    task : object
        With ``sample(rng, batch) → inputs (batch, T, n_in), targets (batch, T, n_out)``.
        Optional: ``learning_window``, the number of last steps that count;
        ``metric(outputs, targets)``, a number that is lower for a better network;
        ``held_out(split) → inputs, targets`` of "validation" and "test".
    iterations : int
        At most so many updates.
    batch_size : int
        Trials per update.
    callbacks : sequence of callable
        Each is called with the entry of every iteration, after its update; may raise
        :class:`StopTraining`.
    seed : int, optional
        Of the trials. Those of an iteration depend on the seed and on the number of updates
        that the network has had: training that is continued, from a saved network too, is the
        same as training without a break.
    workers : int
        Processes among which the trials of a batch are divided; −1 for as many as joblib's
        backend has. The result is the same to the last bit for any number, on processors of one
        kind.
    threads : int
        Compiled programs that compute parts of a batch at once, without further processes of
        Python; see :meth:`RecurrentNetwork.gradients`.
    goal : float, optional
        Training ends when the mean of the task's metric over the last ten iterations is below.
        Trials that are drawn anew in each iteration are seen for the first time.
    evaluate_every : int, optional
        After so many updates the metric of trials that are not learned from is found: the
        task's ``held_out("validation")``, or ``evaluation_trials`` drawn once.
    evaluation_trials : int
    patience : int, optional
        Training ends when so many evaluations in a row were no better than the best before.
    max_rate : Quantity
        A mean rate above it in ten iterations in a row is taken for runaway activity.
    previous : sequence of dict
        Entries of iterations before, for training that is continued.
    alignment : AlignmentMonitor, optional
        Of `brian_eprop.rule_study`: how rules point along the gradient of back-propagation, on the
        trials of every so many iterations, before their update.

    Returns
    -------
    list of dict
        One entry per iteration: ``iteration`` (updates before it), ``loss`` (of the task),
        ``regularization``, ``rate`` (mean, in spikes per second), ``metric`` (if the task has
        one), ``validation`` (the metric after the update, where it was found), ``seconds``
        (since the start). Loss, rate and metric are those before the update of the iteration.

    Raises
    ------
    TrainingDiverged
        If loss or weights are no longer finite, a parameter is out of its range, no neuron has
        fired for 20 iterations, or activity runs away. Network and optimizer are then in the
        state of the last update before the trouble began.
    ValueError, DimensionMismatchError
        If the network has no optimizer, an argument is out of range, or the task's arrays do
        not fit the network.
    """
    check_present(network.optimizer)
    check_task(task, "sample")
    whole_number("iterations", iterations)
    whole_number("batch_size", batch_size)
    whole_number("evaluation_trials", evaluation_trials)
    for name, value in (("evaluate_every", evaluate_every), ("patience", patience)):
        if value is not None:
            whole_number(name, value)
    if patience is not None and evaluate_every is None:
        raise ValueError(
            f"patience = {patience} counts evaluations, but there are none; give evaluate_every"
        )
    for name, value in (("goal", goal), ("evaluate_every", evaluate_every)):
        if value is not None and not hasattr(task, "metric"):
            raise ValueError(f"{name} = {value} is about the metric of the task, which has none")
    callbacks = entries_of("callbacks", callbacks, Callable, "function of an entry", "print")
    previous = entries_of(
        "previous",
        previous,
        dict,
        "entry of a history",
        "the list that an earlier fit has returned",
    )
    check_seed("seed", seed)
    check_alignment(alignment)
    check_criteria(goal, max_rate)
    max_rate = float(Quantity(max_rate) / Hz)
    entropy = np.random.SeedSequence(seed).entropy
    history, good = list(previous), network.state
    first, start = len(history), time.perf_counter()
    before = history[-1]["seconds"] if history else 0.0

    with Workers(network, workers, threads) as pool:
        for _ in range(iterations):
            try:
                entry, gradients = _iteration(pool, task, batch_size, entropy, alignment)
            except FloatingPointError as error:
                network.state = good
                raise TrainingDiverged(
                    f"{error}: training has diverged; use a smaller learning rate"
                ) from error
            history.append(entry)
            wrong = diagnosis(history, max_rate)
            if wrong is not None:
                network.state = good
                raise TrainingDiverged(wrong)
            if last_fine(history, max_rate):
                good = network.state
            try:
                network.apply(gradients)
            except FloatingPointError as error:
                raise TrainingDiverged(str(error)) from error
            if evaluate_every and network.updates % evaluate_every == 0:
                held_out = held_out_trials(task, "validation", evaluation_trials, entropy)
                entry["validation"] = evaluate(pool, task, *held_out)
            entry["seconds"] = before + time.perf_counter() - start
            if ended_by(callbacks, entry):
                break
            if goal is not None and goal_reached(history, goal):
                break
            if patience is not None and out_of_patience(history, patience):
                break
    return history[first:]


def check_alignment(alignment):
    """Raise TypeError for what cannot measure the alignment of rules."""
    if alignment is not None and not hasattr(alignment, "of_network"):
        raise TypeError(
            f"fit.alignment = {alignment!r} is no monitor; give "
            "AlignmentMonitor([EProp(), EProp(order=2)]) of brian_eprop.rule_study"
        )


def check_task(task, method):
    """Raise TypeError for a task that lacks a method."""
    if not callable(getattr(task, method, None)):
        raise TypeError(
            f"task = {task!r} has no method '{method}'; give a task of brian_eprop.tasks, or an "
            "object like one"
        )


def check_sizes(task, inputs, targets, description):
    """Raise ValueError for a task whose arrays have other sizes than the network."""
    shapes, sizes = (np.shape(inputs), np.shape(targets)), (description.n_in, description.n_out)
    if any(len(s) != 3 or s[-1] != size for s, size in zip(shapes, sizes, strict=True)):
        raise ValueError(
            f"the task '{type(task).__name__}' has inputs of the shape {shapes[0]} and targets of "
            f"the shape {shapes[1]}, but the network is for (batch, T, n_in = {sizes[0]}) and "
            f"(batch, T, n_out = {sizes[1]}); make their sizes agree"
        )


def drawn(task, rng, batch):
    """Inputs and targets of so many trials of a task, which may be a user's own.

    Raises
    ------
    TypeError
        If the task draws something else.
    ValueError
        For another number of trials.
    """
    pair = task.sample(rng, batch)
    name = f"{type(task).__name__}.sample"
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(
            f"'{name}' returned {shown(pair)}; expected two arrays, inputs (batch, T, n_in) and "
            "targets (batch, T, n_out)"
        )
    found = tuple(len(array) if np.ndim(array) else None for array in pair)
    if found != (batch, batch):
        raise ValueError(
            f"'{name}' was asked for {batch} trials and returned inputs of the shape "
            f"{np.shape(pair[0])} and targets of the shape {np.shape(pair[1])}; the first size of "
            "both is the number of trials"
        )
    return pair


def measured(task, outputs, targets):
    """The metric of a task for outputs : float."""
    value = task.metric(outputs, targets)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"'{type(task).__name__}.metric' returned {shown(value)}; expected a number, lower "
            "for better outputs"
        ) from None


def _iteration(pool, task, batch_size, entropy, alignment):
    """One batch of trials: its entry of the history, and its gradients."""
    network = pool.network
    iteration = network.updates
    inputs, targets = drawn(task, _generator(entropy, iteration), batch_size)
    check_sizes(task, inputs, targets, network.description)
    window = getattr(task, "learning_window", None)
    gradients = pool.gradients(inputs, targets, window)
    spikes = gradients.spikes
    entry = {
        "iteration": iteration,
        "loss": gradients.loss,
        "regularization": gradients.regularization,
        "rate": np.count_nonzero(spikes) / spikes.size / float(network.description.dt),
    }
    if hasattr(task, "metric"):
        entry["metric"] = measured(task, gradients.readout, targets)
    if alignment is not None and alignment.due(iteration):
        entry |= alignment.of_network(network, inputs, targets, window)
    return entry, gradients


def held_out_trials(task, split, trials, seed):
    """Inputs and targets that training does not use, the same whenever they are asked for.

    Parameters
    ----------
    task : object
    split : {"validation", "test"}
    trials : int
        How many, if the task has none of its own.
    seed : int
        That of the training.
    """
    if hasattr(task, "held_out"):
        return task.held_out(split)
    return drawn(task, _generator(seed, SPLITS[split]), trials)


def _generator(seed, number):
    """Generator of the trials of an iteration or a split."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))


def evaluate(pool, task, inputs, targets):
    """The task's metric of trials, without learning : float.

    Parameters
    ----------
    pool : Workers
    task : object
    inputs : (trials, T, n_in) bool array
    targets : (trials, T, n_out) array
    """
    return measured(task, pool.simulate(inputs).readout, targets)
