"""The stochastic approximations of RTRL are unbiased, and as noisy as theory says."""

from itertools import cycle, product

import numpy as np
import pytest
from attrs import evolve
from cell_networks import ALL, SPIKING, cell_network, cell_task, gradient, relative
from hypothesis import given
from hypothesis import strategies as st

from brian_eprop.reference import RULES, gradients
from brian_eprop.reference.rules import kronecker
from brian_eprop.reference.rules.kronecker import (
    balanced,
    drive_jacobian,
    existing,
    gradient_of_products,
    mixing,
    presynaptic,
)
from brian_eprop.reference.step import run

# two orders of summation of the same float64 numbers, with a decomposition in each of 30 steps
ROUND_OFF = 1e-12

CASES = [
    ("uoro", {}),
    ("uoro", {"noise": "driven"}),
    ("kf_rtrl", {}),
    ("kf_rtrl", {"average": 3}),
    ("r_kf_rtrl", {}),
    ("ok", {"rank": 1}),
    ("ok", {"rank": 2}),
]


def each_case_on_some(cells):
    """The cases one after the other, with one of the cells each."""
    combined = [(cell, *case) for cell, case in zip(cells, cycle(CASES), strict=False)]
    ids = [" ".join([cell, rule, *map(str, options.values())]) for cell, rule, options in combined]
    return pytest.mark.parametrize(("name", "rule", "options"), combined, ids=ids)


one_of_each = pytest.mark.parametrize(
    ("rule", "options"), [("uoro", {}), ("kf_rtrl", {}), ("r_kf_rtrl", {}), ("ok", {"rank": 1})]
)


def problem(name, seed=1, n_steps=12, **options):
    """A network and one sequence; spiking networks get steps in which nothing arrives."""
    network = cell_network(name, seed, density=0.7, **options)
    inputs, targets = cell_task(network, seed, batch=1, n_steps=n_steps)
    if name in SPIKING:
        inputs[:, :2] = 0
    return network, (inputs, targets)


def groups(network, result):
    """{(block, gate): entries of the existing weights}."""
    entries = {}
    for name, block in network.blocks.items():
        weights = getattr(result, name).reshape(len(block.gates), *block.mask.shape)
        entries |= {(name, gate): w[block.mask] for gate, w in enumerate(weights)}
    return entries


def sample(network, task, rule, runs, copies, **options):
    """{group: (runs, entries)}, each the mean over `copies` draws."""
    task = [np.repeat(array, copies, axis=0) for array in task]
    results = [
        groups(network, gradients(network, *task, rule, seed=seed, **options))
        for seed in range(runs)
    ]
    return {group: np.array([result[group] for result in results]) for group in results[0]}


def standard_errors_off(network, task, rule, runs=60, copies=60, **options):
    """How far the mean of runs × copies draws is from the exact gradient, in standard errors.

    Returns
    -------
    of_groups : ndarray
        Of the sum over a group of entries that has the exact gradient as weights.
    of_entries : ndarray
    """
    exact = groups(network, gradient(network, task, "rtrl"))
    drawn = sample(network, task, rule, runs, copies, **options)
    of_groups, of_entries, relative_errors = [], [], []
    for group, entries in exact.items():
        size = np.linalg.norm(entries)
        assert size > 0, f"{group} has no gradient"
        # the floor is for entries in which nothing is random
        along, floor = drawn[group] @ entries / size, ROUND_OFF * size
        error = max(along.std(ddof=1) / np.sqrt(runs), floor)
        relative_errors.append(error / size)
        of_groups.append((along.mean() - size) / error)
        errors = np.maximum(drawn[group].std(axis=0, ddof=1) / np.sqrt(runs), floor)
        of_entries.append((drawn[group].mean(axis=0) - entries) / errors)
    assert min(relative_errors) < 0.1, "too few draws to see a bias"
    return np.array(of_groups), np.concatenate(of_entries)


