"""The training loop: it learns, reports, stops, and never leaves half an update."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from brian2 import NetworkOperation, ms

from brian_eprop import Adam, GradientDescent, Gradients, RecurrentNetwork
from brian_eprop.network.training import StopTraining

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
    return replace(Gradients(**zeros, **trajectory, loss=0.0), **changes)


def copied(weights):
    return {name: values.copy() for name, values in weights.items()}


def assert_weights(network, expected):
    for name, values in expected.items():
        np.testing.assert_array_equal(network.weights[name], values)


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


@pytest.mark.parametrize("feedback", ["random", "symmetric", np.ones((N_OUT, N_REC))])
def test_other_feedback_stays(feedback):
    trained = network(feedback=feedback)
    before = trained.weights["feedback"].copy()
    trained.fit(FrozenNoise(20), 1)
    np.testing.assert_array_equal(trained.weights["feedback"], before)


# ------------------------------------------------------------------- what goes wrong


def test_divergence_is_an_error_and_the_last_good_weights_are_kept():
    trained, good = network(optimizer=GradientDescent(1e160)), []
    with pytest.raises(FloatingPointError, match="diverged; use a smaller learning rate"):
        with np.errstate(all="ignore"):
            trained.fit(
                FrozenNoise(20), 5, callbacks=[lambda entry: good.append(copied(trained.weights))]
            )
    assert trained.updates == len(good) >= 1
    assert_weights(trained, good[-1])
    for values in trained.weights.values():
        assert np.isfinite(values).all()


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
    ],
)
def test_wrong_numbers_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        network().fit(FrozenNoise(), **arguments)


def test_a_task_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"inputs have the shape \(1, 60, 12\); give \(T, 3\)"):
        RecurrentNetwork("lif", 3, 4, 1, optimizer=Adam(1e-3)).fit(FrozenNoise(), 1)


def test_training_without_an_optimizer_is_refused_before_anything_runs():
    task = Drawn()
    with pytest.raises(ValueError, match=r"RecurrentNetwork\.optimizer is missing"):
        network(optimizer=None).fit(task, 1)
    assert task.drawn == []
