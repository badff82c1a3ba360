"""The training loop: it learns, reports, stops, and never leaves half an update."""

import os
import signal

import numpy as np
import pytest
from attrs import evolve
from brian2 import Hz, NetworkOperation, ms
from brian2.units import DimensionMismatchError

from brian_eprop import Adam, GradientDescent, Gradients, RecurrentNetwork
from brian_eprop.network.training import StopTraining, TrainingDiverged

pytestmark = pytest.mark.usefixtures("numpy_target")

N_IN, N_REC, N_OUT = 12, 15, 1


class FrozenNoise:
    """One trial, always the same: a slow wave out of noise."""

    def __init__(self, steps=60, learning_window=None):
        rng = np.random.default_rng(0)
        self.inputs = rng.random((steps, N_IN)) < 0.15
        self.target = np.sin(2 * np.pi * np.arange(steps) / steps)[:, np.newaxis]
        self.steps = steps
        if learning_window is not None:
            self.learning_window = learning_window

    def sample(self, rng, batch):
        return np.stack([self.inputs] * batch), np.stack([self.target] * batch)


class Drawn:
    """Remembers what was drawn in each iteration."""

    def __init__(self):
        self.drawn = []

    def sample(self, rng, batch):
        inputs = rng.random((batch, 20, N_IN)) < 0.2
        self.drawn.append(inputs)
        return inputs, np.zeros((batch, 20, N_OUT))


def network(**changes):
    arguments = dict(optimizer=Adam(2e-2), seed=1) | changes
    made = RecurrentNetwork("lif", N_IN, N_REC, N_OUT, **arguments)
    made.weights["w_in"] *= 1.5
    return made


def no_gradients(**changes):
    shapes = {"w_in": (N_IN, N_REC), "w_rec": (N_REC, N_REC), "w_out": (N_REC, N_OUT)}
    zeros = {name: np.zeros(shape) for name, shape in shapes.items()}
    trajectory = dict.fromkeys(("spikes", "readout", "learning_signal"), np.zeros((1, 1)))
    return evolve(Gradients(**zeros, **trajectory, loss=0.0), **changes)


def copied(weights):
    return {name: values.copy() for name, values in weights.items()}


def assert_weights(network, expected):
    for name, values in expected.items():
        np.testing.assert_array_equal(network.weights[name], values)


@pytest.mark.slow
def test_the_loss_of_a_small_task_falls():
    trained = network()
    trained.weights["w_out"] *= 0.2
    history = trained.fit(FrozenNoise(), 15)
    losses = [entry["loss"] for entry in history]
    assert losses[-1] < 0.3 * losses[0]
    assert trained.updates == 15
    assert [entry["iteration"] for entry in history] == list(range(15))
    seconds = [entry["seconds"] for entry in history]
    assert seconds == sorted(seconds)
    assert history[0].keys() == {"iteration", "loss", "regularization", "rate", "seconds"}


def test_loss_and_rate_of_an_iteration_are_those_before_its_update():
    trained, task = network(), FrozenNoise()
    before = trained.gradients(task.inputs, task.target)
    (entry,) = trained.fit(task, 1, batch_size=2)
    assert entry["loss"] == pytest.approx(before.loss, rel=1e-12)
    assert before.spikes.any()
    assert entry["rate"] == pytest.approx(before.spikes.mean() * 1000, rel=1e-12)


@pytest.mark.slow
def test_the_tasks_learning_window_is_used():
    task = FrozenNoise(learning_window=10)
    (entry,) = network().fit(task, 1)
    expected = network().gradients(task.inputs, task.target, learning_window=10)
    assert entry["loss"] == expected.loss
    assert entry["loss"] < network().gradients(task.inputs, task.target).loss


def test_callbacks_see_every_entry_after_its_update_and_can_stop():
    trained, seen = network(), []

    def note(entry):
        seen.append((entry, trained.updates))
        if len(seen) == 2:
            raise StopTraining

    history = trained.fit(FrozenNoise(), 5, callbacks=[note])
    assert [entry for entry, _ in seen] == history
    assert [updates for _, updates in seen] == [1, 2]
    assert trained.updates == 2


