"""Tasks: found by name, reproducible, and refusing options that make no sense."""

import numpy as np
import pytest
from brian2 import DimensionMismatchError, Hz, ms, mV
from task_options import made, options_of

from brian_eprop.runs.configuration import Configuration
from brian_eprop.tasks import TrainingSetup, available_tasks, load_task
from brian_eprop.tasks.kinds import Decision
from brian_eprop.tasks.pattern_generation import PatternGeneration


def is_decision(task):
    return isinstance(task, Decision)


DECISIONS = [name for name in available_tasks() if is_decision(made(name))]
#: Whose metric is 1 for a constant.
NORMALIZED = ("handwriting", "pattern_generation")
KINDS = ("sines", "trajectory")


@pytest.mark.parametrize("name", available_tasks())
def test_every_task_keeps_the_contract(name):
    task = made(name)
    inputs, targets = task.sample(np.random.default_rng(0), 2)
    assert inputs.shape == (2, task.steps, task.n_in) and inputs.dtype == bool
    assert targets.shape == (2, task.steps, task.n_out) and targets.dtype == float
    assert np.isfinite(targets).all() and inputs.any()
    assert float(task.dt / ms) > 0
    assert isinstance(task.metric(targets, targets), float)
    again = made(name).sample(np.random.default_rng(0), 2)
    np.testing.assert_array_equal(again[0], inputs)
    np.testing.assert_array_equal(again[1], targets)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", available_tasks())
def test_metric_is_zero_for_what_is_asked_and_chance_for_what_is_constant(name):
    task = made(name)
    _, targets = task.sample(np.random.default_rng(0), 200 if is_decision(task) else 1)
    assert task.metric(targets, targets) == 0
    constant = np.zeros_like(targets)
    if is_decision(task):
        constant[..., 0] = 1
        chance = 1 - 1 / task.n_out
        # five standard deviations of a binomial count
        close = 5 * np.sqrt(chance * (1 - chance) / 200)
        assert abs(task.metric(constant, targets) - chance) < close
        assert task.metric(-targets, targets) == 1
    elif name not in NORMALIZED:
        assert task.metric(constant, targets) > 0
    else:
        constant[:] = targets.mean(axis=(0, 1))
        # round-off of sums of 1000 terms
        np.testing.assert_allclose(task.metric(constant, targets), 1, rtol=1e-12)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", DECISIONS)
def test_the_targets_of_a_decision_are_one_probability_for_the_whole_trial(name):
    task = made(name)
    _, targets = task.sample(np.random.default_rng(0), 50)
    assert set(np.unique(targets)) == {0, 1} and (targets.sum(axis=-1) == 1).all()
    np.testing.assert_array_equal(targets, np.repeat(targets[:, :1], task.steps, axis=1))
    assert 1 <= task.learning_window <= task.steps
    assert sum(task.input_groups.values()) == task.n_in
    names = getattr(task, "output_names", list(task.input_groups)[: task.n_out])
    assert len(names) == task.n_out


@pytest.mark.parametrize("name", available_tasks())
def test_trials_depend_on_the_generator_only(name):
    task = made(name)
    once, again, other = (task.sample(np.random.default_rng(seed), 3) for seed in (1, 1, 2))
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (once[0] != other[0]).any() != hasattr(task, "inputs")  # unless they are frozen


@pytest.mark.parametrize("name", available_tasks())
def test_wrong_shapes_of_outputs_are_refused(name):
    task = made(name)
    with pytest.raises(ValueError, match=r"'outputs' has the shape .* and 'targets' .*; expected"):
        task.metric(
            np.zeros((2, task.steps, task.n_out + 1)), np.zeros((2, task.steps, task.n_out))
        )


@pytest.mark.parametrize("name", available_tasks())
def test_a_batch_of_none_is_refused_by_every_task(name):
    with pytest.raises(ValueError, match=r"batch = 0 must be an integer ≥ 1"):
        made(name).sample(np.random.default_rng(0), 0)


