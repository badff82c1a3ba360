"""Rules that keep a part of the influence tensor: orders of e-prop, and SnAp."""

import math

import numpy as np
import path_sums
import pytest
from attrs import evolve
from cell_networks import ALL, RATE, SPIKING, cell_network, cell_task
from hypothesis import given
from random_networks import examples, random_network
from rule_problems import (
    assert_active,
    distance,
    every_cell,
    every_network,
    problem_of,
    vector,
)

from brian_eprop.reference import RULES, influence
from brian_eprop.reference.backward import HorizonSignal, gradient_of, sweep
from brian_eprop.reference.influence import HopInfluence
from brian_eprop.reference.problem import Problem
from brian_eprop.reference.rule import Signal
from brian_eprop.reference.step import Simulation
from brian_eprop.rule_study.operations import count, counted

# orders of summation of the same float64 numbers
ROUND_OFF = 1e-12
TRUNCATIONS = ("hops", "horizon")


def gradient(problem, rule, through_feedback=None, **options):
    """The gradient of a rule, with the learning signal of another one if need be."""
    at_work = RULES[rule].at_work(problem.network, np.random.default_rng(0), **options)
    signal = RULES[rule]
    if through_feedback is not None:
        signal = evolve(signal, uses_feedback=through_feedback)
    return vector(problem, problem.gradient(at_work, signal))


def longest_path(mask):
    """The most connections that the shortest way from one unit to another takes."""
    reached, length = np.eye(len(mask), dtype=bool), 0
    while np.any(further := (reached.astype(int) @ mask > 0) & ~reached):
        reached, length = reached | further, length + 1
    return length


# ---------------------------------------------------------------------------- ends of the orders


@pytest.mark.first_case_is_fast
@every_cell
@every_network
def test_first_order_is_eprop(name, options):
    problem = problem_of(name, **options)
    eprop = gradient(problem, "eprop")
    for truncation in TRUNCATIONS:
        first = gradient(problem, "eprop", order=1, truncation=truncation)
        np.testing.assert_array_equal(first, eprop)
    # what is computed for the other orders says the same
    general = [HopInfluence(problem.network, None, 0), HorizonSignal(problem.network, None, 1)]
    for recursion in general:
        first = vector(problem, problem.gradient(recursion, RULES["eprop"]))
        assert distance(first, eprop) < ROUND_OFF


@pytest.mark.first_case_is_fast
@every_cell
@every_network
@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_last_order_is_back_propagation(name, options, truncation):
    problem = problem_of(name, feedback=None, **options)
    bptt = gradient(problem, "bptt")
    last = {"order": problem.n_steps, "truncation": truncation}
    assert distance(gradient(problem, "eprop", **last), bptt) < ROUND_OFF
    assert distance(gradient(problem, "eprop"), bptt) > 1e-2


@pytest.mark.first_case_is_fast
@every_cell
@every_network
def test_infinite_order_is_rtrl(name, options):
    problem = problem_of(name, feedback=None, **options)
    rtrl = gradient(problem, "rtrl")
    for truncation in TRUNCATIONS:
        endless = gradient(problem, "eprop", order=math.inf, truncation=truncation)
        assert distance(endless, rtrl) < ROUND_OFF


@pytest.mark.first_case_is_fast
@every_cell
def test_random_feedback_reaches_the_units_and_all_paths_go_on_from_there(name):
    problem = problem_of(name, kappa=0.8)
    rtrl = gradient(problem, "rtrl")
    through_feedback = gradient(problem, "rtrl", through_feedback=True)
    if name != "jordan":
        assert distance(through_feedback, rtrl) > 0.1
    for order in (problem.n_steps, math.inf):
        for truncation in TRUNCATIONS:
            last = gradient(problem, "eprop", order=order, truncation=truncation)
            assert distance(last, through_feedback) < ROUND_OFF


