"""Behaviour: choices, psychometric curves and reaction times, against readings by hand."""

import numpy as np
import pytest
from brian2 import ms

from brian_eprop.tasks import load_task
from brian_eprop.tasks.behaviour import choices, psychometric_curve, reaction_times


def test_choices_are_those_of_the_steps_that_count():
    task = load_task("perceptual_decision", stimulus=10 * ms, answer=5 * ms)
    outputs = np.zeros((3, 15, 2))
    outputs[:, :10, 0] = 100
    outputs[1, 12, 1] = 1
    outputs[2, -1, 0], outputs[2, -2, 1] = 1, 1.1
    np.testing.assert_array_equal(choices(task, outputs), [0, 1, 1])


def test_a_psychometric_curve_counts_choices():
    strength = [0.1, -0.1, 0.1, 0.0, -0.1, 0.1]
    strengths, fraction, trials = psychometric_curve(strength, [1, 0, 0, 1, 0, 1])
    np.testing.assert_array_equal(strengths, [-0.1, 0, 0.1])
    np.testing.assert_allclose(fraction, [0, 1, 2 / 3])
    np.testing.assert_array_equal(trials, [2, 1, 3])


def test_the_curve_of_the_counting_observer_is_the_formula():
    task = load_task("perceptual_decision")
    rng = np.random.default_rng(0)
    coherence = np.repeat([-0.064, -0.032, 0.032, 0.064], 100)
    inputs, _ = task.trials(rng, {"coherence": coherence})
    sums = inputs[:, :500, :40].reshape(400, 500, 2, 20).sum(axis=(1, 3))
    strengths, fraction, trials = psychometric_curve(coherence, sums[:, 1] > sums[:, 0])
    expected = np.where(
        strengths > 0, task.counting_accuracy(strengths), 1 - task.counting_accuracy(strengths)
    )
    assert (abs(fraction - expected) < 5 * np.sqrt(expected * (1 - expected) / trials)).all()
    assert (np.diff(fraction) > 0).all()


def test_a_reaction_is_where_the_probability_reaches_the_bound():
    outputs = np.zeros((3, 20, 2))
    outputs[0, 12:, 1] = np.log(9)  # a probability of 0.9
    outputs[1, 3:6, 0] = 5  # before the stimulus
    times = reaction_times(outputs, 0.9 - 1e-12, 2 * ms, onset=8)
    np.testing.assert_allclose(np.asarray(times)[0], 10e-3)
    assert np.isnan(np.asarray(times)[1:]).all()
    # a mean of 4 steps is at the bound when the last one of them is
    smooth = reaction_times(outputs, 0.9 - 1e-12, 2 * ms, onset=8, window=4)
    np.testing.assert_allclose(np.asarray(smooth)[0], 16e-3)
    assert float(np.asarray(reaction_times(outputs, 0.9, 2 * ms))[1]) == pytest.approx(8e-3)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: psychometric_curve([0.1], [1, 0]),
            r"'strength' has the shape \(1,\) and 'chosen'",
        ),
        (lambda: psychometric_curve([], []), r"expected one for each trial"),
        (lambda: psychometric_curve([0.1], [2]), r"'chosen' must be 0 or 1"),
        (lambda: psychometric_curve([np.nan], [1]), r"'strength' contains nan"),
        (lambda: reaction_times(np.zeros((2, 3)), 0.9, ms), r"'outputs' has the shape \(2, 3\)"),
        (
            lambda: reaction_times(np.zeros((2, 3, 2)), 0.5, ms),
            r"'bound' = 0.5 must be a number ab",
        ),
        (lambda: reaction_times(np.zeros((2, 3, 2)), 0.9, ms, 1, 3), r"'window' = 3"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
