"""Recorded events as a task: binned, pooled and split as described, and within bounds of memory."""

import h5py
import numpy as np
import pytest
from brian2 import ms
from task_options import recorded, write_events

from brian_eprop.runs.configuration import Configuration
from brian_eprop.tasks import load_task
from brian_eprop.tasks import recorded as module


@pytest.fixture(scope="module")
def task():
    return load_task("recorded", train=recorded(), duration=90 * ms)


def events(path, row):
    with h5py.File(path) as file:
        return file["spikes/times"][row], file["spikes/units"][row]


def test_events_are_in_the_steps_and_inputs_where_they_belong(task):
    part, classes = task.split["test"]
    inputs, targets = task.held_out("test")
    assert inputs.shape == (12, 190, 12) and not inputs[:, 90:].any()
    np.testing.assert_array_equal(targets[:, 0].argmax(axis=1), classes)
    for trial, (_, row) in zip(inputs, part, strict=True):
        expected = np.zeros((190, 12), bool)
        for t, unit in zip(*events(recorded(), row), strict=True):
            expected[int(t * 1000), unit] = True
        np.testing.assert_array_equal(trial, expected)
        assert expected.sum() > 10


def test_bins_and_channels_are_pooled(task):
    pooled = load_task("recorded", train=recorded(), duration=90 * ms, pool=5, dt=10 * ms)
    assert (pooled.n_in, pooled.steps, pooled.input_groups) == (3, 19, {"channels": 3})
    fine, coarse = task.held_out("test")[0], pooled.held_out("test")[0]
    sums = np.pad(fine[:, :90].reshape(12, 9, 10, 12).any(axis=2), ((0, 0), (0, 0), (0, 3)))
    np.testing.assert_array_equal(coarse[:, :9], sums.reshape(12, 9, 3, 5).any(axis=3))


def test_a_time_on_the_border_is_in_the_step_that_begins_there(tmp_path):
    path = write_events(tmp_path / "a.h5", [0, 1] * 5)
    with h5py.File(path, "a") as file:
        for row in range(10):
            # in double precision 0.007/0.001 is above 7 and 0.057/0.001 below 57
            file["spikes/times"][row] = np.arange(90) * 1e-3
            file["spikes/units"][row] = np.zeros(90, int)
    inputs, _ = load_task("recorded", train=path, duration=90 * ms).held_out("test")
    assert inputs[:, :90, 0].all() and inputs.sum() == 90 * len(inputs)


def test_pixels_are_pooled_within_their_polarity(tmp_path):
    path = write_events(
        tmp_path / "dvs.h5", [0, 1] * 10, channels=30, attributes=[("sensor", (2, 3, 5))]
    )
    task = load_task("recorded", train=path, duration=90 * ms, pool=2)
    assert task.input_groups == {"polarity 0": 6, "polarity 1": 6} and task.n_in == 12
    one = load_task("recorded", train=path, duration=90 * ms)
    assert one.n_in == 30
    fine = one.held_out("test")[0].reshape(-1, 190, 2, 3, 5)
    fine = np.pad(fine, ((0, 0), (0, 0), (0, 0), (0, 1), (0, 1)))
    expected = fine.reshape(-1, 190, 2, 2, 2, 3, 2).any(axis=(4, 6)).reshape(-1, 190, 12)
    np.testing.assert_array_equal(task.held_out("test")[0], expected)
    assert expected.any()


def test_parts_are_stratified_disjoint_and_of_the_files_that_are_given(tmp_path):
    train, test = (write_events(tmp_path / f"{n}.h5", np.arange(n) % 3) for n in (60, 30))
    alone = load_task("recorded", train=train)
    sizes = {part: len(rows) for part, (rows, _) in alone.split.items()}
    assert sizes == {"train": 36, "validation": 12, "test": 12}
    rows = [row for part, _ in alone.split.values() for row in part]
    assert len(set(rows)) == 60
    for _, classes in alone.split.values():
        np.testing.assert_array_equal(np.bincount(classes), len(classes) // 3)
    two = load_task("recorded", train=train, test=test)
    sizes = {part: len(rows) for part, (rows, _) in two.split.items()}
    assert sizes == {"train": 48, "validation": 12, "test": 30}
    assert {part for part, _ in two.split["test"][0]} == {"test"}
    three = load_task("recorded", train=train, test=test, validation=test, held_out_trials=9)
    assert [len(rows) for rows, _ in three.split.values()] == [60, 9, 9]


def test_a_linear_observer_of_counts_reads_the_class_and_chance_is_seen(task):
    rng = np.random.default_rng(0)
    inputs, targets = task.sample(rng, 36)
    test, asked = task.held_out("test")
    sums, answers = (np.concatenate(pair) for pair in ((inputs, test), (targets, asked)))
    counts = np.column_stack([sums.sum(axis=1), np.ones(48)])
    weights = np.linalg.lstsq(counts[:36], answers[:36, 0], rcond=None)[0]
    right = (counts[36:] @ weights).argmax(axis=1) == answers[36:, 0].argmax(axis=1)
    assert right.mean() > 0.9
    assert task.metric(np.roll(asked, 1, axis=2), asked) == 1


def test_a_batch_is_bounded_and_only_its_trials_are_read(task, monkeypatch):
    read = []
    original = module.EventFile.events

    def events(self, rows):
        read.extend(rows)
        return original(self, rows)

    monkeypatch.setattr(module.EventFile, "events", events)
    task.sample(np.random.default_rng(0), 4)
    assert len(read) == 4
    monkeypatch.setattr(module, "MOST_BYTES", 4 * 190 * 12)
    task.sample(np.random.default_rng(0), 4)
    with pytest.raises(ValueError, match=r"5 trials, 190 steps and 12 inputs are more than 2 GiB"):
        task.sample(np.random.default_rng(0), 5)


def test_events_after_the_duration_are_refused_or_cut():
    with pytest.raises(
        ValueError, match=r"has \d+ of \d+ events after Recorded.duration = 50\. ms"
    ):
        load_task("recorded", train=recorded(), duration=50 * ms).held_out("test")
    cut = load_task("recorded", train=recorded(), duration=50 * ms, cut=True)
    whole = load_task("recorded", train=recorded(), duration=90 * ms)
    np.testing.assert_array_equal(
        cut.held_out("test")[0][:, :50], whole.held_out("test")[0][:, :50]
    )


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"Recorded.train is the path of an event file"):
        load_task("recorded")
    with pytest.raises(FileNotFoundError, match=r"there is no event file"):
        load_task("recorded", train=tmp_path / "none.h5")
    other = write_events(tmp_path / "other.h5", [0, 1, 2], attributes=[("channels", 13)])
    with pytest.raises(ValueError, match=r"have the channels \[\(12,\), \(13,\)\]: one for all"):
        load_task("recorded", train=recorded(), test=other)
    more = write_events(tmp_path / "more.h5", [0, 5])
    with pytest.raises(
        ValueError, match=r"Recorded.test has trials of class 5, of which there are"
    ):
        load_task("recorded", train=recorded(), test=more)
    with pytest.raises(ValueError, match=r"has 12 channels, not 700"):
        load_task("recorded", train=recorded(), channels=700)


def test_a_configuration_holds_the_files(tmp_path):
    written = Configuration.of_task("recorded", train=recorded(), pool=2)
    written.write(tmp_path / "c.toml")
    task = Configuration.read(tmp_path / "c.toml").make_task()
    assert task.train == recorded() and task.n_in == 6
