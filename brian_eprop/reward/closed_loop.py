"""The Brian2 network of an agent, in a closed loop with its environment."""

import numpy as np
from brian2 import Clock, Network, NetworkOperation, NeuronGroup, second

from ..devices.assembly import connected, learner_of
from ..devices.blocks import Trials, blocks, given
from ..feedback import FeedbackWeights
from ..periods import EPISODE
from .readout import ActorCriticReadout


class ClosedLoop:
    """Runs episodes of an environment, all in one Brian2 run.

    An observation is shown for ``steps_per_action`` time steps; in the last one the agent draws
    an action, whose reward comes in the next. The step of the last reward ends the episode, and
    the one after it begins another.

    Parameters
    ----------
    network : RecurrentNetwork
    environment : object
    discount : float
        Per time step.
    value_weight : float
    steps_per_action : int
    learning : bool
        Whether gradients are computed.
    """

    def __init__(self, network, environment, discount, value_weight, steps_per_action, *, learning):
        self.network, self.environment = network, environment
        self.steps_per_action = steps_per_action
        d = self.description = network.description
        self.trials = Trials(1, 1, learning=learning)
        clock = Clock(d.dt, name="agent_clock*")
        groups = {"inputs": _input_group(d.n_in, clock)}
        for k, p in enumerate(d.populations):
            groups[k] = p.group(d.rule, clock=clock, name=f"population_{k}")
        self.readout = groups["readout"] = ActorCriticReadout(
            environment.n_actions,
            d.tau_out,
            discount,
            value_weight=value_weight,
            normalize=d.normalize,
            clock=clock,
            name="readout",
        )
        populations = [groups[k] for k in range(len(d.populations))]
        learner = learner_of(d, self.trials, self.readout, populations, reset_every=EPISODE)
        objects = {group.name: group for group in groups.values()}
        for block in blocks(d, self.trials):
            if block.matrix != "feedback":
                objects[block.name] = connected(d, self.trials, block, groups, learner)
        see = NetworkOperation(self._see, clock=clock, when="before_start", order=-10)
        act = NetworkOperation(self._act, clock=clock, when="before_end")
        note = NetworkOperation(self._note, clock=clock, when="after_end", order=10)
        self.brian = Network(*objects.values(), see, act, note)
        for weights in self.readout.contained_objects:
            if isinstance(weights, FeedbackWeights):
                objects[weights.name] = weights
        self.objects = objects
        self.fires = groups["inputs"].variables["fires"]
        names = ("policy", "reward", "action", "decides", "terminal", "truncated")
        self.now = {name: self.readout.variables[name] for name in names}

    def variable(self, name):
        """The Brian2 variable with a full name ``"object.variable"``."""
        owner, variable = name.split(".")
        return self.objects[owner].variables[variable]

    def run(self, rng, choose, episode_over):
        """Run episodes until `episode_over` returns True.

        Parameters
        ----------
        rng : numpy.random.Generator
        choose : callable
            Policy (n_actions,) → action.
        episode_over : callable
            Called with the undiscounted return and the number of actions of each episode.
        """
        self.rng, self.choose, self.episode_over = rng, choose, episode_over
        self.write_weights()
        if self.trials.learning:
            self.take_gradients()
        # An episode that was interrupted, by an error say, is over.
        self.variable("readout.__episode_over").set_value(1)
        self._begin()
        self.brian.run(1e6 * second, namespace={})

    def write_weights(self):
        """Give the synapses the weights of the network."""
        values = given(self.description, self.trials, self.network.weights, {})
        for name, array in values.items():
            self.variable(name).set_value(array)

    def take_gradients(self):
        """The gradients since they were taken last : dict of str to ndarray."""
        found = {
            name: np.zeros(self.description.shapes[name]) for name in ("w_in", "w_rec", "w_out")
        }
        for block in blocks(self.description, self.trials):
            if block.gradient is not None:
                variable = self.variable(block.gradient)
                block.put(found[block.matrix], variable.get_value())
                variable.set_value(0)
        return found

    def _begin(self):
        seed = int(self.rng.integers(2**31))
        self._look(*self.environment.reset(seed=seed))
        self.outcome, self.shown, self.total, self.actions, self.over = None, 0, 0.0, 0, False

    def _look(self, observation, info):
        self.observation, self.decides = observation, info.get("decides", True)

    def _see(self):
        self.fires.set_value(self.rng.random(len(self.observation)) < self.observation)

    def _act(self):
        if self.outcome is not None:
            reward, terminated, truncated = self.outcome
            self.now["reward"].set_value(reward)
            self.now["terminal"].set_value(terminated)
            self.now["truncated"].set_value(truncated)
            self.outcome, self.over = None, terminated or truncated
        self.shown += 1
        if self.over or self.shown < self.steps_per_action:
            return
        action = self.choose(self.now["policy"].get_value()[: self.readout.n_actions])
        self.now["action"].set_value(action)
        self.now["decides"].set_value(self.decides)
        observation, reward, terminated, truncated, info = self.environment.step(action)
        if not np.isfinite(reward):
            raise ValueError(
                f"{type(self.environment).__name__}.step({action}) returned the reward {reward!r}, "
                f"after {self.actions} actions of an episode; rewards are finite numbers"
            )
        self._look(observation, info)
        self.outcome, self.shown = (reward, terminated, truncated), 0
        self.total, self.actions = self.total + reward, self.actions + 1

    def _note(self):
        if self.over:
            if self.episode_over(self.total, self.actions):
                self.brian.stop()
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
