"""Finite differences of the loss: the check of the equations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .networks.spiking import SpikingNetwork
from .problem import Problem
from .validation import AnyNetwork, as_network

__all__ = ["finite_differences"]


def finite_differences(
    network: AnyNetwork,
    inputs: ArrayLike,
    targets: ArrayLike,
    learning_window: ArrayLike | None = None,
    *,
    step: float = 1e-6,
    parameters: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Central differences of the loss, one weight or parameter after the other.

    (E(W + step) − E(W − step))/(2 step). Spikes are smooth, with the derivative ψ, so that the
    surrogate gradient is the true one. ψ keeps its height and width where v_th is varied.

    Parameters
    ----------
    network, inputs, targets, learning_window, parameters
        See :func:`brian_eprop.reference.gradients`.
    step : float

    Returns
    -------
    dict of str to ndarray
        Of the shapes of the network's weights, 0 for absent connections, and of its parameters.
    """
    smooth = isinstance(as_network(network), SpikingNetwork)
    problem = Problem(
        network, inputs, targets, learning_window, smooth=smooth, parameters=parameters
    )
    network, gradient = problem.network, {}
    of_units = {name: getattr(network, name) for name in problem.parameters}
    for name, weights in (network.parameters | of_units).items():
        gradient[name] = np.zeros_like(weights)
        present = np.broadcast_to(network.mask_of(name), weights.shape)
        for index in zip(*np.nonzero(present), strict=True):
            sides = []
            for sign in (1, -1):
                varied = weights.copy()
                varied[index] += sign * step
                sides.append(problem.varied_loss({name: varied}))
            gradient[name][index] = (sides[0] - sides[1]) / (2 * step)
        gradient[name] = gradient[name].reshape(np.shape(getattr(network, name)))
    return gradient