@pytest.mark.slow
@given(examples())
def test_orders_end_where_they_must_with_delays_reset_paths_and_refractoriness(example):
    problem = Problem(example.network, example.inputs, example.targets, example.learning_window)
    exact = gradient(problem, "bptt", through_feedback=True)
    for truncation in TRUNCATIONS:
        for order in (problem.n_steps, math.inf):
            last = gradient(problem, "eprop", order=order, truncation=truncation)
            assert distance(last, exact) < ROUND_OFF
    assert (
        distance(
            vector(
                problem, problem.gradient(HorizonSignal(problem.network, None, 1), RULES["eprop"])
            ),
            gradient(problem, "eprop"),
        )
        < 1e-11
    )


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize("kappa", [0.0, 0.8])
def test_no_path_leads_through_teacher_forced_units(truncation, kappa):
    problem = problem_of("jordan", kappa=kappa, teacher_forcing=True)
    free = problem_of("jordan", kappa=kappa)
    bptt = gradient(problem, "bptt")
    assert distance(bptt, gradient(free, "bptt")) > 1e-2
    for order in (problem.n_steps, math.inf):
        last = gradient(problem, "eprop", False, order=order, truncation=truncation)
        assert distance(last, bptt) < ROUND_OFF


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("kind", SPIKING)
def test_errors_become_smaller_with_the_order_on_the_whole(kind):
    """Not in each step: the horizon of four steps may be better than that of six."""
    network = random_network(
        1, kind=kind, max_delay=0, n_in=4, n_rec=6, feedback=None, kappa=0.9, max_n_ref=2
    )
    rng = np.random.default_rng(1)
    inputs = rng.random((1, 24, 4)) < 0.3
    problem = Problem(network, inputs, rng.normal(0, 1, (1, 24, 2)))
    assert_active(problem)
    bptt = gradient(problem, "bptt")
    for truncation in TRUNCATIONS:
        errors = {
            order: distance(gradient(problem, "eprop", order=order, truncation=truncation), bptt)
            for order in (1, 8, 16, 24)
        }
        assert errors[1] > 0.1
        assert errors[8] < 0.2 * errors[1]
        assert errors[16] < 0.2 * errors[8] or errors[16] < ROUND_OFF
        assert errors[24] < ROUND_OFF


# ------------------------------------------------------------------- orders between, brute force


def by_number_of_edges(problem):
    """Gradients along the paths of 0, 1, … explicit edges.

    With every explicit edge times x, the gradient by a reverse sweep is a polynomial in x of
    degree below T; its values at the T roots of 1 have the coefficients as Fourier transform.
    """
    roots = np.exp(2j * np.pi * np.arange(problem.n_steps) / problem.n_steps)
    learning = problem.learning_signal(through_feedback=True)
    values = []
    for x in roots:
        steps = [
            evolve(
                step,
                recurrent={lag: x * weights for lag, weights in step.recurrent.items()},
                self_edge=x * step.self_edge,
            )
            for step in problem.steps
        ]
        credits = [
            step.readout * learning[:, t] + step.observation * problem._rate
            for t, step in enumerate(steps)
        ]
        lam, _ = sweep(steps, credits)
        values.append(vector(problem, gradient_of(steps, lam)))
    return np.fft.fft(values, axis=0).real / len(roots)


@pytest.mark.first_case_is_fast
@every_cell
@every_network
def test_hops_are_counted(name, options):
    problem = problem_of(name, **options)
    by_edges = by_number_of_edges(problem)
    for order in (1, 2, 3, 4):
        expected = by_edges[:order].sum(axis=0)
        assert distance(gradient(problem, "eprop", order=order), expected) < ROUND_OFF
    if name != "jordan":
        assert distance(by_edges[:3].sum(axis=0), by_edges[:2].sum(axis=0)) > 1e-3


@pytest.mark.slow
@given(examples())
def test_hops_are_counted_with_delays_reset_paths_and_refractoriness(example):
    problem = Problem(example.network, example.inputs, example.targets, example.learning_window)
    by_edges = by_number_of_edges(problem)
    size = np.linalg.norm(by_edges)
    for order in (1, 2, 3, 4):
        expected = by_edges[:order].sum(axis=0)
        # the transform rounds to its largest coefficient
        error = np.linalg.norm(gradient(problem, "eprop", order=order) - expected)
        assert error < ROUND_OFF * size


@pytest.mark.first_case_is_fast
@every_cell
@pytest.mark.parametrize("order", [2, 3])
def test_hop_order_is_the_sum_over_its_paths(name, order):
    problem = problem_of(name, kappa=0.6, n_rec=4, n_steps=6, batch=1)
    signals = problem.learning_signal(through_feedback=True)
    credits = [
        step.readout * signals[:, t] + step.observation * problem._rate
        for t, step in enumerate(problem.steps)
    ]
    expected = vector(problem, path_sums.hop_order(problem.steps, credits, order))
    assert distance(gradient(problem, "eprop", order=order), expected) < ROUND_OFF
    less = vector(problem, path_sums.hop_order(problem.steps, credits, order - 1))
    assert distance(less, expected) > 1e-3


