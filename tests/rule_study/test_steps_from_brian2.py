"""The steps that Brian2 takes give the rules of the reference the gradients that they should."""

import math
from copy import copy
from functools import cache

import numpy as np
import pytest
from attrs import evolve
from brian2 import Hz, ms, set_device
from brian2.devices.device import get_device, reset_device
from fuzzed_models import networks
from hypothesis import event, given, reject
from steps_in_brian2 import MODELS, N, copies_of, distance, firing, flat, problem_of, vector

from brian_eprop import EProp, FiringRateRegularizer, RecurrentNetwork, load_model
from brian_eprop.network.checked_model import copies, run_model, state_names, step_derivatives
from brian_eprop.reference import RULES
from brian_eprop.reference.computation import example_rules, parse_rule
from brian_eprop.reference.problem import Problem
from brian_eprop.reference.rule import RuleDoesNotApply
from brian_eprop.rule_study import compare
from brian_eprop.rule_study.brian2_problems import problem_in_brian2

pytestmark = pytest.mark.usefixtures("numpy_target")

#: The same sums in another order
EXACT = 1e-10
DELAYS = {
    "w_in": np.arange(35).reshape(5, 7) % 3 * ms,
    "w_rec": np.arange(49).reshape(7, 7) % 4 * ms,
}
#: Networks that the reference knows, and the argument learning_window
KNOWN = {
    "lif": ([("lif", 7, {"v_th": 0.4})], {}, None),
    "alif": ([("alif", 7, {"v_th": 0.4, "t_ref": 2 * ms})], {}, None),
    "random feedback": (
        [("lif", 7, {"v_th": 0.4, "t_ref": 3 * ms})],
        {"feedback": "random", "loss": "cross_entropy"},
        25,
    ),
    "rates": (
        [("alif", 7, {"v_th": 0.4})],
        {
            "average": True,
            "normalize": True,
            "regularizers": [FiringRateRegularizer(20 * Hz, 30.0)],
        },
        30,
    ),
    "delays": ([("alif", 7, {"v_th": 0.4})], {"delays": DELAYS}, None),
    "both": ([("lif", 3, {"v_th": 0.4}), ("alif", 4, {"v_th": 0.4})], {}, None),
    "implicit": (
        [("alif", 7, {"v_th": 0.4})],
        {"rule": EProp(reset_path={"v": "implicit", "a": "detached"})},
        None,
    ),
}


def known_network(name, batch=2):
    neurons, options, window = KNOWN[name]
    network = RecurrentNetwork(neurons, 5, 7, 2, seed=1, **options)
    network.weights["w_rec"] *= 3
    rng = np.random.default_rng(0)
    inputs = rng.random((batch, 40, 5)) < 0.3
    return network, inputs, rng.dirichlet([1, 1], (batch, 40)), window


def by_rule(problem, label):
    """The gradient, or why there is none."""
    name, options, feedback = parse_rule(label)
    if feedback == "symmetric":
        problem = problem.with_symmetric_feedback()
    rule = RULES[name]
    try:
        recursion = rule.at_work(problem.network, np.random.default_rng(0), **options)
    except RuleDoesNotApply as refusal:
        return str(refusal)
    return flat(problem.network, problem.gradient(recursion, rule))


FEW = ("bptt", "eprop(feedback=symmetric)", "rtrl", "tbptt(horizon=10)", "ottt", "rflo")


@cache
def known_problems(name):
    """The problem with the steps of Brian2, and that of the reference."""
    network, *trial = known_network(name)
    found, expected = problem_in_brian2(network, *trial), Problem(network, *trial)
    assert sum(step.observable.sum() for step in expected.steps) > 20
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-12)
    np.testing.assert_allclose(found.penalty, expected.penalty, rtol=1e-12)
    return found, expected


def test_few_rules_have_the_gradient_of_the_reference():
    found, expected = known_problems("alif")
    for label in FEW:
        computed, wanted = by_rule(found, label), by_rule(expected, label)
        if isinstance(wanted, str):
            assert label == "rflo" and computed == wanted
        else:
            assert distance(computed, wanted) < EXACT, label


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOWN)
def test_every_deterministic_rule_has_the_gradient_of_the_reference(name):
    found, expected = known_problems(name)
    applied = set()
    for label in example_rules():
        rule = RULES[parse_rule(label)[0]]
        if rule.stochastic or (name == "both" and rule.learned):
            # the adaptation of a lif neuron, which acts on nothing, is a regressor there
            continue
        computed, wanted = by_rule(found, label), by_rule(expected, label)
        if isinstance(wanted, str):
            assert computed == wanted
        else:
            applied.add(rule.name)
            assert distance(computed, wanted) < EXACT, label
    # all but those of rate units, and those without delays
    assert len(applied) >= (8 if name == "delays" else 12)


