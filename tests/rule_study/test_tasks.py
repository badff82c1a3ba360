"""Tasks and optimizers of the reference: what is promised of all, and closed forms of each."""

import numpy as np
import pytest
from attrs import evolve
from attrs.exceptions import FrozenInstanceError

from brian_eprop import Adam, GradientDescent
from brian_eprop.rule_study.tasks import TASKS, Add, AnBn, Copy, Mimic, StringMemorization
from brian_eprop.tasks.metrics import counted_steps

EVERY_TASK = [cls() for cls in TASKS.values()] + [
    Add(delays=(2, 0), steps=7, loss="mse"),
    Copy(level=9),
    StringMemorization(length=3, delay=0),
    AnBn(n_min=2, n_max=4),
]


def draw(task, batch=8, seed=0):
    return task.sample(np.random.default_rng(seed), batch)


def perfect(task, targets):
    """Outputs whose prediction is the target, and some number where nothing is asked."""
    targets = np.nan_to_num(targets, nan=0.3)
    if task.loss == "mse":
        return targets
    # softmax(log y) = y; a probability below 1e-12 costs less than the tolerances here
    return np.log(np.maximum(targets, 1e-12))


def entropy_in_bits(p):
    return -sum(q * np.log2(q) for q in (p, 1 - p) if q > 0)


# ------------------------------------------------------------------------ what all tasks promise


def test_the_registered_tasks_are_these():
    assert sorted(TASKS) == ["add", "anbn", "copy", "mimic", "string_memorization"]
    assert [cls.__name__ for cls in TASKS.values()] == [
        "Add",
        "AnBn",
        "Copy",
        "Mimic",
        "StringMemorization",
    ]


@pytest.mark.parametrize("task", EVERY_TASK, ids=repr)
def test_trials_have_the_shapes_that_the_task_states(task):
    inputs, targets = draw(task, batch=5)
    counted = counted_steps(task, targets)
    assert inputs.shape == (5, task.steps, task.n_in) and inputs.dtype == bool
    assert targets.shape == (5, task.steps, task.n_out) and targets.dtype == float
    assert counted.shape == (5, task.steps) and counted.dtype == bool
    assert np.isfinite(targets[counted]).all()


@pytest.mark.parametrize("task", EVERY_TASK, ids=repr)
def test_every_trial_counts_in_some_steps_and_targets_suit_the_loss(task):
    _, targets = draw(task, batch=50)
    counted = counted_steps(task, targets)
    assert counted.any(axis=1).all()
    if task.loss == "cross_entropy":
        assert (targets[counted] >= 0).all()
        np.testing.assert_allclose(targets[counted].sum(axis=-1), 1, rtol=1e-15)
    else:
        assert task.loss == "mse"


@pytest.mark.parametrize("task", EVERY_TASK, ids=repr)
def test_trials_are_reproducible_from_the_seed_and_differ_without_it(task):
    first, again, other = draw(task), draw(evolve(task)), draw(task, seed=1)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("task", EVERY_TASK, ids=repr)
def test_a_perfect_output_has_the_best_score_and_padding_none(task):
    _, targets = draw(task)
    outputs = perfect(task, targets)
    best = task.metric(outputs, targets)
    assert isinstance(best, float)
    for scale in (0.9, 0.5, 0, -1):
        assert task.metric(scale * outputs, targets) > best
    counted = counted_steps(task, targets)
    ignored = np.where(counted[..., np.newaxis], outputs, 7 * outputs - 3)
    assert task.metric(ignored, targets) == best
    if not isinstance(task, Add):  # whose targets are probabilities, with an entropy of their own
        np.testing.assert_allclose(best, 0, atol=1e-9)


@pytest.mark.parametrize("task", EVERY_TASK, ids=repr)
def test_tasks_are_frozen_and_without_a_curriculum_stay(task):
    with pytest.raises(FrozenInstanceError):
        task.steps = 3
    assert hasattr(task, "after") == isinstance(task, Copy)


@pytest.mark.parametrize("task", EVERY_TASK, ids=repr)
def test_outputs_and_batches_that_do_not_fit_are_refused(task):
    _, targets = draw(task)
    with pytest.raises(ValueError, match=r"'outputs' has the shape .* and 'targets' .* the same"):
        task.metric(targets[:1], targets)
    for batch in (0, 1.5):
        with pytest.raises(ValueError, match=rf"{type(task).__name__}.sample: batch = {batch}"):
            draw(task, batch=batch)


