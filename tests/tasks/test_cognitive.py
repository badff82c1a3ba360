"""Cognitive tasks: answers are read again from input spikes, ideal observers find them."""

import numpy as np
import pytest
from brian2 import DimensionMismatchError, Hz, ms
from scipy.stats import binom

from brian_eprop.tasks import load_task
from brian_eprop.tasks.twelve_ax import CHARACTERS


def counts(inputs, start, stop, first, last):
    """Spikes of a group in a phase: (batch,)."""
    return inputs[:, start:stop, first:last].sum(axis=(1, 2))


def assert_share(right, expected):
    """A binomial count within five standard deviations, and one of rounding."""
    n = len(right)
    spread = np.sqrt(n * expected * (1 - expected))
    assert abs(np.sum(right) - n * expected) < 5 * spread + 1


def of_class(targets):
    return targets[:, -1].argmax(axis=1)


class TestPerceptualDecision:
    def test_the_counting_observer_is_right_as_often_as_the_formula_says(self):
        task = load_task("perceptual_decision")
        for c in (0.032, 0.064, -0.128):
            inputs, targets = task.trials(np.random.default_rng(1), {"coherence": np.full(100, c)})
            left, right = (counts(inputs, 0, 500, k, k + 20) for k in (0, 20))
            guess = np.where(
                left == right, np.random.default_rng(0).integers(2, size=100), right > left
            )
            np.testing.assert_array_equal(of_class(targets), c > 0)
            assert_share(guess == of_class(targets), task.counting_accuracy(c))
        assert 0.7 < task.counting_accuracy(0.032) < 0.95 and task.counting_accuracy(0) == 0.5

    def test_the_formula_is_that_of_two_binomial_counts(self):
        task = load_task("perceptual_decision", stimulus=100 * ms)
        n, c, p = 20 * 100, 0.1, 0.04
        k = np.arange(n + 1)
        left, right = binom.pmf(k, n, p * (1 - c)), binom.pmf(k, n, p * (1 + c))
        below = np.cumsum(left) - left
        exact = np.sum(right * (below + left / 2))
        # the error of a normal approximation to counts of 80: 1/√80³
        assert abs(task.counting_accuracy(c) - exact) < 1.4e-3

    def test_coherences_are_drawn_evenly_and_0_is_a_toss_up(self):
        task = load_task("perceptual_decision", coherences=(0, 0.5), stimulus=5 * ms)
        rng = np.random.default_rng(0)
        drawn = task.conditions(rng, 4000)["coherence"]
        for value, share in ((0, 0.5), (0.5, 0.25), (-0.5, 0.25)):
            assert_share(drawn == value, share)
        _, targets = task.trials(rng, {"coherence": np.zeros(500)})
        assert_share(of_class(targets), 0.5)

    def test_rates_are_those_of_the_coherence(self):
        task = load_task("perceptual_decision")
        inputs, _ = task.trials(np.random.default_rng(0), {"coherence": np.full(50, 0.5)})
        for first, last, p in ((0, 20, 0.02), (20, 40, 0.06)):
            assert_share(inputs[:, :500, first:last].ravel(), p)
        assert_share(inputs[:, 500:, 40:].ravel(), 0.04)
        assert not inputs[:, :500, 40:].any() and not inputs[:, 500:, :40].any()

    @pytest.mark.parametrize(
        "conditions, error, message",
        [
            ({}, ValueError, r"conditions has none; expected 'coherence'"),
            ({"coherence": [2.0]}, ValueError, r"has 2, which is not from -1 to 1"),
            ({"coherence": 0.5}, ValueError, r"shapes \{\(\)\}; expected one \(batch,\)"),
            ({"coherence": []}, ValueError, r"not empty"),
            ({"coherence": [np.nan]}, ValueError, r"contains nan"),
            ({"coherence": [0.1] * ms}, DimensionMismatchError, r"has the unit 'second'"),
            ({"coherence": [0.1], "side": [1]}, ValueError, r"has 'coherence', 'side'; expected"),
        ],
    )
    def test_conditions_that_make_no_sense_are_refused(self, conditions, error, message):
        with pytest.raises(error, match=message):
            load_task("perceptual_decision").trials(np.random.default_rng(0), conditions)

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"coherences": ()}, r"\.coherences = \(\) must be one or more numbers from 0 to 1"),
            ({"coherences": (0.1, 1.5)}, r"\.coherences = \(0.1, 1.5\) must be"),
            ({"coherences": (0.1, 0.1)}, r"has a number twice"),
            ({"rate": 600 * Hz}, r"\.rate = .* gives 0.6 spikes .* at most 500 Hz"),
        ],
    )
    def test_options_that_make_no_sense_are_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            load_task("perceptual_decision", **options)


