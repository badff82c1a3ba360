"""Rewards: the gradient that Brian2 accumulates step by step is that of the returns."""

import numpy as np
import pytest
from attrs import evolve
from brian2 import device, set_device
from brian2.devices.device import reset_device
from brian_networks import BLOCKS, DT, difference
from hypothesis import assume, given
from hypothesis import strategies as st
from random_networks import random_network
from reward_networks import BrianAgent, random_experience

from brian_eprop import BPTT, Adam, EProp, FiringRateRegularizer, GradientDescent
from brian_eprop.reference import Experience, reward_gradients
from brian_eprop.reference.rewards import RewardProblem
from brian_eprop.reference.spiking import RESET_PATHS

pytestmark = pytest.mark.usefixtures("numpy_target")
#: Sums of some hundred products of numbers of order 1, in another order
TOLERANCE = 1e-10


def agent_network(seed, n_actions=2, **changes):
    return random_network(seed, **(dict(n_in=3, n_out=n_actions + 1, max_delay=0) | changes))


def random_episodes(seed, lengths, n_actions=2, ends=None):
    rng = np.random.default_rng(seed)
    return [
        (rng.random((steps, 3)) < 0.3, random_experience(rng, steps, n_actions, end))
        for steps, end in zip(lengths, ends or [None] * len(lengths), strict=True)
    ]


def expected_gradients(network, episodes, rule="eprop", **options):
    """Of episodes that each begin at rest."""
    found = [reward_gradients(network, *e, rule, **options).gradients for e in episodes]
    return {name: sum(getattr(one, name) for one in found) for name in BLOCKS}


def assert_same(brian, expected):
    assert brian.spikes.num_spikes > 5
    for name in BLOCKS:
        assert np.abs(expected[name]).max() > 1e-3
        assert difference(brian.matrix(name), expected[name]) < TOLERANCE


@pytest.mark.slow
def test_one_step_after_the_other():
    network, episodes = agent_network(1), random_episodes(1, [60])
    brian = BrianAgent(network, episodes, 0.9).run()
    expected = reward_gradients(network, *episodes[0], discount=0.9)
    assert difference(brian.monitor.value[0], expected.value) < TOLERANCE
    assert difference(brian.monitor.policy[:2].T, expected.policy) < TOLERANCE
    assert difference(brian.monitor.td_error[0], expected.td_error) < TOLERANCE
    assert_same(brian, {name: getattr(expected.gradients, name) for name in BLOCKS})


@st.composite
def agents(draw):
    """Active agents, their experience, and how the Brian2 one is built."""
    seed = draw(st.integers(0, 2**32 - 2))
    kind, n_actions = draw(st.sampled_from(["lif", "alif", "mixed"])), draw(st.integers(2, 4))
    changes = dict(
        max_n_ref=draw(st.sampled_from([0, 4])),
        max_delay=draw(st.sampled_from([0, 3])),
        reset_path={name: draw(st.sampled_from(RESET_PATHS)) for name in "va"},
        readout_gain=draw(st.sampled_from([1.0, None])),
    )
    if draw(st.booleans()):
        changes["feedback"] = None
    if changes["readout_gain"] is None:
        changes["kappa"] = np.random.default_rng(seed).uniform(0.5, 0.9)
        changes["readout_gain"] = 1 - changes["kappa"]
    network = agent_network(seed, n_actions, kind=kind, **changes)
    lengths = draw(st.lists(st.integers(5, 25), min_size=1, max_size=4))
    ends = [draw(st.sampled_from(["terminal", "truncated"])) for _ in lengths]
    episodes = random_episodes(seed, lengths, n_actions, ends)
    options = dict(
        discount=draw(st.floats(0.05, 1)),
        value_weight=draw(st.floats(0.1, 2)),
        trace_decay=draw(st.sampled_from([1.0, 0.9, 0.3])),
    )
    return network, episodes, options, "lif" if kind == "lif" else "alif"


@pytest.mark.slow
@given(agents())
def test_episodes_of_any_length(agent):
    network, episodes, options, kind = agent
    expected = expected_gradients(network, episodes, **options)
    assume(all(np.abs(value).max() > 1e-3 for value in expected.values()))
    brian = BrianAgent(network, episodes, **options, kind=kind, reset_every="episode").run()
    for name in BLOCKS:
        assert difference(brian.matrix(name), expected[name]) < TOLERANCE


