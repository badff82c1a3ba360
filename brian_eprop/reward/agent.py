"""An agent: a recurrent network that acts in an environment and learns from its rewards."""

from collections.abc import Callable, Sequence

import numpy as np

from ..brian.internals import runs_in_python
from ..checks import Entry, Floats, whole_number
from ..network.recurrent import RecurrentNetwork
from ..network.training import ended_by
from ..network.training_state import check_present
from ..reference import Gradients
from .closed_loop import ClosedLoop, check_discount
from .environments import Environment


class Agent:
    """A network whose outputs are a policy and a value, in an environment.

    It learns by e-prop with the TD error: see `ActorCriticReadout`. An observation is shown for
    ``steps_per_action`` time steps of Brian2, in the last of which an action is drawn.

    Parameters
    ----------
    network : RecurrentNetwork
        With ``n_in`` inputs and ``n_actions + 1`` outputs, of the environment's numbers, and, to
        learn, the rule ``EProp(engine="traces")`` and an optimizer. Its weights are those of the
        agent: `RecurrentNetwork.save` keeps them.
    environment : object
        See :mod:`brian_eprop.reward.environments`.
    discount : float
        γ per action.
    steps_per_action : int
    value_weight : float
        c_V, the weight of the value's error.
    trace_decay : float
        λ per action: how far back TD errors reach. 1 is the return itself; less is less noisy.
    episodes_per_update : int
        Episodes whose mean gradient makes one update.
    seed : int, optional
        Of input spikes, actions and the environment.

    Raises
    ------
    ValueError, TypeError
        Naming what does not fit, and the remedy.

    Examples
    --------
    >>> world = CodedEnvironment("CartPole-v1", low=[-2.4, -3, -0.2, -3], high=[2.4, 3, 0.2, 3])
    >>> net = RecurrentNetwork("lif", world.n_in, 50, world.n_actions + 1,
    ...                        rule=EProp(engine="traces"), optimizer=Adam(1e-3))
    >>> agent = Agent(net, world, discount=0.99)
    >>> history = agent.learn(300)                              # doctest: +SKIP
    """

    def __init__(
        self,
        network: RecurrentNetwork,
        environment: Environment,
        *,
        discount: float,
        steps_per_action: int = 1,
        value_weight: float = 0.5,
        trace_decay: float = 1.0,
        episodes_per_update: int = 1,
        seed: int | None = None,
    ) -> None:
        check_discount("Agent", discount, value_weight, trace_decay)
        whole_number("Agent.steps_per_action", steps_per_action)
        whole_number("Agent.episodes_per_update", episodes_per_update)
        _check_environment(environment)
        _check_network(network, environment)
        self.network, self.environment = network, environment
        self.discount, self.value_weight = float(discount), value_weight
        self.trace_decay = float(trace_decay)
        self.steps_per_action, self.episodes_per_update = steps_per_action, episodes_per_update
        self.rng = np.random.default_rng(seed)
        self._loops: dict[bool, ClosedLoop] = {}

    def learn(
        self, episodes: int, callbacks: Sequence[Callable[[Entry], object]] = ()
    ) -> list[Entry]:
        """Act and learn.

        Parameters
        ----------
        episodes : int
        callbacks : sequence of callable
            Each is called with the entry of every episode, after its update if there is one; may
            raise `StopTraining` to end learning.

        Returns
        -------
        list of dict
            Entries as of :func:`brian_eprop.network.training.fit`, one per episode: ``iteration``
            (its number), ``return`` (the sum of its rewards) and ``actions`` (how many there were).

        Raises
        ------
        FloatingPointError
            If the weights would no longer be finite; the network has the last that were.
        ValueError
            If the network has no optimizer, or another rule.
        """
        self._check_learns()
        whole_number("episodes", episodes)
        loop = self._loop(learning=True)
        history: list[Entry] = []

        def episode_over(total, actions):
            history.append({"iteration": len(history), "return": total, "actions": actions})
            if len(history) % self.episodes_per_update == 0:
                self._update(loop)
            return ended_by(callbacks, history[-1]) or len(history) == episodes

        loop.run(self._drawn, episode_over)
        return history

    def evaluate(self, episodes: int, greedy: bool = False) -> Floats:
        """Act without learning.

        Parameters
        ----------
        episodes : int
        greedy : bool
            Take the most probable action instead of drawing one.

        Returns
        -------
        (episodes,) ndarray
            Returns: sums of rewards.
        """
        whole_number("episodes", episodes)
        returns = []

        def episode_over(total, actions):
            returns.append(total)
            return len(returns) == episodes

        choose = np.argmax if greedy else self._drawn
        self._loop(learning=False).run(choose, episode_over)
        return np.array(returns)

    def _check_learns(self):
        check_present(self.network.optimizer)
        rule = self.network.description.rule
        if rule.engine != "traces":
            raise ValueError(
                f"Agent.network has the rule {rule!r}, but episodes end when they do: create it "
                "with EProp(engine='traces')"
            )

    def _drawn(self, policy):
        return int(self.rng.choice(len(policy), p=policy))

    def _update(self, loop):
        mean = {name: g / self.episodes_per_update for name, g in loop.take_gradients().items()}
        nothing = dict.fromkeys(("spikes", "readout", "learning_signal"))
        self.network.apply(Gradients(**mean, loss=0.0, **nothing))
        loop.write_weights()

    def _loop(self, learning):
        if not runs_in_python():
            raise ValueError(
                "Agent: the environment is asked after every action, which a compiled program "
                "cannot do; choose set_device('runtime')"
            )
        if learning not in self._loops:
            self._loops[learning] = ClosedLoop(self, learning)
        return self._loops[learning]


def _check_environment(environment):
    for name in ("reset", "step", "n_in", "n_actions"):
        if not hasattr(environment, name):
            raise TypeError(
                f"Agent.environment = {environment!r} has no '{name}'; give an environment of "
                "brian_eprop.reward, such as CodedEnvironment('CartPole-v1', low, high)"
            )


def _check_network(network, environment):
    if not isinstance(network, RecurrentNetwork):
        raise TypeError(f"Agent.network = {network!r} is not a RecurrentNetwork")
    d = network.description
    for name, needed in (("n_in", environment.n_in), ("n_out", environment.n_actions + 1)):
        if getattr(d, name) != needed:
            raise ValueError(
                f"Agent.network has {name} = {getattr(d, name)}, but its environment needs {needed}"
                + (": an output per action, and the value" if name == "n_out" else "")
            )
    if d.average:
        raise ValueError(
            "Agent.network has average=True, which divides by the length of a trial; leave it away"
        )
