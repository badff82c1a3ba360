"""Batches of episodes whose inputs do not depend on actions: the gradient of a closed loop."""

import numpy as np
import pytest
from brian2 import ms
from brian_networks import BLOCKS, difference

from brian_eprop import BPTT, EProp, RecurrentNetwork
from brian_eprop.reference import Experience, reward_gradients
from brian_eprop.reward import DelayedCues, open_loop_gradients
from brian_eprop.tasks.evidence_accumulation import EvidenceAccumulation

pytestmark = pytest.mark.usefixtures("numpy_target")
#: Sums of some hundred products of numbers of order 1, in another order
TOLERANCE = 1e-10
STEPS, BATCH, N_IN, N_ACTIONS = 25, 3, 4, 3


def network(rule=None, **changes):
    return RecurrentNetwork("alif", N_IN, 8, N_ACTIONS + 1, rule=rule, seed=2, **changes)


def arguments(seed=3):
    rng = np.random.default_rng(seed)
    prizes = rng.normal(size=(BATCH, STEPS))
    return {
        "inputs": rng.random((BATCH, STEPS, N_IN)) < 0.4,
        "decides": rng.random(STEPS) < 0.4,
        "rewards_of": lambda actions: prizes * (actions != 1),
        "rng": np.random.default_rng(seed + 1),
        "discount": 0.9,
        "value_weight": 0.3,
    }


def with_an_end(inputs, actions, rewards):
    """The episode as steps of time: rewards come in the next one, and the last is the end."""
    steps = len(rewards) + 1
    return np.concatenate([inputs, inputs[-1:]]), Experience(
        actions=np.append(actions, -1),
        rewards=np.append(0.0, rewards),
        terminal=np.arange(steps) == steps - 1,
        truncated=np.zeros(steps, dtype=bool),
    )


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "rule, name", [(EProp(), "eprop"), (EProp(engine="traces"), "eprop"), (BPTT(), "bptt")]
)
def test_it_is_the_gradient_of_the_reference(rule, name):
    net, about = network(rule), arguments()
    found = open_loop_gradients(net, **about)
    assert found.gradients.spikes.sum() > 20
    decided = found.actions[:, about["decides"]]
    assert set(decided.ravel()) == set(range(N_ACTIONS))
    assert np.all(found.actions[:, ~about["decides"]] == -1)
    expected = [
        reward_gradients(
            net.reference_network(),
            *with_an_end(*episode),
            name,
            discount=0.9,
            value_weight=0.3,
        ).gradients
        for episode in zip(about["inputs"], found.actions, found.rewards, strict=True)
    ]
    for block in BLOCKS:
        mean = sum(getattr(one, block) for one in expected) / BATCH
        assert np.abs(mean).max() > 1e-2
        assert difference(getattr(found.gradients, block), mean) < TOLERANCE


def test_actions_are_drawn_from_the_policy():
    net, about = network(), arguments()
    net.weights["w_out"][:] = 0
    about["decides"][:] = True
    actions = open_loop_gradients(net, **about).actions
    counts = np.bincount(actions.ravel(), minlength=3)
    # 75 draws with equal chances: four standard deviations
    assert np.all(np.abs(counts - 25) < 4 * np.sqrt(75 * 2 / 9))


def test_cues_are_the_same_side_by_side():
    task = EvidenceAccumulation(n_cues=3, cue=4 * ms, gap=2 * ms, delay=5 * ms, recall=5 * ms)
    world = DelayedCues(task, wrong=-1.0)
    inputs, rewards_of = world.episodes(np.random.default_rng(1), 4)
    world.reset(seed=1)
    alone, _ = world.episodes(np.random.default_rng(1), 1)
    np.testing.assert_array_equal(world.inputs, alone[0])
    left = rewards_of(np.where(world.decides, 0, -1) + np.zeros((4, 1), int))
    right = rewards_of(np.where(world.decides, 1, -1) + np.zeros((4, 1), int))
    assert inputs.shape == (4, task.steps, world.n_in)
    np.testing.assert_array_equal((left + right)[:, -1], 0)
    np.testing.assert_array_equal(np.abs(left).sum(axis=1), 1)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "options, changes, message",
    [
        ({"loss": "cross_entropy"}, {}, "loss = 'cross_entropy', average = False"),
        ({"average": True}, {}, "average = True"),
        ({}, {"rewards_of": lambda actions: 1.0}, r"shape \(\); expected .* \(3, 25\)"),
        ({}, {"rewards_of": lambda actions: actions * np.nan}, "finite rewards"),
        ({}, {"discount": 2}, "open_loop_gradients.discount = 2 must be one number from 0 to 1"),
    ],
)
def test_wrong_arguments(options, changes, message):
    with pytest.raises(ValueError, match=message):
        open_loop_gradients(network(**options), **(arguments() | changes))
