"""What learning lowers: losses of outputs and targets, and a penalty on firing rates.

A loss is how outputs and targets become an error and a number, in Brian2 and in NumPy.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from attrs import field, frozen
from brian2 import Quantity
from brian2.units import hertz
from scipy.special import softmax

from ..brian import schedule
from ..brian.code import LearningCode, declare, on_spike, run_if
from ..brian.internals import add_to
from ..brian.step_flags import EPISODE
from ..checks import Bools, Floats, frequency, real

#: The names of those that there are, for type checkers.
LossName: TypeAlias = Literal["mse", "cross_entropy", "linear"]


def _none(targets):
    """The check of a loss that takes any target : (...) bool array."""
    return np.zeros(targets.shape[:-1], bool)


def _nothing(readout, moment):
    """The preparation of a loss that needs none."""


@frozen
class OutputLoss:
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


#: name → OutputLoss
LOSSES = {
    # E = ½ Σ (y − y*)²
    "mse": OutputLoss(
        "mean squared error",
        """
        error = __counts*(y - y_target)
        loss += 0.5*__signal_scale*__scored*(y - y_target)**2
        """,
        lambda y, target: y - target,
    ),
    # E = −Σ y* log softmax(y), with softmax(y) = exp(y − y_max)/softmax_norm
    "cross_entropy": OutputLoss(
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
    # E = Σ y* y: what is given as target is the error, ∂E/∂y of any loss that is computed elsewhere
    "linear": OutputLoss(
        "sum of outputs times given errors",
        """
        error = __counts*y_target
        loss += __signal_scale*__scored*y_target*y
        """,
        lambda y, target: np.array(target, dtype=float),
    ),
}


@frozen
class FiringRateRegularizer:
    """A quadratic penalty on firing rates that differ from a target.

    ::

        E_reg = (c/2) Σ_j (f_j − f*)²       dE_reg/dW_ji = c (f_j − f*)/T · Σ_t e_ji^t

    f_j is the neuron's mean rate in a trial of T steps, in spikes per step, and e the
    unfiltered eligibility trace (Bellec et al. 2020, Nat. Commun. 11:3625, Methods, "Firing
    rate regularization"). With ``average=True`` in the readout it is divided by the length of
    the learning window, as the loss is.

    Parameters
    ----------
    target : Quantity
        f*, in Hz.
    strength : float
        c.
    """

    target: Quantity = field(default=10 * hertz, validator=frequency(may_be_zero=True))
    strength: float = field(default=1.0, validator=real())

    def pressure(self, count: str, steps: str) -> str:
        """Brian2 expression of c (f − f*)/T from a neuron's spike count in ``steps`` steps."""
        return f"{self.strength!r}*({count}/{steps} - {float(self.target)!r}*dt)/{steps}"

    def penalty(self, spikes: Bools, dt: Quantity) -> Floats:
        """E_reg of every trial.

        Parameters
        ----------
        spikes : (batch, T, n) bool array
        dt : Quantity

        Returns
        -------
        (batch,) ndarray
        """
        # counts as short integers are half the time of a mean
        counts = spikes.sum(axis=1, dtype=np.uint32)
        excess = counts / spikes.shape[1] - float(self.target * dt)
        return 0.5 * self.strength * (excess**2).sum(axis=-1)


def regularize(learner, group):
    """Count the spikes of a group and turn the count into a pressure on its rate."""
    declare(group, "__spike_count", dtype=float)
    declare(group, "__rate_pressure")
    on_spike(group, "__spike_count += 1", schedule.BEFORE_RESET, f"{group.name}_spike_count")
    learner.share(group, "__episode_begins", "__episode_ends", "__learns")
    code, name = "__spike_count = 0", f"{group.name}_spike_count_begins"
    run_if("__episode_begins", group, code, schedule.TRIAL_START, name)
    steps = learner.episode
    if steps == EPISODE:
        learner.share(group, "episode_step")
        steps = "(__episode_step + 1)"
    total = " + ".join(r.pressure("__spike_count", steps) for r in learner.regularizers)
    code = f"__rate_pressure = __learns*__signal_scale*({total})"
    name = f"{group.name}_rate_pressure"
    run_if("__episode_ends", group, code, schedule.REGULARIZATION, name)
