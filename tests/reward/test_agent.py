"""Agents in closed loops: what they learn from is what has happened, and they do learn."""

from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from brian2 import Hz, defaultclock, ms
from brian_networks import BLOCKS, difference
from matplotlib.figure import Figure

from brian_eprop import (
    Adam,
    EProp,
    FiringRateRegularizer,
    GradientDescent,
    LeakyReadout,
    Learner,
    RecurrentNetwork,
)
from brian_eprop.network.training import StopTraining
from brian_eprop.plotting import plot_learning_curve
from brian_eprop.reference import Experience, reward_gradients
from brian_eprop.reward import ActorCriticReadout, Agent, CodedEnvironment, DelayedCues
from brian_eprop.tasks.evidence_accumulation import EvidenceAccumulation

pytestmark = pytest.mark.usefixtures("numpy_target")
#: Sums of some hundred products of numbers of order 1, in another order
TOLERANCE = 1e-10
TRACES = EProp(engine="traces")


class Walk:
    """Random observations, rewards and lengths; keeps what it was asked."""

    n_in, n_actions = 6, 3

    def __init__(self):
        self.log = []

    def reset(self, seed=None):
        self.rng = np.random.default_rng(seed)
        self.log.append([])
        return self.observation()

    def observation(self):
        decides = bool(self.rng.random() < 0.7)
        return self.rng.random(self.n_in) * 0.6, {"decides": decides}

    def step(self, action):
        end = self.rng.choice(["goes on", "terminal", "truncated"], p=[0.8, 0.1, 0.1])
        reward = self.rng.normal()
        self.log[-1].append((action, reward, end))
        observation, info = self.observation()
        return observation, reward, end == "terminal", end == "truncated", info


class Signs:
    """Press the button that is lit; one decision per episode."""

    n_in, n_actions = 10, 2

    def reset(self, seed=None):
        self.lit = int(np.random.default_rng(seed).integers(2))
        return np.repeat(np.eye(2)[self.lit], 5) * 0.5, {}

    def step(self, action):
        return np.zeros(10), float(action == self.lit), True, False, {}


def network(environment, n_rec=12, neurons="alif", rule=TRACES, optimizer=None, **changes):
    return RecurrentNetwork(
        neurons,
        environment.n_in,
        n_rec,
        environment.n_actions + 1,
        rule=rule,
        optimizer=optimizer or GradientDescent(0.01),
        **({"seed": 1} | changes),
    )


def experience_of(record):
    """The trial of an episode as arrays, one row per time step."""
    rows = np.array([row[1:] for row in record], dtype=float)
    return np.array([row[0] for row in record], dtype=float), Experience(
        np.where(rows[:, 0] > 0, rows[:, 1], -1), rows[:, 2], rows[:, 3], rows[:, 4]
    )


def recorded_episodes(agent, episodes):
    """What the readout and its inputs have seen in every time step, by episode."""
    record = [[]]

    def listen(loop):
        note, readout = loop._note, loop.readout

        def listening():
            names = ("decides", "action", "reward", "terminal", "truncated")
            now = [float(readout.variables[name].get_value()[0]) for name in names]
            record[-1].append((loop.fires.get_value().copy(), *now))
            if loop.over:
                record.append([])
            note()

        return listening

    loop = agent._loop(learning=True)
    operation = next(
        o for o in loop.assembly.network.objects if getattr(o, "function", None) == loop._note
    )
    operation.function = listen(loop)
    agent.learn(episodes)
    return [experience_of(one) for one in record[:-1]]


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("steps_per_action", [1, 3])
@pytest.mark.parametrize("feedback", ["symmetric", "random"])
def test_an_update_is_the_mean_gradient_of_what_has_happened(steps_per_action, feedback):
    world = Walk()
    net = network(world, feedback=feedback)
    before, reference = dict(net.weights), net.reference_network()
    agent = Agent(
        net,
        world,
        discount=0.8,
        steps_per_action=steps_per_action,
        value_weight=0.3,
        trace_decay=0.7,
        episodes_per_update=4,
        seed=2,
    )
    episodes = recorded_episodes(agent, 4)
    assert net.updates == 1 and len(episodes) == 4
    assert sum(inputs.sum() for inputs, _ in episodes) > 20
    decays = {"discount": 0.8, "trace_decay": 0.7}
    per_step = {name: decay ** (1 / steps_per_action) for name, decay in decays.items()}
    found = [
        reward_gradients(reference, *e, value_weight=0.3, **per_step).gradients for e in episodes
    ]
    for name in BLOCKS:
        expected = sum(getattr(one, name) for one in found) / 4
        moved = (before[name] - net.weights[name]) / 0.01
        assert np.abs(expected).max() > 1e-2
        assert difference(moved, expected) < TOLERANCE


