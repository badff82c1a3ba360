"""Gradients of alpha, rho, beta and v_th: against finite differences, against their definition
written out, and rule against rule."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from attrs import evolve
from cell_networks import cell_network, cell_task, network_for
from hypothesis import given, settings
from random_networks import N_REC, examples, random_network, random_task
from rule_problems import assert_active

from brian_eprop.reference import RULES, finite_differences, gradients, simulate
from brian_eprop.reference.backward import sweep
from brian_eprop.reference.problem import PARAMETERS, Problem
from brian_eprop.reference.rule import RuleDoesNotApply
from brian_eprop.reference.spiking import RESET_PATHS

# two orders of summation of the same float64 numbers
ROUND_OFF = 1e-12
# step 1e-6: round-off 1e-9, truncation 1e-12, more where a kink of ψ is straddled
DIFFERENCES = 1e-6
WITH_PARAMETERS = {"parameters": PARAMETERS}


def of_example(example, rule, **options):
    task = (example.inputs, example.targets, rule, example.learning_window)
    return gradients(example.network, *task, **WITH_PARAMETERS, **options)


def vector(parameters):
    return np.concatenate([parameters[name] for name in PARAMETERS])


def weights(result):
    return np.concatenate([getattr(result, name).ravel() for name in ("w_in", "w_rec", "w_out")])


def relative(a, b):
    """‖a − b‖/‖b‖; b must not vanish."""
    norm = np.linalg.norm(b)
    assert norm > 0, "the gradient vanishes: nothing is compared"
    return np.linalg.norm(a - b) / norm


def network_of(kind, v="explicit", a="implicit", seed=3, n_rec=N_REC, **changes):
    """Refractory, regularized, and no two neurons alike."""
    reset = {"v": v, "a": a}
    regularized = {"rate_strength": 30.0, "rate_target": np.linspace(0, 0.2, n_rec)}
    settings = {"kind": kind, "n_rec": n_rec, "reset_path": reset}
    return random_network(seed, **(settings | regularized | changes))


RESETS = list(product(RESET_PATHS, repeat=2))
every_reset = pytest.mark.parametrize(("v", "a"), RESETS)


# ---------------------------------------------------------------------------- finite differences


# each example runs the network twice per weight and parameter
@pytest.mark.slow
@settings(max_examples=settings.default.max_examples // 3)
@given(examples())
def test_exact_rules_on_smooth_spikes_agree_with_finite_differences(example):
    task = (example.inputs, example.targets, example.learning_window)
    differences = finite_differences(example.network, *task, **WITH_PARAMETERS)
    for rule in ("bptt", "rtrl", "factorized"):
        found = of_example(example, rule, smooth=True)
        assert relative(weights(found), weights(SimpleNamespace(**differences))) < DIFFERENCES, rule
        assert relative(vector(found.parameters), vector(differences)) < DIFFERENCES, rule


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    ("v", "a", "kind", "loss"),
    # adaptation has a reset path in ALIF neurons alone
    [(v, "implicit", "lif", "cross_entropy") for v in RESET_PATHS]
    + [(*reset, "alif", "mse") for reset in RESETS],
)
def test_each_parameter_agrees_with_finite_differences(v, a, kind, loss):
    network = network_of(kind, v, a, seed=11, n_rec=3, loss=loss)
    inputs, targets = random_task(11, loss, batch=1)
    run = simulate(network, inputs)
    assert np.all(run.spikes.sum(axis=(0, 1)) > 1) and np.all(run.silent.any(axis=(0, 1)))
    result = gradients(network, inputs, targets, smooth=True, **WITH_PARAMETERS)
    assert result.regularization > 0
    differences = finite_differences(network, inputs, targets, **WITH_PARAMETERS)
    for name, found in result.parameters.items():
        if kind == "lif" and name == "rho":
            # nobody sees the adaptation; beta counts nevertheless, it is only 0 by now
            np.testing.assert_array_equal(found, 0)
        else:
            assert relative(found, differences[name]) < DIFFERENCES, name


def test_detached_reset_has_its_size_but_no_path():
    """The three gradients of v_th differ, although the loss is one function of it."""
    inputs, targets = random_task(3, "mse")
    exact, same, without = (
        gradients(network_of("alif", v), inputs, targets, parameters=["v_th"]).parameters["v_th"]
        for v in ("explicit", "implicit", "detached")
    )
    assert relative(same, exact) < ROUND_OFF
    assert relative(without, exact) > 1e-2


@pytest.mark.slow
def test_height_and_width_of_the_surrogate_are_constants():
    network = network_of("alif", surrogate_height=None, surrogate_width=None)
    np.testing.assert_array_equal(network.surrogate_width, network.v_th)
    inputs, targets = random_task(3, "mse")
    found = gradients(network, inputs, targets, smooth=True, parameters=["v_th"])
    differences = finite_differences(network, inputs, targets, parameters=["v_th"])
    assert relative(found.parameters["v_th"], differences["v_th"]) < DIFFERENCES

    # made anew from another v_th, they would change the loss otherwise
    def loss(v_th):
        changed = {"v_th": v_th, "surrogate_height": None, "surrogate_width": None}
        result = gradients(evolve(network, **changed), inputs, targets, smooth=True)
        return result.loss + result.regularization

    steps = 1e-6 * np.eye(network.n_rec)
    total = [(loss(network.v_th + step) - loss(network.v_th - step)) / 2e-6 for step in steps]
    assert relative(found.parameters["v_th"], np.array(total)) > 1e-2


# ------------------------------------------------------------------- the definition, written out


def by_definition(problem, through_feedback, edges=1.0, threshold=True, reset=True):
    """dE/dp from dE/dz, dE/dv and dE/da, for a network without memory of the readout::

        dE/dz^t = signal + explicit edges + implicit edges of the own spike
        dE/dv_th = −Σ_t ψ^t dE/dz^t − Σ_t z^{t−1} dE/dv^t,    dE/dβ = −Σ_t ψ^t a^t dE/dz^t
        dE/dα = Σ_t v^{t−1} dE/dv^t,                          dE/dρ = Σ_t a^{t−1} dE/da^t

    edges : a factor of all explicit edges.
    threshold, reset : whether these parts of v_th and β count.
    """
    network = problem.network
    assert network.kappa == 0
    signals = problem.learning_signal(through_feedback)
    steps = [
        evolve(
            step,
            recurrent={lag: edges * weights for lag, weights in step.recurrent.items()},
            self_edge=edges * step.self_edge,
        )
        for step in problem.steps
    ]
    credits = [
        step.readout * signals[:, t] + step.observation * problem._rate
        for t, step in enumerate(steps)
    ]
    lam, explicit = sweep(steps, credits)
    found = {name: np.zeros(network.n_rec, dtype=np.result_type(edges)) for name in PARAMETERS}
    for t, step in enumerate(steps):
        of_spike = network.readout_gain * signals[:, t] + problem._rate + explicit[t]
        if t + 1 < len(steps):
            for row, (name, edge) in enumerate({"v": -network.v_th, "a": 1.0}.items()):
                if network.reset_path[name] == "implicit":
                    of_spike = of_spike + edge * lam[t + 1][row]
        if threshold:
            found["v_th"] -= np.sum(step.memory.psi * of_spike, axis=0)
            found["beta"] -= np.sum(step.memory.psi * step.state[1] * of_spike, axis=0)
        if t > 0:
            before = steps[t - 1]
            found["alpha"] += np.sum(before.state[0] * lam[t][0], axis=0)
            found["rho"] += np.sum(before.state[1] * lam[t][1], axis=0)
            if reset:
                found["v_th"] -= np.sum(before.observable * lam[t][0], axis=0)
    return vector(found)


def problem_of(kind, v="explicit", a="implicit", smooth=False, **changes):
    network = cell_network(kind, 1, kappa=0.0, reset_path={"v": v, "a": a}, **changes)
    task = cell_task(network, 1, batch=2, n_steps=12)
    problem = Problem(network, *task, smooth=smooth, **WITH_PARAMETERS)
    assert_active(problem)
    return problem


def result_of(problem, rule, **options):
    recursion = RULES[rule].at_work(problem.network, np.random.default_rng(0), **options)
    return vector(problem.gradient(recursion, RULES[rule]))


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("kind", ["lif", "alif"])
@every_reset
def test_gradient_of_bptt_is_its_definition(v, a, kind):
    problem = problem_of(kind, v, a, rate_strength=30.0)
    found = result_of(problem, "bptt")
    assert relative(found, by_definition(problem, False)) < ROUND_OFF
    for part in ("threshold", "reset"):
        assert relative(found, by_definition(problem, False, **{part: False})) > 1e-2, part


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("kind", ["lif", "alif"])
def test_finite_differences_see_a_part_that_is_left_out(kind):
    problem = problem_of(kind, smooth=True)
    task = (evolve(problem.network, smooth=False), problem.inputs, problem.targets)
    differences = problem.batch * vector(finite_differences(*task, **WITH_PARAMETERS))
    assert relative(by_definition(problem, False), differences) < DIFFERENCES
    for part in ("threshold", "reset"):
        assert relative(by_definition(problem, False, **{part: False}), differences) > 1e-2, part


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("kind", ["lif", "alif"])
@every_reset
def test_orders_count_explicit_edges_behind_the_direct_effect(v, a, kind):
    """With every explicit edge times x the gradient is a polynomial in x, its coefficients the
    gradients along the paths of 0, 1, … such edges: from its values at the roots of 1."""
    problem = problem_of(kind, v, a)
    roots = np.exp(2j * np.pi * np.arange(problem.n_steps) / problem.n_steps)
    values = [by_definition(problem, True, edges=x) for x in roots]
    by_edges = np.fft.fft(values, axis=0).real / len(roots)
    # the transform rounds to its largest coefficient
    size = np.linalg.norm(by_edges)
    assert np.all(np.linalg.norm(by_edges[:3], axis=1) > 1e-3 * size)
    for order in (1, 2, 3, problem.n_steps):
        found = result_of(problem, "eprop_reverse", order=order)
        assert np.linalg.norm(found - by_edges[:order].sum(axis=0)) < ROUND_OFF * size, order


# ------------------------------------------------------------------------------ rule against rule


@given(examples())
def test_exact_rules_and_last_orders_agree(example):
    example = evolve(example, network=evolve(example.network, feedback=None))
    bptt = vector(of_example(example, "bptt").parameters)
    last = {"order": example.inputs.shape[1]}
    for rule, options in (
        ("rtrl", {}),
        ("factorized", {}),
        ("eprop_reverse", last),
        ("eprop", last | {"truncation": "horizon"}),
    ):
        found = of_example(example, rule, **options).parameters
        assert relative(vector(found), bptt) < ROUND_OFF, rule


@given(examples())
def test_eprop_forwards_and_backwards_agree(example):
    forward, reverse = (
        vector(of_example(example, rule).parameters) for rule in ("eprop", "eprop_reverse")
    )
    assert relative(forward, reverse) < ROUND_OFF


@pytest.mark.parametrize("kind", ["lif", "alif", "mixed"])
def test_first_order_differs_from_bptt_by_a_finite_amount(kind):
    network = network_of(kind, feedback=None)
    inputs, targets = random_task(3, "mse")
    eprop, bptt = (
        gradients(network, inputs, targets, rule, **WITH_PARAMETERS).parameters
        for rule in ("eprop", "bptt")
    )
    for name in PARAMETERS:
        if kind != "lif" or name != "rho":
            assert relative(eprop[name], bptt[name]) > 0.05, name


# -------------------------------------------------------------------------------- what is returned


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("kind", ["lif", "alif"])
@pytest.mark.parametrize("rule", ["bptt", "rtrl", "factorized", "eprop", "eprop_reverse"])
def test_nothing_else_changes_and_nothing_more_is_returned(rule, kind):
    network, (inputs, targets) = network_of(kind), random_task(3, "mse")
    plain = gradients(network, inputs, targets, rule)
    assert plain.parameters == {}
    asked = gradients(network, inputs, targets, rule, parameters=["v_th", "alpha"], repetitions=2)
    assert list(asked.parameters) == ["v_th", "alpha"]
    for name in ("w_in", "w_rec", "w_out"):
        # the adaptation of lif adds zeros, in other orders of summation
        assert relative(getattr(asked, name), getattr(plain, name)) < ROUND_OFF
    every = gradients(network, inputs, targets, rule, **WITH_PARAMETERS).parameters
    for name, found in asked.parameters.items():
        np.testing.assert_array_equal(found, every[name])


def test_batch_is_the_average_of_its_sequences():
    network, (inputs, targets) = network_of("mixed"), random_task(3, "mse")
    batch = gradients(network, inputs, targets, **WITH_PARAMETERS).parameters
    singles = [
        gradients(network, x, y, **WITH_PARAMETERS).parameters
        for x, y in zip(inputs, targets, strict=True)
    ]
    assert relative(vector(singles[0]), vector(singles[1])) > 0.1
    average = np.mean([vector(single) for single in singles], axis=0)
    assert relative(vector(batch), average) < ROUND_OFF


def test_spikes_from_elsewhere_are_what_resets_and_adapts():
    network, (inputs, targets) = network_of("alif"), random_task(3, "mse")
    own = gradients(network, inputs, targets, **WITH_PARAMETERS)
    given = gradients(network, inputs, targets, spikes=own.spikes, **WITH_PARAMETERS)
    np.testing.assert_array_equal(vector(given.parameters), vector(own.parameters))
    fewer = own.spikes & (np.arange(network.n_rec) > 1)
    other = gradients(network, inputs, targets, spikes=fewer, **WITH_PARAMETERS).parameters
    assert relative(vector(other), vector(own.parameters)) > 1e-2


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("rule", RULES)
def test_rules_that_have_none_refuse_and_name_those_that_do(rule):
    network, options = network_for(rule)
    task = cell_task(network, 1)
    if RULES[rule].parameters:
        found = gradients(network, *task, rule, **WITH_PARAMETERS, **options).parameters
        assert all(np.any(found[name]) for name in PARAMETERS)
        return
    with pytest.raises(RuleDoesNotApply) as error:
        gradients(network, *task, rule, **WITH_PARAMETERS, **options)
    for word in (f"'{rule}", "'bptt'", "'eprop_reverse'", "'rtrl'", "'parameters'"):
        assert word in str(error.value)


@pytest.mark.parametrize("order", [2, 3, np.inf])
def test_orders_that_carry_an_influence_refuse(order):
    network = cell_network("alif")
    with pytest.raises(RuleDoesNotApply, match=r"'eprop\(order=.*'eprop_reverse"):
        gradients(network, *cell_task(network), "eprop", order=order, **WITH_PARAMETERS)


@pytest.mark.parametrize(
    ("cell", "parameters", "words"),
    [
        ("lif", ["tau_m"], ["'parameters'", "'tau_m'", "'alpha'", "'v_th'"]),
        ("lif", "beta", ["'parameters'", "'b'", "sequence"]),
        ("gru", ["alpha"], ["'parameters'", "'gru'", "spiking"]),
    ],
)
def test_bad_parameters_are_refused_by_name(cell, parameters, words):
    network = cell_network(cell)
    task = cell_task(network)
    for function in (gradients, finite_differences):
        with pytest.raises(ValueError) as error:
            function(network, *task, parameters=parameters)
        for word in words:
            assert word in str(error.value)