@pytest.mark.slow
@pytest.mark.slow_unless(name=["pattern_generation"])
@pytest.mark.usefixtures("numpy_target")
@pytest.mark.parametrize("name", available_tasks())
def test_the_recommended_network_fires_before_it_has_learned(name):
    configuration = Configuration.of_task(name, **options_of(name))
    task, network = configuration.make_task(), configuration.make_network()
    inputs, _ = task.sample(np.random.default_rng(0), 4)
    spikes = network.simulate(inputs).spikes
    rate = spikes.mean() / float(task.dt)
    assert 0.5 < rate < 100 and spikes.any(axis=(0, 1)).mean() > 0.5


@pytest.mark.parametrize("name", available_tasks())
def test_every_task_brings_a_complete_set_up(name):
    task = made(name)
    setup = task.defaults
    assert isinstance(setup, TrainingSetup)
    rng = np.random.default_rng(0)
    weights = setup.initial_weights(task.n_in, task.n_out, rng)
    n = setup.n_rec
    assert {key: value.shape for key, value in weights.items()} == {
        "w_in": (task.n_in, n),
        "w_rec": (n, n),
        "w_out": (n, task.n_out),
        "feedback": (task.n_out, n),
    }
    assert not weights["w_rec"].diagonal().any()
    np.testing.assert_allclose(
        weights["w_in"].std(), setup.gains["w_in"] / np.sqrt(task.n_in), rtol=0.1
    )


def test_hyphens_and_underscores_name_the_same_task():
    assert "pattern_generation" in available_tasks()
    first, second = load_task("pattern-generation"), load_task("pattern_generation")
    assert type(first) is type(second) is PatternGeneration


def test_an_unknown_task_is_named_with_the_known_and_the_nearest():
    with pytest.raises(ValueError, match=r"no task 'patern-generation' \(did you mean 'pat"):
        load_task("patern-generation")


def test_an_unknown_option_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"no option 'step' \(did you mean 'steps'\?\); it has"):
        load_task("pattern-generation", step=100)


@pytest.mark.parametrize("kind, n_out", [("sines", 1), ("trajectory", 2)])
@pytest.mark.parametrize("seed", range(3))
def test_the_target_begins_at_zero_and_is_normalised(kind, n_out, seed):
    target = PatternGeneration(kind=kind, seed=seed).target
    assert target.shape == (1000, n_out)
    np.testing.assert_array_equal(target[0], 0)
    np.testing.assert_allclose(abs(target).max(), 1, rtol=1e-15)
    # closed up to round-off: the last step is the first one of the next turn
    np.testing.assert_allclose(target[-1], 0, atol=1e-12)


def test_the_sines_have_the_published_periods():
    task = PatternGeneration()
    turn = np.linspace(0, 2 * np.pi, task.steps)
    angles = np.outer(turn, [1, 2, 3, 5])
    basis = np.column_stack([np.sin(angles), np.cos(angles), np.ones(task.steps)])
    coefficients = np.linalg.lstsq(basis, task.target[:, 0], rcond=None)[0]
    np.testing.assert_allclose(basis @ coefficients, task.target[:, 0], atol=1e-12)
    amplitudes = np.hypot(coefficients[:4], coefficients[4:8])
    # U(0.5, 2) up to the common normalisation
    assert amplitudes.max() / amplitudes.min() < 4


@pytest.mark.parametrize("kind", KINDS)
def test_the_target_is_smooth(kind):
    steps = abs(np.diff(PatternGeneration(kind=kind).target, axis=0))
    # the fastest sine turns five times in 1000 steps: 2π·5/1000 of its amplitude a step
    assert steps.max() < 2 * np.pi * 5 / 1000 * 2