def test_steps_of_which_one_entry_is_wrong_are_not_the_references():
    problem = copy(known_problems("alif")[0])
    exact = by_rule(problem, "bptt")
    for name in ("implicit", "observation", "drive", "self_edge"):
        shifted = [getattr(step, name) for step in problem.steps]
        shifted = [*shifted[1:], shifted[0]]
        if name == "drive":
            shifted = [1.01 * values for values in shifted]
        problem.steps, kept = (
            [evolve(s, **{name: v}) for s, v in zip(problem.steps, shifted, strict=True)],
            problem.steps,
        )
        assert distance(by_rule(problem, "bptt"), exact) > 1e-6, name
        problem.steps = kept


every_model = pytest.mark.parametrize("name", MODELS)


@pytest.mark.slow_unless(name=["conductance"])
@every_model
def test_exact_rules_agree_on_models_of_any_equations(name):
    problem = problem_of(name, batch=2 if name == "adex" else 1)
    exact = vector(problem, "bptt")
    steps = problem.n_steps
    for rule, options in {
        "rtrl": {},
        "factorized": {},
        "eprop_reverse": {"order": steps},
        "eprop": {"order": math.inf},
        # the network is dense: one connection leads everywhere
        "snap": {"n": 2},
    }.items():
        assert distance(vector(problem, rule, **options), exact) < 1e-9, rule
    for rule in ("eprop", "snap"):
        wrong = {"order": 1} if rule == "eprop" else {"n": 1}
        assert distance(vector(problem, rule, **wrong), exact) > 1e-4


@pytest.mark.slow_unless(name=["conductance"])
@every_model
def test_influence_that_is_as_wide_as_the_network_is_exact(name):
    """A ring of neurons, in which the last hears of the first over all others."""
    network, *trial = firing(name)
    ring = np.roll(np.eye(N, dtype=bool), 1, axis=1)
    weights = dict(network.weights)
    weights["w_rec"] = np.where(ring, np.abs(weights["w_rec"]).max(), 0)
    network = RecurrentNetwork.from_description(
        evolve(network.description, connectivity=network.description.connectivity | {"w_rec": ring})
    )
    network.weights.update(weights)
    problem = problem_in_brian2(network, *trial)
    exact = vector(problem, "bptt")
    assert distance(vector(problem, "rtrl"), exact) < 1e-9
    errors = [distance(vector(problem, "snap", n=n), exact) for n in range(1, N + 1)]
    # SnAp-n keeps what n − 1 synapses lead to
    assert errors[-1] < 1e-9 < 1e-6 < errors[1] and errors[0] > 1e-4


@pytest.mark.slow_unless(name=["conductance"], order=[2])
@pytest.mark.parametrize(
    ("order", "engine"), [(1, "credit"), (1, "traces"), (2, "credit"), (math.inf, "credit")]
)
@every_model
def test_orders_of_eprop_are_those_of_the_engines(name, order, engine):
    network, *trial = firing(name, rule=EProp(order=order, engine=engine))
    problem, found = problem_in_brian2(network, *trial), network.gradients(*trial)
    of_engine = {"w_in": found.w_in, "w_rec": found.w_rec}
    network_ = problem.network
    expected = np.concatenate(
        [of_engine[m][np.broadcast_to(network_.mask_of(m), of_engine[m].shape)] for m in of_engine]
    )
    assert distance(vector(problem, "eprop", order=order), expected) < 1e-9
    other = {"order": 2 if order == 1 else 1}
    assert distance(vector(problem, "eprop", **other), expected) > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adex", "izhikevich", "hodgkin_huxley"])
