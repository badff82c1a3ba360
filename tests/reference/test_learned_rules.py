"""Rules that learn something of the network: KeRNL, DNI, e-prop 3."""

from types import SimpleNamespace

import numpy as np
import pytest
from attrs import evolve
from cell_networks import cell_network, cell_task
from rule_problems import (
    DELAYED,
    at_work,
    credits_of,
    distance,
    every_cell,
    every_network,
    gradient,
    problem_of,
    vector,
)

from brian_eprop.reference import RULES, LeakyRate, RateNetwork
from brian_eprop.reference.backward import gradient_of, sweep
from brian_eprop.reference.problem import Problem
from brian_eprop.reference.rules.kernl import KeRNL
from brian_eprop.reference.rules.synthetic_gradients import EProp3

# orders of summation of the same float64 numbers
ROUND_OFF = 1e-11
LEARNED = ("kernl", "dni", "eprop3")


def targets_of(problem):
    return [SimpleNamespace(target=problem.targets[:, t]) for t in range(problem.n_steps)]


# ------------------------------------------------------------------------------- KeRNL


def leaky_without_recurrence():
    """Its kernel is the identity times 0.7^Δ."""
    network = cell_network("leaky_rate", 1)
    network = evolve(network, w_rec=np.zeros_like(network.w_rec))
    return Problem(network, *cell_task(network, 1, batch=3, n_steps=20))


@pytest.mark.parametrize("rates", [{"learning_rate_kernel": 0, "learning_rate_decay": 0}, {}])
def test_kernl_with_the_true_kernel_is_rtrl_and_eprop(rates):
    """With rates above 0 as well: what is right is not unlearned."""
    problem = leaky_without_recurrence()
    for rule in ("rtrl", "eprop"):
        found = gradient(problem, "kernl", decay=0.7, repetitions=3, **rates)
        assert distance(found, gradient(problem, rule)) < ROUND_OFF
    wrong = gradient(problem, "kernl", decay=0.6, learning_rate_kernel=0, learning_rate_decay=0)
    assert distance(wrong, gradient(problem, "rtrl")) > 0.05


def test_kernl_learns_a_kernel_of_the_form_that_it_has():
    problem = leaky_without_recurrence()
    exact = gradient(problem, "rtrl")
    recursion = at_work(problem, "kernl")
    for _ in range(100):
        found = problem.gradient(recursion, RULES["kernl"])
    # the regression has no noise at its solution; what is left falls with every step
    np.testing.assert_allclose(recursion.decays, 0.7, atol=1e-4)
    np.testing.assert_allclose(recursion.kernel[0, :, 0], np.eye(5), atol=1e-4)
    assert distance(vector(problem, found), exact) < 1e-3
    assert distance(gradient(problem, "kernl"), exact) > 0.1


@pytest.mark.slow
def test_kernl_compares_what_is_aligned():
    """Marschall et al. compare the filtered noise with an effect that lacks the last noise."""

    class Late(KeRNL):
        def _learn(self):
            whole = self.tangent
            self.tangent = whole - self.rng.last
            super()._learn()
            self.tangent = whole

    class Remembering:
        def __init__(self, rng):
            self.rng = rng

        def normal(self, size):
            self.last = self.rng.normal(size=size)
            return self.last

    problem, kernels = leaky_without_recurrence(), []
    for recursion in (KeRNL, Late):
        rng = Remembering(np.random.default_rng(0))
        fixed = dict(decay=0.7, learning_rate_decay=0, learning_rate_kernel=0.02)
        learner = recursion(problem.network, rng, **fixed)
        for _ in range(100):
            problem.gradient(learner, RULES["kernl"])
        kernels.append(np.mean(np.diag(learner.kernel[0, :, 0])))
    # the regression on Ω of variance 1/(1 − κ²) that lacks ξ finds κ²
    assert kernels[0] == pytest.approx(1, abs=1e-10)
    assert kernels[1] == pytest.approx(0.49, abs=0.1)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ["leaky_rate", "lif", "alif", "gru", "lstm"])
