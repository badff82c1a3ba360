"""Parts of tasks: checks of options, metrics, and splits of recordings.

Durations are multiples of the task's ``dt``. Metrics are numbers by which people judge what a
network does; less is better.
"""

import numpy as np

from ..checks import check_frequency, check_time, keep, steps


def in_steps(may_be_zero=False):
    """The validator of a time that is a multiple of the task's ``dt``."""

    def validator(task, field, value):
        name = type(task).__name__
        dt = check_time(f"{name}.dt", task.dt)
        steps(f"{name}.{field.name}", value, dt, may_be_zero)
        keep(task, field, check_time(field.name, value, may_be_zero))

    return validator


def drawable_rate(may_be_zero=False):
    """The validator of a rate that gives at most one spike in a time step of the task."""

    def validator(task, field, value):
        name = f"{type(task).__name__}.{field.name}"
        keep(task, field, check_frequency(name, value, may_be_zero))
        check_time(f"{type(task).__name__}.dt", task.dt)
        p = spike_probability(task, field.name)
        if p > 1:
            raise ValueError(
                f"{name} = {value!r} gives {p:g} spikes in a step of dt = {task.dt!r}; at most "
                f"{float(1 / task.dt):g} Hz can be drawn with this dt"
            )

    return validator


def check_held_out(task, split):
    """Raise ValueError unless the name is of trials that are not learned from."""
    if split not in ("validation", "test"):
        raise ValueError(
            f"{type(task).__name__}.held_out: split = {split!r} must be 'validation' or 'test', "
            "trials that are not learned from"
        )


def steps_of(task, name):
    """The duration named in time steps."""
    return round(float(getattr(task, name) / task.dt))


def spike_probability(task, name):
    """p = rate·dt of the rate named: the probability of a spike in a step."""
    return float(getattr(task, name) * task.dt)


def wrong_decisions(task, outputs, targets):
    """
    Fraction of wrong decisions: the output with the largest mean over the last steps that count.

    Parameters
    ----------
    task : object
        With ``steps``, ``n_out`` and ``learning_window``.
    outputs, targets : (batch, steps, n_out) or (steps, n_out) ndarray

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes differ or are not those of the task.
    """
    outputs, targets = np.asarray(outputs, dtype=float), np.asarray(targets, dtype=float)
    expected = (task.steps, task.n_out)
    if outputs.shape != targets.shape or targets.shape[-2:] != expected or targets.ndim > 3:
        raise ValueError(
            f"'outputs' has the shape {outputs.shape} and 'targets' {targets.shape}; expected "
            f"the same (batch, {task.steps}, {task.n_out}) or {expected}"
        )
    decisions, right = (
        values[..., -task.learning_window :, :].mean(axis=-2).argmax(axis=-1)
        for values in (outputs, targets)
    )
    return float((decisions != right).mean())


def normalized_error(outputs, targets):
    """
    Normalised mean square error, Σ(y − y*)² / Σ(y* − ⟨y*⟩)².

    The mean ⟨y*⟩ is over trials and steps, for each readout: 1 is what the best constant output
    attains, 0 is perfect.

    Parameters
    ----------
    outputs, targets : (batch, steps, n_out) or (steps, n_out) ndarray

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes differ, or the targets are constant.
    """
    outputs, targets = np.asarray(outputs, dtype=float), np.asarray(targets, dtype=float)
    if outputs.shape != targets.shape or targets.ndim not in (2, 3):
        raise ValueError(
            f"'outputs' has the shape {outputs.shape} and 'targets' {targets.shape}; expected "
            f"the same (batch, steps, n_out) or (steps, n_out)"
        )
    mean = targets.mean(axis=tuple(range(targets.ndim - 1)))
    variation = ((targets - mean) ** 2).sum()
    if variation == 0:
        raise ValueError(
            f"'targets' of shape {targets.shape} are constant: the error cannot be normalised"
        )
    return float(((outputs - targets) ** 2).sum() / variation)


def stratified(labels, shares, seed=0):
    """
    Divide examples so that every class has its share in every part.

    Parameters
    ----------
    labels : (n,) array of int
        Class of each example.
    shares : sequence of float
        Share of each part but the last one, which has the rest.
    seed : int
        Of the order in which the examples of a class are dealt out.

    Returns
    -------
    list of (…,) ndarray of int
        Indices of the examples of each part, increasing.
    """
    rng = np.random.default_rng(seed)
    parts = [[] for _ in range(len(shares) + 1)]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        ends = np.round(np.cumsum(shares) * len(members)).astype(int)
        for part, chosen in zip(parts, np.split(members, ends), strict=True):
            part.extend(chosen)
    return [np.sort(part) for part in parts]


def drawn(rng, n, batch):
    """Indices of a batch of n examples, of each at most once if there are enough."""
    return rng.choice(n, size=batch, replace=batch > n)