@pytest.mark.slow
def test_trials_depend_on_seed_and_iteration_only():
    once, again, other, unseeded = (Drawn() for _ in range(4))
    trained = network()
    trained.fit(once, 3, batch_size=2, seed=5)
    continued = network()
    continued.fit(again, 1, batch_size=2, seed=5)
    continued.fit(again, 2, batch_size=2, seed=5)
    network().fit(other, 1, batch_size=2, seed=6)
    network().fit(unseeded, 2, batch_size=2)
    for a, b in zip(once.drawn, again.drawn, strict=True):
        np.testing.assert_array_equal(a, b)
    assert_weights(continued, trained.weights)
    assert (once.drawn[0] != once.drawn[1]).any()
    assert (once.drawn[0] != other.drawn[0]).any()
    assert (unseeded.drawn[0] != unseeded.drawn[1]).any()


def test_an_update_changes_existing_synapses_as_the_optimizer_says():
    mask = np.random.default_rng(0).random((N_REC, N_REC)) < 0.5
    trained = network(optimizer=GradientDescent(0.5), connectivity={"w_rec": mask})
    before = copied(trained.weights)
    ones = {name: np.ones_like(before[name]) for name in ("w_in", "w_rec", "w_out")}
    trained.apply(no_gradients(**ones))
    expected = before | {name: before[name] - 0.5 for name in ("w_in", "w_out")}
    assert_weights(trained, expected | {"w_rec": before["w_rec"] - 0.5 * mask})


def test_adaptive_feedback_moves_with_the_readout_and_aligns():
    trained = network(feedback="adaptive", feedback_decay=0.2, optimizer=GradientDescent(1.0))
    before = copied(trained.weights)
    step = np.random.default_rng(0).normal(size=(N_REC, N_OUT))
    trained.apply(no_gradients(w_out=step))
    np.testing.assert_allclose(trained.weights["w_out"], 0.8 * before["w_out"] - step)
    np.testing.assert_allclose(trained.weights["feedback"], 0.8 * before["feedback"] - step.T)

    def distance():
        return np.abs(trained.weights["feedback"] - trained.weights["w_out"].T).max()

    start = distance()
    for _ in range(10):
        trained.apply(no_gradients(w_out=step))
    assert distance() == pytest.approx(start * 0.8**10, rel=1e-9)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("feedback", ["random", "symmetric", np.ones((N_OUT, N_REC))])
def test_other_feedback_stays(feedback):
    trained = network(feedback=feedback)
    before = trained.weights["feedback"].copy()
    trained.fit(FrozenNoise(20), 1)
    np.testing.assert_array_equal(trained.weights["feedback"], before)


class Judged(Drawn):
    """A task with a metric: given numbers, one after the other; of validations others."""

    def __init__(self, metrics, validations=()):
        super().__init__()
        self.metrics, self.validations = iter(metrics), iter(validations)

    def metric(self, outputs, targets):
        assert outputs.shape == targets.shape
        of_validation = len(outputs) == 5
        return next(self.validations if of_validation else self.metrics)


@pytest.mark.slow
def test_training_ends_when_the_mean_of_ten_metrics_is_below_the_goal():
    metrics = [0.0] * 5 + [0.5] * 3 + [0.1] * 30
    history = network().fit(Judged(metrics), 30, goal=0.15)
    expected = next(n for n in range(10, 31) if np.mean(metrics[n - 10 : n]) < 0.15)
    assert len(history) == expected > 10
    assert [entry["metric"] for entry in history] == metrics[:expected]


@pytest.mark.slow
def test_training_ends_when_validations_get_no_better():
    task = Judged([0.5] * 100, [0.4, 0.3, 0.35, 0.2, 0.2, 0.25, 0.1])
    history = network().fit(task, 50, evaluate_every=2, evaluation_trials=5, patience=2)
    found = {n: entry["validation"] for n, entry in enumerate(history) if "validation" in entry}
    assert found == {1: 0.4, 3: 0.3, 5: 0.35, 7: 0.2, 9: 0.2, 11: 0.25}
    # the same trials each time, other ones than those of any iteration
    validations = [inputs for inputs in task.drawn if len(inputs) == 5]
    assert all(np.array_equal(validations[0], later) for later in validations[1:])


