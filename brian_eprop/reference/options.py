"""Checks of the options of rules."""

from __future__ import annotations

from numbers import Real

import numpy as np

__all__ = ["number_within"]


def number_within(rule, option, value, low, high=np.inf):
    """The value of an option that is a number, as a float.

    Raises
    ------
    ValueError
        For anything but a finite number from low to high.
    """
    number = isinstance(value, Real | np.number) and not isinstance(value, bool)
    if not number or not low <= value <= high or not np.isfinite(value):
        wanted = f"{low} or more" if np.isinf(high) else f"from {low} to {high}"
        raise ValueError(f"rule '{rule}': '{option}' is {value!r}; give a number, {wanted}")
    return float(value)
