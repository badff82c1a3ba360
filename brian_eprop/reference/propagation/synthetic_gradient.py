"""Synthetic gradients: the derivative of the future loss, predicted from the present."""

from __future__ import annotations

import numpy as np

from ..options import number_within, refusal

__all__ = ["SyntheticGradient"]


class SyntheticGradient:
    """A linear prediction of a derivative by the states of all units::

        sg = Φ x,  x = [c^t; y*^t; 1]
        Φ ← Φ − rate (sg − goal) ⊗ x / |x|²

    with the mean over the batch. c are all states, also the output of a leaky readout: the future
    depends on them all. y* is there because the derivative of the mean squared error is linear in
    it (Marschall, Cho & Savin 2020). The regression is normalized (Nagumo & Noda 1967), so that
    one rate, from 0 to 2, suits networks of any size and scale. Φ begins with 0, which predicts
    no future.

    Parameters
    ----------
    rule : str
    network : Network
    learning_rate : float

    Raises
    ------
    ValueError
        Connections that take more than one step: the future loss is then no function of the states
        of one step.
    """

    def __init__(self, rule, network, learning_rate):
        longest = max(network.recurrent_lags) - 1
        if longest:
            raise refusal(
                rule,
                network,
                f"'delay_rec' goes up to {longest}; a synthetic gradient is that of the states of "
                "one step and needs recurrent delays of 0",
            )
        self.rate = number_within(rule, "learning_rate", learning_rate, 0, 2)
        shape = (network.n_states, network.n_rec)
        self.weights = np.zeros((*shape, network.n_states * network.n_rec + network.n_out + 1))

    def predict(self, step, signal):
        """sg from a step; (S, batch, n_rec)."""
        return np.einsum("skx,bx->sbk", self.weights, _predictors(step, signal))

    def learn(self, step, signal, goal):
        """Approach the derivative that the step should have predicted."""
        x = _predictors(step, signal)
        error = np.einsum("skx,bx->sbk", self.weights, x) - goal
        regressor = x / (np.sum(x**2, axis=1, keepdims=True) * len(x))
        # a new array, since copies of the prediction share the old one
        self.weights = self.weights - self.rate * np.einsum("sbk,bx->skx", error, regressor)


def _predictors(step, signal):
    states = step.state.swapaxes(0, 1).reshape(step.batch, -1)
    return np.concatenate([states, signal.target, np.ones((step.batch, 1))], axis=1)