def test_the_input_is_poisson_noise_of_the_asked_rate():
    task = PatternGeneration(n_in=400, input_rate=80 * Hz, dt=0.5 * ms, seed=3)
    inputs = task.inputs
    assert not inputs[0].any()
    p, draws = 0.04, inputs[1:].size
    # five standard deviations of a binomial count
    assert abs(inputs.sum() - p * draws) < 5 * np.sqrt(p * (1 - p) * draws)
    counts = inputs[1:].sum(0)
    assert 0.8 < counts.var() / (p * (1 - p) * (task.steps - 1)) < 1.2


def test_input_and_target_are_frozen_by_the_seed_and_differ_between_seeds():
    task, other = PatternGeneration(seed=1), PatternGeneration(seed=2)
    first = task.sample(np.random.default_rng(0), 1)
    second = task.sample(np.random.default_rng(99), 3)
    np.testing.assert_array_equal(second[0], np.repeat(first[0], 3, axis=0))
    np.testing.assert_array_equal(second[1], np.repeat(first[1], 3, axis=0))
    assert (task.inputs != other.inputs).any() and (task.target != other.target).any()


def test_the_number_of_inputs_leaves_the_target_alone():
    np.testing.assert_array_equal(
        PatternGeneration(n_in=10).target, PatternGeneration(n_in=20).target
    )


def test_a_sample_may_be_changed_without_changing_the_next():
    task = PatternGeneration()
    inputs, targets = task.sample(np.random.default_rng(0), 1)
    inputs[:], targets[:] = True, 7.0
    assert not task.inputs[0].any() and task.target.max() <= 1


def test_metric_is_zero_for_the_target_and_one_for_its_mean():
    task = PatternGeneration(kind="trajectory")
    _, targets = task.sample(np.random.default_rng(0), 2)
    mean = np.broadcast_to(targets.mean(axis=(0, 1)), targets.shape)
    assert task.metric(targets, targets) == 0
    np.testing.assert_allclose(task.metric(mean, targets), 1)
    np.testing.assert_allclose(task.metric(mean[0], targets[0]), 1)


def test_metric_refuses_what_it_cannot_normalise():
    task = PatternGeneration()
    with pytest.raises(ValueError, match=r"'outputs' has the shape \(3, 1\) and 'targets'"):
        task.metric(np.zeros((3, 1)), np.zeros((4, 1)))
    with pytest.raises(ValueError, match=r"'targets' of shape \(4, 1\) are constant"):
        task.metric(np.zeros((4, 1)), np.ones((4, 1)))


@pytest.mark.parametrize(
    "options, error, message",
    [
        (
            {"kind": "circle"},
            ValueError,
            r"\.kind = 'circle' is not known; choose one of 'sines', 'traj",
        ),
        ({"steps": -5}, ValueError, r"\.steps = -5 must be an integer ≥ 10"),
        ({"steps": 100.0}, ValueError, r"\.steps = 100.0 must be an integer"),
        ({"n_in": 0}, ValueError, r"\.n_in = 0 must be an integer ≥ 1"),
        ({"seed": None}, ValueError, r"\.seed = None must be an integer"),
        ({"dt": 1.0}, DimensionMismatchError, r"\.dt = 1.0 has no unit but must be a time"),
        ({"dt": 1 * mV}, DimensionMismatchError, r"\= .* has the unit 'volt' but must be a time"),
        ({"dt": -1 * ms}, ValueError, r"\.dt = .* must be one positive, finite"),
        ({"dt": float("nan") * ms}, ValueError, r"\.dt = .* must be one positive, finite"),
        (
            {"input_rate": 50},
            DimensionMismatchError,
            r"\.input_rate = 50 has no unit but must be a rate",
        ),
        (
            {"input_rate": [1, 2] * Hz},
            ValueError,
            r"\.input_rate = .* must be one positive, finite",
        ),
        ({"input_rate": 2000 * Hz}, ValueError, r"gives 2 spikes in a step .* at most 1000 Hz"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(options, error, message):
    with pytest.raises(error, match=message):
        load_task("pattern-generation", **options)