def is_unbiased(*task, **options):
    of_groups, of_entries = standard_errors_off(*task, **options)
    typical = np.sqrt(np.mean(of_entries**2))
    # entries are correlated, so that their typical deviation is itself spread around 1
    return np.max(np.abs(of_groups)) < 4 and typical < 2 and np.max(np.abs(of_entries)) < 5


def spread(network, task, rule, runs=40, copies=20, **options):
    """√E‖ĝ − g‖²/‖g‖ of a single draw."""
    exact = np.concatenate(list(groups(network, gradient(network, task, "bptt")).values()))
    drawn = sample(network, task, rule, runs, copies, **options)
    errors = np.concatenate(list(drawn.values()), axis=1) - exact
    return np.sqrt(copies * np.mean(np.sum(errors**2, axis=1)) / np.sum(exact**2))


@pytest.mark.first_case_is_fast
# every cell twice, and every case: on spiking cells, or in the test below
@each_case_on_some([*ALL, *ALL[-2:], *ALL[:-2]])
def test_mean_is_the_exact_gradient(name, rule, options):
    network, task = problem(name, kappa=0.8)
    assert is_unbiased(network, task, rule, **options)


@pytest.mark.slow
@each_case_on_some(["elman", "lstm", "elman", "lstm", "lif", "lif", "lif"])
def test_mean_is_the_exact_gradient_without_a_filter_in_the_readout(name, rule, options):
    network, task = problem(name, seed=2, kappa=0.0)
    assert is_unbiased(network, task, rule, **options)


def one_sided(left, left_axes, right, right_axes):
    return balanced(left, left_axes, right, right_axes)[0], right


def one_sided_states(weights, axes_of_weights, states, axes_of_states):
    return weights, balanced(weights, axes_of_weights, states, axes_of_states)[1]


def all_positive(rng, shape):
    return np.ones(shape)


def none_on_the_last_state(rng, shape):
    noise = rng.choice((-1.0, 1.0), size=shape)
    noise[-1] = 0
    return noise


def cut_off(d, rng):
    return np.sqrt(d)[:, :, np.newaxis] * np.eye(d.shape[1])[:, :-1]


WRONG = [
    ("uoro", {}, "balanced", one_sided_states),
    ("uoro", {}, "signs", all_positive),
    ("uoro", {}, "signs", none_on_the_last_state),
    ("kf_rtrl", {}, "balanced", one_sided),
    ("kf_rtrl", {}, "signs", all_positive),
    ("r_kf_rtrl", {}, "balanced", one_sided),
    ("r_kf_rtrl", {}, "signs", all_positive),
    ("ok", {"rank": 1}, "signs", all_positive),
    ("ok", {"rank": 1}, "mixing", cut_off),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed", "rule", "options", "part", "wrong"),
    [
        (*cell, *variant)
        for cell, variant in zip(cycle([("alif", 2), ("elman", 1), ("lstm", 1)]), WRONG)
    ],
    ids=[f"{rule} {wrong.__name__}" for rule, _, _, wrong in WRONG],
)
def test_a_biased_variant_is_seen(monkeypatch, name, seed, rule, options, part, wrong):
    network, task = problem(name, seed, kappa=0.8)
    monkeypatch.setattr(kronecker, part, wrong)
    assert not is_unbiased(network, task, rule, **options)


@pytest.mark.parametrize("name", ALL)
def test_immediate_derivatives_are_a_product(name):
    network, (inputs, _) = problem(name, kappa=0.8)
    number = sum(block.mask.sum() * len(block.gates) for block in network.blocks.values())
    assert existing(network).sum() == number
    rng, largest = np.random.default_rng(0), dict.fromkeys(network.blocks, 0.0)
    for step in run(network, np.repeat(inputs, 2, axis=0)):
        credit = rng.normal(size=step.state.shape)
        u, a = presynaptic(step)[:, np.newaxis], drive_jacobian(step)[:, :, :, np.newaxis]
        product = gradient_of_products(network, credit, u, a)
        for block, expected in step.gradient(credit).items():
            mask = network.blocks[block].mask
            np.testing.assert_allclose(product[block] * mask, expected * mask, rtol=1e-12)
            largest[block] = max(largest[block], np.max(np.abs(expected * mask)))
    assert min(largest.values()) > 0


