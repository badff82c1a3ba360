"""Figures of behaviour and of trials: what is drawn is what is given."""

import numpy as np
import pytest
from brian2 import ms

from brian_eprop.plotting import plot_psychometric, plot_reaction_times, plot_task


def test_a_psychometric_curve_is_drawn_with_its_standard_errors():
    ax = plot_psychometric([-0.1, 0, 0.1], [0.1, 0.5, 1.0], [25, 25, 25], ideal=([0, 1], [0, 1]))
    line, _, (bars,) = ax.containers[0]
    np.testing.assert_array_equal(line.get_xydata(), [[-0.1, 0.1], [0, 0.5], [0.1, 1.0]])
    lengths = [np.ptp(segment[:, 1]) for segment in bars.get_segments()]
    np.testing.assert_allclose(lengths, 2 * np.array([0.06, 0.1, 0]), atol=1e-12)


def test_reaction_times_are_means_of_the_trials_with_a_reaction():
    ax = plot_reaction_times([0.1, -0.1, 0.2, 0.2], [100, 300, 50, np.nan] * ms)
    line, _, (bars,) = ax.containers[0]
    np.testing.assert_allclose(line.get_xydata(), [[0.1, 200], [0.2, 50]])
    lengths = [np.ptp(segment[:, 1]) for segment in bars.get_segments()]
    np.testing.assert_allclose(lengths, [200, 0], atol=1e-9)  # 2 · 141.4/√2


def test_a_trial_is_drawn_by_its_groups_where_its_targets_count():
    inputs = np.zeros((20, 4), bool)
    inputs[3, 1] = inputs[5, 3] = True
    targets = np.tile([0.0, 1.0], (20, 1))
    groups = {"a": 2, "b": 2}
    figure = plot_task(inputs, targets, groups, dt=2 * ms, window=5, names=["no", "yes"])
    spikes, asked = figure.axes
    assert [text.get_text() for text in spikes.texts] == ["a", "b"]
    assert [tuple(np.ravel(line.get_data())) for line in spikes.lines] == [(6, 1), (10, 3)]
    for line, value in zip(asked.lines, (0, 1), strict=True):
        np.testing.assert_array_equal(line.get_data(), [range(30, 40, 2), [value] * 5])
    many = plot_task(inputs, np.zeros((20, 12)), groups, dt=1 * ms)
    assert many.axes[1].images[0].get_array().shape == (12, 20)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: plot_psychometric([0, 1], [0.5], [1]),
            r"have the shapes \(2,\), \(1,\) and \(1,\)",
        ),
        (lambda: plot_psychometric([0], [1.5], [1]), r"'fraction' must be from 0 to 1"),
        (lambda: plot_psychometric([np.nan], [0.5], [1]), r"'strengths' of shape \(1,\) holds NaN"),
        (lambda: plot_reaction_times([0.1], [np.nan] * ms), r"'times' are all NaN"),
        (lambda: plot_reaction_times([0.1, 1], [1] * ms), r"'strength' has the shape \(2,\)"),
        (
            lambda: plot_task(np.zeros((5, 2)), np.zeros((4, 1)), {"a": 2}, dt=ms),
            r"'inputs' has the shape \(5, 2\) and 'targets' \(4, 1\)",
        ),
        (
            lambda: plot_task(np.zeros((5, 2)), np.zeros((5, 1)), {"a": 3}, dt=ms),
            r"'groups' is \{'a': 3\}; expected 2 inputs in all",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
