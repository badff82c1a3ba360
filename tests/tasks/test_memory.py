"""Tasks of memory: labels are read again from the input spikes, without the task's own code."""

from itertools import pairwise

import numpy as np
import pytest
from brian2 import DimensionMismatchError, Hz, ms, mV

from brian_eprop.tasks import load_task


def assert_rate(spikes, p):
    """A binomial count within five standard deviations."""
    assert abs(spikes.sum() - p * spikes.size) < 5 * np.sqrt(p * (1 - p) * spikes.size)


def phases(inputs, lengths, sizes):
    """(batch, phases, groups): where a group fires in a phase."""
    cut = np.cumsum([0, *lengths])
    edges = np.cumsum([0, *sizes])
    return np.array(
        [
            [inputs[:, start:end, first:last].any(axis=(1, 2)) for first, last in pairwise(edges)]
            for start, end in pairwise(cut)
        ]
    ).transpose(2, 0, 1)


class TestStoreRecall:
    @pytest.fixture(scope="class")
    @classmethod
    def trials(cls):
        return load_task("store_recall").sample(np.random.default_rng(0), 600)

    @pytest.fixture(scope="class")
    @classmethod
    def active(cls, trials):
        # 25 inputs in 200 steps with p = 0.05: silent by chance once in 10¹¹¹
        return phases(trials[0], [200] * 12, [25] * 4)

    def test_a_trial_has_the_published_shape(self, trials):
        task = load_task("store_recall")
        assert (task.n_in, task.n_out, task.steps, task.learning_window) == (100, 2, 2400, 200)
        assert trials[0].shape == (600, 2400, 100) and trials[1].shape == (600, 2400, 2)

    def test_one_bit_is_shown_in_all_but_the_last_character(self, active):
        assert (active[:, :-1, 0] ^ active[:, :-1, 1]).all()
        np.testing.assert_array_equal(active[:, -1], [[False, False, False, True]] * 600)
        assert not active[:, :-1, 3].any()
        assert_rate(active[:, :-1, 1], 0.5)

    def test_the_target_is_the_bit_shown_with_the_last_store(self, trials, active):
        commands = active[:, :, 2]
        last = 11 - commands[:, ::-1].argmax(axis=1)
        bits = active[np.arange(600), last, 1]
        np.testing.assert_array_equal(trials[1][:, 0].argmax(axis=1), bits)
        # neither the first bit stored nor the last bit shown is the answer
        first = active[np.arange(600), commands.argmax(axis=1), 1]
        assert 0.1 < (first != bits).mean() < 0.4
        assert (active[:, -2, 1] != bits).mean() > 0.3

    def test_delays_are_geometric_and_earlier_commands_as_frequent_as_asked(self, active):
        commands = active[:, :, 2]
        assert set(commands.sum(axis=1)) == {1, 2}
        delay = 1 + commands[:, ::-1][:, 1:].argmax(axis=1)
        chance = (5 / 6) ** np.arange(11)
        expected = 600 * chance / chance.sum()
        counts = np.bincount(delay, minlength=12)[1:]
        # χ² with 10 degrees of freedom is above 30 once in a thousand
        assert ((counts - expected) ** 2 / expected).sum() < 30
        uniform = 600 / 11
        assert ((counts - uniform) ** 2 / uniform).sum() > 30
        assert_rate(commands.sum(axis=1)[delay < 11] == 2, 0.5)

    def test_inputs_fire_at_their_rate(self, trials, active):
        spikes = trials[0].reshape(600, 12, 200, 4, 25).transpose(0, 1, 3, 2, 4)
        assert_rate(spikes[active], 0.05)

    def test_options_change_the_trial(self):
        task = load_task(
            "store-recall", characters=2, rewrite=1, character=10 * ms, rate=2000 * Hz, dt=0.5 * ms
        )
        inputs, _ = task.sample(np.random.default_rng(0), 5)
        assert inputs.shape == (5, 40, 100)
        # one place only for the command: there is nothing to rewrite
        assert inputs[:, :20, 50:75].all() and inputs[:, 20:, 75:].all()
        many = load_task("store-recall", expected_delay=1, rewrite=0)
        active = phases(many.sample(np.random.default_rng(0), 20)[0], [200] * 12, [25] * 4)
        np.testing.assert_array_equal(active[:, :, 2], np.tile(np.arange(12) == 10, (20, 1)))


class TestTemporalXor:
    @pytest.fixture(scope="class")
    @classmethod
    def trials(cls):
        return load_task("temporal_xor").sample(np.random.default_rng(0), 400)

    @pytest.fixture(scope="class")
    @classmethod
    def active(cls, trials):
        return phases(trials[0], [100, 300, 100, 100], [20] * 3)

    def test_the_target_is_whether_the_cues_differ(self, trials, active):
        assert (active[:, [0, 2], 0] ^ active[:, [0, 2], 1]).all()
        differ = active[:, 0, 1] != active[:, 2, 1]
        np.testing.assert_array_equal(trials[1][:, 0].argmax(axis=1), differ)

    def test_neither_cue_tells_the_answer(self, trials, active):
        answer = trials[1][:, 0, 1] == 1
        for cue in (0, 2):
            for bit in (False, True):
                assert_rate(answer[active[:, cue, 1] == bit], 0.5)

    def test_the_inputs_are_silent_in_the_delay_and_ask_at_the_end(self, trials, active):
        assert not active[:, 1].any()
        np.testing.assert_array_equal(active[:, 3], [[False, False, True]] * 400)
        assert not active[:, :3, 2].any()
        assert_rate(trials[0][:, 500:, 40:], 0.05)

    def test_without_a_delay_the_cues_follow_each_other(self):
        task = load_task("temporal-xor", delay=0 * ms, cue=10 * ms, answer=5 * ms)
        assert (task.steps, task.learning_window) == (25, 5)


