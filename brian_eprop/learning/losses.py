"""Losses: how outputs and targets become an error and a loss, in Brian2 and in NumPy."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from attrs import frozen
from scipy.special import softmax

from ..brian.code import LearningCode, declare
from ..brian.internals import add_to

#: The names of those that there are, for type checkers.
LossName: TypeAlias = Literal["mse", "cross_entropy"]


def _none(targets):
    """The check of a loss that takes any target : (...) bool array."""
    return np.zeros(targets.shape[:-1], bool)


def _nothing(readout, moment):
    """The preparation of a loss that needs none."""


@frozen
class Loss:
    """A loss E = Σ_t Σ_k E_k^t of outputs y and targets y*.

    Attributes
    ----------
    title : str
        In reports.
    code : str
        Brian2 statements that set ``error``, ∂E/∂y, and add to ``loss`` in each step, in names of
        the readout: ``y``, ``y_target``, ``__counts`` (1 where errors count, else 0),
        ``__scored`` (1 within learning windows) and ``__signal_scale`` (what averages).
    error : callable
        (y, y*) → ∂E/∂y, the same in NumPy : (..., n_out) arrays.
    prepare : callable
        (readout, moment) → code that finds out, before that, what all outputs have to do with.
    wrong : callable
        y* → (...) bool, targets for which ``error`` is not ∂E/∂y.
    needs : str
        What targets must be, where not all numbers will do.
    """

    title: str
    code: str
    error: Callable
    prepare: Callable = _nothing
    wrong: Callable = _none
    needs: str = ""


class SoftmaxNorm(LearningCode):
    """The largest output and the norm of the softmax, as shared variables of a readout.

    ::

        y_max = max_k y_k,     softmax_norm = Σ_k exp(y_k − y_max)

    No exponential is above 1, whatever the outputs are; log-sum-exp is
    ``log(__softmax_norm) + __y_max``. Brian2 has no maximum over the neurons of a group.

    Parameters
    ----------
    group : Group
        With the variable ``y``.
    moment : Moment
    """

    def __init__(self, group, moment):
        for name in ("__y_max", "__softmax_norm"):
            declare(group, name, shared=True)
        used = {"of_y": "y", "of_largest": "__y_max", "of_norm": "__softmax_norm"}
        super().__init__(
            group,
            "",
            moment,
            f"{group.name}_softmax",
            template="softmax",
            needed_variables=list(used.values()),
            template_kwds={role: group.variables[name] for role, name in used.items()},
        )
        add_to(group, self)


def _no_probabilities(targets):
    """Which targets are no probabilities : (...) bool array."""
    return (targets < 0).any(axis=-1) | (abs(targets.sum(axis=-1) - 1) > 1e-6)


#: name → Loss
LOSSES = {
    # E = ½ Σ (y − y*)²
    "mse": Loss(
        "mean squared error",
        """
        error = __counts*(y - y_target)
        loss += 0.5*__signal_scale*__scored*(y - y_target)**2
        """,
        lambda y, target: y - target,
    ),
    # E = −Σ y* log softmax(y), with softmax(y) = exp(y − y_max)/softmax_norm
    "cross_entropy": Loss(
        "cross-entropy",
        """
        error = __counts*(exp(y - __y_max)/__softmax_norm - y_target)
        loss += __signal_scale*__scored*y_target*(log(__softmax_norm) + __y_max - y)
        """,
        lambda y, target: softmax(y, axis=-1) - target,
        prepare=SoftmaxNorm,
        wrong=_no_probabilities,
        needs="probabilities (≥ 0, with the sum 1)",
    ),
}
