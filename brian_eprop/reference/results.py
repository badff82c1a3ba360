"""What a gradient computation returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Gradients"]


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of the loss with the trajectory they belong to.

    Loss and gradients are summed over time and averaged over the batch. The axis ``batch`` is
    absent where the inputs had none.

    Attributes
    ----------
    w_in : (n_in, n_rec) ndarray
    w_rec : (n_rec, n_rec) ndarray
    w_out : (n_rec, n_out) ndarray
        Gradients of loss + regularization, row = pre, column = post; 0 for absent synapses. For
        rate units with gates the first two have these as their first axis.
    loss : float
        Loss of the task, without the regularization.
    spikes : (batch, T, n_rec) ndarray
        For rate units what they send.
    readout : (batch, T, n_out) ndarray
        Linear readout y, before any softmax.
    learning_signal : (batch, T, n_rec) ndarray
        L_j^t = Σ_k B_kj (∂E/∂y_k)^t.
    regularization : float
        Loss added by the regularization.
    bias, bias_out : ndarray or None
        Of rate units and their readout.
    parameters : dict of str to (n_rec,) ndarray
        Gradients of those of alpha, rho, beta and v_th that were asked for. v_th is the threshold
        and the size of the reset; height and width of the surrogate are constants. Of networks
        that Brian2 runs: those of the trained parameters, in SI units.
    """

    w_in: np.ndarray
    w_rec: np.ndarray
    w_out: np.ndarray
    loss: float
    spikes: np.ndarray
    readout: np.ndarray
    learning_signal: np.ndarray
    regularization: float = 0.0
    bias: np.ndarray | None = None
    bias_out: np.ndarray | None = None
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)
