"""Gradients of an agent's episodes: actor and critic, forwards with TD errors or from returns."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import evolve, fields, frozen
from numpy.typing import ArrayLike
from scipy.special import log_softmax, softmax

from ..checks import keep, number
from .problem import AnyNetwork, Gradients, Problem, as_network, readout_gradient
from .rule import Signal, added
from .rules import rule_named


@frozen(eq=False)
class Experience:
    """Actions, rewards and ends of episodes over T steps of an agent.

    Attributes
    ----------
    actions : (T,) int array
        The action drawn in a step, −1 where none was decided on.
    rewards : (T,) array
        r^t, received in step t.
    terminal, truncated : (T,) bool arrays
        Steps that end an episode: with nothing more to earn, or cut off. They are no longer part
        of it, and the next step is the first of another one. After the last step there is
        nothing: an episode without an end is cut off there.

    Raises
    ------
    ValueError
        For shapes that differ, rewards that are not finite, actions that are not integers ≥ −1.
    """

    actions: np.ndarray
    rewards: np.ndarray
    terminal: np.ndarray
    truncated: np.ndarray

    def __attrs_post_init__(self):
        for of_field, kind in zip(fields(type(self)), (int, float, bool, bool), strict=True):
            name, array = of_field.name, np.asarray(getattr(self, of_field.name))
            if array.shape != np.shape(self.rewards) or array.ndim != 1:
                raise ValueError(
                    f"Experience: '{name}' has shape {array.shape}; give one value per step, as "
                    f"for the rewards of shape {np.shape(self.rewards)}"
                )
            keep(self, of_field, array.astype(kind))
        wrong = ~np.isfinite(self.rewards)
        if wrong.any():
            raise ValueError(
                f"Experience: 'rewards' contains {self.rewards[wrong][0]} in step "
                f"{np.argmax(wrong)}; give finite numbers"
            )
        if (self.actions < -1).any():
            raise ValueError(
                f"Experience: 'actions' contains {self.actions.min()}; give the number of an "
                "action, or -1 where none was decided on"
            )

    @property
    def over(self) -> np.ndarray:
        """Steps that end an episode : (T,) bool array."""
        return self.terminal | self.truncated

    def td_errors(self, value: np.ndarray, discount: float) -> np.ndarray:
        """δ^{t−1} = r^t + γ V^t − V^{t−1}, known in step t, and V^t = 0 at an end; (T,).

        0 in the first step of an episode.
        """
        before = np.concatenate([[0.0], value[:-1]])
        delta = self.rewards + discount * np.where(self.terminal, 0.0, value) - before
        first = np.concatenate([[True], self.over[:-1]])
        return np.where(first, 0.0, delta)

    def returns(self, value: np.ndarray, discount: float, trace_decay: float = 1.0) -> np.ndarray:
        """R^t = r^{t+1} + γ ((1 − λ) V^{t+1} + λ R^{t+1}), without the bracket at an end; (T,).

        Beyond a cut it is the value of its step; in the steps that are no part of an episode V^t.
        """
        returns = value.copy()
        for t in reversed(range(len(value) - 1)):
            if not self.over[t]:
                later = (1 - trace_decay) * value[t + 1] + trace_decay * returns[t + 1]
                returns[t] = self.rewards[t + 1] + discount * (
                    0.0 if self.terminal[t + 1] else later
                )
        return returns


@frozen(eq=False)
class RewardGradients:
    """Gradients of an agent, with the quantities they are made of.

    Attributes
    ----------
    gradients : Gradients
        Its ``loss`` is the objective below.
    policy : (T, n_actions) ndarray
    value, td_error, advantage : (T,) ndarrays
        V^t; δ as it becomes known; R^t − V^t.
    """

    gradients: Gradients
    policy: np.ndarray
    value: np.ndarray
    td_error: np.ndarray
    advantage: np.ndarray


class RewardProblem(Problem):
    """A sequence that an agent has run through, with the objective of actor and critic.

    Attributes
    ----------
    error : (1, T, n_actions + 1) ndarray
        What the outputs contribute in each step, before it counts by the advantage.
    """

    def __init__(
        self, network, inputs, experience, discount, value_weight, smooth=False, trace_decay=1.0
    ):
        network = as_network(network)
        self.experience, self.value_weight, self.returns = experience, value_weight, None
        no_targets = np.zeros((len(inputs), network.n_out))
        super().__init__(network, inputs, no_targets, smooth=smooth)
        value, actions = self.y[0, :, -1], experience.actions
        self.value, self.returns = value, experience.returns(value, discount, trace_decay)
        self.advantage = self.returns - value
        self.policy = softmax(self.y[0, :, :-1], axis=-1)
        actor = self.policy - np.eye(network.n_out - 1)[actions]
        actor = np.where(actions[:, np.newaxis] >= 0, actor, 0.0)
        critic = np.full((len(value), 1), -value_weight)
        error = np.concatenate([actor, critic], axis=1)
        self.error = np.where(experience.over[:, np.newaxis], 0.0, error)[np.newaxis]
        self.loss = self._evaluate(self.steps, self.network.parameters)[1]

    def _evaluate(self, steps, weights):
        """The objective, for returns and advantages that stay as they are."""
        y, loss, *rest = super()._evaluate(steps, weights)
        if self.returns is not None:
            actions, counted = self.experience.actions, ~self.experience.over
            chosen = np.take_along_axis(
                log_softmax(y[0, :, :-1], axis=-1), np.maximum(actions, 0)[:, np.newaxis], axis=1
            )[:, 0]
            actor = -self.advantage * np.where(actions >= 0, chosen, 0.0)
            critic = 0.5 * self.value_weight * (self.returns - y[0, :, -1]) ** 2
            loss = np.array([np.sum(counted * (actor + critic))])
        return y, loss, *rest

    def online(self, recursion, rule, discount, trace_decay):
        """Σ_t δ^t F_γλ(x)^t, step by step: x^t joins F_γλ after δ^{t−1} has used it.

        Returns
        -------
        dict of str to ndarray
            With that of the readout's weights.
        """
        delta, learning = self.td_error(discount), self.learning_signal(rule.uses_feedback)
        recursion.start(1)
        total, filtered, of_rates = {}, {}, np.zeros_like(self._rate)
        for t, step in enumerate(self.steps):
            error = self.error[:, t]
            signal = Signal(error, error, learning[:, t], of_rates, np.ones(1))
            of_weights = recursion.step(step, signal)
            of_step = of_weights | readout_gradient(self.network, step, error)
            total = added(total, scaled(filtered, delta[t]))
            kept = 0.0 if self.experience.over[t] else discount * trace_decay
            filtered = added(scaled(filtered, kept), scaled(of_step, 1.0 - self.experience.over[t]))
        return total

    def td_error(self, discount):
        return self.experience.td_errors(self.value, discount)


def scaled(gradient, factor):
    """A multiple of a gradient."""
    return {name: factor * array for name, array in gradient.items()}


def reward_gradients(
    network: AnyNetwork,
    inputs: ArrayLike,
    experience: Experience,
    rule: str = "eprop",
    *,
    discount: float,
    value_weight: float = 0.5,
    trace_decay: float = 1.0,
    online: bool = False,
    smooth: bool = False,
    **options: Any,
) -> RewardGradients:
    """Gradient of the objective of actor and critic along what an agent has done::

        E = Σ_t −(R^t − V^t) log π(a^t) + c_V/2 (R^t − V^t)²      π = softmax(y_1 … y_K)

    with V = y_{K+1}, in the steps t of its episodes, the first summand in those with a decision;
    R, and R − V in the first summand, are held constant. The gradient is Σ_t x^t (R^t − V^t), where
    x^t is what the errors π − [a] and −c_V contribute in step t; with
    δ^t = r^{t+1} + γ V^{t+1} − V^t it is Σ_t δ^t F_γλ(x)^t as well.

    Parameters
    ----------
    network : SpikingNetwork or RateNetwork, or an object whose ``reference_network()`` returns one
        The last output is the value. Its `loss` does not matter.
    inputs : (T, n_in) array
    experience : Experience
        Of T steps.
    rule : str
        A key of `RULES`.
    discount, value_weight, trace_decay : float
        γ per step, c_V, and λ per step: R is the λ-return, with 1 the return.
    online : bool
        Sum TD errors forwards in time, instead of returns: for causal rules. Only then does a rule
        see x^t alone.
    smooth : bool
        Smooth spikes with the derivative ψ.
    **options
        Options of the rule.

    Returns
    -------
    RewardGradients

    Raises
    ------
    ValueError
        For what does not fit or is out of range, and a rule online that is not causal.

    References
    ----------
    Bellec et al. 2020, Nat. Commun. 11:3625, Eqs 5 and 30–37.
    """
    for name, decay in (("discount", discount), ("trace_decay", trace_decay)):
        number(f"reward_gradients.{name}", decay, "be one number from 0 to 1", high=1.0)
    described = rule_named(rule).with_options(options)
    if online and not described.causal:
        raise ValueError(
            f"rule '{rule}' looks at the future, so that it has no gradient of a step to filter; "
            "leave 'online' away"
        )
    problem = RewardProblem(
        network, inputs, experience, discount, value_weight, smooth, trace_decay
    )
    if online and problem.network.rate_regularized:
        raise ValueError(
            "'online' is for networks without rate regularization, which is known at the end of "
            "a trial only; set rate_strength to 0, or leave 'online' away"
        )
    advantage = problem.advantage
    recursion = rule_named(rule).at_work(problem.network, np.random.default_rng(0), **options)
    if online:
        gradient = problem.online(recursion, described, discount, trace_decay)
        of_readout = {name: gradient[name] for name in problem.network.readout_weights}
    else:
        problem.error = problem.error * advantage[np.newaxis, :, np.newaxis]
        gradient, of_readout = problem.gradient(recursion, described), {}
    total = evolve(problem.result(gradient, described), **of_readout)
    return RewardGradients(
        total, problem.policy, problem.value, problem.td_error(discount), advantage
    )