def test_kernl_approaches_the_exact_gradient(name):
    problem = problem_of(name, n_steps=30, batch=4)
    exact = gradient(problem, "rtrl")
    errors = [
        np.mean([distance(gradient(problem, "kernl", s, repetitions), exact) for s in range(2)])
        for repetitions in (1, 60)
    ]
    assert errors[1] < 0.75 * errors[0]


def test_kernl_keeps_its_decays_between_0_and_1():
    problem = problem_of("elman", n_steps=30)
    recursion = at_work(problem, "kernl", learning_rate_decay=2)
    for _ in range(10):
        problem.gradient(recursion, RULES["kernl"])
        assert np.all((recursion.decays >= 0) & (recursion.decays <= 1))
    assert np.any(recursion.decays == 0)


# --------------------------------------------- synthetic gradients: what a right one gives


class Oracle:
    """In place of the learned prediction: the true derivatives, one for each step."""

    def __init__(self, steps, values):
        self.steps, self.values = steps, values

    def predict(self, step, signal):
        (t,) = (t for t, other in enumerate(self.steps) if other is step)
        return self.values[t]

    def learn(self, step, signal, goal):
        """It knows."""


def with_oracle(problem, rule, values, **options):
    recursion = at_work(problem, rule, **options)
    recursion.predictor = Oracle(problem.steps, values)
    return vector(problem, problem.gradient(recursion, RULES[rule]))


@pytest.mark.first_case_is_fast
@every_network
@every_cell
def test_dni_with_the_true_future_is_bptt(name, options):
    problem = problem_of(name, **options)
    credits = credits_of(problem)
    lam, _ = sweep(problem.steps, credits)
    future = [total - direct for total, direct in zip(lam, credits, strict=True)]
    exact = gradient(problem, "bptt")
    assert distance(with_oracle(problem, "dni", future), exact) < ROUND_OFF
    twice = with_oracle(problem, "dni", lam)
    assert distance(twice, exact) > 1e-2


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("interval", [1, 3, 5, 12, 100])
@every_network
@every_cell
def test_eprop3_with_the_true_future_is_bptt(name, options, interval):
    problem = problem_of(name, **options)
    credits = credits_of(problem)
    lam, _ = sweep(problem.steps, credits)
    following = [*lam[1:], None]
    exact = gradient(problem, "bptt")
    found = with_oracle(problem, "eprop3", following, interval=interval)
    assert distance(found, exact) < ROUND_OFF
    if interval < 12:
        none = with_oracle(problem, "eprop3", [0 * x for x in lam], interval=interval)
        assert distance(none, exact) > 1e-3


def test_eprop3_would_count_twice_what_enters_by_implicit_edges():
    class Twice(EProp3):
        def _close(self, following, predicted):
            lam, _ = sweep(self.steps + following, self.credits + predicted)
            self.credits = lam[: len(self.steps)]
            return super()._close(following, predicted)

    problem = problem_of("leaky_rate")
    lam, _ = sweep(problem.steps, credits_of(problem))
    recursion = Twice(problem.network, None, interval=3)
    recursion.predictor = Oracle(problem.steps, [*lam[1:], None])
    found = vector(problem, problem.gradient(recursion, RULES["eprop3"]))
    assert distance(found, gradient(problem, "bptt")) > 0.1


@pytest.mark.first_case_is_fast
@every_network
@every_cell
def test_without_a_prediction_the_local_terms_are_left(name, options):
    problem = problem_of(name, **options)
    none = {"learning_rate": 0}
    alone = gradient(problem, "eprop3", interval=1, repetitions=2, **none)
    assert distance(alone, gradient(problem, "eprop")) < ROUND_OFF
    direct = vector(problem, gradient_of(problem.steps, credits_of(problem)))
    if np.any(direct):
        found = gradient(problem, "dni", repetitions=2, **none)
        assert distance(found, direct) < ROUND_OFF


# -------------------------------------------------- synthetic gradients: how they are learned


