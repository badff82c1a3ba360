"""Pseudo-derivatives ψ(x) of the spike at the distance x = v − A from the threshold.

Each kind comes with its antiderivative Φ, Φ(−∞) = 0: with z = Φ(v − A) instead of a step,
the true derivative of z is ψ, so that finite differences can check the gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr


def _normal_density(x, mean, sigma):
    return np.exp(-0.5 * ((x - mean) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))


def _piecewise_linear(x, height, width, h, s):
    return height * np.maximum(0.0, 1 - np.abs(x) / width)


def _piecewise_linear_integral(x, height, width, h, s):
    u = np.clip(x / width, -1, 1)
    return height * width * np.where(u < 0, 0.5 * (1 + u) ** 2, 1 - 0.5 * (1 - u) ** 2)


def _exponential(x, height, width, h, s):
    return height * np.exp(-np.abs(x) / width)


def _exponential_integral(x, height, width, h, s):
    tail = np.exp(-np.abs(x) / width)
    return height * width * np.where(x < 0, tail, 2 - tail)


def _fast_sigmoid(x, height, width, h, s):
    return height / (1 + np.abs(x) / width) ** 2


def _fast_sigmoid_integral(x, height, width, h, s):
    tail = 1 / (1 + np.abs(x) / width)
    return height * width * np.where(x < 0, tail, 2 - tail)


def _arctan(x, height, width, h, s):
    return height / (1 + (x / width) ** 2)


def _arctan_integral(x, height, width, h, s):
    return height * width * (np.arctan(x / width) + 0.5 * np.pi)


def _multi_gaussian(x, height, width, h, s):
    centre = (1 + h) * _normal_density(x, 0.0, width)
    lobes = _normal_density(x, width, s * width) + _normal_density(x, -width, s * width)
    return height * (centre - h * lobes)


def _multi_gaussian_integral(x, height, width, h, s):
    centre = (1 + h) * ndtr(x / width)
    lobes = ndtr((x - width) / (s * width)) + ndtr((x + width) / (s * width))
    return height * (centre - h * lobes)


class _Surrogate(NamedTuple):
    derivative: Callable
    integral: Callable


#: kind → (ψ, Φ)
#:
#: ================  ==========================================================
#: piecewise_linear  height·max(0, 1 − |x|/width)   (Bellec et al. 2020)
#: exponential       height·exp(−|x|/width)
#: fast_sigmoid      height/(1 + |x|/width)²   (Zenke & Ganguli 2018)
#: arctan            height/(1 + (x/width)²)
#: multi_gaussian    height·[(1+h)N(x; 0, σ) − h N(x; σ, sσ) − h N(x; −σ, sσ)],
#:                   σ = width   (Yin, Corradi & Bohté 2021)
#: ================  ==========================================================
SURROGATES = {
    "piecewise_linear": _Surrogate(_piecewise_linear, _piecewise_linear_integral),
    "exponential": _Surrogate(_exponential, _exponential_integral),
    "fast_sigmoid": _Surrogate(_fast_sigmoid, _fast_sigmoid_integral),
    "arctan": _Surrogate(_arctan, _arctan_integral),
    "multi_gaussian": _Surrogate(_multi_gaussian, _multi_gaussian_integral),
}


def _per_neuron(network, x, which):
    result = np.empty_like(x)
    for kind in np.unique(network.surrogate):
        of_kind = network.surrogate == kind
        function = getattr(SURROGATES[str(kind)], which)
        result[..., of_kind] = function(
            x[..., of_kind],
            network.surrogate_height[of_kind],
            network.surrogate_width[of_kind],
            network.surrogate_h[of_kind],
            network.surrogate_s[of_kind],
        )
    return result


def pseudo_derivative(network, x):
    """ψ_j(x_j) for every neuron.

    Parameters
    ----------
    network : SpikingNetwork
    x : (..., n_rec) ndarray
        Distance v − A to the threshold, before the reset.

    Returns
    -------
    psi : (..., n_rec) ndarray
    """
    return _per_neuron(network, x, "derivative")


def antiderivative(network, x):
    """Φ_j(x_j) = ∫_{−∞}^{x_j} ψ_j: the smooth spike, shapes as in `pseudo_derivative`."""
    return _per_neuron(network, x, "integral")
