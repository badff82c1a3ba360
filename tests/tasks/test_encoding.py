"""Encodings: every spike is where an independent reading of the numbers puts it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from brian_eprop.tasks.encoding import (
    frozen_noise,
    group_spikes,
    latency,
    level_crossing,
    population_code,
)

numbers = st.floats(-5, 5, allow_subnormal=False)
shapes = st.tuples(st.integers(1, 3), st.integers(2, 12), st.integers(1, 3))
# few different values, so that signals touch levels exactly
signals = shapes.flatmap(lambda shape: arrays(float, shape, elements=st.integers(-3, 3)))
level_lists = st.lists(st.integers(-3, 3), min_size=1, max_size=4, unique=True).map(sorted)


@given(signals, level_lists)
def test_a_crossing_is_a_step_from_one_side_to_the_other(values, levels):
    spikes = level_crossing(values, levels)
    batch, steps, d = values.shape
    assert spikes.shape == (batch, steps, 2 * d * len(levels)) and spikes.dtype == bool
    for b, t, k in np.ndindex(batch, steps, d):
        for number, level in enumerate(levels):
            before, now = values[b, max(t - 1, 0), k], values[b, t, k]
            up, down = (2 * k * len(levels) + number, (2 * k + 1) * len(levels) + number)
            assert spikes[b, t, up] == (before < level <= now)
            assert spikes[b, t, down] == (now < level <= before)


@given(signals, level_lists)
def test_crossings_add_up_to_the_level_that_is_reached(values, levels):
    spikes = level_crossing(values, levels)
    up, down = np.moveaxis(spikes.reshape(*values.shape, 2, len(levels)), -2, 0)
    reached = (values[..., np.newaxis] >= levels).sum(axis=-1)
    net = np.cumsum(up.sum(-1) - down.sum(-1), axis=1, dtype=int)
    np.testing.assert_array_equal(reached[:, :1] + net, reached)


def test_every_signal_may_have_levels_of_its_own():
    values = np.array([[0.0, 0.0], [1.0, 10.0], [0.0, 0.0]])
    spikes = level_crossing(values, [[0.5, 2.0], [5.0, 20.0]])
    assert spikes.any()
    expected = np.zeros((3, 8), bool)
    expected[1, [0, 4]] = expected[2, [2, 6]] = True
    np.testing.assert_array_equal(spikes, expected)


@given(arrays(float, st.integers(1, 20), elements=st.floats(0, 1)), st.integers(1, 30))
def test_brighter_is_not_later(values, steps):
    spikes = latency(values, steps, threshold=0.2)
    assert spikes.shape == (steps, len(values)) and spikes.dtype == bool
    np.testing.assert_array_equal(spikes.sum(axis=0), values > 0.2)
    moments = spikes.argmax(axis=0)[values > 0.2]
    order = np.argsort(values[values > 0.2])
    assert (np.diff(moments[order]) <= 0).all()


def test_latency_uses_the_whole_time():
    moments = latency([1.0, 0.75, 0.5, 0.25, 1e-9], 5)
    np.testing.assert_array_equal(moments, np.eye(5, dtype=bool))
    # the latest spike is that of what is just above the threshold
    assert latency([0.5 + 1e-9], 5, threshold=0.5)[4, 0]
    assert not latency([0.5], 5, threshold=0.5).any()


@given(arrays(float, (3, 2), elements=numbers), st.integers(1, 7), st.floats(0.2, 3))
def test_tuning_curves_are_gaussian_around_evenly_spaced_centres(values, n, width):
    low, high = np.array([-2.0, 0.0]), np.array([2.0, 1.0])
    code = population_code(values, low, high, n, width).reshape(3, 2, n)
    for b, k in np.ndindex(3, 2):
        x = min(max(values[b, k], low[k]), high[k])
        for i in range(n):
            apart = (high[k] - low[k]) / max(n - 1, 1)
            centre = low[k] + i * apart if n > 1 else (low[k] + high[k]) / 2
            expected = np.exp(-((x - centre) ** 2) / (2 * (width * apart) ** 2))
            # a few roundings of numbers of order 1, times exponents up to 10²
            np.testing.assert_allclose(code[b, k, i], expected, rtol=1e-11, atol=1e-300)


def test_a_population_peaks_at_the_preferred_value():
    code = population_code([[-1.0], [0.0], [1.0], [7.0]], -1, 1, 3)
    np.testing.assert_array_equal(code.argmax(axis=1), [0, 1, 2, 2])
    np.testing.assert_array_equal(code.max(axis=1), 1)


def test_groups_fire_in_their_phases():
    rng = np.random.default_rng(0)
    probability = np.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.25]]])
    spikes = group_spikes(rng, probability, [2, 3, 4000], [1, 2])
    assert spikes.shape == (1, 4005, 3)
    assert spikes[0, :2, 0].all() and not spikes[0, 2:, 0].any()
    assert not spikes[0, :2, 1:].any() and spikes[0, 2:5, 1:].all()
    count = spikes[0, 5:, 1:].sum()
    # five standard deviations of a binomial count
    assert abs(count - 2000) < 5 * np.sqrt(8000 * 0.25 * 0.75)


def test_frozen_noise_is_the_same_each_time():
    once, again, other = (frozen_noise([seed, 0], 2000, 5, 0.1) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    assert (once != other).any() and not once[0].any()
    assert abs(once.sum() - 999.5) < 5 * np.sqrt(9995 * 0.1 * 0.9)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: level_crossing([0.0, 1.0], [0.5]), r"'values' of shape \(2,\) .* at least 2"),
        (lambda: level_crossing([[np.nan]], [0.5]), r"level_crossing: 'values' .* finite"),
        (lambda: level_crossing([[0.0]], [1.0, 0.5]), r"'levels' is \[1\. +0\.5\]; .*increasing"),
        (lambda: level_crossing([[0.0]], [0.5, np.inf]), r"'levels' is .*increasing numbers"),
        (lambda: level_crossing([[0.0]], []), r"'levels' has the shape \(0,\); .*\(n,\), or \(1"),
        (lambda: level_crossing([[0.0]], [[1.0], [2.0]]), r"'levels' has the shape \(2, 1\)"),
        (lambda: latency([0.5, 1.5], 10), r"'values' are from 0.5 to 1.5; expected 0 to 1: div"),
        (lambda: latency([-0.5], 10), r"latency: 'values' are from -0.5 to -0.5"),
        (lambda: latency(0.5, 10), r"latency: 'values' of shape \(\)"),
        (lambda: latency([0.5], 0), r"latency: 'steps' = 0 must be an integer ≥ 1"),
        (lambda: latency([0.5], True), r"latency: 'steps' = True must be an integer ≥ 1"),
        (lambda: latency([0.5], 10, 1.0), r"'threshold' = 1.0 must be a number ≥ 0 and below"),
        (lambda: population_code([np.inf], 0, 1, 3), r"population_code: 'values' .* finite"),
        (lambda: population_code([0.0], 1, 1, 3), r"'low' is \[1\.\] and 'high' \[1\.\]; .* <"),
        (lambda: population_code([0.0], 0, np.inf, 3), r"'high' \[inf\]; expected finite"),
        (lambda: population_code([0.0], [0, 0], 1, 3), r"shapes \(2,\) and \(\); .* of the 1 in"),
        (lambda: population_code([0.0], 0, 1, 2.0), r"'n' = 2.0 must be an integer ≥ 1"),
        (lambda: population_code([0.0], 0, 1, 3, 0.0), r"'width' = 0.0 must be .* above 0"),
    ],
)
def test_what_cannot_be_encoded_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