# ------------------------------------------------------------------------------ outputs at chance


@pytest.mark.parametrize("task", [Copy(level=7), StringMemorization()], ids=repr)
def test_an_output_that_knows_no_bit_has_one_bit_per_character(task):
    _, targets = draw(task)
    np.testing.assert_allclose(task.metric(np.zeros_like(targets), targets), 1, rtol=1e-15)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_the_floors_of_add_are_what_partial_memory_attains(loss):
    task = Add(delays=(3, 1), steps=400, loss=loss)
    inputs, targets = draw(task, batch=200)
    x = inputs[..., 0].astype(float)
    past = {delay: np.roll(x, delay, axis=1) for delay in task.delays}
    predictions = {
        "none": np.full_like(x, 0.625),
        "first": np.where(past[3] == 1, 0.875, 0.375),
        "second": np.where(past[1] == 1, 0.5, 0.75),
        "both": 0.5 + 0.5 * past[3] - 0.25 * past[1],
    }
    assert task.floors.keys() == predictions.keys()
    for name, p in predictions.items():
        p = np.stack([p, 1 - p], axis=-1)
        outputs = p if loss == "mse" else np.log(np.maximum(p, 1e-12))
        # 80 000 tosses: the mean of a coin is known to about 0.002
        np.testing.assert_allclose(task.metric(outputs, targets), task.floors[name], atol=5e-3)


def test_the_floors_of_add_are_the_published_ones():
    # the three lines that vanilla-rtrl and r2rt.com draw into their plots
    floors = Add().floors
    np.testing.assert_allclose(
        [floors["none"], floors["first"], floors["both"]], [0.66, 0.52, 0.45], atol=5e-3
    )


def test_an_output_that_does_not_count_has_the_stated_score_on_anbn():
    task = AnBn(n_min=1, n_max=6)
    _, targets = draw(task, batch=20_000)
    p = 1 / 3.5
    outputs = np.broadcast_to(np.log([1e-12, 1 - p, p]), targets.shape)
    # 70 000 characters
    np.testing.assert_allclose(task.metric(outputs, targets), entropy_in_bits(p), atol=0.01)
    assert round(entropy_in_bits(1 / 16.5), 2) == 0.33  # as the docstring of the task has it


# ----------------------------------------------------------------------------- targets of each task


@pytest.mark.parametrize("delays", [(5, 9), (9, 5), (0, 2)])
def test_add_adds_the_two_inputs_of_the_past(delays):
    task = Add(delays=delays, steps=20)
    inputs, targets = draw(task)
    counted = counted_steps(task, targets)
    inputs = inputs.astype(int)
    assert set(np.unique(inputs)) == {0, 1}
    np.testing.assert_array_equal(inputs.sum(axis=-1), 1)
    for trial in range(len(inputs)):
        for t in range(20):
            assert counted[trial, t] == (t >= max(delays))
            if t >= max(delays):
                x1, x2 = (inputs[trial, t - delay, 0] for delay in delays)
                y = {(0, 0): 0.5, (0, 1): 0.25, (1, 0): 1.0, (1, 1): 0.75}[x1, x2]
                np.testing.assert_array_equal(targets[trial, t], [y, 1 - y])


def test_the_teacher_of_mimic_gives_the_targets_and_depends_on_its_seed_alone():
    task = Mimic(n_in=3, n_out=2, n_teacher=4, steps=6)
    inputs, targets = draw(task)
    assert set(np.unique(inputs)) == {0, 1} and counted_steps(task, targets).all()
    w = task.teacher
    np.testing.assert_allclose(w["w_rec"] @ w["w_rec"].T, np.eye(4), atol=1e-14)
    for trial in range(len(inputs)):
        h = [0.0] * 4
        for t in range(6):
            h = [
                np.tanh(
                    sum(inputs[trial, t, i] * w["w_in"][i, k] for i in range(3))
                    + sum(h[j] * w["w_rec"][j, k] for j in range(4))
                    + w["b"][k]
                )
                for k in range(4)
            ]
            y = [sum(h[k] * w["w_out"][k, o] for k in range(4)) + w["b_out"][o] for o in range(2)]
            # the same sums in another order
            np.testing.assert_allclose(targets[trial, t], y, rtol=1e-12)
    other = Mimic(n_in=3, n_out=2, n_teacher=4, steps=6, teacher_seed=1)
    assert not np.allclose(draw(other)[1], targets)
    np.testing.assert_array_equal(draw(other)[0], inputs)