def test_flipping_all_signs_leaves_uoro_as_it_is(monkeypatch):
    network, task = problem("alif")
    plain = gradient(network, task, "uoro", seed=3)
    with monkeypatch.context() as patch:
        patch.setattr(kronecker, "signs", lambda rng, shape: -rng.choice((-1.0, 1.0), size=shape))
        flipped = gradient(network, task, "uoro", seed=3)
    for block in network.blocks:
        np.testing.assert_array_equal(getattr(flipped, block), getattr(plain, block))

    def one_flipped(rng, shape):
        noise = rng.choice((-1.0, 1.0), size=shape)
        noise[0, 0, 0] *= -1
        return noise

    monkeypatch.setattr(kronecker, "signs", one_flipped)
    assert relative(gradient(network, task, "uoro", seed=3), plain, network) > 1e-3


@pytest.mark.first_case_is_fast
@one_of_each
def test_sequences_of_a_batch_do_not_know_of_each_other(rule, options):
    network = cell_network("alif", 2)
    (inputs, targets), (others, _) = cell_task(network, 2), cell_task(network, 3)
    first_counts = np.outer([1.0, 0.0], np.ones(inputs.shape[1]))
    results = [
        gradients(network, x, targets, rule, first_counts, seed=4, **options)
        for x in (inputs, np.stack([inputs[0], others[1]]), others)
    ]
    for block in network.blocks:
        same, changed, other = (getattr(result, block) for result in results)
        np.testing.assert_array_equal(changed, same)
        assert np.any(other != same)


# signs of singular vectors are arbitrary, so that 'ok' may draw something else
@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("rule", ["uoro", "kf_rtrl", "r_kf_rtrl"])
@pytest.mark.parametrize("name", ["lif", "gru"])
def test_sources_without_connections_do_not_count(name, rule):
    network = cell_network(name, 2)
    inputs, targets = cell_task(network, 2)
    mask = np.ones((3, 5), dtype=bool)
    mask[1] = False
    larger = evolve(network, mask_in=mask)
    smaller = evolve(network, w_in=network.w_in[..., [0, 2], :], mask_in=mask[[0, 2]], delay_in=0)
    results = [
        gradient(larger, (inputs, targets), rule, seed=5),
        gradient(smaller, (inputs[..., [0, 2]], targets), rule, seed=5),
    ]
    # norms are sums of the same numbers in another order
    assert relative(*results, network, ["w_rec"]) < ROUND_OFF
    full = gradient(network, (inputs, targets), rule, seed=5)
    assert relative(full, results[0], network, ["w_rec"]) > 1e-3


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ALL)
def test_a_sum_of_as_many_products_as_steps_is_exact(name):
    network, task = problem(name, kappa=0.8, n_steps=7)
    exact = gradient(network, task, "bptt")
    assert relative(gradient(network, task, "ok", rank=7), exact, network) < ROUND_OFF
    assert relative(gradient(network, task, "ok", rank=3), exact, network) > 1e-6


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ["alif", "elman", "lstm"])
def test_a_sum_of_as_many_products_as_senders_is_exact(name):
    """30 steps; three inputs, two of eight units and the bias send anything."""
    mask = np.zeros((8, 8), dtype=bool)
    mask[[1, 6]] = True
    network = cell_network(name, 1, n_rec=8, kappa=0.8, mask_rec=mask)
    task = cell_task(network, 1, batch=1, n_steps=30)
    senders = 5 if name in SPIKING else 6
    exact = gradient(network, task, "bptt")
    for rank in (senders, 11, 1000):
        assert relative(gradient(network, task, "ok", rank=rank), exact, network) < ROUND_OFF
    assert relative(gradient(network, task, "ok", rank=senders - 1), exact, network) > 1e-6


