"""Rewards in batches, where actions change nothing but the rewards."""

from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import define, field, frozen
from numpy.typing import ArrayLike
from scipy.signal import lfilter
from scipy.special import softmax

from ..checks import BELOW_1, Bools, Floats, Ints, real
from ..network import RecurrentNetwork
from ..reference import Gradients
from ..tasks.evidence_accumulation import EvidenceAccumulation
from .closed_loop import check_discount


@frozen(eq=False)
class Decisions:
    """Gradients of episodes, with what was decided in them.

    Attributes
    ----------
    gradients : Gradients
        Averaged over the episodes; its ``loss`` is ½ Σ (A error)².
    actions : (batch, T) int ndarray
        −1 where there was nothing to decide.
    rewards : (batch, T) ndarray
    """

    gradients: Gradients
    actions: Ints
    rewards: Floats


def open_loop_gradients(
    network: RecurrentNetwork,
    inputs: ArrayLike,
    decides: ArrayLike,
    rewards_of: Callable[[Ints], ArrayLike],
    rng: np.random.Generator,
    *,
    discount: float,
    value_weight: float = 0.5,
) -> Decisions:
    """The actor-critic gradient of episodes whose inputs do not depend on actions.

    The episodes are run twice, by whatever device is set: compiled programs are many times faster
    than a closed loop. After the first run readouts, and with them policies, actions, rewards,
    returns R and values V are known. The second one is learning with the targets

    ::

        y*^t = y^t − (R^t − V^t) error^t

    which is exact: weights and inputs are the same, so are spikes and outputs, and the error
    y − y* of a squared loss is (R^t − V^t) error^t, whose gradient is that of
    :class:`ActorCriticReadout`. With a rule of higher order, or BPTT, it is that order's gradient.

    Parameters
    ----------
    network : RecurrentNetwork
        With loss ``"mse"``; its last output is the value.
    inputs : (batch, T, n_in) bool array
    decides : (T,) bool array
        Steps in which an action is drawn.
    rewards_of : callable
        Actions (batch, T), −1 where there is none → rewards (batch, T), received after each step.
        After the last one the episode is over.
    rng : numpy.random.Generator
        Of the actions.
    discount, value_weight : float
        γ per time step, and c_V.

    Returns
    -------
    Decisions

    Raises
    ------
    ValueError
        For a network with another loss, or rewards that are not finite numbers (batch, T).
    """
    check_discount("open_loop_gradients", discount, value_weight)
    d = network.description
    if d.loss != "mse" or d.average:
        raise ValueError(
            f"open_loop_gradients: the network has loss = {d.loss!r}, average = {d.average}; the "
            "error of a step is free with loss='mse' and average=False only"
        )
    y = network.simulate(inputs).readout
    policy, value = softmax(y[..., :-1], axis=-1), y[..., -1]
    # the first action whose cumulative probability is above a uniform number
    drawn = np.sum(rng.random(value.shape)[..., None] > policy.cumsum(-1)[..., :-1], axis=-1)
    actions = np.where(decides, drawn, -1)
    rewards = np.asarray(rewards_of(actions), dtype=float)
    if rewards.shape != value.shape or not np.isfinite(rewards).all():
        raise ValueError(
            f"open_loop_gradients: 'rewards_of' returned an array of shape {rewards.shape}; "
            f"expected finite rewards of shape {value.shape}"
        )
    # R^t = r^t + γ R^{t+1}, from the end on
    returns = lfilter([1], [1, -discount], rewards[:, ::-1], axis=1)[:, ::-1]
    chosen = np.eye(policy.shape[-1])[actions]
    actor = np.where(np.asarray(decides)[:, None], policy - chosen, 0.0)
    error = np.concatenate([actor, np.full_like(y[..., -1:], -value_weight)], axis=-1)
    targets = y - (returns - value)[..., None] * error
    return Decisions(network.gradients(inputs, targets), actions, rewards)


@define(eq=False, slots=False)
class DelayedCues:
    """Cues on two sides, a delay, then a decision: it pays to name the side of most cues.

    An episode is a trial of `EvidenceAccumulation`, one of its time steps after the other; in
    the last one the agent decides, and the next is the end, with the reward.

    Parameters
    ----------
    task : EvidenceAccumulation
    wrong : float
        Reward of the other side; the right one has 1.

    Raises
    ------
    ValueError
        If ``wrong`` is not below 1.
    """

    task: EvidenceAccumulation = field(factory=EvidenceAccumulation)
    wrong: float = field(
        default=0.0, validator=real("be below 1, the right reward", low=-np.inf, high=BELOW_1)
    )
    n_actions = 2

    def __attrs_post_init__(self):
        self.n_in, self.rng = self.task.n_in, np.random.default_rng()

    @property
    def decides(self) -> Bools:
        """The steps with a decision : (steps,) bool array."""
        return np.arange(self.task.steps) == self.task.steps - 1

    def episodes(
        self, rng: np.random.Generator, batch: int
    ) -> tuple[Bools, Callable[[Ints], Floats]]:
        """Episodes side by side, for :func:`brian_eprop.reward.open_loop_gradients`.

        Returns
        -------
        inputs : (batch, steps, n_in) bool array
        rewards_of : callable
            Actions → rewards, both (batch, steps).
        """
        inputs, targets = self.task.sample(rng, batch)
        sides = targets[:, -1].argmax(axis=-1)

        def rewards_of(actions):
            decision = np.where(actions[:, -1] == sides, 1.0, self.wrong)
            return np.where(self.decides, decision[:, np.newaxis], 0.0)

        return inputs, rewards_of

    def reset(self, seed: int | None = None) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode, as Gymnasium does: observation and info."""
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        inputs, self.rewards_of = self.episodes(self.rng, 1)
        self.inputs, self.step_now = inputs[0], 0
        return self._seen()

    def _seen(self):
        last = len(self.inputs) - 1
        # the end is seen as the last step is
        observation = self.inputs[min(self.step_now, last)].astype(float)
        return observation, {"decides": self.step_now == last}

    def step(self, action: int) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Take one step: observation, reward, terminated, truncated and info."""
        actions = np.where(self.decides, action, -1)[np.newaxis]
        reward = float(self.rewards_of(actions)[0, self.step_now])
        over = self.step_now == len(self.inputs) - 1
        self.step_now += 1
        observation, info = self._seen()
        return observation, reward, over, False, info