def spelled(one_hot, alphabet):
    """A trial as text, '.' where all channels are equal or NaN."""
    one_hot = np.nan_to_num(np.asarray(one_hot, dtype=float))
    return "".join("." if np.ptp(step) == 0 else alphabet[np.argmax(step)] for step in one_hot)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("level, shortest", [(1, 1), (4, 1), (6, 1), (9, 4)])
def test_copy_repeats_its_bits_and_draws_all_lengths_of_the_level(level, shortest):
    task = Copy(level=level)
    inputs, targets = draw(task, batch=300)
    counted, lengths = counted_steps(task, targets), []
    for trial in range(300):
        shown, asked = spelled(inputs[trial], "01|?").split("|")
        length = len(shown)
        lengths.append(length)
        padding = "." * (2 * (level - length))
        assert set(shown) <= {"0", "1"} and asked == "?" * length + padding
        assert spelled(targets[trial], "01") == "." * (length + 1) + shown + padding
        expected = [0] * (length + 1) + [1] * length + [0] * len(padding)
        np.testing.assert_array_equal(counted[trial], expected)
    counts = np.bincount(lengths, minlength=level + 1)
    assert not counts[:shortest].any()
    # uniform: 50 or more of each are expected, with a standard deviation of 6.5
    assert counts[shortest:].min() > 300 / (level - shortest + 1) - 35


def test_string_memorization_asks_for_the_string_after_the_delay():
    task = StringMemorization(length=4, delay=3)
    inputs, targets = draw(task, batch=200)
    counted, strings = counted_steps(task, targets), set()
    for trial in range(200):
        text = spelled(inputs[trial], "01_?")
        assert text[4:] == "___????" and set(text[:4]) <= {"0", "1"}
        assert spelled(targets[trial], "01") == "......." + text[:4]
        np.testing.assert_array_equal(counted[trial], [0] * 7 + [1] * 4)
        strings.add(text[:4])
    assert len(strings) == 16


def test_anbn_demands_what_follows_the_first_b():
    task = AnBn(n_min=2, n_max=5)
    inputs, targets = draw(task, batch=100)
    seen = set()
    for shown, asked, counted in zip(inputs, targets, counted_steps(task, targets), strict=True):
        text = spelled(shown, "ab#").rstrip(".")
        n = text.count("a")
        seen.add(n)
        assert text == "#" + "a" * n + "b" * n
        following = text[1:] + "#"
        padding = "." * (2 * (5 - n))
        assert spelled(asked, "ab#") == "." * (n + 1) + following[n + 1 :] + padding
        np.testing.assert_array_equal(counted, [0] * (n + 1) + [1] * n + [0] * len(padding))
    assert seen == {2, 3, 4, 5}


def test_a_string_is_accepted_when_every_prediction_is_right():
    task = AnBn(n_min=3, n_max=3)
    _, targets = draw(task, batch=4)
    outputs = perfect(task, targets)
    assert task.accepted(outputs, targets) == 1
    outputs[0, 6] = [0, 1, 0]  # another b instead of the end
    outputs[1, 0] = [0, 0, 1]  # does not count
    assert task.accepted(outputs, targets) == 0.75


# -------------------------------------------------------------------------------------- curriculum


def test_copy_moves_to_the_next_level_below_the_threshold_and_only_there():
    task = Copy(level=3)
    assert task.after(0.1499) == Copy(level=4)
    for metric in (0.15, 0.2, 1.0, np.nan):
        assert task.after(metric) is task
    strict = Copy(level=2, threshold=0.01)
    assert strict.after(0.02) is strict
    assert strict.after(0.0) == Copy(level=3, threshold=0.01)


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "cls, options, message",
    [
        (Add, {"delays": (5, 5)}, r"Add.delays = \(5, 5\) must be two different .*; give"),
        (Add, {"delays": (5, 9.5)}, r"Add.delays = \(5, 9.5\) must be two different whole numbers"),
        (Add, {"delays": (-1, 9)}, r"Add.delays = \(-1, 9\) .* ≥ 0"),
        (Add, {"delays": 5}, r"Add.delays = 5 must be two different"),
        (Add, {"steps": 9}, r"Add.steps = 9 must be an integer ≥ 10; with Add.delays"),
        (Add, {"loss": "l1"}, r"Add.loss = 'l1' is not known; choose one of"),
        (Mimic, {"n_teacher": 0}, r"Mimic.n_teacher = 0 must be an integer ≥ 1; nothing"),
        (Mimic, {"n_in": 2.5}, r"Mimic.n_in = 2.5 must be an integer"),
        (Mimic, {"teacher_seed": -1}, r"Mimic.teacher_seed = -1 must be an integer ≥ 0"),
        (Copy, {"level": 0}, r"Copy.level = 0 must be an integer ≥ 1; a string"),
        (Copy, {"threshold": 1}, r"Copy.threshold = 1 must be between 0 .*; the paper has 0.15"),
        (Copy, {"threshold": np.nan}, r"Copy.threshold = nan must be between"),
        (
            StringMemorization,
            {"length": "5"},
            r"StringMemorization.length = '5' must be an integer",
        ),
        (StringMemorization, {"delay": -1}, r"StringMemorization.delay = -1 .*; 0 asks for"),
        (AnBn, {"n_min": 0}, r"AnBn.n_min = 0 must be an integer ≥ 1; without an a"),
        (AnBn, {"n_min": 5, "n_max": 4}, r"AnBn.n_max = 4 .* ≥ 5; the range of n begins"),
    ],
)
def test_a_bad_option_is_named_with_its_value_and_the_remedy(cls, options, message):
    with pytest.raises(ValueError, match=message):
        cls(**options)


