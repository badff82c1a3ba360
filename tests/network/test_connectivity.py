"""Masks of synapses: exact numbers, layers, and networks that learn with them."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brian_eprop import BPTT, Adam, DaleLaw, EProp, RecurrentNetwork, reference
from brian_eprop.network.connectivity import fixed_degree, layers, random_sparse

# other order of the sums, over at most a hundred steps
ROUND_OFF = 1e-10
BLOCKS = ("w_in", "w_rec", "w_out")


@given(
    n_pre=st.integers(2, 30),
    n_post=st.integers(1, 30),
    square=st.booleans(),
    fraction=st.floats(0.01, 1.0),
    seed=st.integers(0, 99),
)
def test_every_neuron_receives_from_exactly_so_many(n_pre, n_post, square, fraction, seed):
    n_post = n_pre if square else n_post
    degree = max(1, int(fraction * (n_pre - square)))
    mask = fixed_degree(n_pre, n_post, degree, seed, autapses=not square)
    assert mask.shape == (n_pre, n_post) and mask.dtype == bool
    assert (mask.sum(axis=0) == degree).all()
    if square:
        assert not mask.diagonal().any()
    again = fixed_degree(n_pre, n_post, degree, seed, autapses=not square)
    np.testing.assert_array_equal(mask, again)


def test_synapses_are_drawn_with_equal_probability():
    degrees = sum(fixed_degree(10, 10, 3, seed, autapses=False) for seed in range(900))
    counts = degrees[~np.eye(10, dtype=bool)]
    # binomial, 900 draws of probability 1/3: a standard deviation is 14
    assert abs(counts - 300).max() < 5 * 14.2
    assert counts.std() == pytest.approx(14.2, rel=0.4)
    mask = random_sparse(200, 100, 0.3, seed=4)
    assert mask.mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.3 * 0.7 / 20000))
    assert mask.sum(axis=0).std() > 3  # independent: the numbers differ
    assert random_sparse(7, 7, 1.0, seed=0).all()
    assert (random_sparse(7, 7, 1.0, seed=0, autapses=False) == ~np.eye(7, dtype=bool)).all()
    assert (random_sparse(20, 20, 0.5, seed=0) != random_sparse(20, 20, 0.5, seed=1)).any()


@pytest.mark.parametrize("recurrent", [False, True])
def test_layers_are_reached_one_after_the_other(recurrent):
    masks = layers([4, 3, 2], n_in=5, n_out=2, recurrent=recurrent)
    assert {name: mask.shape for name, mask in masks.items()} == {
        "w_in": (5, 9),
        "w_rec": (9, 9),
        "w_out": (9, 2),
    }
    of = np.repeat([0, 1, 2], [4, 3, 2])
    np.testing.assert_array_equal(masks["w_in"].any(axis=0), of == 0)
    np.testing.assert_array_equal(masks["w_out"].any(axis=1), of == 2)
    for (i, j), exists in np.ndenumerate(masks["w_rec"]):
        within = recurrent and of[i] == of[j] and i != j
        assert exists == (of[j] == of[i] + 1 or within)


WRONG = {
    "degree 0": (partial(fixed_degree, 5, 5, 0, 1), r"fixed_degree\.degree = 0 must be an integer"),
    "degree": (partial(fixed_degree, 5, 4, 6, 1), r"fixed_degree\.degree = 6 is more than the 5 n"),
    "without itself": (
        partial(fixed_degree, 5, 5, 5, 1, autapses=False),
        r"fixed_degree\.degree = 5 is more than the 4 neurons",
    ),
    "no neurons": (
        partial(fixed_degree, 0, 5, 1, 1),
        r"fixed_degree\.n_pre = 0 must be an int",
    ),
    "count": (partial(random_sparse, 5, 2.5, 1, 1), r"random_sparse\.n_post = 2\.5 must be an int"),
    "seed": (partial(random_sparse, 5, 5, 0.1, -1), r"random_sparse\.seed = -1 must be an integer"),
    "density": (partial(random_sparse, 5, 5, 0.0, 1), r"random_sparse\.density = 0\.0 must be a n"),
    "percent": (
        partial(random_sparse, 5, 5, 10, 1),
        r"random_sparse\.density = 10 must be a n",
    ),
    "others": (
        partial(random_sparse, 5, 6, 0.1, 1, autapses=False),
        r"random_sparse\.autapses = False is for synapses among the same neurons, but n_pre = 5",
    ),
    "no layers": (partial(layers, [], 2, 2), r"layers\.sizes = \[\] must be a list of numbers"),
    "one number": (partial(layers, 5, 2, 2), r"layers\.sizes = 5 must be a list of numbers"),
    "empty layer": (partial(layers, [4, 0], 2, 2), r"layers\.sizes\[1\] = 0 must be an integer"),
    "outputs": (partial(layers, [4], 2, 0), r"layers\.n_out = 0 must be an integer"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_numbers_are_refused_by_name(case):
    make, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        make()


# ------------------------------------------------------------------- networks that learn
class Frozen:
    """The same noise in every trial, and a slow target."""

    def __init__(self, n_in, n_out, steps=60):
        rng = np.random.default_rng(2)
        self.inputs = rng.random((1, steps, n_in)) < 0.25
        phase = 2 * np.pi * np.arange(steps)[:, np.newaxis] / steps + np.arange(n_out)
        self.targets = np.sin(phase)[np.newaxis]

    def sample(self, rng, batch):
        return self.inputs, self.targets


def layered(rule, feedback="symmetric"):
    """Two layers of seven and five; weights by which both fire."""
    rng = np.random.default_rng(1)
    masks = layers([7, 5], n_in=6, n_out=2, recurrent=True)
    weights = {"w_in": rng.uniform(0, 0.8, (6, 12)), "w_rec": rng.normal(0.25, 0.3, (12, 12))}
    about = dict(weights=weights, connectivity=masks, rule=rule, feedback=feedback, seed=0)
    return RecurrentNetwork("lif", 6, 12, 2, optimizer=Adam(2e-2), **about)


def excitatory_and_inhibitory(rule):
    """Eight neurons that excite and four that inhibit, each reached by four of them."""
    rng = np.random.default_rng(1)
    weights = {"w_in": rng.uniform(0, 0.8, (6, 12)), "w_rec": rng.normal(0, 0.3, (12, 12))}
    return RecurrentNetwork(
        [("alif", 8, {}), ("lif", 4, {})],
        6,
        12,
        2,
        weights=weights,
        connectivity={"w_rec": fixed_degree(12, 12, 4, seed=3, autapses=False)},
        constraints=[DaleLaw([1])],
        rule=rule,
        optimizer=Adam(2e-2),
        seed=0,
    )


@pytest.mark.slow
@pytest.mark.parametrize("make", [layered, excitatory_and_inhibitory])
@pytest.mark.parametrize("rule", [EProp(), BPTT()], ids=["eprop", "bptt"])
def test_layered_and_balanced_networks_learn(make, rule, numpy_target):
    net, task = make(rule), Frozen(6, 2)
    if make is layered and rule.order == 1:
        net = make(rule, feedback="random")  # symmetric feedback reaches the last layer only
    before = {name: values.copy() for name, values in net.weights.items()}
    history = net.fit(task, 8)
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    found = net.gradients(task.inputs, task.targets)
    name = "bptt" if rule.order > 1 else "eprop"
    expected = reference.gradients(net, task.inputs, task.targets, name)
    np.testing.assert_array_equal(found.spikes, expected.spikes)
    # all populations, and both layers
    assert (found.spikes.sum(axis=(0, 1)) > 0).sum() >= 10
    for block in BLOCKS:
        a, b = getattr(found, block), getattr(expected, block)
        assert np.max(np.abs(a - b)) < ROUND_OFF * np.max(np.abs(b)), block
        absent = ~net.description.connectivity[block]
        assert not net.weights[block][absent].any() and not a[absent].any()
        learns = (net.weights[block] != before[block]).any()
        assert learns, block
    if make is excitatory_and_inhibitory:
        for block in ("w_rec", "w_out"):
            assert (net.weights[block][:8] >= 0).all() and (net.weights[block][8:] <= 0).all()


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("order", [1, 2])
def test_symmetric_feedback_reaches_as_many_layers_as_the_order_says(order, numpy_target):
    task = Frozen(6, 2)
    found = layered(EProp(order=order)).gradients(task.inputs, task.targets)
    assert np.abs(found.w_rec).max() > 1e-3
    assert found.w_in.any() == (order == 2)
