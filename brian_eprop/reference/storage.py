"""How many numbers a recursion holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from .networks.network import Network
from .step import Step

__all__ = ["stored_numbers"]


def stored_numbers(recursion):
    """How many numbers a recursion holds, those of the network and its weights left out.

    Views of one array count as often as they show different numbers, but not more than it has.
    """
    weights = {id(_owner(array)) for array in recursion.network.parameters.values()}
    seen, owners = set(), {}

    def visit(thing):
        if isinstance(thing, np.ndarray):
            owner = _owner(thing)
            views = owners.setdefault(id(owner), (owner.size, {}))[1]
            views[thing.ctypes.data, thing.shape, thing.strides] = thing.size
        elif id(thing) not in seen and not isinstance(thing, Network | np.random.Generator):
            seen.add(id(thing))
            for part in _parts(thing):
                visit(part)

    visit(recursion)
    return sum(
        min(size, sum(views.values()))
        for owner, (size, views) in owners.items()
        if owner not in weights
    )


def _parts(thing):
    if isinstance(thing, Step):
        names = {field.name for field in fields(thing)} - {"network", "recurrent"}
        return [getattr(thing, name) for name in names]
    if isinstance(thing, Mapping):
        return list(thing.values())
    if isinstance(thing, list | tuple | deque):
        return list(thing)
    return list(vars(thing).values()) if hasattr(thing, "__dict__") else []


def _owner(array):
    """The array whose memory a view shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