def test_rewards_come_after_their_actions():
    """In the time step after the one with the decision; the last one ends the episode."""
    world = Walk()
    agent = Agent(network(world), world, discount=0.9, steps_per_action=3, seed=5)
    (_, experience), *_ = recorded_episodes(agent, 1)
    done = world.log[0]
    assert len(experience.rewards) == 3 * len(done) + 1
    np.testing.assert_allclose(experience.rewards[3::3], [reward for _, reward, _ in done])
    assert np.count_nonzero(experience.rewards) == len(done)
    decided = np.nonzero(experience.actions >= 0)[0]
    assert np.all(decided % 3 == 2)
    actions = [action for action, *_ in done]
    assert [actions[t // 3] for t in decided] == list(experience.actions[decided])
    assert experience.over.sum() == 1 and experience.over[-1]


@pytest.mark.slow
def test_it_learns_which_button_to_press():
    world = Signs()
    regular = [FiringRateRegularizer(60 * Hz, 1.0)]
    net = network(world, 20, "lif", optimizer=Adam(0.02), regularizers=regular, tau_out=10 * ms)
    agent = Agent(net, world, discount=0.9, steps_per_action=15, episodes_per_update=4, seed=3)
    before = agent.evaluate(40).mean()
    history = agent.learn(160)
    assert len(history) == 160 and all(e["actions"] == 1 for e in history)
    after = agent.evaluate(40, greedy=True).mean()
    assert before < 0.8 and after > 0.95


def test_the_same_seed_is_the_same_life():
    lives = []
    for _ in range(2):
        world = Walk()
        agent = Agent(network(world), world, discount=0.9, seed=4)
        lives.append((agent.learn(5), agent.network.weights["w_rec"]))
    history = lives[0][0]
    assert history == lives[1][0]
    # a history like any other
    (drawn,) = plot_learning_curve(history, quantity="return", ax=Figure().subplots()).lines
    np.testing.assert_array_equal(drawn.get_ydata(), [entry["return"] for entry in history])
    np.testing.assert_array_equal(lives[0][1], lives[1][1])


def test_evaluation_changes_nothing_and_callbacks_end_learning(tmp_path):
    world = Walk()
    agent = Agent(network(world), world, discount=0.9, seed=6)
    before = agent.network.weights["w_in"].copy()
    assert len(agent.evaluate(3)) == 3
    np.testing.assert_array_equal(agent.network.weights["w_in"], before)

    def stop(episode):
        raise StopTraining

    assert len(agent.learn(10, [stop])) == 1
    assert np.any(agent.network.weights["w_in"] != before)
    agent.network.save(tmp_path / "agent.npz")
    saved = RecurrentNetwork.load(tmp_path / "agent.npz")
    np.testing.assert_array_equal(saved.weights["w_in"], agent.network.weights["w_in"])
    assert len(Agent(saved, world, discount=0.9, seed=7).learn(2)) == 2


@pytest.mark.slow
def test_after_an_error_the_next_episode_is_a_new_one():
    class Breaking(Walk):
        broken = False

        def step(self, action):
            observation, reward, *rest = super().step(action)
            if self.broken and len(self.log[-1]) == 2:
                self.broken = False
                raise OSError("the cable is out")
            return observation, reward, *rest

    def second_episode(broken):
        world = Breaking()
        agent = Agent(network(world), world, discount=0.9, episodes_per_update=9, seed=8)
        agent.learn(1)
        if broken:
            world.broken = True
            with pytest.raises(OSError, match="cable"):
                agent.learn(3)
        agent.rng = np.random.default_rng(9)
        agent.learn(1)
        loop = agent._loop(learning=True)
        return loop.take_gradients()["w_out"]

    first = second_episode(False)
    assert np.abs(first).max() > 0
    assert difference(second_episode(True), first) < TOLERANCE


class TestCues:
    task = EvidenceAccumulation(n_cues=3, cue=5 * ms, gap=5 * ms, delay=10 * ms, recall=5 * ms)

    def episode(self, world, choose):
        observation, info = world.reset(seed=11)
        rewards, decided, seen = [], [], [observation]
        while True:
            decided.append(info["decides"])
            observation, reward, terminated, truncated, info = world.step(choose(world))
            rewards.append(reward)
            if terminated:
                return rewards, decided, np.array(seen), truncated
            seen.append(observation)

    @pytest.mark.parametrize("side, reward", [(0, 1.0), (1, -1.0)])
    def test_the_reward_comes_at_the_end(self, side, reward):
        world = DelayedCues(self.task, wrong=-1.0)
        _, targets = self.task.sample(np.random.default_rng(11), 1)
        action = int(targets[0, -1].argmax()) ^ side
        rewards, decided, seen, truncated = self.episode(world, lambda _: action)
        assert rewards == [0.0] * (self.task.steps - 1) + [reward]
        assert decided == [False] * (self.task.steps - 1) + [True] and not truncated
        np.testing.assert_array_equal(seen, world.inputs)

    def test_the_same_seed_has_the_same_cues(self):
        world = DelayedCues(self.task)
        first = self.episode(world, lambda w: 0)[2]
        np.testing.assert_array_equal(self.episode(world, lambda w: 0)[2], first)
        assert first.any()

    def test_an_agent_can_be_asked(self):
        world = DelayedCues(self.task)
        agent = Agent(network(world), world, discount=1.0, seed=1)
        assert {e["return"] for e in agent.learn(8)} <= {0.0, 1.0}

    def test_a_wrong_side_that_pays(self):
        with pytest.raises(ValueError, match=r"DelayedCues.wrong = 1.0 must be below 1"):
            DelayedCues(self.task, wrong=1.0)


def space(**attributes):
    return SimpleNamespace(**attributes)


def world_of(low=(-1.0, 0.0), high=(1.0, 2.0), actions=None, observations=None):
    box = space(shape=(2,), low=np.array(low), high=np.array(high))
    return SimpleNamespace(
        action_space=actions or space(n=2),
        observation_space=observations or box,
        reset=lambda seed=None: (np.array([0.0, 5.0]), {}),
        step=lambda action: (np.array([-9.0, 0.5]), 1.0, False, False, {}),
    )


class TestCoding:
    def test_cart_pole(self):
        pytest.importorskip("gymnasium")
        ends = [2.4, 3.0, 0.2, 3.0]
        world = CodedEnvironment("CartPole-v1", low=np.negative(ends), high=ends, n=7)
        assert (world.n_in, world.n_actions) == (28, 2)
        agent = Agent(network(world), world, discount=0.9, steps_per_action=2, seed=1)
        assert all(e["actions"] == e["return"] > 5 for e in agent.learn(2))

    def test_values_beyond_the_range_are_those_of_its_ends(self):
        world = CodedEnvironment(world_of(), n=3, peak=0.4)
        observation, _ = world.reset()
        assert observation.argmax() == 1 and observation[5] == 0.4
        np.testing.assert_allclose(observation[:3], 0.4 * np.exp([-0.5, 0, -0.5]), rtol=1e-15)
        observation, reward, *_ = world.step(0)
        assert observation[0] == 0.4 and reward == 1.0

    def test_elements_have_one_input_each(self):
        environment = world_of(observations=space(n=4))
        environment.reset = lambda seed=None: (2, {})
        world = CodedEnvironment(environment)
        np.testing.assert_array_equal(world.reset()[0], [0, 0, 0.5, 0])
        assert world.n_in == 4

    @pytest.mark.parametrize(
        "environment, changes, message",
        [
            (world_of(actions=space(shape=(1,))), {}, "action space .*continuous actions discrete"),
            # as MultiBinary
            (world_of(actions=space(n=3, shape=(3,))), {}, "action space .*among n actions"),
            (world_of(observations=space(n=2, shape=(2,))), {}, r"low\[0\] = nan is no end"),
            (space(action_space=space(n=2)), {}, "has no 'reset'"),
            (world_of(observations=space(shape=(3, 3))), {}, "flatten them"),
            (world_of(high=(np.inf, 2)), {}, r"high\[0\] = inf is no end .* high=\[...\], 2"),
            (world_of(low=(-1, -3.4028235e38)), {}, r"low\[1\] = -3.4"),
            (world_of(), {"low": [0.0] * 3}, r"low has the shape \(3,\); give one number"),
            (world_of(), {"low": 3.0}, "low < high"),
            (world_of(), {"peak": 1.5}, "peak = 1.5 must be a probability"),
            (world_of(), {"n": 0}, "'n' = 0"),
        ],
    )
    def test_what_cannot_be_coded(self, environment, changes, message):
        with pytest.raises(ValueError, match=message):
            CodedEnvironment(environment, **changes)

    def test_elements_and_actions_are_counted_from_the_first_one(self):
        taken = []
        environment = world_of(actions=space(n=2, start=5), observations=space(n=4, start=1))
        environment.reset = lambda seed=None: (np.int64(4), {})
        environment.step = lambda a: (taken.append(a), (1, 1.0, False, True, {}))[1]
        world = CodedEnvironment(environment)
        np.testing.assert_array_equal(world.reset()[0], [0, 0, 0, 0.5])
        np.testing.assert_array_equal(world.step(1)[0], [0.5, 0, 0, 0])
        assert taken == [6] and world.n_actions == 2

    @pytest.mark.parametrize(
        ("observations", "wrong", "message"),
        [
            (space(n=4), 4, "a whole number, 0 to 3"),
            (space(n=4), -1, "a whole number, 0 to 3"),
            (space(n=4), 1.7, "a whole number, 0 to 3"),
            (space(n=4, start=1), 0, "a whole number, 1 to 4"),
            (None, np.zeros(3), "2 finite numbers"),
            (None, [np.nan, 0], "2 finite numbers"),
            (None, {"a": 1}, "2 finite numbers"),
            (None, None, "2 finite numbers"),
        ],
    )
    def test_observations_that_are_not_of_the_space(self, observations, wrong, message):
        environment = world_of(observations=observations)
        environment.step = lambda action: (wrong, 1.0, False, False, {})
        with pytest.raises(ValueError, match=f"returned the observation .*; expected {message}"):
            CodedEnvironment(environment).step(0)

    @pytest.mark.parametrize(
        ("method", "answer"),
        [
            ("reset", np.zeros(2)),
            ("reset", (np.zeros(2), None)),
            ("step", (np.zeros(2), 1.0, False, {})),
            ("step", (np.zeros(2), 1.0, False, False, None)),
            ("step", None),
        ],
    )
    def test_answers_of_the_old_gym(self, method, answer):
        environment = world_of()
        world = CodedEnvironment(environment)
        setattr(environment, method, lambda action=0, seed=None: answer)
        with pytest.raises(TypeError, match=rf"\.{method} returned .*; expected \(observation, "):
            getattr(world, method)(*([0] if method == "step" else []))
        if method == "reset":
            environment.reset = lambda: (np.zeros(2), {})
            with pytest.raises(ValueError, match=r"has no reset\(seed=number\)"):
                CodedEnvironment(environment)

    @pytest.mark.parametrize("reward", [None, "1", [1.0, 2.0], np.nan])
    def test_rewards_that_are_no_numbers(self, reward):
        environment = world_of()
        environment.step = lambda action: (np.zeros(2), reward, True, False, {})
        world = CodedEnvironment(environment)
        agent = Agent(network(world), world, discount=0.9, seed=1)
        with pytest.raises(ValueError, match=r"returned the reward .* finite numbers"):
            agent.learn(1)
        environment.step = lambda action: (np.zeros(2), np.array([2]), True, False, {})
        assert Agent(network(world), world, discount=0.9, seed=1).learn(1)[0]["return"] == 2.0

    def test_gymnasium_may_be_missing(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "gymnasium", None)
        with pytest.raises(ImportError, match=r"'CartPole-v1'.*pip install 'brian_eprop\[rl\]'"):
            CodedEnvironment("CartPole-v1")


class TestWrongAgents:
    @pytest.mark.parametrize(
        "changes, kind, message",
        [
            ({"discount": 1.1}, ValueError, "Agent.discount = 1.1 must be one number from 0 to 1"),
            ({"discount": "most"}, ValueError, "Agent.discount = 'most'"),
            ({"steps_per_action": 0}, ValueError, "Agent.steps_per_action = 0 must be an integer"),
            ({"episodes_per_update": 1.5}, ValueError, "Agent.episodes_per_update = 1.5"),
            ({"value_weight": -1}, ValueError, "value_weight = -1 must be one number ≥ 0"),
            (
                {"trace_decay": 2},
                ValueError,
                "Agent.trace_decay = 2 must be one number from 0 to 1",
            ),
            ({"environment": object()}, TypeError, "has no 'reset'; give an environment"),
            ({"network": 7}, TypeError, "Agent.network = 7 is not a RecurrentNetwork"),
        ],
    )
    def test_arguments(self, changes, kind, message):
        world = Walk()
        arguments = dict(network=network(world), environment=world, discount=0.9) | changes
        with pytest.raises(kind, match=message):
            Agent(**arguments)

    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"n_in": 5}, "n_in = 5, but its environment needs 6"),
            ({"n_actions": 2}, "n_out = 3, .* needs 4: an output per action, and the value"),
            ({"average": True}, "average=True"),
        ],
    )
    def test_networks(self, changes, message):
        sizes = space(n_in=changes.pop("n_in", 6), n_actions=changes.pop("n_actions", 3))
        with pytest.raises(ValueError, match=message):
            Agent(network(sizes, **changes), Walk(), discount=0.9)

    def test_learning_without_an_optimizer(self):
        world = Walk()
        net = RecurrentNetwork("lif", 6, 5, 4, rule=TRACES)
        with pytest.raises(ValueError, match="optimizer is missing"):
            Agent(net, world, discount=0.9).learn(1)

    def test_learning_by_credit(self):
        world = Walk()
        agent = Agent(network(world, rule=EProp()), world, discount=0.9)
        assert len(agent.evaluate(1)) == 1
        with pytest.raises(ValueError, match=r"create it with EProp\(engine='traces'\)"):
            agent.learn(1)

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("reward", [np.nan, np.inf])
    def test_rewards_that_are_no_numbers(self, reward):
        class Broken(Walk):
            def step(self, action):
                observation, _, *rest = super().step(action)
                return observation, reward, *rest

        world = Broken()
        with pytest.raises(ValueError, match=rf"Broken.step\(\d\) returned the reward {reward}"):
            Agent(network(world), world, discount=0.9, seed=1).learn(1)