def transitions(problem):
    """H^t of a batch of one, written out: (S n, S n) for every step, 0 for the first."""
    network, found = problem.network, [0.0]
    states, n = problem.steps[0].state.shape[0], network.n_rec
    for before, step in zip(problem.steps[:-1], problem.steps[1:], strict=True):
        jacobian = np.zeros((states, n, states, n))
        for k in range(n):
            jacobian[:, k, :, k] += step.implicit[:, :, 0, k]
            jacobian[:, k, :, k] += np.outer(step.self_edge[:, 0, k], before.observation[:, 0, k])
            for post in range(n):
                for row, g in enumerate(network.blocks["w_rec"].gates):
                    edge = step.drive[:, g, 0, post] * network.parameters["w_rec"][row, k, post]
                    jacobian[:, post, :, k] += np.outer(edge, before.observation[:, 0, k])
        found.append(jacobian.reshape(states * n, states * n))
    return found


@pytest.mark.parametrize("name", ["alif", "lstm", "elman"])
def test_dni_is_its_equations_written_out(name):
    problem = problem_of(name, batch=1)
    H = transitions(problem)
    q = [credit[:, 0].ravel() for credit in credits_of(problem)]
    x = [
        np.r_[step.state[:, 0].ravel(), problem.targets[0, t], 1.0]
        for t, step in enumerate(problem.steps)
    ]
    weights = slow = np.zeros((len(q[0]), len(x[0])))
    lessons = 0
    for _ in range(3):
        paid = []
        for t in range(len(q) + 1):
            if t > 0:
                goal = 0 if t == len(q) else (q[t] + slow @ x[t]) @ H[t]
                error = weights @ x[t - 1] - goal
                weights = weights - 0.3 * np.outer(error, x[t - 1]) / (x[t - 1] @ x[t - 1])
                lessons += 1
                slow = weights if lessons % 4 == 0 else slow
            if t < len(q):
                paid.append((q[t] + weights @ x[t]).reshape(problem.steps[0].state.shape))
    expected = vector(problem, gradient_of(problem.steps, paid))
    found = gradient(problem, "dni", repetitions=3, learning_rate=0.3, refresh=4)
    assert distance(found, expected) < ROUND_OFF
    other = gradient(problem, "dni", repetitions=3, learning_rate=0.3, refresh=5)
    assert distance(other, expected) > 1e-3


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ["elman", "leaky_rate", "gru", "lstm", "jordan"])
def test_dni_learns_to_predict_the_future(name):
    problem = problem_of(name, batch=1)
    credits = credits_of(problem)
    lam, _ = sweep(problem.steps, credits)
    future = np.array(lam) - np.array(credits)
    recursion, exact = at_work(problem, "dni"), gradient(problem, "bptt")

    def prediction_error():
        pairs = zip(problem.steps, targets_of(problem), strict=True)
        predicted = np.array([recursion.predictor.predict(*pair) for pair in pairs])
        return np.linalg.norm(predicted - future) / np.linalg.norm(future)

    errors, distances = [prediction_error()], []
    for lessons in (1, 9, 50):
        for _ in range(lessons):
            found = problem.gradient(recursion, RULES["dni"])
        errors.append(prediction_error())
        distances.append(distance(vector(problem, found), exact))
    assert errors[0] == 1
    assert errors[0] > errors[1] > errors[2] > errors[3]
    immediate = gradient(problem, "dni", learning_rate=0)
    assert distances[-1] < 0.7 * distance(immediate, exact)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ["elman", "gru", "lif", "alif"])
def test_eprop3_learns_a_sequence_by_heart(name):
    """More predictors than boundaries: there is a prediction without error."""
    problem = problem_of(name, batch=1)
    exact = gradient(problem, "bptt")
    options = dict(interval=5, learning_rate=0.5)
    errors = [
        distance(gradient(problem, "eprop3", repetitions=k, **options), exact) for k in (1, 300)
    ]
    assert errors[0] > 0.05
    assert errors[1] < 5e-3


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("rule", ["dni", "eprop3", "kernl"])
@pytest.mark.parametrize("name", ["alif", "lstm"])
def test_what_was_learned_acts_on_each_sequence_alone(name, rule):
    """Once nothing more is learned, a batch gives the sum of its sequences."""
    problem = problem_of(name, batch=3)
    recursion = at_work(problem, rule)
    for _ in range(5):
        problem.gradient(recursion, RULES[rule])
    if rule == "kernl":
        recursion.learning_rate_kernel = recursion.learning_rate_decay = 0.0
    else:
        recursion.predictor.rate = 0.0
    together = vector(problem, problem.gradient(recursion, RULES[rule]))
    untaught = gradient(problem, rule)
    alone = 0.0
    for k in range(3):
        single = Problem(problem.network, problem.inputs[k], problem.targets[k])
        alone = alone + vector(single, single.gradient(recursion, RULES[rule]))
    assert distance(alone, together) < ROUND_OFF
    assert distance(untaught, together) > 1e-2


