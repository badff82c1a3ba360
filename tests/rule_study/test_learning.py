"""Training with the rules of the reference: per sequence, per step, with every kind of feedback."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from attrs import evolve
from cell_networks import network_for as network_for_rule

from brian_eprop import Adam, GradientDescent
from brian_eprop.network.training import StopTraining
from brian_eprop.reference import RULES, draw_network, gradients
from brian_eprop.rule_study.learning import train
from brian_eprop.rule_study.tasks import TASKS

# float64 sums in another order, over some tens of updates
ROUND_OFF = 1e-9


def network_for(task, cell="elman", n_rec=8, seed=1, **settings):
    settings = {"average": True} | settings
    return draw_network(cell, task.n_in, n_rec, task.n_out, loss=task.loss, seed=seed, **settings)


def scores(training):
    return np.array([entry["metric"] for entry in training.history])


@pytest.fixture
def add():
    return TASKS["add"](delays=(1, 2), steps=20)


def test_exact_rules_train_alike(add):
    runs = {
        rule: train(network_for(add), add, rule, Adam(0.01), 10, batch=2)
        for rule in ("bptt", "rtrl", "factorized")
    }
    assert scores(runs["bptt"])[0] != scores(runs["bptt"])[-1]
    for rule in ("rtrl", "factorized"):
        np.testing.assert_allclose(scores(runs[rule]), scores(runs["bptt"]), rtol=ROUND_OFF)
        for name, weights in runs["bptt"].network.parameters.items():
            other = runs[rule].network.parameters[name]
            np.testing.assert_allclose(other, weights, rtol=ROUND_OFF, atol=1e-12)


def test_one_update_is_the_optimizer_applied_to_the_gradients(add):
    network = network_for(add)
    after = train(network, add, "bptt", GradientDescent(0.1), 1, batch=3, seed=4).network
    trials = add.sample(np.random.default_rng(4).spawn(2)[0], 3)
    expected = gradients(network, *trials, "bptt", add.learning_window)
    for name in ("w_in", "w_rec", "w_out", "bias", "bias_out"):
        moved = getattr(after, name) - getattr(network, name)
        assert np.any(moved)
        np.testing.assert_allclose(moved, -0.1 * getattr(expected, name), rtol=1e-10, atol=1e-15)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("cell", ["elman", "gru", "lif"])
def test_updates_per_step_become_the_gradient_for_small_steps(cell, add):
    """W changes under the recursion, an effect of second order in the learning rate."""
    network = network_for(add, cell)
    trials = add.sample(np.random.default_rng(0).spawn(2)[0], 2)
    exact = gradients(network, *trials, "rtrl", add.learning_window)
    assert np.any(exact.w_rec)
    errors = []
    for rate in (1e-2, 5e-3, 2.5e-3):
        after = train(
            network, add, "rtrl", GradientDescent(rate), 1, batch=2, update="step"
        ).network
        found = (network.w_rec - after.w_rec) / rate
        errors.append(np.linalg.norm(found - exact.w_rec) / np.linalg.norm(exact.w_rec))
    assert errors[0] > 1e-6, "the weights do not change within the sequence"
    # first order in the rate: half the rate, half the error
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 2, rtol=0.1)


def test_a_step_sees_the_weights_of_the_step_before(add):
    """Outputs of online learning, by a loop of its own for a readout of constant units."""
    network = network_for(add, w_in=np.zeros((2, 8)), w_rec=np.zeros((8, 8)), bias=np.ones(8))
    training = train(network, add, "eprop", GradientDescent(0.1), 1, batch=1, update="step")
    inputs, targets = add.sample(np.random.default_rng(0).spawn(2)[0], 1)
    w_out, bias_out, bias = network.w_out.copy(), network.bias_out.copy(), np.ones(8)
    w_in, w_rec, h = np.zeros((2, 8)), np.zeros((8, 8)), np.zeros(8)
    counts = np.arange(add.steps) >= 2
    counted = counts.sum()
    loss = 0.0
    for x, target, weight in zip(inputs[0], targets[0], counts, strict=True):
        before, h = h, np.tanh(x @ w_in + h @ w_rec + bias)
        y = h @ w_out + bias_out
        p = np.exp(y) / np.exp(y).sum()
        loss -= weight / counted * target @ np.log(p)
        error = weight / counted * (p - target)
        credit = (error @ network.feedback) * (1 - h**2)
        w_out, bias_out = w_out - 0.1 * np.outer(h, error), bias_out - 0.1 * error
        w_in, w_rec = w_in - 0.1 * np.outer(x, credit), w_rec - 0.1 * np.outer(before, credit)
        bias = bias - 0.1 * credit
    assert training.history[0]["loss"] == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(training.network.w_rec, w_rec, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(training.network.bias, bias, rtol=1e-10)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("update", ["sequence", "step"])
def test_adaptive_feedback_approaches_the_readout_only_with_decay(update, add):
    network = network_for(add)
    difference = network.feedback - network.w_out.T
    options = dict(batch=2, update=update, adaptive_feedback=True)
    without = train(network, add, "eprop", GradientDescent(0.05), 5, **options).network
    assert np.any(without.feedback != network.feedback)
    np.testing.assert_allclose(without.feedback - without.w_out.T, difference, rtol=1e-9)
    shrunk = train(network, add, "eprop", GradientDescent(0.05), 5, decay=0.01, **options).network
    ratio = np.linalg.norm(shrunk.feedback - shrunk.w_out.T) / np.linalg.norm(difference)
    # steps before the longest delay do not count, and do not shrink the weights
    updates = 5 if update == "sequence" else 5 * (add.steps - 2)
    assert ratio == pytest.approx(0.99**updates, rel=1e-9)


def test_kinds_of_feedback_differ(add):
    network = network_for(add)
    runs = [
        train(evolve(network, feedback=feedback), add, "eprop", Adam(0.01), 5, **adaptive)
        for feedback, adaptive in (
            (None, {}),
            (network.feedback, {}),
            (network.feedback, {"adaptive_feedback": True}),
        )
    ]
    assert len({scores(run)[-1] for run in runs}) == 3
    assert runs[0].network.feedback is None


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", sorted(TASKS))
@pytest.mark.parametrize("update", ["sequence", "step"])
def test_every_task_is_learned_better_than_at_the_start(name, update):
    options = {
        "add": {"delays": (1, 2), "steps": 20},
        "mimic": {"n_in": 3, "n_out": 2, "n_teacher": 4, "steps": 20},
        "string_memorization": {"length": 1, "delay": 1},
        "anbn": {"n_max": 3},
        "copy": {},
    }
    task = TASKS[name](**options[name])
    training = train(network_for(task, "gru"), task, "bptt", Adam(0.02), 60, batch=8, update=update)
    levels = [entry["steps"] for entry in training.history]
    # with a curriculum the score is to be as good as at the start, on longer strings
    better = np.mean(scores(training)[-5:]) < 0.95 * scores(training)[0]
    assert better or levels[-1] > levels[0]


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("update", ["sequence", "step"])
@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_trains_online_and_offline(rule, update):
    """With weights that change under it, over sequences of another length each."""
    network, options = network_for_rule(rule, average=True)
    task = GrowingTask(steps=8)
    training = train(network, task, rule, Adam(1e-3), 4, batch=2, update=update, **options)
    assert [entry["steps"] for entry in training.history] == [8, 9, 10, 11]
    for name in ("w_in", "w_rec"):
        moved = getattr(training.network, name) - getattr(network, name)
        assert np.any(moved) and np.all(np.isfinite(moved))


@dataclass(frozen=True)
class GrowingTask:
    """Noise to noise, a step longer in every iteration; a task of one's own needs no base class."""

    steps: int
    n_in, n_out, loss = 3, 2, "mse"

    def sample(self, rng, batch):
        inputs = rng.random((batch, self.steps, 3)) < 0.5
        return inputs, rng.normal(size=(batch, self.steps, 2))

    def metric(self, outputs, targets):
        return float(np.mean((outputs - targets) ** 2))

    def after(self, metric):
        return replace(self, steps=self.steps + 1)


