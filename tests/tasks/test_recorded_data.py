"""Tasks of recordings: split for good, encoded as described, and refused where data are missing."""

import sys

import numpy as np
import pytest
from brian2 import DimensionMismatchError, ms

from brian_eprop.runs.configuration import Configuration
from brian_eprop.runs.surroundings import brian2_device
from brian_eprop.tasks import load_task, vowels
from brian_eprop.tasks.kinds import drawn, stratified

pytest.importorskip("sklearn")
NAMES = ("vowels", "digits")


@pytest.fixture(scope="module", params=NAMES)
def task(request):
    """With trials to learn from as they are recorded."""
    return load_task(request.param, jitter=0.0)


def labels(targets):
    return targets[:, 0].argmax(axis=1)


@pytest.mark.first_case_is_fast
def test_the_parts_are_stratified(task):
    train, validation, _ = (task.split[part][1] for part in ("train", "validation", "test"))
    known = np.concatenate([train, validation])
    share = len(validation) / len(known)
    for label in range(task.n_out):
        count = (known == label).sum()
        assert count > 0
        # of each class the nearest whole number
        assert abs((validation == label).sum() - share * count) <= 1


@pytest.mark.first_case_is_fast
def test_what_is_drawn_is_of_the_part_to_learn_from(task):
    """All of it, no trial twice in a batch that large, and none that is held out."""
    n = len(task.split["train"][1])
    inputs, targets = task.sample(np.random.default_rng(0), n)
    np.testing.assert_array_equal(np.bincount(labels(targets)), np.bincount(task.split["train"][1]))
    seen = {trial.tobytes() for trial in inputs}
    assert len(seen) == n
    for part in ("validation", "test"):
        held_out, asked = task.held_out(part)
        assert held_out.shape == (len(task.split[part][1]), task.steps, task.n_in)
        assert held_out.dtype == bool
        np.testing.assert_array_equal(labels(asked), task.split[part][1])
        assert not seen & {trial.tobytes() for trial in held_out}


@pytest.mark.first_case_is_fast
def test_the_split_is_the_same_each_time(task):
    again = load_task(type(task).__name__.lower())
    for part in ("validation", "test"):
        np.testing.assert_array_equal(again.held_out(part)[0], task.held_out(part)[0])


def test_a_batch_may_be_larger_than_the_recordings(task):
    n = len(task.split["train"][1])
    chosen = drawn(np.random.default_rng(0), n, n + 5)
    assert len(chosen) == n + 5 and chosen.max() < n


def test_another_part_is_refused(task):
    for name in ("train", "TEST"):
        message = (
            rf"{type(task).__name__}\.held_out: split = '{name}' must be 'validation' or 'test'"
        )
        with pytest.raises(ValueError, match=message):
            task.held_out(name)


def test_stratified_parts_are_disjoint_and_complete():
    classes = np.repeat([0, 1, 2], [10, 25, 7])
    parts = stratified(classes, [0.6, 0.2])
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(42))
    for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
        counts = np.bincount(classes[part], minlength=3)
        assert (abs(counts - share * np.array([10, 25, 7])) <= 1).all()
    other = stratified(classes, [0.6, 0.2], seed=1)
    assert len(other[0]) == len(parts[0]) and (other[0] != parts[0]).any()


def test_all_recordings_are_read():
    utterances, speakers = vowels.read_utterances("TRAIN")
    np.testing.assert_array_equal(np.bincount(speakers), [30] * 9)
    assert {u.shape[1] for u in utterances} == {12}
    lengths = [len(u) for u in utterances] + [len(u) for u in vowels.read_utterances("TEST")[0]]
    assert len(lengths) == 640 and (min(lengths), max(lengths)) == (7, 29)
    # first and last number of the first utterance
    assert utterances[0][0, 0] == 1.860936 and len(utterances[0]) == 20
    task = load_task("vowels")
    assert [len(task.split[part][1]) for part in task.split] == [216, 54, 370]


