"""Options of tasks, such as durations in time steps, and neurons of which half adapt.

Durations are multiples of the task's ``dt``.
"""

import numpy as np
from brian2.units.stdunits import ms

from ..checks import check_frequency, check_time, entries, finite_array, keep, steps


def in_steps(may_be_zero=False):
    """The validator of a time that is a multiple of the task's ``dt``."""

    def validator(task, field, value):
        name = type(task).__name__
        dt = check_time(f"{name}.dt", task.dt)
        steps(f"{name}.{field.name}", value, dt, may_be_zero)
        keep(task, field, check_time(field.name, value, may_be_zero))

    return validator


def drawable_rate(may_be_zero=False, most=1.0):
    """The validator of a rate that gives at most so many spikes in a time step of the task."""

    def validator(task, field, value):
        name = f"{type(task).__name__}.{field.name}"
        keep(task, field, check_frequency(name, value, may_be_zero))
        check_time(f"{type(task).__name__}.dt", task.dt)
        p = spike_probability(task, field.name)
        if p > most:
            raise ValueError(
                f"{name} = {value!r} gives {p:g} spikes in a step of dt = {task.dt!r}; at most "
                f"{float(most / task.dt):g} Hz can be drawn with this dt"
            )

    return validator


def strengths(most=1.0):
    """The validator of a list of different numbers from 0 on, such as coherences."""

    def validator(task, field, value):
        name = f"{type(task).__name__}.{field.name}"
        numbers = finite_array(name, list(entries(name, value, "(0, 0.1, 0.5)")))
        if not len(numbers) or numbers.min() < 0 or numbers.max() > most:
            raise ValueError(f"{name} = {value!r} must be one or more numbers from 0 to {most:g}")
        if len(set(numbers)) < len(numbers):
            raise ValueError(f"{name} = {value!r} has a number twice")
        keep(task, field, tuple(float(number) for number in numbers))

    return validator


def steps_of(task, name):
    """The duration named in time steps."""
    return round(float(getattr(task, name) / task.dt))


def spike_probability(task, name):
    """p = rate·dt of the rate named: the probability of a spike in a step."""
    return float(getattr(task, name) * task.dt)


def lif_and_alif(count, tau_a, beta, **of_lif):
    """
    As many LIF as ALIF neurons, whose thresholds remember for ``tau_a``.

    Parameters
    ----------
    count : int
        Neurons of each kind.
    tau_a : Quantity
    beta : float
    **of_lif
        Parameters of both, where they are not tau_m = 20 ms and t_ref = 3 ms.

    Returns
    -------
    tuple
        As in :class:`.TrainingSetup`.
    """
    lif = {"tau_m": 20 * ms, "v_th": 0.6, "t_ref": 3 * ms} | of_lif
    return ("lif", count, lif), ("alif", count, lif | {"tau_a": tau_a, "beta": beta})


def published_beta(dt, tau_a, tau_m=20 * ms):
    """β = 1.7 as the authors' code scales it, for a membrane of gain 1 − α."""
    return float(1.7 * (1 - np.exp(-dt / tau_a)) / (1 - np.exp(-dt / tau_m)))
