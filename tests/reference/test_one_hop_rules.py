"""Rules that follow a path over other neurons with averaged weights or slopes: MDGL, ModProp."""

import numpy as np
import pytest
from attrs import evolve
from cell_networks import ALL, SPIKING, cell_network, cell_task
from hypothesis import given
from hypothesis import strategies as st
from rule_problems import (
    DELAYED,
    NETWORKS,
    credits_of,
    distance,
    every_network,
    gradient,
    problem_of,
    vector,
)

from brian_eprop.reference import RULES, eligibility_traces, simulate
from brian_eprop.reference.backward import EligibilityVectors
from brian_eprop.reference.problem import Problem
from brian_eprop.reference.rules import cell_types

# orders of summation of the same float64 numbers
ROUND_OFF = 1e-11
ONE_SLOPE = ("lif", "leaky_rate", "elman")


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
    network = evolve(network, w_rec=scale * network.w_rec)
    problem = Problem(network, *cell_task(network, 1, n_steps=30))
    if name == "lif":
        assert sum(np.sum(step.observable) for step in problem.steps) > 20
    return problem


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(("name", "options"), MEMORYLESS)
def test_mdgl_without_memory_is_every_path_of_one_hop(name, options):
    problem = memoryless(name, options)
    expected = one_hop(problem)
    assert distance(gradient(problem, "mdgl"), expected) < ROUND_OFF
    assert distance(gradient(problem, "eprop"), expected) > 1e-2


@pytest.mark.parametrize("rule", ["mdgl", "modprop"])
def test_transposed_weights_are_another_rule(rule, monkeypatch):
    problem = memoryless("elman", {})
    expected = one_hop(problem)
    options = {"mu": 0} if rule == "modprop" else {}
    assert distance(gradient(problem, rule, **options), expected) < ROUND_OFF
    monkeypatch.setattr(cell_types, "type_means", lambda weights, *_: weights.swapaxes(1, 2))
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
    network = evolve(network, bias=np.zeros(5), w_rec=0.5 * network.w_rec)
    inputs, targets = cell_task(network, 1, n_steps=120)
    # tanh of numbers around 1e-7 has the slope 1 − 1e-14; after 80 steps 0.8^80 = 2e-8 is missing
    problem = Problem(network, 1e-7 * inputs, targets, 40)
    # one hop and the memory of the readout, which is all that Elman's units have
    assert distance(gradient(problem, "mdgl"), one_hop(problem)) < 1e-7
    assert distance(gradient(problem, "eprop"), one_hop(problem)) > 0.1


@pytest.mark.first_case_is_fast
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
    network = evolve(problem.network, bias=np.zeros(5))
    return Problem(network, 1e-7 * problem.inputs, problem.targets), 1.0


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ONE_SLOPE)
@pytest.mark.parametrize("options", [*NETWORKS, {"kappa": 0.5} | DELAYED])
def test_modprop_with_the_true_slope_is_bptt(name, options):
    problem, slope = linear(name, **options)
    exact = gradient(problem, "bptt")
    assert distance(gradient(problem, "modprop", mu=slope), exact) < 1e-10
    assert distance(gradient(problem, "modprop", mu=0.8 * slope), exact) > 1e-3


@pytest.mark.first_case_is_fast
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


@pytest.mark.first_case_is_fast
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


@pytest.mark.parametrize("name", sorted(set(ALL) - set(ONE_SLOPE)))
def test_modprop_needs_units_of_one_slope(name):
    with pytest.raises(ValueError, match=f"'modprop' does not apply .*'{name}' units.*'mu'"):
        RULES["modprop"].at_work(cell_network(name), None)
