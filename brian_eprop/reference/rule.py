"""What a learning rule is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .linearization import Linearization

__all__ = ["Problem", "Rule"]


@dataclass(frozen=True)
class Rule:
    """A way to compute or approximate the gradient.

    Attributes
    ----------
    name : str
    gradient : function
        ``gradient(problem, **options)`` → {weight name: ndarray}, summed over the batch.
    source : str
        Paper and equation.
    exact : bool
        Whether it gives the full (surrogate) gradient.
    causal : bool
        Whether it needs nothing of the future.
    uses_feedback : bool
        Whether the learning signal goes through the feedback weights instead of the true w_out.
    smooth : bool
        Whether it is defined for smooth spikes only.
    """

    name: str
    gradient: Callable
    source: str
    exact: bool
    causal: bool
    uses_feedback: bool = False
    smooth: bool = False


@dataclass(frozen=True, eq=False)
class Problem:
    """A trajectory with its derivatives, in the terms in which the rules are written.

    Attributes
    ----------
    linearization : Linearization
        D, q, R and F along the trajectory.
    learning_signal : (batch, T, n_rec) ndarray
        L_j^t = Σ_k B_kj ∂E/∂y_k^t, instantaneous.
    rate_signal : (batch, n_rec) ndarray
        ∂E_reg/∂z_j^t, the same in each step: c_j (f_j − f*_j)/T.
    kappa, readout_gain : float
        The readout's low-pass.
    weights : dict of str to ndarray
        The weights at which the gradient is wanted.
    loss_of : function
        {weight name: ndarray} → loss + regularization summed over the batch, with the smooth
        spikes of this trajectory's neighbourhood.
    """

    linearization: Linearization
    learning_signal: np.ndarray
    rate_signal: np.ndarray
    kappa: float
    readout_gain: float
    weights: dict[str, np.ndarray]
    loss_of: Callable

    @property
    def n_steps(self):
        return self.learning_signal.shape[1]
