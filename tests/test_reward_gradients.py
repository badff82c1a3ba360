"""Rewards: the gradient that Brian2 accumulates step by step is that of the returns."""

import numpy as np
import pytest
from brian_networks import BLOCKS, difference
from random_networks import random_network
from reward_networks import BrianAgent, random_experience

from brian_eprop.reference import reward_gradients

pytestmark = pytest.mark.usefixtures("numpy_target")
#: Sums of some hundred products of numbers of order 1, in another order
TOLERANCE = 1e-10


def agent_network(seed, n_actions=2, **changes):
    settings = dict(n_in=3, n_out=n_actions + 1, max_delay=0)
    return random_network(seed, **(settings | changes))


def random_episodes(seed, lengths, n_actions=2, ends=None):
    rng = np.random.default_rng(seed)
    return [
        (rng.random((steps, 3)) < 0.3, random_experience(rng, steps, n_actions, end))
        for steps, end in zip(lengths, ends or [None] * len(lengths), strict=True)
    ]


def expected_gradients(network, episodes, rule="eprop", **options):
    """Each episode begins at rest."""
    found = [reward_gradients(network, *e, rule, **options).gradients for e in episodes]
    return {name: sum(getattr(one, name) for one in found) for name in BLOCKS}


def test_one_step_after_the_other():
    network, episodes = agent_network(1), random_episodes(1, [60])
    brian = BrianAgent(network, episodes, 0.9).run()
    expected = reward_gradients(network, *episodes[0], discount=0.9)
    assert brian.spikes.num_spikes > 20
    assert difference(brian.monitor.value[0], expected.value) < TOLERANCE
    assert difference(brian.monitor.policy[:2].T, expected.policy) < TOLERANCE
    assert difference(brian.monitor.td_error[0], expected.td_error) < TOLERANCE
    for name in BLOCKS:
        assert np.abs(getattr(expected.gradients, name)).max() > 0.1
        assert difference(brian.matrix(name), getattr(expected.gradients, name)) < TOLERANCE