@pytest.mark.parametrize("rule", LEARNED)
def test_only_what_is_learned_outlasts_a_sequence(rule):
    problem = problem_of("alif")
    rates = [name for name in RULES[rule].options if name.startswith("learning_rate")]
    frozen = dict.fromkeys(rates, 0)
    once, twice = (gradient(problem, rule, repetitions=k, **frozen) for k in (1, 2))
    np.testing.assert_array_equal(once, twice)
    once, twice = (gradient(problem, rule, repetitions=k) for k in (1, 2))
    assert distance(twice, once) > 1e-3


@pytest.mark.parametrize("rule", [*LEARNED, "mdgl", "modprop"])
def test_the_same_seed_gives_the_same_numbers(rule):
    problem = problem_of("lif")
    first, second, other = (gradient(problem, rule, seed, repetitions=2) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert np.any(first != other) == RULES[rule].stochastic


# ---------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("rule", ["dni", "eprop3"])
def test_a_synthetic_gradient_needs_recurrent_delays_of_0(rule):
    delayed = cell_network("elman", 1, **DELAYED)
    with pytest.raises(ValueError, match=f"'{rule}' does not apply .*'delay_rec' goes up to 2"):
        RULES[rule].at_work(delayed, None)
    problem = problem_of("elman", delay_in=np.arange(15).reshape(3, 5) % 3)
    assert np.any(gradient(problem, rule))


def test_delays_matter_to_rules_that_know_them():
    problem = problem_of("elman", **DELAYED)
    assert distance(gradient(problem, "kernl"), gradient(problem_of("elman"), "kernl")) > 1e-2


@pytest.mark.parametrize(
    ("rule", "options", "words"),
    [
        ("kernl", {"decay": 1.1}, ["'decay'", "1.1", "from 0 to 1"]),
        ("kernl", {"learning_rate_kernel": -1}, ["'learning_rate_kernel'", "-1"]),
        ("kernl", {"learning_rate_decay": "fast"}, ["'learning_rate_decay'", "'fast'"]),
        ("dni", {"refresh": 0}, ["'refresh'", "integer"]),
        ("dni", {"learning_rate": 3}, ["'learning_rate'", "3", "from 0 to 2"]),
        ("eprop3", {"interval": 1.5}, ["'interval'", "1.5", "integer"]),
        ("eprop3", {"learning_rate": np.nan}, ["'learning_rate'", "nan"]),
        ("modprop", {"mu": -0.1}, ["'mu'", "-0.1", "≥ 0"]),
        ("modprop", {"mu": np.inf}, ["'mu'", "inf"]),
        ("mdgl", {"types": [0, 1]}, ["'types'", "5 units"]),
        ("modprop", {"types": [0.5] * 5}, ["'types'", "whole number"]),
    ],
)
def test_bad_options_are_refused_by_name(rule, options, words):
    with pytest.raises(ValueError) as error:
        RULES[rule].at_work(cell_network("elman"), None, **options)
    for word in (f"rule '{rule}'", *words):
        assert word in str(error.value)


def test_kernl_says_when_it_diverges():
    weights = 40 * np.ones((3, 3))
    network = RateNetwork(
        cell=LeakyRate(leak=1.0), w_in=np.zeros((1, 3)), w_rec=weights, w_out=np.ones((3, 1))
    )
    problem = Problem(network, np.zeros((1, 300, 1)), np.ones((1, 300, 1)))
    with pytest.raises(ArithmeticError, match="'kernl' diverged"):
        problem.gradient(at_work(problem, "kernl"), RULES["kernl"])