@pytest.mark.first_case_is_fast
@every_cell
@pytest.mark.parametrize("kappa", [0.0, 0.8])
@pytest.mark.parametrize("order", [2, 3, 4])
def test_horizon_is_the_sum_over_its_paths(name, kappa, order):
    problem = problem_of(name, kappa=kappa, readout_gain=0.7, n_rec=4, n_steps=7, batch=1)
    signal = 0.7 * problem.learning_signal(through_feedback=True)[0]
    for t in reversed(range(len(signal) - 1)):
        signal[t] += kappa * signal[t + 1]
    signal += problem._rate
    # the same trajectory, with a readout that is no hidden state
    plain = problem_of(name, kappa=0.0, readout_gain=1.0, n_rec=4, n_steps=7, batch=1)
    expected = vector(problem, path_sums.horizon_order(plain.steps, signal, order))
    horizon = gradient(problem, "eprop", order=order, truncation="horizon")
    assert distance(horizon, expected) < ROUND_OFF
    less = vector(problem, path_sums.horizon_order(plain.steps, signal, order - 1))
    if name != "jordan" or order > 2:
        assert distance(less, expected) > 1e-3


def test_horizon_counts_steps_where_delays_differ():
    rng = np.random.default_rng(0)
    delays = rng.integers(0, 3, (4, 4))
    settings = dict(n_rec=4, n_steps=7, batch=1, delay_rec=delays, readout_gain=1.0)
    problem = problem_of("alif", kappa=0.0, **settings)
    assert len(problem.network.recurrent_lags) == 3
    signal = problem.learning_signal(through_feedback=True)[0] + problem._rate
    for order in (2, 3, 4):
        expected = vector(problem, path_sums.horizon_order(problem.steps, signal, order))
        horizon = gradient(problem, "eprop", order=order, truncation="horizon")
        assert distance(horizon, expected) < ROUND_OFF


def test_second_order_of_lif_with_one_time_constant_factorizes():
    """∇_ij = Σ_t [ℓ_j e_ij + (Σ_k w_jk ψ_k ℓ_k) F_α(e_ij)^{t−1}]: n² operations."""
    options = dict(alpha=0.9, kappa=0.0, feedback=None, reset_path={"v": "detached"})
    problem = problem_of("lif", n_steps=24, readout_gain=1.0, **options)
    network, signals = problem.network, problem.learning_signal(through_feedback=True)
    vectors, filtered, expected = ({name: 0.0 for name in network.blocks} for _ in range(3))
    for t, step in enumerate(problem.steps):
        psi, signal = step.memory.psi, signals[:, t] + problem._rate
        received = (psi * signal) @ network.w_rec.T
        for name in network.blocks:
            vectors[name] = 0.9 * vectors[name] + step.arrivals[name]
            trace = psi[:, np.newaxis] * vectors[name]
            paid = signal[:, np.newaxis] * trace + received[:, np.newaxis] * filtered[name]
            expected[name] = expected[name] + paid.sum(axis=0)
            filtered[name] = 0.9 * filtered[name] + trace
    expected = vector(problem, {name: array[np.newaxis] for name, array in expected.items()})
    assert distance(gradient(problem, "eprop", order=2), expected) < ROUND_OFF
    assert distance(gradient(problem, "eprop"), expected) > 1e-2


# ------------------------------------------------------------------------------------------ SnAp


@pytest.mark.first_case_is_fast
@every_cell
@every_network
def test_snap_is_exact_once_the_mask_has_everything(name, options):
    problem = problem_of(name, feedback=None, **options)
    rtrl, length = gradient(problem, "rtrl"), longest_path(problem.network.mask_rec)
    assert length > 0
    assert distance(gradient(problem, "snap", n=length + 1), rtrl) < ROUND_OFF
    assert distance(gradient(problem, "snap", n=length + 3), rtrl) < ROUND_OFF
    assert distance(gradient(problem, "snap", n=length), rtrl) > 1e-9


@pytest.mark.parametrize("name", [name for name in ALL if name != "jordan"])
def test_two_steps_are_all_in_a_dense_network_but_two_hops_are_not(name):
    problem = problem_of(name, feedback=None, kappa=0.8)
    rtrl = gradient(problem, "rtrl")
    assert distance(gradient(problem, "snap", n=2), rtrl) < ROUND_OFF
    assert distance(gradient(problem, "eprop", order=2), rtrl) > 1e-3


