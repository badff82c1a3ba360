"""Checks of the options of rules, and of the networks they are to work on."""

from __future__ import annotations

from numbers import Real

import numpy as np

__all__ = [
    "RuleDoesNotApply",
    "number_within",
    "positive_whole",
    "refusal",
    "require_single_delays",
]


class RuleDoesNotApply(ValueError):
    """A rule is not defined for a network, whatever its options."""


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


def positive_whole(rule, option, value):
    """The value of an option that counts something, as an int.

    Raises
    ------
    ValueError
        For anything but a whole number of 1 or more.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < 1:
        raise ValueError(f"rule '{rule}': '{option}' is {value!r}; give a whole number, 1 or more")
    return int(value)


def refusal(rule, network, reason):
    """The error of a rule that does not apply to a network."""
    units = f"a network of '{network.cell.name}' units"
    return RuleDoesNotApply(f"rule '{rule}' does not apply to {units}: {reason}")


def require_single_delays(rule, network):
    """Refuse networks in which presynaptic values reach units at different times.

    Then F = û ⊗ K for one vector û of presynaptic values, and the influence on the states of this
    step and no older one is all that the next step needs.
    """
    longest = int(network.delay_rec[network.mask_rec].max(initial=0))
    if longest:
        raise refusal(
            rule, network, f"'delay_rec' goes up to {longest}; it needs recurrent delays of 0"
        )
    delays = np.unique(network.delay_in[network.mask_in])
    if len(delays) > 1:
        raise refusal(
            rule, network, f"'delay_in' goes from {delays[0]} to {delays[-1]}; it needs one value"
        )
