"""Synthetic gradients: the derivative of the future loss, predicted. DNI and e-prop 3."""

from __future__ import annotations

from copy import copy

import numpy as np

from ...checks import number, whole_number
from ..backward import EligibilityVectors, sweep
from ..rule import Recursion, Rule, option


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
    network : Network
        Without recurrent delays: the future loss would be no function of the states of one step.
    learning_rate : float
    """

    def __init__(self, network, learning_rate):
        self.rate = learning_rate
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


@Rule(
    name="dni",
    source="Jaderberg et al. 2017, ICML; Marschall, Cho & Savin 2020, JMLR 21(135)",
    facing="future",
    delays="not recurrent",
    learned=True,
    parent="bptt",
    change="future predicted in each step",
)
class DNI(Recursion):
    """Credit with a synthetic gradient sg^t ≈ dE^{>t}/dc^t in place of the future::

        λ^t = ∂E^t/∂c^t + sg^t
        dE/dW_ij ≈ Σ_t λ_j^t · F_ij^t

    The synthetic gradient (see `SyntheticGradient`) approaches what the next step makes of its
    own, one step late; in the last step of a sequence there is no future::

        goal^{t−1} = (H^t)ᵀ (∂E^t/∂c^t + sg_slow^t),   goal^T = 0

    where sg_slow is a copy that is renewed every `refresh` steps. The weights get the credit of
    the prediction that has just learned. What is learned stays from one sequence to the next.

    Stored are the prediction, its copy and the step before. Differences to Marschall et al.: there
    sg includes the direct effect on the loss of the present step, which is known and here left
    to the rule; Φ begins with 0 instead of noise; the regression is normalized. The transition H
    is exact and not learned too (their variant DNI(b)).

    Parameters
    ----------
    learning_rate : float
        Of the synthetic gradient, from 0 to 2.
    refresh : int
        Steps after which the copy is renewed.
    """

    learning_rate: float = option(number, "be from 0 to 2", high=2.0, default=0.1)
    refresh: int = option(whole_number, default=5)

    def __attrs_post_init__(self):
        self.predictor = SyntheticGradient(self.network, self.learning_rate)
        self.slow, self.age = copy(self.predictor), 0

    def start(self, batch):
        self.before = None

    def step(self, step, signal):
        direct = signal.credit(step)
        if self.before is not None:
            of_present = direct + self.slow.predict(step, signal)
            last = self.before[0].observation
            goal = step.back_through_implicit(of_present)
            goal = goal + last * step.back_through_explicit(of_present)[1]
            self._learn(goal)
        self.before = step, signal
        return step.gradient(direct + self.predictor.predict(step, signal))

    def finish(self):
        self._learn(0.0)

    def _learn(self, goal):
        self.predictor.learn(*self.before, goal)
        self.age += 1
        if self.age % self.refresh == 0:
            self.slow = copy(self.predictor)


@Rule(
    name="eprop3",
    source="Bellec et al. 2019, arXiv 1901.09049, e-prop 3",
    facing="future",
    delays="not recurrent",
    learned=True,
    parent="factorized",
    change="future predicted after an interval",
    examples=({}, {"interval": 1}),
)
class EProp3(Recursion):
    """Local traces, and learning signals that look ahead of an interval by a prediction.

    A sequence is cut into intervals of `interval` steps. In the one that ends with the step m::

        λ^{m+1} = sg^m
        λ_j^t = (D_j^{t+1})ᵀ λ_j^{t+1} + ∂E^t/∂c_j^t + q_j^t g_j^t
        g_j^t = Σ_k R_jk^{t+1} · λ_k^{t+1}
        dE/dW_ij ≈ Σ_t (∂E^t/∂c_j^t + q_j^t g_j^t) · ε_ij^t

    as in `sweep`. Eligibility vectors ε run on from one interval to the next. The prediction is
    that of the whole derivative, sg^m ≈ dE/dc^{m+1}, from the states of the step m (see
    `SyntheticGradient`). It enters the learning signals g through explicit edges only, and what it
    says of implicit ones only by way of earlier explicit edges: local memory is the traces' part,
    and nothing is counted twice. For an interval of 1 step the learning signal is
    ∂E^t/∂c_j^t + q_j^t Σ_k R_jk^{t+1} · sg_k^t.

    What the sweep of the next interval finds for its first step is the goal of sg^m; the end of a
    sequence has the goal 0. The gradient of an interval is known one step after its end, with the
    Jacobians of that step.

    Stored are the traces, the prediction and an interval of steps. Differences to the
    paper's simulations, as far as their re-implementations show: a linear normalized prediction
    instead of a network trained by Adam, and each interval is run only once.

    Parameters
    ----------
    interval : int
        Steps between two predictions.
    learning_rate : float
        Of the synthetic gradient, from 0 to 2.
    """

    interval: int = option(whole_number, default=5)
    learning_rate: float = option(number, "be from 0 to 2", high=2.0, default=0.1)

    def __attrs_post_init__(self):
        self.predictor = SyntheticGradient(self.network, self.learning_rate)

    def start(self, batch):
        self.traces = EligibilityVectors()
        self.before, self.steps, self.credits, self.last = None, [], [], None

    def step(self, step, signal):
        gradient = None
        if len(self.steps) == self.interval:
            predicted = self.predictor.predict(*self.last)
            gradient = self._close([step], [predicted])
        self.steps.append(step)
        self.credits.append(signal.credit(step))
        self.last = step, signal
        return gradient

    def finish(self):
        gradient = self._close([], [])
        self.predictor.learn(*self.last, 0.0)
        return gradient

    def _close(self, following, predicted):
        """End an interval, with the step that follows and its predicted derivative."""
        lam, g = sweep(self.steps + following, self.credits + predicted)
        if self.before is not None:
            self.predictor.learn(*self.before, lam[0])
        gradient = self.traces.along(self.steps, self.credits, g[: len(self.steps)])
        self.before, self.steps, self.credits = self.last, [], []
        return gradient