class TestContextDecision:
    @pytest.fixture(scope="class")
    @classmethod
    def trials(cls):
        task = load_task("context_decision", coherences=(0.5,))
        rng = np.random.default_rng(0)
        conditions = task.conditions(rng, 150)
        return conditions, *task.trials(rng, conditions)

    def test_the_observer_who_listens_to_the_context_is_right(self, trials):
        conditions, inputs, targets = trials
        side = [
            counts(inputs, 0, 500, k + 20, k + 40) > counts(inputs, 0, 500, k, k + 20)
            for k in (0, 40)
        ]
        context = counts(inputs, 0, 600, 90, 100) > counts(inputs, 0, 600, 80, 90)
        np.testing.assert_array_equal(context, conditions["context"] == 1)
        np.testing.assert_array_equal(np.where(context, side[1], side[0]), of_class(targets))
        # who does not is right where both agree, and by chance in half of the others
        for alone in side:
            assert_share(alone == of_class(targets), 0.75)
        for k, alone in enumerate(side):
            assert_share((alone == of_class(targets))[conditions["context"] != k], 0.5)

    def test_conditions_are_independent(self, trials):
        conditions, _, _ = trials
        for one, two in (("motion", "colour"), ("motion", "context"), ("colour", "context")):
            assert_share((conditions[one] > 0) == (conditions[two] > 0), 0.5)

    def test_a_context_is_one_of_two(self):
        conditions = {"motion": [0.1], "colour": [0.1], "context": [0.5]}
        with pytest.raises(ValueError, match=r"conditions\['context'\] must be 0 or 1"):
            load_task("context_decision").trials(np.random.default_rng(0), conditions)


class TestDelayedComparison:
    def test_a_linear_observer_of_counts_is_right(self):
        task = load_task("delayed_comparison")
        inputs, targets = task.sample(np.random.default_rng(0), 100)
        up = [counts(inputs, t, t + 250, 0, 25) for t in (0, 750)]
        down = [counts(inputs, t, t + 250, 25, 50) for t in (0, 750)]
        more = (up[1] - down[1]) > (up[0] - down[0])
        # 25 inputs, 250 steps: 8 of 24 Hz are 225 spikes of a difference of 20 or so
        assert np.mean(more == of_class(targets)) > 0.99
        assert not inputs[:, 250:750].any()

    def test_who_has_seen_the_first_stimulus_only_is_right_as_often_as_said(self):
        for options, expected in (({}, 0.7), ({"difference": 4}, 1.0), ({"frequencies": 30}, None)):
            task = load_task("delayed_comparison", **options)
            drawn = task.conditions(np.random.default_rng(0), 4000)
            higher = drawn["second"] > drawn["first"]
            right = 0
            for f in np.unique(np.asarray(drawn["first"])):
                answers = higher[np.asarray(drawn["first"]) == f]
                right += max(answers.sum(), (~answers).sum())
            # the better of two answers is chosen afterwards: that much more than half
            assert abs(right / 4000 - task.first_alone) < 0.05
            assert expected is None or task.first_alone == pytest.approx(expected)
            assert_share(higher, 0.5)

    def test_pairs_are_as_far_apart_as_asked(self):
        task = load_task("delayed_comparison")
        drawn = task.conditions(np.random.default_rng(0), 200)
        np.testing.assert_allclose(abs(np.asarray(drawn["second"] - drawn["first"])), 8)
        assert set(np.round(np.asarray(drawn["first"]))) <= {10, 14, 18, 22, 26, 30, 34}

    def test_frequencies_have_a_unit_and_a_range(self):
        task, rng = load_task("delayed_comparison"), np.random.default_rng(0)
        with pytest.raises(
            DimensionMismatchError, match=r"'first'\] .* has no unit but must be a r"
        ):
            task.trials(rng, {"first": [20.0], "second": [20.0]})
        with pytest.raises(ValueError, match=r"has 40, which is not from 10 to 34, in .*hertz"):
            task.trials(rng, {"first": [40] * Hz, "second": [20] * Hz})
        with pytest.raises(ValueError, match=r"difference = 7 must be below frequencies = 7"):
            load_task("delayed_comparison", difference=7)
        with pytest.raises(ValueError, match=r"lowest = 40\. \* hertz must be below highest"):
            load_task("delayed_comparison", lowest=40 * Hz)


