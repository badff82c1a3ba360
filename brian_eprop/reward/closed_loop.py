"""The network of an agent in a closed loop with its environment, and its actor–critic readout."""

from typing import Any

import numpy as np
from brian2 import Clock, NetworkOperation, NeuronGroup, Quantity, second

from ..brian import schedule
from ..brian.code import declare, run_code
from ..brian.step_flags import EPISODE, declare_flags
from ..checks import number, whole_number
from ..learning.readout import LeakyReadout
from ..network.assembly import assemble
from ..network.projections import BatchShape, blocks, given, matrices_of_gradients
from .environments import answer_of


class ActorCriticReadout(LeakyReadout):
    r"""Leaky integrators whose outputs are a policy and, the last of them, a value.

    ::

        π_k^t = exp(y_k^t) / Σ_l exp(y_l^t)         of the actions k < n_actions
        V^t = y_n^t                                 of the last output, n = n_actions
        δ^{t−1} = r^t + γ V^t − V^{t−1}             0 for V^t in a step that is terminal

    Their errors are π_k − [k = action] where a decision is made, and −c_V for the value in
    every step. A learner lets them count by the TD errors δ that follow::

        dE/dw = Σ_t δ^t F_γλ(x)^t     x^t: what the errors alone would contribute in step t

    With λ = 1 and for an episode with an end this is Σ_t x^t (R^t − V^t), with the return
    R^t = Σ_{t'>t} γ^{t'−t−1} r^{t'} (Bellec et al. 2020, Nat. Commun. 11:3625, Eqs 5 and 30–37).
    With less, R is the λ-return: rewards count the less the later they come, and values stand for
    them, whose errors bias the gradient, while its variance is smaller (Sutton & Barto 2018,
    Reinforcement Learning, sections 12.1–12.5 and 13.5).
    With ``EProp(engine="traces")`` synapses keep F_γλ(x) in their variable ``credit_trace``, and
    learn while an episode lasts; the engine ``"credit"`` is for trials of one length.

    The environment is whatever code sets the variables below in the slot ``before_end``, where
    ``policy`` and ``value`` of the step are known: a network operation, or Brian2 code. They
    are 0 again when the next step begins.

    Parameters
    ----------
    n_actions : int
        At least 2.
    tau : Quantity
        Time constant of the leak, the same for all outputs.
    discount : float
        γ per time step, from 0 to 1.
    value_weight : float
        c_V, the weight of the value's squared error ½ (R − V)² in the loss.
    trace_decay : float
        λ per time step, from 0 to 1.
    normalize : bool
        As for `LeakyReadout`.
    **as_neuron_group
        ``name``, ``dt``, ``clock``, ``order`` of :class:`brian2.NeuronGroup`.

    Attributes
    ----------
    reward : shared variable
        r, received in this step.
    decides, action : shared variables (bool, int)
        Whether the agent decides in this step, and which action it has drawn.
    terminal, truncated : shared variables (bool)
        This step ends the episode: nothing more can be earned, or it is only cut off, so that
        V stands for what would have followed. It is no longer part of the episode itself, and
        the next step is the first of the next episode.
    policy, value, td_error : state variables (n_actions + 1,)
        π (0 for the last output), V, and, from the slot ``end`` on, the δ that has just become
        known; the last two are the same in all entries.
    episode_step : shared variable (int)
        Steps since the episode began.
    loss : state variable (n_actions + 1,)
        ½ Σ δ², summed since the start of the simulation, in its last entry.

    Raises
    ------
    ValueError
        For numbers out of range; they are named.
    DimensionMismatchError
        If ``tau`` is not a time.
    """

    EQUATIONS = (
        LeakyReadout.EQUATIONS
        + """
        reward : 1 (shared)
        action : integer (shared)
        decides : boolean (shared)
        terminal : boolean (shared)
        truncated : boolean (shared)
        policy : 1
        value : 1
        td_error : 1
        discount : 1 (shared, constant)
        trace_decay : 1 (shared, constant)
        value_weight : 1 (shared, constant)
        episode_step : integer (shared)
        """
    )
    rewarded = True

    def __init__(
        self,
        n_actions: int,
        tau: Quantity,
        discount: float,
        *,
        value_weight: float = 0.5,
        trace_decay: float = 1.0,
        normalize: bool = False,
        **as_neuron_group: Any,
    ) -> None:
        why = "fewer leave nothing to decide"
        whole_number("ActorCriticReadout.n_actions", n_actions, 2, why=why)
        check_discount("ActorCriticReadout", discount, value_weight, trace_decay)
        super().__init__(n_actions + 1, tau, normalize=normalize, **as_neuron_group)
        self.add_attribute("n_actions")
        self.n_actions = n_actions
        self.discount, self.value_weight, self.trace_decay = discount, value_weight, trace_decay
        declare_flags(self, "rewards")
        declare(self, "__policy_norm")
        declare(self, "__value_before")
        self.variables["__episode_over"].set_value(1)
        self._sum_over_outputs(
            schedule.VALUE,
            __policy_norm=f"int(i < {n_actions})*exp(y_pre - y_post)",
            value=f"int(i == {n_actions})*y_pre",
        )
        policy = f"policy = int(i < {n_actions})/__policy_norm"
        run_code(self, policy, schedule.POLICY, f"{self.name}_policy")
        outcome = f"""
        __episode_over = int(terminal or truncated)
        __credit_decay = discount*trace_decay*(1 - __episode_over)
        _after = discount*int(not terminal)*value
        td_error = int(episode_step > 0)*(reward + _after - __value_before)
        loss += int(i == {n_actions})*0.5*td_error**2
        __value_before = value
        _actor = int(decides)*(policy - int(i == action))
        _part = _actor*int(i < {n_actions}) - value_weight*int(i == {n_actions})
        error = __counts*(1 - __episode_over)*_part
        """
        run_code(self, outcome, schedule.ERROR, f"{self.name}_outcome")


