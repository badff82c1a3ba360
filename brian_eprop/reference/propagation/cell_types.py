"""Types of cells, and weights that know of their neurons no more than these."""

from __future__ import annotations

import numpy as np

__all__ = ["as_types", "type_means"]


def as_types(rule, types, network):
    """Types numbered from 0, (n_rec,); None remains None, which is a type for every unit.

    Raises
    ------
    ValueError
        For anything but a whole number for each unit.
    """
    if types is None:
        return None
    array = np.asarray(types)
    if array.shape != (network.n_rec,) or array.dtype.kind not in "iu":
        raise ValueError(
            f"rule '{rule}': 'types' is {types!r}; give a whole number for each of the "
            f"{network.n_rec} units, the type of the cell, or None"
        )
    return np.unique(array, return_inverse=True)[1]


def type_means(weights, types, counted):
    """Weights replaced by their mean over all pairs of units of the same two types.

    Parameters
    ----------
    weights : (gates, n_rec, n_rec) ndarray
    types : (n_rec,) int ndarray or None
        As :func:`as_types` returns them.
    counted : (n_rec, n_rec) bool ndarray
        Which pairs the mean is over; it is 0 where there are none.
    """
    if types is None:
        return weights
    member = np.equal.outer(types, np.arange(types.max() + 1)).astype(float)
    pairs = member.T @ counted @ member
    total = member.T @ (weights * counted) @ member
    means = np.divide(total, pairs, out=np.zeros_like(total), where=pairs > 0)
    return means[:, types[:, np.newaxis], types]
