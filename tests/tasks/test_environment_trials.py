"""Environments with trials: observations and right actions come through in the network's steps."""

from types import SimpleNamespace

import numpy as np
import pytest
from brian2 import Hz, ms
from task_options import TwoSides, made

from brian_eprop.runs.configuration import Configuration
from brian_eprop.tasks import load_task

SIZE = {"duration": 300 * ms, "n": 4}


def task(environment=None, **options):
    return load_task("environment_trials", environment=environment or TwoSides(), **SIZE | options)


def test_trials_are_those_of_the_environment_with_its_first_observation_before():
    found = task(rate=1000 * Hz, n=1, low=-9.0, high=9.0)
    inputs, targets = found.sample(np.random.default_rng(3), 6)
    seed = int(np.random.default_rng(3).integers(2**31))
    environment = TwoSides()
    environment.seed(seed)
    for trial, right in zip(inputs, targets, strict=True):
        environment.new_trial()
        steps = 20 * len(environment.gt)
        expected = np.repeat(environment.gt, 20)
        np.testing.assert_array_equal(right[-steps:].argmax(axis=1), expected)
        assert (right[:-steps].argmax(axis=1) == environment.gt[0]).all()
        assert trial.shape == (300, 3)


def test_inputs_fire_as_their_tuning_curves_say():
    class Constant(TwoSides):
        def new_trial(self):
            super().new_trial()
            self.ob[:] = [-1, 0.5, 2]

    inputs, _ = task(Constant()).sample(np.random.default_rng(0), 60)
    # preferred values −1, 0, 1, 2, of tuning curves as wide as their distance
    for k, value in enumerate((-1, 0.5, 2)):
        p = 0.1 * np.exp(-((value - np.arange(-1, 3)) ** 2) / 2)
        found = inputs[..., 4 * k : 4 * k + 4].mean(axis=(0, 1))
        assert (abs(found - p) < 5 * np.sqrt(p * (1 - p) / 18_000)).all()


def test_the_answer_can_be_read_from_the_inputs():
    found = task(n=10)
    inputs, targets = found.sample(np.random.default_rng(0), 200)
    assert found.learning_window == 100
    centres = np.linspace(-1, 2, 10)
    sums = inputs.reshape(200, 300, 3, 10).sum(axis=1) @ centres
    side = 1 + (sums[:, 2] > sums[:, 1])
    assert (side == targets[:, -1].argmax(axis=1)).mean() > 0.9
    guess = np.zeros_like(targets)
    guess[..., 1] = 1
    assert abs(found.metric(guess, targets) - 0.5) < 5 * np.sqrt(0.25 / 200)
    assert found.metric(targets, targets) == 0


def test_the_same_seed_is_the_same_trials():
    once, again, other = (task().sample(np.random.default_rng(s), 3) for s in (1, 1, 2))
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (once[0] != other[0]).any()


def test_an_environment_by_name_is_in_a_configuration(tmp_path):
    pytest.importorskip("gymnasium")
    name = made("environment_trials").environment
    Configuration.of_task("environment_trials", environment=name, **SIZE).write(tmp_path / "c.toml")
    found = Configuration.read(tmp_path / "c.toml").make_task()
    assert found.environment == name and found.n_in == 12 and found.n_out == 3
    by_object = task().sample(np.random.default_rng(0), 2)
    for a, b in zip(found.sample(np.random.default_rng(0), 2), by_object, strict=True):
        np.testing.assert_array_equal(a, b)


class Unseeded(TwoSides):
    def seed(self, number):
        self.rng = np.random.RandomState()


class Shapeless(TwoSides):
    def new_trial(self):
        super().new_trial()
        self.ob = self.ob[:, :2]


class Undecided(TwoSides):
    def new_trial(self):
        super().new_trial()
        self.gt = self.gt + 2


class Undefined(TwoSides):
    def new_trial(self):
        super().new_trial()
        self.ob[0] = np.nan


class Odd(TwoSides):
    dt = 2.5


class Unsaid(TwoSides):
    def new_trial(self):
        super().new_trial()
        del self.gt


class Uneven(TwoSides):
    def new_trial(self):
        super().new_trial()
        self.ob = [[1, 2, 3], [1]]


class Unnamed:
    """Without a seed, or with the reset of the old Gym."""

    observation_space, action_space, dt = TwoSides.observation_space, TwoSides.action_space, 20
    new_trial = TwoSides.new_trial


class Old(Unnamed):
    def reset(self):
        return np.zeros(3)


def space(**values):
    return SimpleNamespace(**values)


class FromOne(TwoSides):
    """Actions 1 to 3."""

    action_space = space(n=3, start=1, shape=())

    def new_trial(self):
        super().new_trial()
        self.gt = self.gt + 1


class Binary(TwoSides):
    action_space = space(n=3, shape=(3,))


class Unbounded(TwoSides):
    observation_space = space(shape=(3,))


def test_actions_are_counted_from_the_first_one():
    for a, b in zip(
        task(FromOne()).sample(np.random.default_rng(0), 4),
        task().sample(np.random.default_rng(0), 4),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_names_that_gymnasium_cannot_make_are_refused():
    pytest.importorskip("gymnasium")
    for name, options in (
        ("Nothing-v0", {}),
        ("nopackage:Nothing-v0", {}),
        ("CartPole-v1", {"arguments": {"nothing": 3}}),
    ):
        with pytest.raises(ValueError, match=rf"'{name}' cannot be made by Gymnasium: "):
            task(name, **options)


@pytest.mark.parametrize(
    "environment, options, message",
    [
        (Unsaid(), {}, r"has no 'gt' after new_trial\(\)"),
        (Uneven(), {}, r"environment.ob is no array of numbers"),
        (Unnamed(), {}, r"has no method seed\(number\), nor reset\(seed=number\)"),
        (Old(), {}, r"has no method seed\(number\), nor reset\(seed=number\)"),
        (TwoSides, {}, r"is a class; give an object of it"),
        (Binary(), {}, r"has the action space namespace\(n=3, shape=\(3,\)\); a decision is"),
        (Unbounded(), {}, r"low\[0\] = nan is no end of a range"),
        (Unseeded(), {}, r"makes another trial after the same seed; it needs a method seed"),
        (Shapeless(), {}, r"environment.ob has the shape \(\d+, 2\); expected \(T, 3\)"),
        (Undecided(), {}, r"environment.gt of shape .* must have an action, 0 to 2, for each"),
        (Undefined(), {}, r"environment.ob of shape .* has numbers that are not finite"),
        (Odd(), {}, r"has steps of 2.5 ms, no multiple of dt"),
        (TwoSides(), {"duration": 100 * ms}, r"has made a trial of .*, longer than .*\.duration"),
        (TwoSides(), {"answer": 400 * ms}, r"\.answer = .* must be at most duration"),
        (TwoSides(), {"low": [0, 1]}, r"\.low has the shape \(2,\); give one number, or one for"),
        (object(), {}, r"has no 'new_trial'; give one with trials, as those of NeuroGym"),
    ],
)
def test_environments_that_do_not_fit_are_refused(environment, options, message):
    with pytest.raises(ValueError, match=message):
        task(environment, **options)