class TestMistakesAreSeen:
    """Variants with one error each are far from the gradient."""

    network, episodes = agent_network(2), random_episodes(2, [40, 30], ends=["terminal"] * 2)

    def distance(self, expected, reset_every="episode", late=0, **about_credit):
        about = (self.network, self.episodes, 0.9)
        brian = BrianAgent(*about, reset_every=reset_every, late=late, **about_credit).run()
        return max(difference(brian.matrix(name), expected[name]) for name in BLOCKS)

    def expected(self, episodes=None):
        about = (self.network, episodes or self.episodes)
        return expected_gradients(*about, discount=0.9, value_weight=0.5)

    def test_none(self):
        assert self.distance(self.expected()) < TOLERANCE

    def test_one_step_late(self):
        assert self.distance(self.expected(), late=1) > 0.1

    def test_episodes_that_run_into_each_other(self):
        assert self.distance(self.expected(), reset_every=None) > 0.1

    def test_credit_that_reaches_less_far(self):
        assert self.distance(self.expected(), trace_decay=0.9) > 1e-2

    def test_an_end_that_is_no_end(self):
        never = [
            (inputs, evolve(e, terminal=np.zeros_like(e.terminal))) for inputs, e in self.episodes
        ]
        assert self.distance(self.expected(never)) > 1e-3

    def test_the_value_pulled_the_other_way(self):
        # what a value weight contributes is proportional to it
        with_none, with_one = (
            expected_gradients(self.network, self.episodes, discount=0.9, value_weight=c)
            for c in (0.0, 0.5)
        )
        other = {name: 2 * with_none[name] - with_one[name] for name in BLOCKS}
        assert self.distance(other) > 0.1


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("trace_decay", [1.0, 0.8])
@pytest.mark.parametrize("rule", [EProp(), EProp(order=2), BPTT(), EProp(engine="traces")])
def test_trials_of_one_length(rule, trace_decay):
    """Credit that flows backwards counts by the advantage; episodes end within the trial too."""
    network = agent_network(3, feedback=None)
    episodes = random_episodes(3, [40, 40])
    assert any(e.over[:-1].any() for _, e in episodes)
    name, order = {1: ("eprop", {}), 2: ("eprop", {"order": 2})}.get(rule.order, ("bptt", {}))
    about = dict(discount=0.9, trace_decay=trace_decay)
    brian = BrianAgent(network, episodes, **about, rule=rule, reset_every=40 * DT).run()
    assert_same(brian, expected_gradients(network, episodes, name, **about, **order))


def test_an_end_in_the_last_step_of_a_trial():
    network, episodes = agent_network(4), random_episodes(4, [30, 30], ends=["terminal"] * 2)
    expected = expected_gradients(network, episodes, discount=0.9)
    for rule in (EProp(), EProp(engine="traces")):
        assert_same(
            BrianAgent(network, episodes, 0.9, rule=rule, reset_every=30 * DT).run(), expected
        )


def test_firing_rates_of_episodes():
    network = agent_network(5, rate_strength=30.0, rate_target=0.1)
    episodes = random_episodes(5, [40, 25], ends=["terminal", "truncated"])
    regularizers = [FiringRateRegularizer(0.1 / DT, 30.0)]
    options = dict(reset_every="episode", regularizers=regularizers)
    brian = BrianAgent(network, episodes, 0.9, **options).run()
    assert_same(brian, expected_gradients(network, episodes, discount=0.9))
    without = expected_gradients(evolve(network, rate_strength=0.0), episodes, discount=0.9)
    assert difference(brian.matrix("w_rec"), without["w_rec"]) > 1e-2


def test_adaptive_feedback():
    network, episodes = agent_network(6, feedback=None), random_episodes(6, [60])
    brian = BrianAgent(network, episodes, 0.9, feedback="adaptive", seed=1)
    feedback = brian.matrix("w_out", "B").T
    brian.run()
    expected = expected_gradients(evolve(network, feedback=feedback), episodes, discount=0.9)
    assert_same(brian, expected)


class TestUpdates:
    network = agent_network(7)
    episodes = random_episodes(7, [30, 20, 25], ends=["terminal", "truncated", "terminal"])

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("optimizer", [GradientDescent(0.01), Adam(0.01)])
    def test_after_each_episode(self, optimizer):
        brian = BrianAgent(
            self.network,
            self.episodes,
            0.9,
            reset_every="episode",
            update_every="episode",
            optimizer=optimizer,
        ).run()
        network, states = self.network, {name: {} for name in BLOCKS}
        for n, episode in enumerate(self.episodes, 1):
            gradient = expected_gradients(network, [episode], discount=0.9)
            step = {b: optimizer.step(gradient[b], states[b], n) for b in BLOCKS}
            mask = {b: getattr(network, f"mask_{b[2:]}") for b in BLOCKS}
            network = evolve(
                network, **{b: getattr(network, b) - mask[b] * step[b] for b in BLOCKS}
            )
        for name in BLOCKS:
            assert difference(getattr(network, name), getattr(self.network, name)) > 1e-3
            assert difference(brian.matrix(name, "w"), getattr(network, name)) < TOLERANCE

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("every", [1, 5])
    def test_while_it_runs(self, every):
        """With a vanishing learning rate the steps add up to that of the whole gradient."""
        rate = 1e-9
        options = dict(reset_every="episode", optimizer=GradientDescent(rate))
        brian = BrianAgent(self.network, self.episodes, 0.9, update_every=every * DT, **options)
        before = {name: brian.matrix(name, "w") for name in BLOCKS}
        brian.run()
        expected = expected_gradients(self.network, self.episodes, discount=0.9)
        for name in BLOCKS:
            moved = (before[name] - brian.matrix(name, "w")) / rate
            # of order of the rate, and round-off of weights divided by it
            assert difference(moved, expected[name]) < 1e-6


