"""The training loop."""

import time

import numpy as np


class StopTraining(Exception):  # noqa: N818 - like StopIteration, it is no error
    """Raised by a callback to end training after the present iteration."""


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
        Each is called with the entry of every iteration; may raise :class:`StopTraining`.
    seed : int, optional
        Of the trials.

    Returns
    -------
    list of dict
        One entry per iteration: ``iteration``, ``loss`` (of the task), ``regularization``,
        ``rate`` (mean, in spikes per second), ``seconds`` (since the start). Loss and rate
        are those before the update of the iteration.

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite; the weights are those of the last iteration before.
    """
    if iterations < 1 or batch_size < 1:
        raise ValueError(f"iterations = {iterations!r} and batch_size = {batch_size!r} must be ≥ 1")
    rng = np.random.default_rng(seed)
    history, start = [], time.perf_counter()
    for iteration in range(iterations):
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