def without_autapses(name, n_rec=5):
    if name == "jordan":
        return {}
    return {"mask_rec": ~np.eye(n_rec, dtype=bool)}


@every_cell
def test_snap_of_one_step_is_eprop_without_explicit_self_edges(name):
    detached = {"reset_path": {"v": "detached"}} if name in SPIKING else {}
    problem = problem_of(name, feedback=None, kappa=0.8, **without_autapses(name), **detached)
    eprop = gradient(problem, "eprop")
    assert distance(gradient(problem, "snap", n=1), eprop) < ROUND_OFF
    assert distance(gradient(problem, "snap", n=2), eprop) > 1e-2


@pytest.mark.parametrize("name", SPIKING)
def test_snap_of_one_step_is_eprop_with_the_reset_in_the_trace(name):
    explicit, implicit = (
        problem_of(name, feedback=None, kappa=0.8, reset_path={"v": path})
        for path in ("explicit", "implicit")
    )
    snap = gradient(explicit, "snap", n=1)
    assert distance(snap, gradient(implicit, "eprop")) < ROUND_OFF
    assert distance(snap, gradient(explicit, "eprop")) > 1e-2


@pytest.mark.parametrize("name", [*SPIKING, *(name for name in RATE if name != "jordan")])
def test_snap_of_one_step_is_eprop_with_autapses_in_the_trace(name):
    options = {"mask_rec": np.ones((5, 5))}
    if name in SPIKING:
        options |= {
            "reset_path": {"v": "detached"},
            "w_rec": np.random.default_rng(0).normal(0, 0.5, (5, 5)),
        }
    problem = problem_of(name, feedback=None, kappa=0.8, **options)
    snap, eprop = gradient(problem, "snap", n=1), gradient(problem, "eprop")
    assert distance(snap, eprop) > 1e-2
    gates = problem.network.blocks["w_rec"].gates
    for t in range(1, problem.n_steps):
        step, before = problem.steps[t], problem.steps[t - 1]
        own = np.einsum("gjj->gj", step.recurrent[1])
        edge = np.einsum("sgbj,gj->sbj", step.drive[:, gates], own)
        onto = step.implicit + edge[:, np.newaxis] * before.observation
        problem.steps[t] = evolve(step, implicit=onto)
    assert distance(snap, gradient(problem, "eprop")) < ROUND_OFF


def sparse_alif():
    """12 neurons, 15 % of the connections."""
    rng = np.random.default_rng(4)
    mask = rng.random((12, 12)) < 0.15
    network = random_network(
        2, kind="alif", max_delay=0, n_rec=12, mask_rec=mask & ~np.eye(12, dtype=bool), max_n_ref=2
    )
    inputs = rng.random((2, 40, network.n_in)) < 0.3
    problem = Problem(network, inputs, rng.normal(0, 1, (2, 40, network.n_out)))
    assert_active(problem)
    return problem


def test_snap_of_a_sparse_network_comes_closer_until_its_mask_has_everything():
    problem = sparse_alif()
    rtrl, length = gradient(problem, "rtrl"), longest_path(problem.network.mask_rec)
    assert length >= 3
    errors, stored = [], []
    for n in range(1, length + 2):
        recursion = RULES["snap"].at_work(problem.network, None, n=n)
        found = vector(problem, problem.gradient(recursion, RULES["snap"]))
        errors.append(distance(found, rtrl))
        stored.append(len(recursion.parts[0].values))
        reached = np.linalg.matrix_power(np.eye(12, dtype=int) + problem.network.mask_rec, n - 1)
        assert stored[-1] == np.count_nonzero(reached)
    assert np.all(np.diff(stored) > 0)
    assert stored[-1] <= 12**2
    assert errors[0] > 0.1
    assert errors[-2] > 1e-6
    assert errors[-1] < ROUND_OFF


def test_one_pair_less_in_the_mask_is_seen(monkeypatch):
    problem = sparse_alif()
    rtrl = gradient(problem, "rtrl")
    assert distance(gradient(problem, "snap", n=12), rtrl) < ROUND_OFF
    pairs = influence.Pairs

    def without_one(mask, hops):
        made = pairs(mask, hops)
        # one of the direct connections
        del_at = made.within[0] + 3
        made.units, made.owners = (np.delete(a, del_at) for a in (made.units, made.owners))
        made.within[1:] = [number - 1 for number in made.within[1:]]
        return made

    monkeypatch.setattr(influence, "Pairs", without_one)
    assert distance(gradient(problem, "snap", n=12), rtrl) > 1e-6