class TestReference:
    network, (episode,) = agent_network(8), random_episodes(8, [50])

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("rule", ["eprop", "rtrl", "superspike"])
    @pytest.mark.parametrize(
        "discount, trace_decay", [(0, 1), (0.7, 1), (1, 1), (0.9, 0.6), (1, 0)]
    )
    def test_td_errors_forwards_are_returns(self, rule, discount, trace_decay):
        about = (self.network, *self.episode, rule)
        decays = dict(discount=discount, trace_decay=trace_decay)
        forwards, back = (
            reward_gradients(*about, **decays, online=online).gradients for online in (True, False)
        )
        for name in BLOCKS:
            assert difference(getattr(forwards, name), getattr(back, name)) < 1e-12

    def test_rtrl_and_bptt_agree_and_eprop_does_not(self):
        rtrl, bptt, eprop = (
            reward_gradients(
                evolve(self.network, feedback=None), *self.episode, rule, discount=0.9
            ).gradients.w_rec
            for rule in ("rtrl", "bptt", "eprop")
        )
        assert difference(rtrl, bptt) < 1e-12
        assert difference(eprop, bptt) > 1e-2

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("end", [None, "terminal", "truncated"])
    def test_the_gradient_is_that_of_the_objective(self, end):
        """Central differences with smooth spikes; returns are held."""
        network = evolve(self.network, feedback=None)
        (episode,) = random_episodes(9, [25], ends=[end])
        about = (network, *episode)
        found = reward_gradients(*about, "bptt", discount=0.9, smooth=True)
        problem = RewardProblem(*about, 0.9, 0.5, smooth=True)
        for name in BLOCKS:
            weights, expected = getattr(network, name), getattr(found.gradients, name)
            for index in zip(*np.nonzero(problem.network.mask_of(name)), strict=True):
                sides = []
                for sign in (1, -1):
                    varied = weights.copy()
                    varied[index] += sign * 1e-6
                    sides.append(problem.varied_loss({name: varied}))
                quotient = (sides[0] - sides[1]) / 2e-6
                # truncation and round-off of the quotient
                assert abs(quotient - expected[index]) < 1e-7 * max(1, np.abs(expected).max())
        assert np.abs(found.gradients.w_rec).max() > 1e-2

    def test_returns_of_a_finished_episode_are_sums_of_rewards(self):
        rewards = np.array([0.0, 1.0, 0.0, 2.0])
        never = np.zeros(4, dtype=bool)
        experience = Experience(-np.ones(4, int), rewards, never | (np.arange(4) == 3), never)
        found = experience.returns(np.full(4, 7.0), 0.5)
        np.testing.assert_allclose(found, [1 + 0.25 * 2, 0.5 * 2, 2, 7], rtol=1e-15)

    @pytest.mark.parametrize("terminal", [True, False])
    def test_returns_are_means_over_horizons(self, terminal):
        """λ-returns are Σ_n (1 − λ) λ^{n−1} G_n, of n rewards and the value after them."""
        rng, gamma, lam, n = np.random.default_rng(1), 0.8, 0.7, 5
        rewards, value = rng.normal(size=(2, n))
        last = np.arange(n) == n - 1
        experience = Experience(-np.ones(n, int), rewards, last & terminal, last & (not terminal))
        after = np.where(last & terminal, 0.0, value)
        for t, found in enumerate(experience.returns(value, gamma, lam)[:-1]):
            horizons = [
                sum(gamma ** (k - t - 1) * rewards[k] for k in range(t + 1, end + 1))
                + gamma ** (end - t) * after[end]
                for end in range(t + 1, n)
            ]
            shares = [(1 - lam) * lam**k for k in range(len(horizons) - 1)]
            shares.append(lam ** (len(horizons) - 1))
            assert abs(found - np.dot(shares, horizons)) < 1e-14


@pytest.mark.slow
@pytest.mark.standalone
def test_a_compiled_program_has_the_same_gradient(tmp_path):
    network, episodes = agent_network(11), random_episodes(11, [30, 20], ends=["terminal"] * 2)
    set_device("cpp_standalone", directory=str(tmp_path), with_output=False)
    try:
        agent = BrianAgent(network, episodes, 0.9, reset_every="episode").run()
        assert_same(agent, expected_gradients(network, episodes, discount=0.9))
    finally:
        device.reinit()
        reset_device()
