"""Evidence for one of two sides: strengths such as coherences, each with one sign or the other."""

import numpy as np

from ..checks import entries, finite_array, keep


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


def signed(rng, values, batch):
    """Draw one of the values and its sign for each trial, all with equal chance."""
    return rng.choice(values, batch) * rng.choice([-1, 1], batch)


def side_of(rng, signed):
    """1 where a number is above 0, else 0; a toss-up where it is 0."""
    return np.where(signed == 0, rng.integers(2, size=len(signed)), signed > 0).astype(int)