# ----------------------------------------------------------------------------- batches and online


OPTIONS = [
    ("snap", {"n": 1}),
    ("snap", {"n": 2}),
    ("eprop", {"order": 2}),
    ("eprop", {"order": 3, "truncation": "horizon"}),
    ("eprop", {"order": math.inf}),
]


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(("rule", "options"), OPTIONS)
@pytest.mark.parametrize("name", ["alif", "lstm"])
def test_a_batch_gives_the_sum_of_its_sequences(name, rule, options):
    network = cell_network(name, 1, density=0.6, kappa=0.8)
    inputs, targets = cell_task(network, 1, batch=3)
    together = Problem(network, inputs, targets)
    alone = [
        Problem(network, x[np.newaxis], y[np.newaxis]) for x, y in zip(inputs, targets, strict=True)
    ]
    expected = sum(gradient(problem, rule, **options) for problem in alone)
    assert distance(gradient(together, rule, **options), expected) < ROUND_OFF
    # a recursion may be used again
    recursion = RULES[rule].at_work(network, None, **options)
    for problem in (alone[0], together):
        found = vector(problem, problem.gradient(recursion, RULES[rule]))
    assert distance(found, expected) < ROUND_OFF


@pytest.mark.first_case_is_fast
@every_cell
def test_weights_may_change_from_step_to_step(name):
    network = cell_network(name, 1, kappa=0.8, feedback=None)
    inputs, _ = cell_task(network, 1)
    rng = np.random.default_rng(0)
    simulation, weights = Simulation(network, len(inputs)), dict(network.parameters)
    rules = {
        "rtrl": ("rtrl", {}),
        "snap": ("snap", {"n": 5}),
        "inf": ("eprop", {"order": math.inf}),
        "hops": ("eprop", {"order": 12}),
        "horizon": ("eprop", {"order": 12, "truncation": "horizon"}),
    }
    at_work = {
        key: RULES[rule].at_work(network, None, **options) for key, (rule, options) in rules.items()
    }
    total = dict.fromkeys(rules, 0.0)
    for recursion in at_work.values():
        recursion.start(len(inputs))
    for t in range(inputs.shape[1]):
        step = simulation.step(inputs[:, t], weights)
        learning = rng.normal(0, 1, step.output.shape)
        signal = Signal(None, None, learning, np.zeros_like(learning), np.ones(len(inputs)))
        for key, recursion in at_work.items():
            if part := recursion.step(step, signal):
                found = np.concatenate([np.ravel(part[block]) for block in network.blocks])
                total[key] = total[key] + found
        change = {name: 0.2 * rng.normal(size=w.shape) for name, w in weights.items()}
        weights = {name: w + change[name] * network.mask_of(name) for name, w in weights.items()}
    rest = at_work["horizon"].finish()
    total["horizon"] = np.concatenate([np.ravel(rest[block]) for block in network.blocks])
    present = np.concatenate(
        [
            np.ravel(np.broadcast_to(block.mask, (len(block.gates), *block.mask.shape)))
            for block in network.blocks.values()
        ]
    )
    for key in ("snap", "inf", "hops", "horizon"):
        assert distance(total[key] * present, total["rtrl"] * present) < ROUND_OFF, key


# -------------------------------------------------------------------- structure, counting, errors


def test_a_network_without_recurrent_connections_has_nothing_to_propagate():
    nothing = np.zeros((5, 5), dtype=bool)
    problem = problem_of("lif", mask_rec=nothing, feedback=None, reset_path={"v": "detached"})
    bptt = gradient(problem, "bptt")
    for rule, options in (*OPTIONS, ("snap", {"n": 7}), ("eprop", {"order": 9})):
        assert distance(gradient(problem, rule, **options), bptt) < ROUND_OFF


def test_connections_that_do_not_exist_are_not_stored():
    network = cell_network("lif", 1, n_in=6, n_rec=30, density=0.1, kappa=0.8)
    recursion = RULES["snap"].at_work(network, None, n=2)
    recursion.start(2)
    connections = network.mask_rec.sum()
    longest = network.mask_rec.sum(axis=0).max() + 6
    pairs, batch, states, slots = recursion.parts[0].values.shape
    assert (batch, states, slots) == (2, 2, longest)
    assert 30 < pairs <= 30 + connections
    assert pairs < 30**2 / 4