def test_teacher_forcing_cuts_the_paths_that_it_should():
    network, task = problem("jordan")
    forced = evolve(network, teacher_forcing=True)
    exact = gradient(forced, task, "bptt")
    assert relative(gradient(forced, task, "ok", rank=12), exact, network) < ROUND_OFF
    assert relative(gradient(network, task, "bptt"), exact, network) > 1e-3


def test_one_delay_of_all_inputs_is_allowed():
    """Also where connections that do not exist have another one."""
    mask, delay = np.ones((3, 5), dtype=bool), np.full((3, 5), 2)
    mask[0, :2], delay[0, 0] = False, 4
    network = cell_network("lif", 1, mask_in=mask, delay_in=delay)
    task = cell_task(network, 1)
    exact = gradient(network, task, "bptt")
    assert relative(gradient(network, task, "ok", rank=12), exact, network) < ROUND_OFF


# all signs are equally likely
def every_sign(rng, shape):
    return np.array(list(product((-1.0, 1.0), repeat=shape[1])))


def errors_of_mixing(d):
    """M Mᵀ − diag(d) for every choice of signs; (signs, r + 1, r + 1)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kronecker, "signs", every_sign)
        mixed = mixing(np.tile(d, (2 ** len(d), 1)), None)
    assert mixed.shape[2] == len(d) - 1
    return mixed @ mixed.swapaxes(1, 2) - np.diag(d)


def test_variance_of_a_mixture_is_that_of_theory():
    errors = errors_of_mixing(np.array([3.0, 0.7, 0.6, 0.4]))
    # s²/k − Σ d², s = .7 + .6 + .4, k = 2
    np.testing.assert_allclose(np.sum(errors**2, axis=(1, 2)), 1.7**2 / 2 - 1.01, rtol=1e-12)
    assert 1.7**2 / 2 - 1.01 == pytest.approx(0.435)
    np.testing.assert_allclose(errors.mean(axis=0), 0, atol=1e-15)
    # the largest is left alone
    np.testing.assert_allclose(errors[:, 0], 0, atol=1e-15)


@given(st.lists(st.sampled_from([0.0, 1e-9, 0.1, 0.5, 0.5, 1.0, 30.0]), min_size=2, max_size=7))
def test_mixtures_are_unbiased_and_better_than_mixing_two(values):
    """Among them many zeros, and equal values."""
    d = np.sort(values)[::-1]
    errors, largest = errors_of_mixing(d), max(d[0], 1e-9)
    np.testing.assert_allclose(errors.mean(axis=0) / largest, 0, atol=1e-14)
    variance = np.sum(errors**2, axis=(1, 2))
    ranks = np.arange(len(d) - 1)
    sums = np.array([d[m:].sum() for m in ranks])
    m = np.argmax((len(d) - 1 - ranks) * d[:-1] <= sums)
    expected = sums[m] ** 2 / (len(d) - 1 - m) - np.sum(d[m:] ** 2)
    np.testing.assert_allclose(variance / largest**2, expected / largest**2, atol=1e-14)
    assert np.all(variance <= 2 * d[-1] * d[-2] + 1e-14 * largest**2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["elman", "alif"])
def test_noise_is_ordered_as_in_theory(name):
    network = cell_network(name, 1, n_rec=8, kappa=0.8)
    task = cell_task(network, 1, batch=1, n_steps=30)
    ok_4, ok_2, ok_1 = (spread(network, task, "ok", runs=10, rank=rank) for rank in (4, 2, 1))
    kf, r_kf, uoro = (
        spread(network, task, rule, runs=30) for rule in ("kf_rtrl", "r_kf_rtrl", "uoro")
    )
    assert 2 * ok_4 < ok_2
    assert 1.5 * ok_2 < ok_1
    assert ok_1 < 1.1 * kf
    assert 2 * kf < r_kf
    assert r_kf < 1.2 * uoro


@pytest.mark.slow
def test_noise_where_no_weight_acts_makes_uoro_worse():
    network = cell_network("alif", 1, n_rec=8)
    task = cell_task(network, 1, batch=1, n_steps=30)
    everywhere, driven = (
        spread(network, task, "uoro", runs=30, noise=noise) for noise in ("all", "driven")
    )
    assert driven < 0.75 * everywhere


@pytest.mark.slow
def test_the_mean_of_copies_has_a_fraction_of_the_variance():
    network, task = problem("elman", kappa=0.8)
    one, four = (
        spread(network, task, "kf_rtrl", runs=150, copies=4, average=average) for average in (1, 4)
    )
    # a variance from 150 means has a standard error of about 0.08
    assert (one / four) ** 2 == pytest.approx(4, rel=0.3)


@one_of_each
@pytest.mark.parametrize("name", SPIKING)
def test_silence_gives_no_gradient(name, rule, options):
    network, (inputs, targets) = problem(name)
    with np.errstate(all="raise"):
        result = gradients(network, 0 * inputs, targets, rule, **options)
    assert not result.spikes.any() and np.any(result.learning_signal)
    assert not result.w_in.any() and not result.w_rec.any()


@pytest.mark.first_case_is_fast
@one_of_each
def test_divergence_is_reported_with_its_step(rule, options):
    network = cell_network(
        "lif", 1, surrogate="piecewise_linear", surrogate_height=1.0, surrogate_width=1e9, n_ref=0
    )
    network = evolve(network, w_rec=1e6 * np.abs(network.w_rec))
    task = cell_task(network, 1, n_steps=60)
    with pytest.raises(ArithmeticError, match=f"rule '{rule}' diverged: .* at step"):
        gradients(network, *task, rule, **options)


@one_of_each
def test_the_seed_decides(rule, options):
    network, task = problem("alif")
    one, again, other = (gradient(network, task, rule, seed=s, **options) for s in (1, 1, 2))
    for block in network.blocks:
        np.testing.assert_array_equal(getattr(again, block), getattr(one, block))
    assert relative(other, one, network) > 1e-3


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        ("ok", {"rank": 0}, "rule 'ok': 'rank' = 0 must be an integer ≥ 1"),
        ("ok", {"rank": 1.5}, "rule 'ok': 'rank' = 1.5 must be an integer"),
        ("ok", {}, "rule 'ok' needs the option 'rank'"),
        ("kf_rtrl", {"average": 0}, "rule 'kf_rtrl': 'average' = 0 must be an integer"),
        ("uoro", {"noise": "x"}, "rule 'uoro': 'noise' = 'x' is not known; .* 'all', 'driven'"),
    ],
)
def test_bad_options_are_refused(rule, options, message):
    network, task = problem("elman")
    with pytest.raises(ValueError, match=message):
        gradients(network, *task, rule, **options)


@one_of_each
@pytest.mark.parametrize("delay", ["delay_in", "delay_rec"])
def test_different_delays_are_refused(rule, options, delay):
    network, task = problem("lif", delay_rec=0, delay_in=0)
    several = np.zeros((3 if delay == "delay_in" else 5, 5), dtype=int)
    several[-1] = 1
    with pytest.raises(ValueError, match=f"rule '{rule}' does not apply .*'{delay}' goes"):
        gradients(evolve(network, **{delay: several}), *task, rule, **options)


@one_of_each
def test_what_the_rules_say_of_themselves(rule, options):
    described = RULES[rule]
    assert described.stochastic and described.unbiased and described.causal
    assert not described.exact and described.facing == "past"