def check_discount(owner, discount, value_weight, trace_decay=1.0):
    """Raise an error unless γ, weight of the value and λ are numbers in their ranges."""
    number(f"{owner}.discount", discount, "be one number from 0 to 1", high=1.0)
    number(f"{owner}.trace_decay", trace_decay, "be one number from 0 to 1", high=1.0)
    number(f"{owner}.value_weight", value_weight, "be one number ≥ 0")


class ClosedLoop:
    """Episodes of an agent in its environment, all in one Brian2 run.

    An observation is shown for ``steps_per_action`` time steps; in the last one the agent draws
    an action, whose reward comes in the next. The step of the last reward ends the episode, and
    the one after it begins another.

    Parameters
    ----------
    agent : Agent
    learning : bool
        Whether gradients are computed.
    """

    def __init__(self, agent, learning):
        self.agent, self.environment = agent, agent.environment
        d = self.description = agent.network.description
        self.trials = BatchShape(1, 1, learning=learning)
        clock = Clock(d.dt, name="agent_clock*")
        self.readout = ActorCriticReadout(
            agent.environment.n_actions,
            d.tau_out,
            agent.discount ** (1 / agent.steps_per_action),  # per time step
            value_weight=agent.value_weight,
            trace_decay=agent.trace_decay ** (1 / agent.steps_per_action),
            normalize=d.normalize,
            clock=clock,
            name="readout",
        )
        operations = (
            NetworkOperation(self._see, clock=clock, when="before_start", order=-10),
            NetworkOperation(self._act, clock=clock, when="before_end"),
            NetworkOperation(self._note, clock=clock, when="after_end", order=10),
        )
        inputs = _input_group(d.n_in, clock)
        # They change weights only where an episode is over: nothing has to be watched in each step.
        periods = {"reset_every": EPISODE, "given": list(operations)}
        self.assembly = assemble(d, self.trials, inputs, self.readout, operations, **periods)
        self.fires = inputs.variables["fires"]
        names = ("policy", "reward", "action", "decides", "terminal", "truncated")
        self.now = {name: self.readout.variables[name] for name in names}

    def run(self, choose, episode_over):
        """Run episodes until `episode_over` returns True.

        Parameters
        ----------
        choose : callable
            Policy (n_actions,) → action.
        episode_over : callable
            Called with the undiscounted return and the number of actions of each episode.
        """
        self.choose, self.episode_over = choose, episode_over
        self.write_weights()
        if self.trials.learning:
            self.take_gradients()
        # An episode that was interrupted, by an error say, is over.
        self.assembly.variable("readout.__episode_over").set_value(1)
        self._begin()
        self.assembly.network.run(1e6 * second, namespace={})

    def write_weights(self):
        """Give the synapses the weights of the network."""
        projections = blocks(self.description, self.trials)
        self.assembly.write(given(projections, [], self.agent.network.weights, {}))

    def take_gradients(self):
        """The gradients since they were taken last : dict of str to ndarray or csr_array."""

        def take(name):
            variable = self.assembly.variable(name)
            values = variable.get_value().copy()
            variable.set_value(0)
            return values

        return matrices_of_gradients(self.description, blocks(self.description, self.trials), take)

    def _begin(self):
        seed = int(self.agent.rng.integers(2**31))
        self._look(*answer_of(self.environment, "reset", seed=seed))
        self.outcome, self.shown, self.total, self.actions, self.over = None, 0, 0.0, 0, False

    def _look(self, observation, info):
        self.observation, self.decides = observation, info.get("decides", True)

    def _see(self):
        self.fires.set_value(self.agent.rng.random(len(self.observation)) < self.observation)

    def _act(self):
        if self.outcome is not None:
            for name, value in self.outcome.items():
                self.now[name].set_value(value)
            self.over = self.outcome["terminal"] or self.outcome["truncated"]
            self.outcome = None
        self.shown += 1
        if self.over or self.shown < self.agent.steps_per_action:
            return
        action = self.choose(self.now["policy"].get_value()[: self.readout.n_actions])
        self.now["action"].set_value(action)
        self.now["decides"].set_value(self.decides)
        observation, reward, *ends, info = answer_of(self.environment, "step", action)
        number = np.asarray(reward)
        if number.dtype.kind not in "biuf" or number.size != 1 or not np.isfinite(number).all():
            raise ValueError(
                f"{type(self.environment).__name__}.step({action}) returned the reward {reward!r}, "
                f"after {self.actions} actions of an episode; rewards are finite numbers"
            )
        self._look(observation, info)
        terminal, truncated = map(bool, ends)
        reward = float(number.item())
        self.outcome = {"reward": reward, "terminal": terminal, "truncated": truncated}
        self.shown = 0
        self.total, self.actions = self.total + reward, self.actions + 1

    def _note(self):
        if self.over:
            if self.episode_over(self.total, self.actions):
                self.assembly.network.stop()
            self._begin()


def _input_group(n, clock):
    """Neurons that fire where the variable ``fires`` says so, in the slot ``start``."""
    group = NeuronGroup(
        n,
        "fires : boolean",
        threshold="fires",
        reset="",
        clock=clock,
        namespace={},
        name="inputs",
    )
    group.thresholder["spike"].when = "start"
    return group
