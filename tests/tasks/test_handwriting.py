"""Handwriting: the path is that of overlapping log-normal strokes, frozen by the seed."""

import numpy as np
import pytest
from brian2 import DimensionMismatchError, Hz, ms, mV
from scipy.stats import lognorm

from brian_eprop.tasks import load_task


@pytest.mark.parametrize("seed", range(4))
def test_the_path_begins_at_zero_is_normalised_and_comes_to_rest(seed):
    path = load_task("handwriting", seed=seed).target
    assert path.shape == (1000, 2)
    np.testing.assert_array_equal(path[0], 0)
    np.testing.assert_allclose(abs(path).max(), 1, rtol=1e-15)
    speed = np.hypot(*np.diff(path, axis=0).T)
    # both coordinates move, and at the end hardly any more: Φ(ln(2/0.8)/0.3) is 1 − 0.001
    assert (np.ptp(path, axis=0) > 0.2).all()
    assert speed[-1] < 0.02 * speed.max()
    # smooth: the speed changes little in a step
    assert abs(np.diff(speed)).max() < 0.06 * speed.max()


def test_one_stroke_has_the_speed_of_a_log_normal_distribution():
    path = load_task("handwriting", strokes=1, steps=4001).target
    speed = np.hypot(*np.diff(path, axis=0).T)
    # of two units of time, in which one stroke begins at 0 with median 0.8
    middle = (np.arange(4000) + 0.5) * 2 / 4000
    expected = lognorm.pdf(middle, 0.3, scale=0.8)
    # the chord of a step for its arc, relative (step/2)²/6 of angle and of time
    np.testing.assert_allclose(speed / speed.sum(), expected / expected.sum(), atol=1e-8)
    wrong = lognorm.pdf(middle, 0.4, scale=0.8)
    assert abs(speed / speed.sum() - wrong / wrong.sum()).max() > 1e-5


@pytest.mark.parametrize("strokes", [2, 5])
def test_the_path_is_the_sum_of_turning_strokes(strokes):
    """Integrated from speeds and directions, without the closed form."""
    task = load_task("handwriting", strokes=strokes, steps=20001, seed=3)
    rng = np.random.default_rng([3, 1])
    length = rng.uniform(0.5, 1, strokes)
    direction = 1.2 * np.resize([1, -1], strokes) + 0.5 * rng.standard_normal(strokes)
    turn = rng.uniform(0.5, 2.5, strokes) * rng.choice([-1, 1], strokes)
    time = (np.arange(20000) + 0.5) * (strokes + 1) / 20000
    velocity = 0
    for i in range(strokes):
        speed = length[i] * lognorm.pdf(time - i, 0.3, scale=0.8)
        angle = direction[i] + turn[i] * lognorm.cdf(time - i, 0.3, scale=0.8)
        velocity = velocity + speed[:, np.newaxis] * np.stack([np.cos(angle), np.sin(angle)], 1)
    path = np.cumsum(velocity, axis=0)
    # errors of the midpoint rule with 3000 steps a stroke
    np.testing.assert_allclose(task.target[1:], path / abs(path).max(), atol=1e-6)


def test_strokes_can_be_counted():
    for strokes in (3, 6):
        path = load_task("handwriting", strokes=strokes, seed=2).target
        speed = np.hypot(*np.diff(path, axis=0).T)
        peaks = (speed[1:-1] > speed[:-2]) & (speed[1:-1] > speed[2:])
        assert strokes <= peaks.sum() + 1 and peaks.sum() <= 2 * strokes


def test_input_and_path_are_frozen_by_the_seed():
    first, again, other = (load_task("handwriting", seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.inputs, again.inputs)
    np.testing.assert_array_equal(first.target, again.target)
    assert (first.inputs != other.inputs).any() and (first.target != other.target).any()
    np.testing.assert_array_equal(load_task("handwriting", n_in=7, seed=1).target, first.target)
    count, p = first.inputs.sum(), 0.05
    assert abs(count - p * 99900) < 5 * np.sqrt(p * (1 - p) * 99900) and not first.inputs[0].any()


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"strokes": 0}, ValueError, r"Handwriting\.strokes = 0 must be an integer ≥ 1"),
        ({"strokes": 6.0}, ValueError, r"\.strokes = 6.0 must be an integer"),
        ({"steps": 9}, ValueError, r"\.steps = 9 must be an integer ≥ 10"),
        ({"n_in": True}, ValueError, r"\.n_in = True must be an integer"),
        ({"seed": -1}, ValueError, r"\.seed = -1 must be an integer ≥ 0"),
        ({"dt": 1 * mV}, DimensionMismatchError, r"\= .* has the unit 'volt' but must be a time"),
        ({"dt": 0 * ms}, ValueError, r"\.dt = .* must be one positive, finite"),
        (
            {"input_rate": 50},
            DimensionMismatchError,
            r"\.input_rate = 50 has no unit but must be a rate",
        ),
        ({"input_rate": 2000 * Hz}, ValueError, r"gives 2 spikes in a step .* at most 1000 Hz"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(options, error, message):
    with pytest.raises(error, match=message):
        load_task("handwriting", **options)
