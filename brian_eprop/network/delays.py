"""Delays of the synapses of a network: whole steps of time."""

from collections.abc import Mapping

import numpy as np
from brian2 import Quantity, get_dimensions, second
from brian2.units import DimensionMismatchError

from ..constraints import MATRICES
from ..quantities import quantity, suggest, unit_name

__all__ = ["check_delays_within", "checked_delays"]

#: Of a step: what rounding leaves of a multiple of dt.
ROUNDING = 1e-6


def checked_delays(delays, shapes, dt):
    """The argument ``delays`` : dict of str to Quantity, each one value or a matrix of them.

    Raises
    ------
    ValueError, DimensionMismatchError
        Naming the matrix, the synapse, its value and the remedy.
    """
    if not isinstance(delays, Mapping):
        raise ValueError(
            f"RecurrentNetwork.delays = {delays!r} must be a dict, such as {{'w_rec': 2*ms}}"
        )
    return {name: _checked(name, value, shapes, dt) for name, value in delays.items()}


def _checked(name, given, shapes, dt):
    where = f"RecurrentNetwork.delays['{name}']"
    if name not in MATRICES:
        raise ValueError(f"{where} is not one of {', '.join(MATRICES)}{suggest(name, MATRICES)}")
    try:
        delays = quantity(given)
    except ValueError as error:
        raise ValueError(f"{where} = {given!r}: {error}") from None
    if get_dimensions(delays) is not second.dim:
        raise DimensionMismatchError(
            f"{where} has the unit {unit_name(get_dimensions(delays))}; it must be a time, such as "
            "2*ms"
        )
    if delays.shape not in ((), shapes[name]):
        raise ValueError(
            f"{where} has the shape {delays.shape}; give one time, or {shapes[name]} of them "
            "(row = pre, column = post)"
        )
    steps = np.asarray(delays / dt)
    for wrong, must in (
        (~np.isfinite(steps) | (steps < 0), "must be finite and ≥ 0"),
        (np.abs(steps - np.rint(steps)) > ROUNDING, f"is not a multiple of dt = {dt!s}"),
    ):
        if wrong.any():
            place = tuple(int(k) for k in np.argwhere(wrong)[0])
            synapse = f"[{', '.join(map(str, place))}]" if place else ""
            raise ValueError(f"{where}{synapse} = {Quantity(delays[place])!s} {must}")
    return delays


def check_delays_within(description, steps):
    """Raise an error for a synapse whose spikes would never arrive in a trial of so many steps."""
    for name in description.delays:
        delays = description.delay_steps(name)
        late = np.argwhere(description.connectivity[name] & (delays >= steps))
        if len(late):
            i, j = map(int, late[0])
            raise ValueError(
                f"RecurrentNetwork.delays['{name}'][{i}, {j}] = "
                f"{delays[i, j] * description.dt!s}, but a trial has {steps} steps of "
                f"{description.dt!s}: its spikes would never arrive; make delays shorter or trials "
                "longer"
            )