class TestReadySetGo:
    def test_the_ramp_reaches_1_an_interval_after_set(self):
        task = load_task("ready_set_go")
        rng = np.random.default_rng(0)
        conditions = task.conditions(rng, 100)
        inputs, targets = task.trials(rng, conditions)
        np.testing.assert_allclose(
            task.produced(targets, conditions), conditions["interval"], rtol=1e-12
        )
        # the interval between the signals, of whose 20 inputs one fires in a step with 1 − 0.9²⁰
        ready, at_set = (inputs[..., k : k + 20].any(axis=2).argmax(axis=1) for k in (0, 20))
        assert abs((at_set - ready) * ms - conditions["interval"]).max() < 6 * ms
        assert np.ptp(np.asarray(conditions["interval"])) > 0.19
        assert targets.max() == 1.25 and not targets[:, :250].any()

    def test_a_late_or_missing_answer_is_seen(self):
        task = load_task("ready_set_go")
        conditions = {"interval": [200, 200] * ms}
        _, targets = task.trials(np.random.default_rng(0), conditions)
        targets[0] = np.roll(targets[0], 30)
        targets[1] = np.minimum(targets[1], 0.9)
        late, never = task.produced(targets, conditions)
        np.testing.assert_allclose(float(late), 0.23, rtol=1e-12)
        assert np.isnan(float(never))

    def test_the_metric_shows_whether_intervals_are_measured(self):
        task = load_task("ready_set_go")
        rng = np.random.default_rng(0)
        conditions = task.conditions(rng, 300)
        _, targets = task.trials(rng, conditions)
        interval = np.asarray(conditions["interval"] / ms)
        # who always goes after 270 ms, and who knows the interval up to 10 %
        at_set = 50 + interval[:, np.newaxis]
        since = np.maximum(np.arange(950) - at_set, 0)
        always = since[..., np.newaxis] / 270
        found = task.metric(always, targets)
        np.testing.assert_allclose(found, np.mean(abs(270 - interval) / interval), rtol=1e-12)
        assert 0.15 < found < 0.2
        slow = (since / np.round(1.1 * interval)[:, np.newaxis])[..., np.newaxis]
        np.testing.assert_allclose(task.metric(slow, targets), 0.1, rtol=0.02)
        assert task.metric(0 * targets, targets) == 1 and task.metric(targets, targets) == 0
        # what an error of the ramp does not show
        mean = np.clip(since / 290, 0, 1.25)
        assert (
            np.sum((mean - targets[..., 0]) ** 2) / np.sum((targets - targets.mean()) ** 2) < 0.04
        )

    def test_signals_must_not_overlap(self):
        with pytest.raises(ValueError, match=r"signal = .* must be at most shortest"):
            load_task("ready_set_go", signal=300 * ms)
        with pytest.raises(ValueError, match=r"shortest = .* must be at most longest"):
            load_task("ready_set_go", shortest=500 * ms)


def answers(text):
    """The rule of 12AX, a character at a time."""
    digit, before, right = "", "", []
    for character in text:
        digit = character if character in "12" else digit
        right.append((digit, before, character) in (("1", "A", "X"), ("2", "B", "Y")))
        before = character
    return right


