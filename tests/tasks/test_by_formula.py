"""Tasks by formula: points, manifolds and series are those of the publications."""

import numpy as np
import pytest
from brian2 import ms
from scipy.integrate import solve_ivp

from brian_eprop.tasks import load_task
from brian_eprop.tasks.mackey_glass import delayed_series, symmetric_error
from brian_eprop.tasks.yin_yang import class_of


def moments(inputs):
    """The step in which each input fires, exactly once: (batch, n_in)."""
    np.testing.assert_array_equal(inputs.sum(axis=1), 1)
    return inputs.argmax(axis=1)


def linear_errors(values, classes):
    """Errors of the best least-squares classifier, on the second half of the examples."""
    half = len(values) // 2
    rows = np.column_stack([values, np.ones(len(values))])
    weights = np.linalg.lstsq(rows[:half], np.eye(classes.max() + 1)[classes[:half]], rcond=None)[0]
    return np.mean((rows[half:] @ weights).argmax(axis=1) != classes[half:])


def neighbour_errors(values, classes):
    """Errors of the nearest neighbour, of the second half in the first."""
    half = len(values) // 2
    apart = (values[half:, np.newaxis] - values[:half]) ** 2
    return np.mean(classes[:half][apart.sum(axis=2).argmin(axis=1)] != classes[half:])


class TestYinYang:
    def test_marked_points_have_the_published_classes(self):
        points = {
            (0.25, 0.5): 2,  # the centres of the dots
            (0.75, 0.5): 2,
            (0.25, 0.62): 0,  # around them
            (0.75, 0.62): 1,
            (0.5, 0.95): 0,  # above and below
            (0.5, 0.05): 1,
            (0.05, 0.4): 0,
            (0.95, 0.6): 1,
            (0.34999, 0.5): 2,
            (0.36, 0.5): 0,
        }
        found = class_of(np.array(list(points)))
        np.testing.assert_array_equal(found, list(points.values()))

    def test_the_sign_is_itself_when_it_is_turned_by_half(self):
        rng = np.random.default_rng(0)
        points = rng.random((20_000, 2))
        points = points[np.hypot(*(points - 0.5).T) <= 0.5]
        one, two = class_of(points), class_of(1 - points)
        np.testing.assert_array_equal(np.array([1, 0, 2])[one], two)
        # areas: two dots of radius 0.1 in a disc of radius 0.5; five standard deviations
        n, share = len(points), 0.08
        assert abs((one == 2).sum() - share * n) < 5 * np.sqrt(share * (1 - share) * n)

    def test_spikes_tell_the_point_and_the_class(self):
        task = load_task("yin_yang", shown=400 * ms)
        inputs, targets = task.sample(np.random.default_rng(0), 2000)
        values = moments(inputs) / 399
        np.testing.assert_allclose(values[:, :2] + values[:, 2:4], 1, atol=1 / 399 + 1e-12)
        assert not values[:, 4].any()
        classes = targets[:, 0].argmax(axis=1)
        # steps of 1/399 blur a border of about the length 4 by as much in an area of 0.8
        assert (class_of(values[:, :2]) != classes).mean() < 0.02
        assert abs(np.bincount(classes, minlength=3) - 2000 / 3).max() < 5 * np.sqrt(2000 * 2 / 9)

    def test_it_is_not_linear_but_neighbours_agree(self):
        inputs, targets = load_task("yin_yang").sample(np.random.default_rng(1), 3000)
        values, classes = moments(inputs)[:, :4] / 39, targets[:, 0].argmax(axis=1)
        assert 0.3 < linear_errors(values, classes) < 0.5
        assert neighbour_errors(values, classes) < 0.07


