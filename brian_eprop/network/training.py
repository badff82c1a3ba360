"""Training: one update of the weights, and the loop around it."""

import time
from dataclasses import dataclass, field

import numpy as np

from .description import MATRICES
from .validation import whole_number

__all__ = ["StopTraining", "TrainingState", "fit", "updated"]


class StopTraining(Exception):
    """Raised by a callback to end training after the present iteration; it is no error."""


@dataclass(frozen=True, eq=False)
class TrainingState:
    """All that training changes; a new one replaces it as a whole.

    Attributes
    ----------
    weights : dict of str to ndarray
    moments : dict of str to dict of str to ndarray
        The optimizer's own variables, by weight matrix and name.
    updates : int
        How many updates there have been.
    """

    weights: dict
    moments: dict = field(default_factory=dict)
    updates: int = 0


def check_present(optimizer):
    """Raise an error if there is no optimizer."""
    if optimizer is None:
        raise ValueError(
            "RecurrentNetwork.optimizer is missing; create the network with one, for example "
            "optimizer=Adam(5e-3)"
        )


def updated(state, optimizer, gradients, description):
    """The state after one step of the optimizer.

    With adaptive feedback B receives the same update as w_out, transposed, and both shrink by
    the fraction ``feedback_decay`` (Kolen & Pollack 1994; Bellec et al. 2020, Nat. Commun.
    11:3625, Methods).

    Parameters
    ----------
    state : TrainingState
        It is not changed.
    optimizer : GradientDescent or Adam
    gradients : Gradients
    description : NetworkDescription

    Returns
    -------
    TrainingState

    Raises
    ------
    FloatingPointError
        If a weight would not be finite.
    ValueError
        If there is no optimizer.
    """
    check_present(optimizer)
    weights, moments = dict(state.weights), {}
    for name in MATRICES:
        moments[name] = dict(state.moments.get(name, {}))
        step = optimizer.step(getattr(gradients, name), moments[name], state.updates + 1)
        step = np.where(description.connectivity[name], step, 0.0)
        if name == "w_out" and description.feedback == "adaptive":
            kept = 1 - description.feedback_decay
            weights[name] = kept * weights[name] - step
            weights["feedback"] = kept * weights["feedback"] - step.T
        else:
            weights[name] = weights[name] - step
    for name, values in weights.items():
        if not np.isfinite(values).all():
            raise FloatingPointError(
                f"'{name}' is no longer finite after update {state.updates + 1}: training has "
                "diverged; use a smaller learning rate"
            )
    return TrainingState(weights, moments, state.updates + 1)


def fit(network, task, iterations, batch_size=1, callbacks=(), seed=None):
    """Train a network on a task.

    Parameters
    ----------
    network : RecurrentNetwork
        With an optimizer. Its weights change.
    task : object
        With ``sample(rng, batch) → inputs (batch, T, n_in), targets (batch, T, n_out)``, and
        optionally ``learning_window``, the number of last steps that count.
    iterations : int
    batch_size : int
        Trials per update.
    callbacks : sequence of callable
        Each is called with the entry of every iteration, after its update; may raise
        :class:`StopTraining`.
    seed : int, optional
        Of the trials. Those of an iteration depend on the seed and on the number of updates
        that the network has had: training that is continued, from a saved network too, is the
        same as training without a break.

    Returns
    -------
    list of dict
        One entry per iteration: ``iteration`` (updates before it), ``loss`` (of the task),
        ``regularization``, ``rate`` (mean, in spikes per second), ``seconds`` (since the
        start). Loss and rate are those before the update of the iteration.

    Raises
    ------
    FloatingPointError
        If loss or weights are no longer finite. As after KeyboardInterrupt, the weights and
        the optimizer's state are then those of the last complete update.
    ValueError
        If the network has no optimizer, or the task's arrays do not fit it.
    """
    check_present(network.optimizer)
    whole_number("iterations", iterations)
    whole_number("batch_size", batch_size)
    entropy = np.random.SeedSequence(seed).entropy
    history, start = [], time.perf_counter()
    for _ in range(iterations):
        iteration = network.updates
        rng = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(iteration,)))
        inputs, targets = task.sample(rng, batch_size)
        window = getattr(task, "learning_window", None)
        gradients = network.gradients(inputs, targets, learning_window=window)
        if not np.isfinite(gradients.loss):
            raise FloatingPointError(
                f"the loss is {gradients.loss} in iteration {iteration}: training has diverged; "
                "use a smaller learning rate"
            )
        network.apply(gradients)
        entry = {
            "iteration": iteration,
            "loss": gradients.loss,
            "regularization": gradients.regularization,
            "rate": float(gradients.spikes.mean() / network.description.dt),
            "seconds": time.perf_counter() - start,
        }
        history.append(entry)
        try:
            for callback in callbacks:
                callback(entry)
        except StopTraining:
            break
    return history