def test_coefficients_go_straight_from_frame_to_frame_and_end_with_the_last():
    task = load_task("vowels", frame=10 * ms, window=20 * ms)
    utterance = np.random.default_rng(0).standard_normal((7, 12))
    (values,) = task.coefficients([utterance])
    assert values.shape == (300, 12)
    np.testing.assert_array_equal(values[9::10][-7:], utterance)
    np.testing.assert_array_equal(values[: 300 - 70], np.tile(task.frames.mean(axis=0), (230, 1)))
    known = np.vstack([task.frames.mean(axis=0), utterance])
    for k in range(12):
        between = np.interp(np.arange(70), np.arange(-1, 79, 10), known[:, k])
        # round-off of weighted means of numbers of order 1
        np.testing.assert_allclose(values[230:, k], between, rtol=0, atol=1e-14)


def test_an_utterance_can_be_followed_from_its_spikes():
    """From the mean on, one crossing after the other leads to the last frame's place."""
    task = load_task("vowels")
    inputs, _ = task.held_out("validation")
    up, down = inputs.reshape(54, 600, 12, 2, 16).sum(axis=1, dtype=int).transpose(2, 0, 1, 3)
    above = (task.frames.mean(axis=0)[:, np.newaxis] > task.thresholds).astype(int) + up - down
    final = np.array([u[-1] for u in task.split["validation"][0]])
    np.testing.assert_array_equal(above, final[..., np.newaxis] > task.thresholds)
    assert up.sum() > 1000 and down.sum() > 1000
    # quiet before the utterance: the frame before the first one is a mean
    for trial, utterance in zip(inputs, task.split["validation"][0], strict=True):
        assert not trial[: 600 - 20 * len(utterance)].any()