@pytest.mark.parametrize(("rule", "options"), OPTIONS)
def test_how_many_pairs_are_computed_at_once_does_not_matter(rule, options, monkeypatch):
    problem = problem_of("alif", density=0.6, kappa=0.8)
    assert problem.network.reset_path["v"] == "explicit"
    together = gradient(problem, rule, **options)
    monkeypatch.setattr(influence, "NUMBERS_AT_ONCE", 50)
    assert distance(gradient(problem, rule, **options), together) < 1e-14


def operations(problem, rule, **options):
    """Counted as for comparisons of rules: the arrays of the steps are watched."""
    fields = ("implicit", "observation", "readout", "drive", "self_edge")
    steps = problem.steps
    problem.steps = [
        evolve(
            step,
            **{field: counted(getattr(step, field)) for field in fields},
            arrivals={name: counted(array) for name, array in step.arrivals.items()},
        )
        for step in steps
    ]
    with count() as counter:
        found = gradient(problem, rule, **options)
    problem.steps = steps
    return sum(counter), found


def test_operations_are_counted_also_in_sparse_products():
    problem = problem_of("elman", n_rec=20, n_steps=3, batch=1, kappa=0.0, feedback=None)
    plain = gradient(problem, "snap", n=2)
    done, found = operations(problem, "snap", n=2)
    np.testing.assert_array_equal(found, plain)
    n, slots = 20, 20 + 3 + 1
    # W X twice (not in the first step), and about six operations for each number of G and step
    products = 2 * 2 * n**3 * slots
    assert products < done < products + 3 * 12 * n**2 * slots
    first, _ = operations(problem, "snap", n=1)
    assert first < done / 10
    rtrl, _ = operations(problem, "rtrl")
    assert 0.5 < done / rtrl < 2


def test_one_input_delay_is_allowed_and_recurrent_ones_are_refused():
    problem = problem_of("lif", delay_in=2, feedback=None)
    assert distance(gradient(problem, "snap", n=2), gradient(problem, "rtrl")) < ROUND_OFF
    network = random_network(1)
    assert network.delay_rec.max() == 4
    with pytest.raises(ValueError, match=r"rule 'snap' does not apply .* 'delay_rec' goes up to 4"):
        RULES["snap"].at_work(network, None, n=2)
    with pytest.raises(ValueError, match=r"rule 'snap' does not apply .* 'delay_in' goes from 0"):
        network = random_network(1, delay_rec=0)
        RULES["snap"].at_work(network, None, n=2)


@pytest.mark.parametrize(
    ("rule", "options", "words"),
    [
        ("snap", {}, ["'snap'", "needs the option 'n'"]),
        ("snap", {"n": 0}, ["'snap'", "'n' = 0", "≥ 1"]),
        ("snap", {"n": 1.5}, ["'snap'", "'n' = 1.5", "integer"]),
        ("snap", {"n": math.inf}, ["'snap'", "'n' = inf", "integer"]),
        ("eprop", {"order": 0}, ["'eprop'", "'order' = 0", "≥ 1"]),
        ("eprop", {"order": 1.5}, ["'eprop'", "'order' = 1.5", "integer"]),
        ("eprop", {"order": True}, ["'eprop'", "'order' = True"]),
        ("eprop", {"truncation": "time"}, ["'eprop'", "'time'", "'hops'", "'horizon'"]),
    ],
)
def test_wrong_options_are_named(rule, options, words):
    network = cell_network("lif")
    with pytest.raises(ValueError) as error:
        RULES[rule].at_work(network, None, **options)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("name", "options", "facing", "causal", "memory", "time"),
    [
        ("eprop", {}, "local", True, (2, 0), (2, 0)),
        ("eprop", {"order": 2}, "past", True, (3, 0), (3, 0)),
        ("eprop", {"order": 3}, "past", True, (3, 0), (4, 0)),
        ("eprop", {"order": np.inf, "truncation": "horizon"}, "past", True, (3, 0), (4, 0)),
        ("eprop", {"order": 2, "truncation": "horizon"}, "future", False, (2, 0), (2, 0)),
        ("snap", {"n": 1}, "local", True, (2, 0), (2, 0)),
        ("snap", {"n": 2}, "past", True, (3, 0), (4, 0)),
    ],
)
def test_what_the_rules_say_of_themselves(name, options, facing, causal, memory, time):
    rule = RULES[name].with_options(options)
    assert (rule.facing, rule.causal, rule.memory, rule.time) == (facing, causal, memory, time)
    assert rule.local == (facing == "local")
    assert not rule.exact
    assert rule.uses_feedback == (name == "eprop")