# -------------------------------------------------------------------------------------- optimizers

GRADIENTS = (2.0, -1.0, 0.5)


def run(optimizer, weights, gradients):
    """The weights after each update."""
    moments = {name: {} for name in weights}
    path = []
    for n, gradient in enumerate(gradients, start=1):
        weights = {
            name: w - optimizer.step(gradient[name], moments[name], n)
            for name, w in weights.items()
        }
        path.append(weights)
    return path


def path_of(optimizer, start=1.0):
    weights = {"w": np.array([start])}
    path = run(optimizer, weights, [{"w": np.array([g])} for g in GRADIENTS])
    return [step["w"][0] for step in path]


def test_gradient_descent_subtracts_the_gradient_times_the_learning_rate():
    np.testing.assert_allclose(path_of(GradientDescent(0.1)), [0.8, 0.9, 0.85], rtol=1e-15)


def test_adam_has_epsilon_outside_the_bias_correction():
    # β₁ = 1/2, β₂ = 3/4, so that the moments are short fractions:
    # m = 1, 0, 1/4; s = 1, 1, 13/16
    first = 1 - 0.1 * np.sqrt(1 / 4) / (1 / 2) * 1 / (1 + 0.5)
    third = first - 0.1 * np.sqrt(37 / 64) / (7 / 8) * (1 / 4) / (np.sqrt(13 / 16) + 0.5)
    adam = Adam(0.1, beta_1=0.5, beta_2=0.75, epsilon=0.5)
    np.testing.assert_allclose(path_of(adam), [first, first, third], rtol=1e-15)


@pytest.mark.parametrize("optimizer", [GradientDescent(0.1), Adam(0.01)], ids=repr)
def test_weights_are_updated_each_by_its_own_gradient_and_not_in_place(optimizer):
    rng = np.random.default_rng(0)
    weights = {"w_in": rng.standard_normal((2, 3)), "b": rng.standard_normal(3)}
    gradient = {name: rng.standard_normal(w.shape) for name, w in weights.items()}
    before = {name: w.copy() for name, w in weights.items()}
    together = run(optimizer, weights, [gradient] * 2)
    for name in weights:
        alone = run(optimizer, {name: weights[name]}, [{name: gradient[name]}] * 2)
        np.testing.assert_array_equal(alone[-1][name], together[-1][name])
        np.testing.assert_array_equal(weights[name], before[name])


@pytest.mark.parametrize(
    "ours, theirs, options",
    [
        (GradientDescent(0.1), "SGD", {"lr": 0.1}),
        # without ε the two forms of Adam are the same
        (Adam(0.01, epsilon=1e-200), "Adam", {"lr": 0.01, "eps": 1e-200}),
    ],
)
def test_optimizers_equal_those_of_torch(ours, theirs, options):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start = rng.standard_normal((3, 4))
    gradients = rng.standard_normal((10, 3, 4))
    w = torch.nn.Parameter(torch.tensor(start))
    optimizer = getattr(torch.optim, theirs)([w], **options)
    path = run(ours, {"w": start}, [{"w": g} for g in gradients])
    for gradient, step in zip(gradients, path, strict=True):
        w.grad = torch.tensor(gradient)
        optimizer.step()
        np.testing.assert_allclose(step["w"], w.detach().numpy(), rtol=1e-12)