class TestWrongReadouts:
    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"n_actions": 1}, "n_actions = 1 must be an integer ≥ 2; fewer leave"),
            ({"n_actions": 2.0}, "n_actions = 2.0"),
            ({"discount": -0.1}, "discount = -0.1 must be one number from 0 to 1"),
            ({"discount": [0.9, 0.8]}, "discount = "),
            ({"value_weight": np.nan}, "value_weight = nan must be one number ≥ 0"),
            ({"trace_decay": -0.1}, "trace_decay = -0.1 must be one number from 0 to 1"),
        ],
    )
    def test_arguments(self, changes, message):
        arguments = dict(n_actions=2, tau=20 * ms, discount=0.9) | changes
        with pytest.raises(ValueError, match=f"ActorCriticReadout.{message}"):
            ActorCriticReadout(**arguments)

    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"reset_every": "trial"}, "reset_every = 'trial' is not a time"),
            ({"update_every": "week"}, "update_every = 'week' is not a time"),
            (
                {"reset_every": "episode", "learning_window": 5 * ms},
                r"learning_window \(5 steps\) is the last part of a trial",
            ),
            (
                {"reset_every": 50 * ms, "learning_window": "episode"},
                "learning_window = 'episode' is not a time",
            ),
        ],
    )
    def test_periods(self, changes, message):
        defaultclock.dt = 1 * ms
        readout = ActorCriticReadout(2, 20 * ms, 0.9)
        with pytest.raises(ValueError, match=f"Learner.{message}"):
            Learner(readout, TRACES, optimizer=Adam(0.1), **({"update_every": 50 * ms} | changes))

    def test_episodes_without_rewards(self):
        defaultclock.dt = 1 * ms
        readout = LeakyReadout(1, 20 * ms, target=np.zeros(10))
        with pytest.raises(ValueError, match="for a learner with an ActorCriticReadout"):
            Learner(readout, reset_every="episode")

    @pytest.mark.parametrize(
        "periods, message",
        [
            ({"reset_every": "episode"}, "credit flows back from the end of windows"),
            ({"update_every": "episode"}, "credit flows back from the end of windows"),
            ({}, "has rewards, which come after what they are for"),
            ({"reset_every": 20 * ms, "update_every": 5 * ms}, "has rewards, which come after"),
            ({"reset_every": 9000 * ms}, "of at most 5000 steps"),
        ],
    )
    def test_credit_needs_windows_that_are_episodes(self, periods, message):
        defaultclock.dt = 1 * ms
        optimizer = {"optimizer": Adam(0.1)} if "update_every" in periods else {}
        with pytest.raises(ValueError, match=f"{message}.*|.*EProp.engine='traces'"):
            Learner(ActorCriticReadout(2, 20 * ms, 0.9), **periods, **optimizer)


class TestWrongExperience:
    right: ClassVar = dict(
        actions=[0, -1], rewards=[0.0, 1.0], terminal=[False, True], truncated=[False, False]
    )

    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"actions": [0]}, r"'actions' has shape \(1,\); give one value per step"),
            ({"rewards": [0.0, np.nan]}, "'rewards' contains nan in step 1"),
            ({"actions": [0, -2]}, "'actions' contains -2"),
        ],
    )
    def test_arrays(self, changes, message):
        with pytest.raises(ValueError, match=f"Experience: {message}"):
            Experience(**(self.right | changes))

    def test_rules_that_look_ahead_have_no_steps(self):
        world = Walk()
        reference = network(world).reference_network()
        with pytest.raises(ValueError, match="rule 'bptt' looks at the future"):
            about = (np.zeros((2, 6)), Experience(**self.right), "bptt")
            reward_gradients(reference, *about, discount=0.9, online=True)
