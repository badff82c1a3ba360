"""The training loop."""

import time

import numpy as np

from .update import check_present
from .validation import whole_number

__all__ = ["StopTraining", "fit"]


class StopTraining(Exception):
    """Raised by a callback to end training after the present iteration; it is no error."""


def fit(network, task, iterations, batch_size=1, callbacks=(), seed=None):
    """Train a network on a task.

    Parameters
    ----------
    network : RecurrentNetwork
        With an optimizer. Its weights and trained parameters change.
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
        If loss or weights are no longer finite, or a parameter is out of its range. As after
        KeyboardInterrupt, all of them and the optimizer's state are then those of the last
        complete update.
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
