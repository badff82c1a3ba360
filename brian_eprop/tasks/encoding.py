"""Numbers and events as spikes: level crossings, latencies, tuning curves, active groups."""

import numpy as np

from ..checks import ABOVE_0, BELOW_1, number, whole_number


def population_code(values, low, high, n, width=1.0):
    """
    Firing probabilities of neurons with Gaussian tuning curves.

    .. math:: p_{ki} = \\exp(-(x_k - c_{ki})² / (2 σ_k²)),

    with the preferred values :math:`c_{ki}` of the n neurons of number k evenly from ``low`` to
    ``high`` (both included; their middle for n = 1), and σ = ``width`` times their distance
    (times ``high - low`` for n = 1). Values outside are taken as the nearest end.

    Parameters
    ----------
    values : (…, d) array
    low, high : float or (d,) array
        Ends of the range of each number.
    n : int
        Neurons per number.
    width : float
        Of the tuning curves.

    Returns
    -------
    (…, d·n) ndarray
        In (0, 1]; the n neurons of a number stand together.

    Raises
    ------
    ValueError
        For values that are not finite, ends that do not fit or are not in order, and n or
        width out of range.

    References
    ----------
    Georgopoulos, Schwartz & Kettner (1986), Science 233:1416, doi:10.1126/science.3749885.
    """
    values = _numbers("population_code", values, 1)
    count = whole_number("population_code: 'n'", n)
    number("population_code: 'width'", width, "be a number above 0", ABOVE_0)
    try:
        low, high = (np.broadcast_to(np.asarray(x, float), values.shape[-1:]) for x in (low, high))
    except ValueError:
        raise ValueError(
            f"population_code: 'low' and 'high' have the shapes {np.shape(low)} and "
            f"{np.shape(high)}; expected one number, or one for each of the {values.shape[-1]} "
            "in the last dimension of 'values'"
        ) from None
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise ValueError(
            f"population_code: 'low' is {low} and 'high' {high}; expected finite numbers with "
            "low < high"
        )
    place = (np.arange(count) / (count - 1)) if count > 1 else np.array([0.5])
    # in units of the range, so that numbers of any scale are coded alike
    position = (np.clip(values, low, high) - low) / (high - low)
    distance = (position[..., np.newaxis] - place) * max(count - 1, 1) / width
    return np.exp(-(distance**2) / 2).reshape(*values.shape[:-1], -1)


def level_crossing(values, levels):
    """
    Spikes where a signal crosses levels: up and down on channels of their own.

    Signal k crosses level l upwards in step t where :math:`x_k^{t-1} < θ_l ≤ x_k^t`, downwards
    where :math:`x_k^{t-1} ≥ θ_l > x_k^t`. Nothing crosses in step 0, which has no step before.

    Parameters
    ----------
    values : (…, T, d) array
    levels : (n,) or (d, n) array
        θ, the same for all signals or one row for each; increasing.

    Returns
    -------
    (…, T, 2·d·n) ndarray of bool
        The n upward crossings of signal 0, then its n downward ones, then signal 1, …

    Raises
    ------
    ValueError
        For values that are not finite, and levels that do not fit or do not increase.
    """
    values = _numbers("level_crossing", values, 2)
    d, levels = values.shape[-1], np.asarray(levels, dtype=float)
    if levels.ndim not in (1, 2) or levels.size == 0 or (levels.ndim == 2 and len(levels) != d):
        raise ValueError(
            f"level_crossing: 'levels' has the shape {levels.shape}; expected (n,), or ({d}, n) "
            f"for the {d} signals in the last dimension of 'values'"
        )
    if not np.isfinite(levels).all() or (np.diff(levels, axis=-1) <= 0).any():
        raise ValueError(f"level_crossing: 'levels' is {levels}; expected increasing numbers")
    above = values[..., np.newaxis] >= levels
    before, now = above[..., :-1, :, :], above[..., 1:, :, :]
    crossings = np.stack([~before & now, before & ~now], axis=-2)
    spikes = np.zeros((*values.shape, 2, levels.shape[-1]), dtype=bool)
    spikes[..., 1:, :, :, :] = crossings
    return spikes.reshape(*values.shape[:-1], -1)


def latency(values, steps, threshold=0.0):
    """
    One spike a number, the earlier the larger it is.

    A value x in (threshold, 1] fires in step ⌊(1 − x)/(1 − threshold) · (steps − 1) + ½⌋: 1 in
    step 0, what is just above the threshold in the last one. Values at or below it are silent.

    Parameters
    ----------
    values : (…, d) array
        From 0 to 1.
    steps : int
    threshold : float
        At least 0 and below 1.

    Returns
    -------
    (…, steps, d) ndarray of bool

    Raises
    ------
    ValueError
        For values outside of 0 to 1, and steps or threshold out of range.

    References
    ----------
    Thorpe, Delorme & Van Rullen (2001), Neural Networks 14:715,
    doi:10.1016/S0893-6080(01)00083-1.
    """
    values = _numbers("latency", values, 1)
    steps = whole_number("latency: 'steps'", steps)
    number("latency: 'threshold'", threshold, "be a number ≥ 0 and below 1", high=BELOW_1)
    if values.size and (values.min() < 0 or values.max() > 1):
        raise ValueError(
            f"latency: 'values' are from {values.min():g} to {values.max():g}; expected 0 to 1: "
            "divide them by the largest possible one"
        )
    late = np.floor((1 - values) / (1 - threshold) * (steps - 1) + 0.5)
    moment = np.where(values > threshold, late, -1)
    return np.arange(steps)[:, np.newaxis] == moment[..., np.newaxis, :]


def group_spikes(rng, probability, durations, sizes):
    """
    Independent spikes of groups of inputs, each with a probability that changes by phases.

    Parameters
    ----------
    rng : numpy.random.Generator
    probability : (batch, phases, groups) array
        Of a spike of an input in a step.
    durations : (phases,) sequence of int
        Steps of each phase.
    sizes : (groups,) sequence of int
        Inputs in each group.

    Returns
    -------
    (batch, Σ durations, Σ sizes) ndarray of bool
    """
    of_inputs = np.repeat(probability, sizes, axis=2)
    batch, _, n = of_inputs.shape
    # a phase at a time: a double per input and step of all trials is much memory
    phases = [
        rng.random((batch, steps, n)) < of_inputs[:, k, np.newaxis]
        for k, steps in enumerate(durations)
    ]
    return np.concatenate(phases, axis=1)


def frozen_noise(seed, steps, n, probability):
    """
    Independent spikes that are the same whenever they are drawn; none in step 0.

    Parameters
    ----------
    seed : int or sequence of int
    steps, n : int
        Of time, and number of inputs.
    probability : float
        Of a spike in a step.

    Returns
    -------
    (steps, n) ndarray of bool
    """
    spikes = np.random.default_rng(seed).random((steps, n)) < probability
    spikes[0] = False
    return spikes


def _numbers(function, values, dimensions):
    """`values` as an array of at least so many dimensions, all finite."""
    values = np.asarray(values, dtype=float)
    if values.ndim < dimensions or not np.isfinite(values).all():
        raise ValueError(
            f"{function}: 'values' of shape {values.shape} must have at least {dimensions} "
            "dimension(s) and only finite numbers"
        )
    return values