@pytest.mark.slow
def test_what_is_drawn_is_shifted_as_a_whole_and_what_is_held_out_is_not():
    task, exact = load_task("vowels", jitter=0.3), load_task("vowels", jitter=0.0)
    seen = []
    # in place of the encoding: what would be encoded
    object.__setattr__(task, "_encoded", seen.extend)
    task.sample(np.random.default_rng(0), 216)
    recorded = {len(u): [] for u in task.split["train"][0]}
    for utterance in task.split["train"][0]:
        recorded[len(utterance)].append(utterance)
    shifts = []
    for utterance in seen:
        distance = [np.ptp(utterance - known, axis=0).max() for known in recorded[len(utterance)]]
        nearest = recorded[len(utterance)][int(np.argmin(distance))]
        assert min(distance) < 1e-14  # round-off of numbers of order 1
        shifts.append((utterance - nearest)[0])
    spread = np.std(shifts, axis=0) / np.concatenate(task.split["train"][0]).std(axis=0)
    # 216 draws: a standard deviation is known to 5 %
    np.testing.assert_allclose(spread, 0.3, rtol=0.25)
    del task.__dict__["_encoded"]
    np.testing.assert_array_equal(task.held_out("test")[0], exact.held_out("test")[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "chance", "limit"),
    [
        ("vowels", 0.7, 0.35),  # fractions of nine classes
        ("digits", 0.7, 0.25),
        ("mackey_glass", 21, 12),  # in percent; the mean of the series has 21
    ],
)
def test_the_recommended_network_learns_what_it_has_not_met(name, chance, limit):
    """An eighth of the iterations; after all of them see docs/reproductions.md."""
    configuration = Configuration.of_task(name)
    setup, task, network = (
        configuration.setup,
        configuration.make_task(),
        configuration.make_network(),
    )
    trials = task.held_out("validation")

    def judged():
        found = network.gradients(*trials, task.learning_window)
        assert found.spikes.sum() > 1000
        return task.metric(found.readout, trials[1])

    with brian2_device("cpp_standalone"):
        before = judged()
        network.fit(task, setup.iterations // 8, setup.batch_size, seed=0)
        after = judged()
    assert before > chance
    assert after < limit


def test_levels_are_learned_from_the_part_to_learn_from_only():
    task = load_task("vowels", levels=4)
    frames = np.concatenate(task.split["train"][0])
    below = (frames[:, :, np.newaxis] < task.thresholds).mean(axis=0)
    # of 3400 frames, the quantiles 1/8, 3/8, …
    np.testing.assert_allclose(below, np.tile([0.125, 0.375, 0.625, 0.875], (12, 1)), atol=1e-3)
    everything = np.concatenate([*task.split["train"][0], *task.split["validation"][0]])
    assert (np.quantile(everything, 0.125, axis=0) != task.thresholds[:, 0]).all()


def test_bright_pixels_fire_first_and_the_answer_is_in_the_dark():
    task = load_task("digits")
    images, digits = task.split["test"]
    inputs, targets = task.held_out("test")
    np.testing.assert_array_equal(labels(targets), digits)
    assert not inputs[:, 40:].any()
    np.testing.assert_array_equal(inputs.sum(axis=1), images > 0)
    moment = inputs.argmax(axis=1)
    for image, when in zip(images, moment, strict=True):
        lit = image > 0
        np.testing.assert_array_equal(when[lit], np.floor((1 - image[lit]) * 39 + 0.5))
    assert images.max() == 1 and set(np.unique(images * 16)) == set(range(17))


def test_images_that_are_learned_from_vary_in_what_is_lit_and_those_held_out_do_not():
    task, exact = load_task("digits", jitter=0.1), load_task("digits", jitter=0.0)
    images = task.split["train"][0]
    seen = []
    # in place of the encoding: what would be encoded
    object.__setattr__(task, "_encoded", seen.extend)
    task.sample(np.random.default_rng(0), len(images))
    distances = ((np.array(seen)[:, np.newaxis] - images) ** 2).sum(axis=-1)
    shown = images[distances.argmin(axis=1)]
    np.testing.assert_array_equal(np.unique(distances.argmin(axis=1)), np.arange(len(images)))
    assert np.min(seen) == 0 and np.max(seen) == 1
    assert not np.array(seen)[shown == 0].any()
    between = (shown > 0.4) & (shown < 0.6)
    # 8000 pixels whose noise is hardly ever cut: a standard deviation is known to 1 %
    assert between.sum() > 5000
    np.testing.assert_allclose((np.array(seen) - shown)[between].std(), 0.1, rtol=0.04)
    del task.__dict__["_encoded"]
    np.testing.assert_array_equal(task.held_out("test")[0], exact.held_out("test")[0])


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch):
    monkeypatch.setattr(vowels, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    for name, package in (("vowels", "aeon"), ("digits", "scikit-learn")):
        message = rf'task \'{name}\' come with the package {package}.*"brian_eprop\[data\]"'
        with pytest.raises(ModuleNotFoundError, match=message):
            load_task(name).sample(np.random.default_rng(0), 1)


@pytest.mark.parametrize(
    "name, options, error, message",
    [
        ("vowels", {"levels": 0}, ValueError, r"Vowels\.levels = 0 must be an integer ≥ 1"),
        ("vowels", {"levels": 8.0}, ValueError, r"\.levels = 8.0 must be an integer"),
        ("vowels", {"jitter": -0.1}, ValueError, r"\.jitter = -0.1 must be a finite number ≥ 0"),
        (
            "vowels",
            {"jitter": "much"},
            ValueError,
            r"\.jitter = 'much' must be a finite number ≥ 0",
        ),
        (
            "vowels",
            {"frame": 20},
            DimensionMismatchError,
            r"Vowels\.frame = 20 has no unit but must be a time",
        ),
        ("vowels", {"frame": 0.5 * ms}, ValueError, r"\.frame = .* multiple of the time step"),
        ("vowels", {"window": 601 * ms}, ValueError, r"\.window = .* must be at most the 30 fr"),
        ("vowels", {"window": 0 * ms}, ValueError, r"\.window = .* must be one positive, finite"),
        ("vowels", {"dt": -1 * ms}, ValueError, r"\.dt = .* must be one positive, finite"),
        ("digits", {"jitter": -0.1}, ValueError, r"\.jitter = -0.1 must be a finite number ≥ 0"),
        (
            "digits",
            {"shown": 40},
            DimensionMismatchError,
            r"Digits\.shown = 40 has no unit but must be a time",
        ),
        (
            "digits",
            {"answer": 0 * ms},
            ValueError,
            r"Digits\.answer = .* must be one positive, finite",
        ),
        ("digits", {"shown": 0.5 * ms}, ValueError, r"\.shown = .* multiple of the time step"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(name, options, error, message):
    with pytest.raises(error, match=message):
        load_task(name, **options)
