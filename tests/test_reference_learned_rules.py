"""Rules that learn something of the network, and rules that follow one neuron further."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from cell_networks import ALL, SPIKING, cell_network, cell_task
from hypothesis import given, settings
from hypothesis import strategies as st

from brian_eprop.reference import RULES, LeakyRate, RateNetwork, eligibility_traces, simulate
from brian_eprop.reference.problem import Problem
from brian_eprop.reference.propagation.backward import gradient_of, sweep
from brian_eprop.reference.rules import mdgl, modprop
from brian_eprop.reference.rules.eprop3 import EProp3
from brian_eprop.reference.rules.kernl import KeRNL
from brian_eprop.reference.traces import EligibilityVectors

# orders of summation of the same float64 numbers
ROUND_OFF = 1e-11
LEARNED = ("kernl", "dni", "eprop3")
NETWORKS = (
    {"kappa": 0.0},
    {"kappa": 0.8, "loss": "cross_entropy"},
    {"kappa": 0.7, "density": 0.5, "readout_gain": 0.3},
)
DELAYED = {"delay_rec": np.arange(25).reshape(5, 5) % 3}
ONE_SLOPE = ("lif", "leaky_rate", "elman")

battery = settings(max_examples=25, deadline=None, derandomize=True)
every_network = pytest.mark.parametrize("options", NETWORKS)
every_cell = pytest.mark.parametrize("name", ALL)


def problem_of(name, seed=1, n_steps=12, batch=2, **options):
    network = cell_network(name, seed, **options)
    problem = Problem(network, *cell_task(network, seed, batch, n_steps))
    if name in SPIKING:
        assert sum(np.sum(step.observable) for step in problem.steps) > 5
        assert sum(np.sum(step.memory.psi) for step in problem.steps) > 1
    return problem


def at_work(problem, rule, seed=0, **options):
    return RULES[rule].at_work(problem.network, np.random.default_rng(seed), **options)


def vector(problem, gradient):
    """The weights of the recurrent layer that exist, side by side."""
    blocks = problem.network.blocks.items()
    return np.concatenate([np.ravel(gradient[name] * block.mask) for name, block in blocks])


def gradient(problem, rule, seed=0, repetitions=1, **options):
    """Through the true weights of the readout."""
    recursion = at_work(problem, rule, seed, **options)
    signal = replace(RULES[rule], uses_feedback=False)
    for _ in range(repetitions):
        found = problem.gradient(recursion, signal)
    return vector(problem, found)


def distance(a, b):
    norm = np.linalg.norm(b)
    assert norm > 0, "the gradient vanishes: nothing is compared"
    return np.linalg.norm(a - b) / norm


def credits_of(problem):
    learning = problem.learning_signal(False)
    return [step.readout * learning[:, t] for t, step in enumerate(problem.steps)]


def targets_of(problem):
    return [SimpleNamespace(target=problem.targets[:, t]) for t in range(problem.n_steps)]


# ------------------------------------------------------------------------------- KeRNL


def leaky_without_recurrence():
    """Its kernel is the identity times 0.7^Δ."""
    network = cell_network("leaky_rate", 1)
    network = replace(network, w_rec=np.zeros_like(network.w_rec))
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


@pytest.mark.parametrize("rule", ["dni", "eprop3", "kernl"])
@pytest.mark.parametrize("name", ["alif", "lstm"])
def test_what_was_learned_acts_on_each_sequence_alone(name, rule):
    """Once nothing more is learned, a batch gives the sum of its sequences."""
    problem = problem_of(name, batch=3)
    recursion = at_work(problem, rule)
    for _ in range(5):
        problem.gradient(recursion, RULES[rule])
    for rate in ("kernel_rate", "decay_rate"):
        setattr(recursion, rate, 0.0)
    if rule != "kernl":
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


# ----------------------------------------------------------------------- one hop: MDGL


def one_hop(problem):
    """The paths with at most one explicit edge, by an influence of each weight on each unit."""
    vectors, network = EligibilityVectors(), problem.network
    observed = {name: [] for name in network.blocks}
    hop = dict.fromkeys(network.blocks, 0.0)
    total = dict.fromkeys(network.blocks, 0.0)
    units = np.arange(network.n_rec)
    for step, credit in zip(problem.steps, credits_of(problem), strict=True):
        for name, value in vectors.advance(step).items():
            if observed[name]:
                hop[name] = step.through_explicit(observed[name]) + (
                    step.through_implicit(hop[name]) if np.ndim(hop[name]) else 0.0
                )
                total[name] = total[name] + np.einsum("sbk,sbkgij->gij", credit, hop[name])
            total[name] = total[name] + np.einsum("sbj,sbgij->gij", credit, value)
            trace = np.einsum("sbj,sbgij->bgij", step.observation, value)
            of_unit = np.zeros((trace.shape[0], len(units), *trace.shape[1:]))
            of_unit[:, units, ..., units] = trace.transpose(3, 0, 1, 2)
            observed[name].append(of_unit)
    return vector(problem, total)


MEMORYLESS = [
    ("lif", {"alpha": 0.0, "reset_path": {"v": "detached"}, "w_rec_scale": 3.0}),
    ("elman", {}),
    ("elman", {"density": 0.5}),
    ("elman", DELAYED),
    ("jordan", {}),
    ("jordan", {"teacher_forcing": True}),
]


def memoryless(name, options):
    """Units whose state holds nothing of the step before, and a readout that holds nothing."""
    options = dict(options)
    scale = options.pop("w_rec_scale", 1.0)
    network = cell_network(name, 1, kappa=0.0, **options)
    network = replace(network, w_rec=scale * network.w_rec)
    problem = Problem(network, *cell_task(network, 1, n_steps=30))
    if name == "lif":
        assert sum(np.sum(step.observable) for step in problem.steps) > 20
    return problem


@pytest.mark.parametrize(("name", "options"), MEMORYLESS)
def test_mdgl_without_memory_is_every_path_of_one_hop(name, options):
    problem = memoryless(name, options)
    expected = one_hop(problem)
    assert distance(gradient(problem, "mdgl"), expected) < ROUND_OFF
    assert distance(gradient(problem, "eprop"), expected) > 1e-2


@pytest.mark.parametrize("module", [mdgl, modprop])
def test_transposed_weights_are_another_rule(module, monkeypatch):
    rule = module.RULE.name
    problem = memoryless("elman", {})
    expected = one_hop(problem)
    options = {"mu": 0} if rule == "modprop" else {}
    assert distance(gradient(problem, rule, **options), expected) < ROUND_OFF
    monkeypatch.setattr(module, "type_means", lambda weights, *_: weights.swapaxes(1, 2))
    assert distance(gradient(problem, rule, **options), expected) > 0.05


def mdgl_in_loops(problem, weights):
    """Liu et al. 2021, their causal program, for spiking neurons; one sequence."""
    network, inputs = problem.network, problem.inputs[0]
    run = simulate(network, inputs, problem.targets[0])
    kappa, gain, n = network.kappa, network.readout_gain, network.n_rec
    gradient = {}
    for name, traces in eligibility_traces(network, inputs).items():
        e, found = traces.e_trace, np.zeros(traces.e_trace.shape[1:])
        for i in range(len(found)):
            for j in range(n):
                filtered, slope = 0.0, np.zeros(n)
                for t in range(len(inputs)):
                    L = network.w_out @ run.error[t]
                    slope = kappa * slope + (1 - kappa) * gain * run.psi[t]
                    modulation = sum(weights[j, k] * L[k] * slope[k] for k in range(n))
                    found[i, j] += modulation * filtered
                    filtered = kappa * filtered + e[t, i, j]
                    found[i, j] += L[j] * traces.e_bar[t, i, j]
        gradient[name] = found[np.newaxis]
    return vector(problem, gradient)


@battery
@given(
    st.integers(0, 1000),
    st.sampled_from(SPIKING),
    st.sampled_from([0.0, 0.8]),
    st.sampled_from([1.0, 0.5]),
    st.sampled_from([None, (0, 0, 1, 1, 1), (7, 3, 7, 7, 3)]),
)
def test_mdgl_is_its_equations_written_out(seed, name, kappa, density, types):
    network = cell_network(name, seed, kappa=kappa, density=density, readout_gain=0.5)
    problem = Problem(network, *cell_task(network, seed, batch=1, n_steps=15))
    weights = network.w_rec.copy()
    for j, k in zip(*np.nonzero(network.mask_rec), strict=True):
        if types is not None:
            pairs = [
                network.w_rec[a, b]
                for a, b in zip(*np.nonzero(network.mask_rec), strict=True)
                if types[a] == types[j] and types[b] == types[k]
            ]
            weights[j, k] = np.mean(pairs)
    expected = mdgl_in_loops(problem, weights)
    assert np.linalg.norm(expected) > 0
    found = gradient(problem, "mdgl", types=types)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())


def test_the_causal_filter_of_mdgl_is_exact_for_a_constant_slope():
    """Against the rule with the loss of the future; the filter of the slope begins with 0."""
    network = cell_network("elman", 1, kappa=0.8)
    network = replace(network, bias=np.zeros(5), w_rec=0.5 * network.w_rec)
    inputs, targets = cell_task(network, 1, n_steps=120)
    # tanh of numbers around 1e-7 has the slope 1 − 1e-14; after 80 steps 0.8^80 = 2e-8 is missing
    problem = Problem(network, 1e-7 * inputs, targets, 40)
    # one hop and the memory of the readout, which is all that Elman's units have
    assert distance(gradient(problem, "mdgl"), one_hop(problem)) < 1e-7
    assert distance(gradient(problem, "eprop"), one_hop(problem)) > 0.1


@pytest.mark.parametrize("rule", ["mdgl", "modprop"])
def test_types_are_labels_and_a_type_for_each_unit_is_none(rule):
    for name in ONE_SLOPE:
        problem = problem_of(name, density=0.6)
        specific = gradient(problem, rule)
        own = gradient(problem, rule, types=[9, 4, 5, 0, 2])
        np.testing.assert_allclose(own, specific, rtol=1e-10, atol=1e-12)
        pair = [gradient(problem, rule, types=t) for t in ([0, 1, 0, 1, 1], [8, -2, 8, -2, -2])]
        np.testing.assert_array_equal(*pair)
        assert distance(pair[0], specific) > 1e-3


# -------------------------------------------------------------------- many hops: ModProp


def linear(name, **options):
    """A network with one slope everywhere, and that slope."""
    if name == "lif":
        flat = dict(surrogate="arctan", surrogate_width=1e8, surrogate_height=0.3)
        problem = problem_of("lif", n_ref=0, reset_path={"v": "detached"}, **flat, **options)
        assert np.ptp([step.memory.psi for step in problem.steps]) < 1e-12
        return problem, 0.3
    # tanh of numbers around 1e-7 has the slope 1 − 1e-14
    problem = problem_of(name, **options)
    network = replace(problem.network, bias=np.zeros(5))
    return Problem(network, 1e-7 * problem.inputs, problem.targets), 1.0


@pytest.mark.parametrize("name", ONE_SLOPE)
@pytest.mark.parametrize("options", [*NETWORKS, {"kappa": 0.5} | DELAYED])
def test_modprop_with_the_true_slope_is_bptt(name, options):
    problem, slope = linear(name, **options)
    exact = gradient(problem, "bptt")
    assert distance(gradient(problem, "modprop", mu=slope), exact) < 1e-10
    assert distance(gradient(problem, "modprop", mu=0.8 * slope), exact) > 1e-3


@pytest.mark.parametrize("name", ONE_SLOPE)
@every_network
def test_modprop_without_gain_is_every_path_of_one_hop(name, options):
    detached = {"reset_path": {"v": "detached"}} if name == "lif" else {}
    problem = problem_of(name, **options, **detached)
    expected = one_hop(problem)
    assert distance(gradient(problem, "modprop", mu=0), expected) < ROUND_OFF
    assert distance(gradient(problem, "modprop"), expected) > 1e-3
    assert distance(gradient(problem, "eprop"), expected) > 1e-3


def modprop_forwards(problem, weights, mu):
    """Filters of the traces, for LIF with an unfiltered readout; one sequence."""
    network, inputs = problem.network, problem.inputs[0]
    run = simulate(network, inputs, problem.targets[0])
    n, gradient = network.n_rec, {}
    for name, traces in eligibility_traces(network, inputs).items():
        e, found = traces.e_trace, 0.0
        carried = np.zeros((n, *e.shape[1:]))
        for t in range(len(inputs)):
            signal = network.readout_gain * network.w_out @ run.error[t]
            found = found + signal * e[t]
            found = found + np.einsum("k,kij->ij", signal * run.psi[t], carried)
            carried = network.alpha[:, np.newaxis, np.newaxis] * carried + np.einsum(
                "lk,lij->kij", mu * weights, carried
            )
            carried += np.einsum("jk,ij->kij", weights, e[t])
        gradient[name] = found[np.newaxis]
    return vector(problem, gradient)


@pytest.mark.parametrize("types", [None, (0, 1, 1, 0, 1)])
def test_modprop_is_a_filter_of_the_traces_by_types(types):
    problem = problem_of(
        "lif", batch=1, n_steps=20, kappa=0.0, density=0.7, reset_path={"v": "detached"}
    )
    weights = problem.network.w_rec.copy()
    if types is not None:
        of = np.array(types)
        for a in (0, 1):
            for b in (0, 1):
                block = np.ix_(of == a, of == b)
                weights[block] = problem.network.w_rec[block].mean()
    expected = modprop_forwards(problem, weights, 0.4)
    assert distance(gradient(problem, "modprop", types=types, mu=0.4), expected) < ROUND_OFF
    assert distance(modprop_forwards(problem, weights, 0.3), expected) > 1e-3


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


@pytest.mark.parametrize("name", sorted(set(ALL) - set(ONE_SLOPE)))
def test_modprop_needs_units_of_one_slope(name):
    with pytest.raises(ValueError, match=f"'modprop' does not apply .*'{name}' units.*'mu'"):
        RULES["modprop"].at_work(cell_network(name), None)


@pytest.mark.parametrize(
    ("rule", "options", "words"),
    [
        ("kernl", {"decay": 1.1}, ["'decay'", "1.1", "from 0 to 1"]),
        ("kernl", {"learning_rate_kernel": -1}, ["'learning_rate_kernel'", "-1"]),
        ("kernl", {"learning_rate_decay": "fast"}, ["'learning_rate_decay'", "'fast'"]),
        ("dni", {"refresh": 0}, ["'refresh'", "whole number"]),
        ("dni", {"learning_rate": 3}, ["'learning_rate'", "3", "from 0 to 2"]),
        ("eprop3", {"interval": 1.5}, ["'interval'", "1.5", "whole number"]),
        ("eprop3", {"learning_rate": np.nan}, ["'learning_rate'", "nan"]),
        ("modprop", {"mu": -0.1}, ["'mu'", "-0.1", "0 or more"]),
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
