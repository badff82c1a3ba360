"""Options of tasks: durations in time steps, and rates that can be drawn with them.

Durations are multiples of the task's ``dt``.
"""

from ..checks import check_frequency, check_time, keep, steps


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


def steps_of(task, name):
    """The duration named in time steps."""
    return round(float(getattr(task, name) / task.dt))


def spike_probability(task, name):
    """p = rate·dt of the rate named: the probability of a spike in a step."""
    return float(getattr(task, name) * task.dt)
