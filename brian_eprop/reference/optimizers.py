"""Optimizers, as functions of dicts of arrays: nothing is changed in place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple, TypeAlias

import numpy as np

__all__ = ["SGD", "Adam"]

#: Arrays by the names of the weights.
Weights: TypeAlias = dict[str, np.ndarray]
#: parameter → lowest value, value below which it must stay, usual value
RANGES = {
    "learning_rate": (0, np.inf, 0.01),
    # a mean that decays by a factor of 1 never forgets
    "momentum": (0, 1, 0.9),
    "b1": (0, 1, 0.9),
    "b2": (0, 1, 0.999),
    # Adam divides by √s + ε, and s is 0 where every gradient was
    "eps": (np.finfo(float).tiny, np.inf, 1e-8),
}


class Optimizer:
    """
    A rule by which gradients change weights.

    ``start(weights)`` returns the state before the first update,
    ``update(weights, gradient, state)`` new weights and a new state. Weights and gradient are
    dicts of the same names to arrays of the same shapes.
    """

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            lowest, limit, usual = RANGES[field.name]
            try:
                number = float(value)
            except (TypeError, ValueError):
                number = np.nan
            if not lowest <= number < limit:
                raise ValueError(
                    f"{type(self).__name__}.{field.name} = {value!r} must be a number ≥ "
                    f"{lowest:g} and < {limit:g}; {usual:g} is usual"
                )
            object.__setattr__(self, field.name, number)

    def _check(self, weights, gradient):
        for name in sorted(weights.keys() ^ gradient.keys()):
            missing = "gradient" if name in weights else "weights"
            raise ValueError(
                f"{type(self).__name__}.update: '{name}' is not in the {missing}; give every "
                "weight its gradient, of 0 where it is to stay"
            )
        for name, weight in weights.items():
            if np.shape(gradient[name]) != np.shape(weight):
                raise ValueError(
                    f"{type(self).__name__}.update: the gradient of '{name}' has the shape "
                    f"{np.shape(gradient[name])}, which must be {np.shape(weight)}, that of the "
                    "weight; sum it over trials and steps first"
                )


@dataclass(frozen=True)
class SGD(Optimizer):
    """
    Gradient descent with momentum: v ← μ v + g, w ← w − η v, with v = 0 at the start.

    Parameters
    ----------
    learning_rate : float
        η. It multiplies v, as in PyTorch, not g.
    momentum : float
        μ, below 1; 0 is plain gradient descent.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or weights and gradient do not match.

    References
    ----------
    Sutskever, Martens, Dahl & Hinton (2013), ICML, eqs 1–2, with η moved from g to v.
    """

    learning_rate: float
    momentum: float = 0.0

    def start(self, weights: Weights) -> Weights:
        """Velocities of 0, a dict like the weights."""
        return {name: np.zeros_like(w, dtype=float) for name, w in weights.items()}

    def update(
        self, weights: Weights, gradient: Weights, state: Weights
    ) -> tuple[Weights, Weights]:
        """New weights and new velocities."""
        self._check(weights, gradient)
        velocity = {name: self.momentum * state[name] + gradient[name] for name in weights}
        stepped = {name: w - self.learning_rate * velocity[name] for name, w in weights.items()}
        return stepped, velocity


class AdamState(NamedTuple):
    """
    What Adam remembers from update to update.

    Attributes
    ----------
    updates : int
        How many there have been.
    m, s : dict of str to ndarray
        Means of the gradient and of its square, 0 at the start.
    """

    updates: int
    m: Weights
    s: Weights


@dataclass(frozen=True)
class Adam(Optimizer):
    """
    Adam in TensorFlow's form, with ε outside the bias correction.

    ::

        m ← β₁ m + (1 − β₁) g,   s ← β₂ s + (1 − β₂) g²
        w ← w − η √(1 − β₂ⁿ)/(1 − β₁ⁿ) · m/(√s + ε)

    in the n-th update. PyTorch adds ε to √(s/(1 − β₂ⁿ)) instead, which differs while n is
    small and g is not large against ε.

    Parameters
    ----------
    learning_rate : float
        η.
    b1, b2 : float
        β₁ and β₂, below 1.
    eps : float
        ε.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or weights and gradient do not match.

    References
    ----------
    Kingma & Ba (2015), arXiv 1412.6980, the reordered form at the end of §2; there ε is
    called ε-hat.
    """

    learning_rate: float
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def start(self, weights: Weights) -> AdamState:
        """An `AdamState` before any update."""
        zeros = {name: np.zeros_like(w, dtype=float) for name, w in weights.items()}
        return AdamState(0, zeros, zeros)

    def update(
        self, weights: Weights, gradient: Weights, state: AdamState
    ) -> tuple[Weights, AdamState]:
        """New weights and a new `AdamState`."""
        self._check(weights, gradient)
        n = state.updates + 1
        m = {k: self.b1 * state.m[k] + (1 - self.b1) * gradient[k] for k in weights}
        s = {k: self.b2 * state.s[k] + (1 - self.b2) * np.square(gradient[k]) for k in weights}
        rate = self.learning_rate * np.sqrt(1 - self.b2**n) / (1 - self.b1**n)
        stepped = {k: w - rate * m[k] / (np.sqrt(s[k]) + self.eps) for k, w in weights.items()}
        return stepped, AdamState(n, m, s)