class TestTwelveAX:
    @pytest.fixture(scope="class")
    @classmethod
    def trials(cls):
        return load_task("twelve_ax").sample(np.random.default_rng(0), 50)

    @pytest.fixture(scope="class")
    @classmethod
    def texts(cls, trials):
        # 10 inputs in 100 steps with p = 0.06: silent by chance once in 10²⁶
        shown = trials[0].reshape(50, 15, 100, 8, 10).any(axis=(2, 4))
        assert (shown.sum(axis=2) == 1).all()
        return np.array(list(CHARACTERS))[shown.argmax(axis=2)]

    def test_the_target_follows_the_rule(self, trials, texts):
        right = np.array([answers(text) for text in texts])
        np.testing.assert_array_equal(trials[1][:, ::100, 1] == 1, right)
        np.testing.assert_array_equal(np.repeat(trials[1][:, ::100], 100, axis=1), trials[1])
        assert 0.1 < right.mean() < 0.3

    def test_rows_are_digits_and_pairs(self, texts):
        for text in texts:
            assert text[0] in "12"
            for loop in "".join(text).replace("2", "1").split("1")[1:]:
                assert 0 < len(loop) <= 8 or loop == ""
                assert all(c in ("ABC" if k % 2 == 0 else "XYZ") for k, c in enumerate(loop))

    def test_who_ignores_the_digit_or_the_letter_before_is_wrong(self, texts):
        right = np.array([answers(text) for text in texts])
        before = np.roll(texts, 1, axis=1)
        pair = ((before == "A") & (texts == "X")) | ((before == "B") & (texts == "Y"))
        assert (pair != right)[:, 1:].mean() > 0.01 and (
            np.isin(texts, ["X", "Y"]) != right
        ).mean() > 0.05

    def test_metrics_count_characters_and_trials(self, trials):
        task, targets = load_task("twelve_ax"), trials[1][:4]
        outputs = targets.copy()
        outputs[0, :100] = 1 - outputs[0, :100]
        assert (
            task.metric(outputs, targets) == 1 / 60 and task.wrong_trials(outputs, targets) == 1 / 4
        )
        never = np.zeros_like(targets)
        assert task.metric(never, targets) == targets[..., 1].mean()


class TestPatternRecall:
    @pytest.fixture(scope="class")
    @classmethod
    def task(cls):
        return load_task("pattern_recall", trials_per_pattern=1)

    def test_the_answer_is_the_pattern_shown_with_the_command(self, task):
        inputs, targets = task.sample(np.random.default_rng(0), 50)
        # 2 inputs in 200 steps with p = 0.4: silent by chance once in 10⁸⁸
        shown = inputs.reshape(50, 3, 200, -1).any(axis=2)
        zeros, ones = (shown[..., k : k + 40].reshape(50, 3, 20, 2).any(axis=3) for k in (0, 40))
        np.testing.assert_array_equal((zeros ^ ones)[:, :-1], True)
        assert not (zeros | ones)[:, -1].any()
        store, recall = shown[..., 80:105].any(axis=2), shown[..., 105:].any(axis=2)
        np.testing.assert_array_equal(store.sum(axis=1), 1)
        np.testing.assert_array_equal(recall, np.tile([False] * 2 + [True], (50, 1)))
        kept = ones[np.arange(50), store.argmax(axis=1)]
        np.testing.assert_array_equal(targets[:, 0], kept)
        others = ones[np.arange(50), 1 - store.argmax(axis=1)]
        assert (others != kept).any(axis=1).mean() > 0.9
        assert len(set(store.argmax(axis=1))) == 2

    def test_patterns_are_apart_and_sparse(self, task):
        every = np.vstack(list(task.split.values()))
        apart = (every[:, np.newaxis] != every).sum(axis=2) + 99 * np.eye(len(every), dtype=int)
        assert apart.min() >= 3
        assert every.sum(axis=1).min() >= 1 and every.sum(axis=1).max() <= 4

    def test_what_is_held_out_is_of_its_own_patterns(self, task):
        known = {row.tobytes() for row in task.split["train"].astype(float)}
        for part in ("validation", "test"):
            _, targets = task.held_out(part)
            rows = [row.tobytes() for row in targets[:, 0]]
            assert len(rows) == len(set(rows)) == 20 and not set(rows) & known
        again = load_task("pattern_recall", trials_per_pattern=1).held_out("test")[0]
        np.testing.assert_array_equal(again, task.held_out("test")[0])

    def test_the_metric_counts_bits_in_the_recall(self, task):
        targets = np.zeros((1, 600, 20))
        outputs = targets.copy()
        outputs[0, :400] = 1
        outputs[0, 400:, 3] = 0.6
        assert task.metric(outputs, targets) == 1 / 20

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"bits": 4}, r"\.density = 0.2 leaves no active bit of 4; give at least 0.25"),
            ({"bits": 5}, r"patterns = 100 and .* are 140 in all, but 1 were found"),
        ],
    )
    def test_too_few_patterns_are_refused(self, options, message, monkeypatch):
        monkeypatch.setattr("brian_eprop.tasks.pattern_recall.TRIES", 1000)
        with pytest.raises(ValueError, match=message):
            _ = load_task("pattern_recall", **options).split