class TestRandman:
    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("dimension", [1, 2])
    def test_functions_are_those_of_the_formula(self, dimension):
        task = load_task("randman", classes=3, embedding=4, dimension=dimension, smoothness=2)
        rng = np.random.default_rng(0)
        x, classes = rng.random((40, dimension)), rng.integers(3, size=40)
        a, b, c = task.coefficients
        assert a.shape[-1] == 32  # 1/√0.001, rounded up

        def value(k, i, x):
            product = 1.0
            for j in range(dimension):
                product *= sum(
                    a[k, i, j, n - 1]
                    / n**2
                    * np.sin(2 * np.pi * (n * x[j] * b[k, i, j, n - 1] + c[k, i, j, n - 1]))
                    for n in range(1, 33)
                )
            return product

        found = task.moments(classes, x)
        grid = np.linspace(0, 1, 2001 if dimension == 1 else 41)
        for k in range(3):
            for i in range(4):
                own = np.array([value(k, i, p) for p in x[classes == k]])
                low, high = task.ranges[:, k, i]
                # round-off of sums of 32 terms
                expected = np.clip((own - low) / (high - low), 0, 1)
                np.testing.assert_allclose(found[classes == k, i], expected, atol=1e-12)
            points = np.stack(np.meshgrid(*[grid] * dimension), axis=-1).reshape(-1, dimension)
            all_ = np.array([value(k, 0, p) for p in points])
            low, high = task.ranges[:, k, 0]
            assert low <= all_.min() + 1e-12 and high >= all_.max() - 1e-12
            # on a coarser grid the range is nearly as large
            assert np.ptp(all_) > 0.97 * (high - low)

    def test_every_input_fires_once_and_times_tell_the_class(self):
        task = load_task("randman", classes=5)
        inputs, targets = task.sample(np.random.default_rng(0), 1000)
        times, classes = moments(inputs), targets[:, 0].argmax(axis=1)
        assert times.min() == 0 and times.max() == 49 and not inputs[:, 50:].any()
        assert neighbour_errors(times / 49, classes) < 0.02
        shuffled = np.random.default_rng(1).permutation(classes)
        assert neighbour_errors(times / 49, shuffled) > 0.7

    def test_manifolds_are_drawn_from_the_seed(self):
        one, same, other = (load_task("randman", seed=seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(one.coefficients, same.coefficients)
        assert (one.coefficients != other.coefficients).all()

    def test_rough_manifolds_have_many_terms(self):
        assert load_task("randman", smoothness=0.5).coefficients.shape[-1] == 1000
        with pytest.raises(ValueError, match=r"smoothness = 0 must be a number above 0"):
            load_task("randman", smoothness=0)


@pytest.fixture(scope="module")
def mackey_glass():
    return load_task("mackey_glass", shown=10 * ms)


class TestMackeyGlass:
    def test_the_series_solves_the_equation(self, mackey_glass):
        """Against the method of steps: ten delays, each an ordinary equation of its own."""
        tau, pieces, last = 17.0, [lambda t: 0.7206597], 0.7206597
        for k in range(10):
            before = pieces[-1]

            def change(t, x, before=before):
                late = before(t - tau)
                return [0.2 * late / (1 + late**10) - 0.1 * x[0]]

            found = solve_ivp(
                change,
                (k * tau, (k + 1) * tau),
                [last],
                method="DOP853",
                rtol=1e-12,
                atol=1e-13,
                dense_output=True,
            )
            pieces.append(lambda t, found=found: found.sol(t)[0])
            last = found.y[0, -1]
        times = np.arange(64) * 197 / 75
        expected = [pieces[int(t // tau) + 1](t) for t in times]
        # fourth order with steps of 0.05: 0.05⁴ = 6e-6, of small fifth derivatives
        np.testing.assert_allclose(mackey_glass.series[:64], expected, rtol=0, atol=1e-9)

    def test_errors_fall_with_the_fourth_power_of_the_step(self, monkeypatch):
        values = []
        for steps in (20, 40, 640):
            monkeypatch.setattr("brian_eprop.tasks.mackey_glass.IN_A_DELAY", steps)
            values.append(delayed_series(17.0, 0.9, 2.0, 30))
        coarse, fine = (abs(v - values[-1]).max() for v in values[:2])
        # 2⁴, or a little more
        assert 14 < coarse / fine < 40

    def test_values_are_on_the_attractor_and_inputs_tell_them(self, mackey_glass):
        series = mackey_glass.series
        assert len(series) == 1501 and 0.2 < series.min() < 0.5 and 1.2 < series.max() < 1.4
        inputs, targets = mackey_glass.sample(np.random.default_rng(0), 20)
        counts = inputs.reshape(20, 60, 10, 40).sum(axis=2)
        centres = np.linspace(0.2, 1.4, 40)
        seen = (counts @ centres) / np.maximum(counts.sum(axis=2), 1)
        # the target is the next point, which is the input of what follows
        shown = targets[:, ::10, 0]
        assert abs(seen[:, 1:] - shown[:, :-1]).mean() < 0.03
        assert abs(seen[:, 1:] - shown[:, 1:]).mean() > 0.06

    def test_parts_of_the_series_do_not_overlap(self, mackey_glass):
        _, train = mackey_glass.sample(np.random.default_rng(0), 690)
        seen = set(train[..., 0].ravel())
        for part in ("validation", "test"):
            _, targets = mackey_glass.held_out(part)
            assert targets.shape == (6, 600, 1)
            assert not seen & set(targets[..., 0].ravel())
            seen |= set(targets[..., 0].ravel())

    def test_a_network_that_knows_the_series_runs_free_without_error(self, mackey_glass):
        """Its inputs are its own predictions: the runs of a perfect one are those of the truth."""
        task = mackey_glass
        calls = []

        def simulate(inputs):
            calls.append(inputs.copy())
            starts = 750 + np.linspace(0, 740, 3).astype(int) - task.points
            rows = task.series[starts[:, np.newaxis] + np.arange(1, task.points + 11)]
            return np.repeat(rows, 10, axis=1)[..., np.newaxis]

        predicted, true = task.free_run(simulate, horizon=10, trials=3)
        # a mean of equal numbers
        np.testing.assert_allclose(predicted, true, rtol=1e-14)
        assert len(calls) == 10 and symmetric_error(predicted, true) < 1e-11
        # nothing of what is to be predicted was in the inputs, and what was predicted then is
        for known, inputs in enumerate(calls):
            assert not inputs[:, (task.points + known) * 10 :].any()
            assert inputs[:, (task.points + known - 1) * 10 :].any(axis=(1, 2)).all()
        first = 750 - task.points + np.arange(task.points + 9)
        teacher = task.encoded(task.series[first][np.newaxis])[0]
        np.testing.assert_array_equal(calls[-1][0, : len(teacher)], teacher)

    def test_a_wrong_prediction_is_the_next_input(self, mackey_glass):
        inputs = []

        def simulate(given):
            inputs.append(given.copy())
            return np.full((*given.shape[:2], 1), 0.2)

        predicted, true = mackey_glass.free_run(simulate, horizon=3, trials=1)
        np.testing.assert_allclose(predicted, 0.2)
        fired = inputs[-1][0, 600:620].sum(axis=0)
        assert fired[:4].sum() > 0 and not fired[10:].any()
        assert symmetric_error(predicted, true) > 50

    def test_the_metric_is_smape_after_the_warm_up(self, mackey_glass):
        _, targets = mackey_glass.held_out("test")
        outputs = 1.1 * targets
        outputs[:, :150] = 0
        np.testing.assert_allclose(mackey_glass.metric(outputs, targets), 200 * 0.1 / 2.1)
        assert symmetric_error(np.zeros(3), np.zeros(3)) == 0
        assert symmetric_error(np.zeros(3), np.ones(3)) == 200

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"warm_up": 60}, r"warm_up = 60 must be less than points = 60"),
            ({"shown": 1 * ms}, r"shown = .* must be at least two steps"),
            ({"points": 500}, r"points = 500 must be at most 374, all of the validation"),
            ({"tau": -1.0}, r"tau = -1.0 must be a number above 0"),
        ],
    )
    def test_options_that_make_no_sense_are_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            load_task("mackey_glass", **options)

    def test_what_cannot_be_continued_is_refused(self, mackey_glass):
        with pytest.raises(ValueError, match=r"free_run: horizon = 751 must be at most 750"):
            mackey_glass.free_run(lambda x: x, horizon=751)