def test_curriculum_goes_on_from_where_it_was():
    task = TASKS["copy"]()
    training = train(network_for(task, "gru", 16), task, "bptt", Adam(0.03), 150, batch=16)
    assert training.task.level > 1
    assert training.history[-1]["steps"] > training.history[0]["steps"] == 3


def test_teacher_forcing_is_for_training():
    task = TASKS["mimic"](n_in=2, n_out=2, n_teacher=4, steps=15)
    free = network_for(task, "jordan", 8)
    forced = evolve(free, teacher_forcing=True)
    runs = [train(n, task, "rtrl", GradientDescent(0.01), 3, update="step") for n in (free, forced)]
    assert runs[0].history[0]["loss"] != runs[1].history[0]["loss"]
    exact = [
        train(forced, task, r, GradientDescent(0.01), 3).network.w_rec for r in ("rtrl", "bptt")
    ]
    np.testing.assert_allclose(*exact, rtol=ROUND_OFF, atol=1e-13)


def test_the_seed_decides_everything(add):
    network = network_for(add)
    first, again, other = (
        scores(train(network, add, "rtrl", iterations=3, seed=seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.all(first != other)


def test_callbacks_see_every_entry_and_end_training(add):
    seen = []
    training = train(network_for(add), add, iterations=3, callbacks=[seen.append])
    assert seen == training.history
    assert [entry["iteration"] for entry in seen] == [0, 1, 2]

    def stop(entry):
        raise StopTraining

    assert train(network_for(add), add, iterations=3, callbacks=[stop]).history == seen[:1]


def test_a_task_without_curriculum_stays(add):
    assert train(network_for(add), add, iterations=2).task is add


def test_absent_connections_stay_absent(add):
    network = network_for(add, density=0.5)
    for update in ("sequence", "step"):
        after = train(network, add, "rtrl", Adam(0.1), 3, update=update).network
        assert not after.w_rec[~network.mask_rec].any()
        assert np.all(after.w_rec[network.mask_rec] != network.w_rec[network.mask_rec])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rule": "magic"}, ["'magic'", "'rtrl'"]),
        ({"horizon": 3}, ["'bptt'", "'horizon'", "no options"]),
        ({"update": "often"}, ["'update'", "'often'", "'step'"]),
        ({"decay": 1.0}, ["'decay'", "1.0"]),
        ({"iterations": 1.5}, ["'iterations'", "1.5"]),
        ({"batch": 0}, ["batch", "0"]),
        ({"task": TASKS["copy"]()}, ["n_in", "2", "4", "Copy(level=1"]),
    ],
)
def test_bad_calls_are_refused_by_name(changes, words, add):
    settings = {"task": add, "iterations": 2} | changes
    with pytest.raises(ValueError) as error:
        train(network_for(add), **settings)
    for word in words:
        assert word in str(error.value)


def test_adaptive_feedback_needs_feedback_weights(add):
    with pytest.raises(ValueError, match="'feedback'"):
        train(network_for(add, feedback=None), add, adaptive_feedback=True)


def test_rate_regularization_needs_whole_sequences(add):
    network = network_for(add, "lif", rate_strength=1.0)
    with pytest.raises(ValueError, match="update='sequence'"):
        train(network, add, update="step")
    assert train(network, add, iterations=1).history


@pytest.mark.parametrize("update", ["sequence", "step"])
def test_divergence_is_reported_with_iteration_and_step(update):
    task = TASKS["mimic"](n_in=2, n_out=2, n_teacher=4, steps=10)
    with pytest.raises(ArithmeticError, match=r"iteration \d+: .* at step \d+"):
        with np.errstate(over="ignore", invalid="ignore"):
            train(network_for(task), task, "bptt", GradientDescent(1e200), 20, update=update)