class TestDelayedMatch:
    @pytest.fixture(scope="class")
    @classmethod
    def trials(cls):
        return load_task("delayed_match", background_rate=0 * Hz).sample(
            np.random.default_rng(0), 600
        )

    @pytest.fixture(scope="class")
    @classmethod
    def active(cls, trials):
        return phases(trials[0], [150, 500, 150, 100], [10] * 5)

    def test_the_target_is_whether_the_test_was_the_sample(self, trials, active):
        np.testing.assert_array_equal(active[:, [0, 2], :3].sum(axis=2), 1)
        sample, test = active[:, [0, 2], :3].argmax(axis=2).T
        np.testing.assert_array_equal(trials[1][:, 0].argmax(axis=1), sample != test)
        assert_rate(sample == test, 0.5)
        assert not active[:, 1].any() and active[:, 3, 3].all()

    def test_all_stimuli_and_pairs_of_them_are_equally_frequent(self, active):
        sample, test = active[:, [0, 2], :3].argmax(axis=2).T
        counts = np.histogram2d(sample, test, bins=3)[0]
        expected = np.full((3, 3), 600 / 12)
        np.fill_diagonal(expected, 600 / 6)
        # χ² with 8 degrees of freedom is above 26 once in a thousand
        assert ((counts - expected) ** 2 / expected).sum() < 26

    def test_the_background_fires_all_the_time(self):
        inputs, _ = load_task("delayed_match").sample(np.random.default_rng(0), 50)
        assert_rate(inputs[..., 40:], 0.005)
        assert_rate(inputs[:, 800:, 30:40], 0.05)

    def test_the_number_of_stimuli_is_free(self):
        task = load_task("delayed-match", stimuli=2)
        assert task.n_in == 40 and list(task.input_groups)[:2] == ["stimulus 1", "stimulus 2"]
        inputs, targets = task.sample(np.random.default_rng(0), 50)
        sample, test = phases(inputs, [150, 500, 150, 100], [10] * 4)[:, [0, 2], :2].argmax(2).T
        np.testing.assert_array_equal(targets[:, 0, 1] == 1, sample != test)


@pytest.mark.parametrize(
    "name, options, error, message",
    [
        ("store_recall", {"characters": 1}, ValueError, r"\.characters = 1 must be an integer ≥ 2"),
        ("store_recall", {"characters": 3.0}, ValueError, r"\.characters = 3.0 must be an integer"),
        (
            "store_recall",
            {"expected_delay": 0.5},
            ValueError,
            r"\.expected_delay = 0.5 must be a number from 1",
        ),
        (
            "store_recall",
            {"rewrite": 1.5},
            ValueError,
            r"\.rewrite = 1.5 must be a number from 0 to 1",
        ),
        ("store_recall", {"rewrite": "no"}, ValueError, r"\.rewrite = 'no' must be a number"),
        (
            "store_recall",
            {"character": 200},
            DimensionMismatchError,
            r"StoreRecall\.character = 200 has no unit but must be a time",
        ),
        ("store_recall", {"character": 0.5 * ms}, ValueError, r"\.character = .* multiple of"),
        ("store_recall", {"rate": 2000 * Hz}, ValueError, r"StoreRecall\.rate = .* 2 spikes in a"),
        ("temporal_xor", {"cue": 0 * ms}, ValueError, r"TemporalXor\.cue = .* one positive"),
        ("temporal_xor", {"delay": -1 * ms}, ValueError, r"\.delay = .* must be one finite time ≥"),
        (
            "temporal_xor",
            {"answer": 10},
            DimensionMismatchError,
            r"\.answer = 10 has no unit but must be a time",
        ),
        (
            "temporal_xor",
            {"rate": 1 * mV},
            DimensionMismatchError,
            r"\= .* has the unit 'volt' but must be a rate",
        ),
        ("temporal_xor", {"cue": 1.5 * ms}, ValueError, r"\.cue = .* multiple of the time step"),
        (
            "delayed_match",
            {"stimuli": 1},
            ValueError,
            r"DelayedMatch\.stimuli = 1 must be an integer ≥ 2",
        ),
        (
            "delayed_match",
            {"stimulus": 5},
            DimensionMismatchError,
            r"\.stimulus = 5 has no unit but must be a time",
        ),
        ("delayed_match", {"background_rate": -1 * Hz}, ValueError, r"\.background_rate = .* ≥ 0"),
        (
            "delayed_match",
            {"background_rate": 2 / ms},
            ValueError,
            r"\.background_rate = .* 1000 Hz",
        ),
        ("delayed_match", {"dt": 0 * ms}, ValueError, r"\.dt = .* must be one positive, finite"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(name, options, error, message):
    with pytest.raises(error, match=message):
        load_task(name, **options)