def test_held_out_trials_of_a_task_are_what_validates():
    task, asked = Judged([0.5] * 9), []

    def held_out(split):
        asked.append(split)
        return np.ones((3, 20, N_IN), dtype=bool), np.full((3, 20, N_OUT), 7.0)

    def metric(outputs, targets):
        return float(targets.mean())

    task.held_out, task.metric = held_out, metric
    history = network().fit(task, 4, evaluate_every=3)
    assert asked == ["validation"]
    assert [entry.get("validation") for entry in history] == [None, None, 7.0, None]


@pytest.mark.slow
def test_a_validation_is_that_of_the_weights_after_the_update():
    class Task(FrozenNoise):
        def metric(self, outputs, targets):
            return float(np.square(outputs - targets).mean())

    trained, task = network(), Task()
    (entry,) = trained.fit(task, 1, evaluate_every=1)
    outputs = trained.simulate(task.inputs).readout
    assert entry["validation"] == pytest.approx(task.metric(outputs, task.target), rel=1e-12)
    assert entry["validation"] != entry["metric"]


# ------------------------------------------------------------------- what goes wrong


def test_divergence_is_an_error_and_the_last_good_weights_are_kept():
    trained, seen = network(optimizer=GradientDescent(1e160)), []
    good = copied(trained.weights)
    with pytest.raises(TrainingDiverged, match="diverged; use a smaller learning rate"):
        with np.errstate(all="ignore"):
            trained.fit(FrozenNoise(20), 5, callbacks=[seen.append])
    # of weights that were updated, and then gave a loss of inf, nothing is kept
    assert len(seen) >= 1 and all(np.isfinite(entry["loss"]) for entry in seen)
    assert trained.updates == len(seen) - 1
    assert_weights(trained, good)


@pytest.mark.slow
def test_a_network_that_falls_silent_is_diagnosed():
    trained = network(optimizer=GradientDescent(0.0))
    trained.weights["w_in"] *= 0.01
    good = copied(trained.weights)
    with pytest.raises(TrainingDiverged, match=r"no neuron has fired since iteration 0: .* silent"):
        trained.fit(FrozenNoise(20), 50)
    assert_weights(trained, good)
    # a pause is none
    task, seen = FrozenNoise(20), []
    trained.weights["w_in"] *= 100

    def sample(rng, batch):
        inputs, targets = FrozenNoise(20).sample(rng, batch)
        return inputs * (len(seen) % 15 == 0), targets

    task.sample = sample
    trained.fit(task, 40, callbacks=[seen.append])
    assert [entry["rate"] > 0 for entry in seen].count(False) > 30


@pytest.mark.slow
def test_runaway_activity_is_diagnosed_and_the_weights_before_it_are_kept():
    trained, states = network(optimizer=GradientDescent(0.0)), []

    def excite(entry):
        states.append(copied(trained.weights))
        trained.weights["w_in"] = trained.weights["w_in"] + (1.0 if len(states) >= 3 else 0.01)

    with pytest.raises(TrainingDiverged, match=r"above max_rate = 150 .* activity runs away"):
        trained.fit(FrozenNoise(20), 50, callbacks=[excite], max_rate=150 * Hz)
    assert 10 <= len(states) < 20
    expected = states[1]["w_in"] + 0.01
    np.testing.assert_array_equal(trained.weights["w_in"], expected)


def test_an_update_that_would_not_be_finite_is_not_made():
    trained = network()
    trained.apply(no_gradients(w_in=np.ones((N_IN, N_REC))))
    before, moments = copied(trained.weights), copied(trained.state.moments["w_in"])
    wrong = np.zeros((N_REC, N_OUT))
    wrong[2] = np.nan
    with pytest.raises(FloatingPointError, match="'w_out' is no longer finite after update 2"):
        trained.apply(no_gradients(w_in=np.ones((N_IN, N_REC)), w_out=wrong))
    assert_weights(trained, before)
    assert trained.updates == 1
    for name, values in moments.items():
        np.testing.assert_array_equal(trained.state.moments["w_in"][name], values)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("interrupted", [2, 6])