def test_jacobians_are_finite_differences_of_brian2s_step(name):
    """D = F'(J + k ψ slopeᵀ) from displaced copies of the neurons, without SymPy."""
    model, n = load_model(name), 3
    dt = 0.05 * ms if name == "hodgkin_huxley" else 0.1 * ms
    run = run_model(model, model.method, n, 100, np.random.default_rng(1), dt)
    assert run.spikes.any()
    problem = problem_in_brian2(run.network, run.inputs, run.target)
    names = state_names(model.group(1, dt=dt))
    probe = model.group(n * copies(len(names)), dt=dt, method=model.method)
    of_step = step_derivatives(probe, names, run.trajectory)
    q = run.psi[..., np.newaxis] * of_step.slope
    fired = run.spikes[..., np.newaxis, np.newaxis]
    J = np.where(fired, of_step.reset, np.eye(len(names)))
    spike = np.einsum("tna,tnb->tnab", of_step.jump, q)
    D = np.einsum("tnab,tnbc->tnac", of_step.update[1:], (J + spike)[:-1])
    states = np.stack([run.trajectory.threshold[s] for s in names], axis=-1)
    unit = states.std(axis=(0, 1))
    found = np.array([step.implicit[:-1, :-1, 0] for step in problem.steps])[1:]
    expected = np.transpose(D / unit[:, np.newaxis] * unit, (0, 2, 3, 1))
    assert distance(found, expected) < 1e-6
    observation = np.array([step.observation[:-1, 0] for step in problem.steps])
    assert distance(observation, np.transpose(q * unit, (0, 2, 1))) < 1e-6
    state = np.array([step.state[:-1, 0] for step in problem.steps])
    expected = np.transpose((states - states.mean(axis=(0, 1))) / unit, (0, 2, 1))
    assert distance(state, expected) < 1e-9


def standard_errors_off(problem, rule, runs=40, copies=50, **options):
    """How far the mean of runs × copies draws is from the exact gradient, in standard errors."""
    exact, many = vector(problem, "rtrl"), copies_of(problem, copies)
    drawn = [vector(many, rule, seed=seed, **options) / copies for seed in range(runs)]
    # along the exact gradient, and along the entries: these are correlated
    along = np.array(drawn) @ exact / np.linalg.norm(exact)
    error = along.std(ddof=1) / np.sqrt(runs)
    errors = np.std(drawn, axis=0, ddof=1) / np.sqrt(runs)
    deviations = (np.mean(drawn, axis=0) - exact) / np.maximum(errors, 1e-12 * np.abs(exact).max())
    return (along.mean() - np.linalg.norm(exact)) / error, deviations, error / np.linalg.norm(exact)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "options"),
    [("kf_rtrl", {}), ("r_kf_rtrl", {}), ("uoro", {}), ("ok", {"rank": 2})],
    ids=lambda value: value if isinstance(value, str) else "",
)
@every_model
def test_stochastic_rules_are_unbiased(name, rule, options):
    problem = problem_of(name, steps=40)
    along, deviations, precision = standard_errors_off(problem, rule, **options)
    assert abs(along) < 4
    assert np.sqrt(np.mean(deviations**2)) < 2 and np.abs(deviations).max() < 5
    if rule != "uoro":  # whose noise hides any bias
        assert precision < 0.1


@pytest.mark.slow
def test_a_biased_draw_is_seen():
    problem = problem_of("conductance", steps=40)
    problem_without = copies_of(problem, 1)
    problem_without.steps = [evolve(s, implicit=0.9 * s.implicit) for s in problem.steps]
    exact, many = vector(problem, "rtrl"), copies_of(problem_without, 50)
    drawn = [vector(many, "kf_rtrl", seed=seed) / 50 for seed in range(40)]
    along = np.array(drawn) @ exact / np.linalg.norm(exact)
    off = (along.mean() - np.linalg.norm(exact)) / (along.std(ddof=1) / np.sqrt(40))
    assert abs(off) > 4


@pytest.mark.slow
def test_populations_of_different_models_delays_and_a_window_in_one_network():
    """lif with three states less than hodgkin_huxley; trained parameters have their values."""
    rng = np.random.default_rng(3)
    network = RecurrentNetwork(
        [("hodgkin_huxley", 3, {}), ("cuba_lif", 3, {"method": "euler"})],
        4,
        6,
        2,
        dt=0.05 * ms,
        tau_out=1 * ms,
        loss="cross_entropy",
        average=True,
        trainable=["tau_syn"],
        rule=EProp(order=2),
        delays={"w_rec": rng.integers(0, 3, (6, 6)) * 0.05 * ms},
        connectivity={"w_rec": rng.random((6, 6)) < 0.6},
        weights={
            "w_in": rng.exponential(size=(4, 6)) * [2e3] * 6,
            "w_rec": rng.normal(size=(6, 6)) * 1e3,
        },
        seed=2,
    )
    network.parameters["tau_syn"] = network.parameters["tau_syn"] * rng.uniform(0.8, 1.2, 6)
    inputs = rng.random((2, 150, 4)) < 0.1
    trial = inputs, rng.dirichlet([1, 1], (2, 150)), 100
    found, problem = network.gradients(*trial), problem_in_brian2(network, *trial)
    assert found.spikes[..., :3].any() and found.spikes[..., 3:].any()
    expected = flat(problem.network, {"w_in": found.w_in, "w_rec": found.w_rec})
    assert distance(vector(problem, "eprop", order=2) / 2, expected) < EXACT
    assert not np.any(problem.steps[40].implicit[2:-1, :, :, 3:])