def test_an_interrupt_in_an_update_leaves_weights_and_optimizer_consistent(
    monkeypatch, interrupted
):
    trained, calls = network(), []
    right = Adam.step

    def step(*arguments):
        calls.append(1)
        if len(calls) == interrupted:
            raise KeyboardInterrupt
        return right(*arguments)

    monkeypatch.setattr(Adam, "step", step)
    task = FrozenNoise(20)
    with pytest.raises(KeyboardInterrupt):
        trained.fit(task, 3)
    monkeypatch.undo()
    done = (interrupted - 1) // 3  # three matrices an update
    expected = network()
    if done:
        expected.fit(task, done)
    assert trained.updates == done
    assert_weights(trained, expected.weights)
    # and goes on as if nothing had been
    trained.fit(task, 1)
    expected.fit(task, 1)
    assert_weights(trained, expected.weights)


def test_ctrl_c_in_the_middle_of_a_trial_makes_no_update():
    """Brian2 itself would stop the run without an exception, and half a trial be learned."""
    trained, task = network(), FrozenNoise(20)
    trained.fit(task, 1)
    before = copied(trained.weights)
    (runtime,) = trained._networks.values()
    simulation = runtime.assembly.network
    armed = [True]

    def interrupt(t):
        if t > 5 * ms and armed:
            armed.pop()
            os.kill(os.getpid(), signal.SIGINT)

    simulation.restore("start")
    simulation.add(NetworkOperation(interrupt, dt=1 * ms))
    simulation.store("start")
    with pytest.raises(KeyboardInterrupt):
        trained.fit(task, 2)
    assert trained.updates == 1
    assert_weights(trained, before)
    assert not armed
    trained.fit(task, 1)
    expected = network()
    expected.fit(task, 2)
    assert_weights(trained, expected.weights)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(iterations=0), "iterations = 0 must be an integer ≥ 1"),
        (dict(iterations=2.5), r"iterations = 2\.5 must be an integer"),
        (dict(iterations=1, batch_size=0), "batch_size = 0 must be an integer"),
        (dict(iterations=1, batch_size=True), "batch_size = True must be an integer"),
        (dict(iterations=1, workers=0), "workers = 0 must be an integer ≥ 1"),
        (dict(iterations=1, evaluation_trials=0), "evaluation_trials = 0"),
        (dict(iterations=1, patience=3), "patience = 3 counts evaluations, but there are none"),
        (dict(iterations=1, evaluate_every=0), "evaluate_every = 0"),
        (dict(iterations=1, goal=0.1), "goal = 0.1 is about the metric of the task, which has"),
    ],
)
def test_wrong_numbers_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        network().fit(FrozenNoise(), **arguments)


def test_a_rate_in_another_unit_is_refused():
    with pytest.raises(
        DimensionMismatchError, match=r"max_rate = 200 has no unit but must be a rate"
    ):
        network().fit(FrozenNoise(), 1, max_rate=200)


def test_a_task_of_another_shape_is_refused():
    message = (
        r"the task 'FrozenNoise' has inputs of the shape \(1, 60, 12\) .*n_in = 3.*n_out = 1.*agree"
    )
    with pytest.raises(ValueError, match=message):
        RecurrentNetwork("lif", 3, 4, 1, optimizer=Adam(1e-3)).fit(FrozenNoise(), 1)
    with pytest.raises(ValueError, match=r"targets of the shape .*n_in = 12.*n_out = 7"):
        RecurrentNetwork("lif", 12, 4, 7, optimizer=Adam(1e-3)).fit(FrozenNoise(), 1)


def test_training_without_an_optimizer_is_refused_before_anything_runs():
    task = Drawn()
    with pytest.raises(ValueError, match=r"RecurrentNetwork\.optimizer is missing"):
        network(optimizer=None).fit(task, 1)
    assert task.drawn == []