def test_compare_takes_a_network_of_any_model_and_says_why_a_rule_does_not_apply():
    network, *trial = firing("conductance", steps=40)
    rows = compare(network, *trial, ["rtrl", "eprop", "kf_rtrl", "ottt"], draws=3, repeats=1)
    rtrl, eprop, kf_rtrl, ottt = rows
    assert rtrl.error < 1e-12 and 1e-4 < eprop.error and kf_rtrl.spread > 0
    assert min(row.memory for row in rows[:3]) > 0 and rtrl.operations > eprop.operations
    assert "'conductance' units" in ottt.refusal and "'lif', 'alif'" in ottt.refusal


def test_what_the_reference_has_no_place_for_is_refused():
    neurons, (inputs, targets) = [("lif", 3, {})], (np.ones((9, 2), bool), np.zeros((9, 1)))
    late = RecurrentNetwork(neurons, 2, 3, 1, delays={"w_out": 2 * ms})
    with pytest.raises(ValueError, match="no delays onto the readout"):
        compare(late, inputs, targets, ["bptt"])
    regularizers = [FiringRateRegularizer(rate * Hz) for rate in (10, 20)]
    twice = RecurrentNetwork(neurons, 2, 3, 1, regularizers=regularizers)
    with pytest.raises(ValueError, match="2 regularizers; give one"):
        compare(twice, inputs, targets, ["bptt"])
    network = RecurrentNetwork(neurons, 2, 3, 1)
    with pytest.raises(ValueError, match="'spikes' are given"):
        compare(network, inputs, targets, ["bptt"], spikes=np.zeros((9, 3)))


def test_a_step_that_is_not_brian2s_is_an_error(monkeypatch):
    from brian_eprop.rule_study import recorded_steps

    network, *trial = known_network("lif", batch=1)
    wrong = recorded_steps.RecordedGroup.drive
    monkeypatch.setattr(
        recorded_steps.RecordedGroup, "drive", lambda self, arrival: 1.001 * wrong(self, arrival)
    )
    with pytest.raises(ArithmeticError, match="differs from Brian2's own"):
        problem_in_brian2(network, *trial)


def test_lif_with_a_surrogate_of_ones_own_is_no_unit_of_the_reference():
    class Box:
        def expression(self, x):
            return f"(0.5*int(abs({x}) < 0.6))"

    network = RecurrentNetwork("lif", 3, 4, 2, rule=EProp(surrogate=Box()), seed=1)
    network.weights["w_in"] *= 4
    rng = np.random.default_rng(0)
    trial = rng.random((30, 3)) < 0.4, rng.normal(size=(30, 2))
    rtrl, ottt = compare(network, *trial, ["rtrl", "ottt"], repeats=1)
    assert rtrl.error < 1e-12 and "'lif with other code'" in ottt.refusal


@pytest.mark.slow
@pytest.mark.standalone
def test_orders_of_eprop_are_those_of_a_compiled_program(tmp_path):
    network, *trial = firing("conductance", rule=EProp(order=math.inf))
    set_device("cpp_standalone", directory=str(tmp_path / "program"), build_on_run=False)
    try:
        found, problem = network.gradients(*trial), problem_in_brian2(network, *trial)
    finally:
        get_device().reinit()
        reset_device()
    expected = flat(problem.network, {"w_in": found.w_in, "w_rec": found.w_rec})
    assert distance(vector(problem, "bptt"), expected) < EXACT


@pytest.mark.slow
@pytest.mark.hypothesis
@given(networks())
def test_random_networks_of_random_models(drawn):
    """The steps agree with the gradient of order ∞, which is looked at when they are made."""
    network, inputs, targets, window = drawn
    try:
        problem = problem_in_brian2(network, inputs, targets, window)
        found = network.gradients(inputs, targets, window)
    except ValueError:
        reject()
    order = network.description.rule.order
    rule = RULES["eprop"]
    recursion = rule.at_work(problem.network, np.random.default_rng(0), order=order)
    computed = flat(problem.network, problem.gradient(recursion, rule)) / len(inputs)
    expected = flat(problem.network, {"w_in": found.w_in, "w_rec": found.w_rec})
    if np.any(expected):
        assert distance(computed, expected) < 1e-9
        event("learned")
