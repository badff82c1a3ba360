"""The rules of the reference agree with each other, with the papers' closed forms and with
finite differences."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from attrs import evolve
from cell_networks import cell_network, cell_task, network_for
from hypothesis import given
from hypothesis import strategies as st
from random_networks import examples, random_network, random_task

from brian_eprop.reference import (
    RULES,
    eligibility_traces,
    finite_differences,
    gradients,
    rules,
    simulate,
)
from brian_eprop.reference.computation import parse_rule

HIDDEN = ("w_in", "w_rec")
BLOCKS = (*HIDDEN, "w_out")
# two orders of summation of the same float64 numbers
ROUND_OFF = 1e-12


def gradient_of(example, rule, **options):
    return gradients(
        example.network, example.inputs, example.targets, rule, example.learning_window, **options
    )


def differences_of(*problem):
    return SimpleNamespace(**finite_differences(*problem))


def vector(result, blocks=HIDDEN):
    return np.concatenate([getattr(result, block).ravel() for block in blocks])


def relative(a, b, blocks=HIDDEN):
    norm = np.linalg.norm(vector(b, blocks))
    assert norm > 0, "the gradient vanishes: nothing is compared"
    return np.linalg.norm(vector(a, blocks) - vector(b, blocks)) / norm


def test_every_rule_of_a_file_is_registered():
    files = [path for path in Path(rules.__file__).parent.glob("*.py") if path.stem != "__init__"]
    text = "".join(path.read_text("utf-8") for path in files)
    assert len(RULES) == len(re.findall(r"\n@Rule\(\n", text)) > 20


@given(examples())
def test_exact_rules_agree(example):
    bptt = gradient_of(example, "bptt")
    exact = [name for name, rule in RULES.items() if rule.exact]
    assert {"rtrl", "factorized"} <= set(exact)
    for rule in exact:
        assert relative(gradient_of(example, rule), bptt) < ROUND_OFF, rule


@given(examples(), st.integers(1, 4))
def test_eprop_forwards_and_backwards_agree(example, order):
    forward, reverse = (
        gradient_of(example, rule, order=order) for rule in ("eprop", "eprop_reverse")
    )
    assert relative(forward, reverse) < ROUND_OFF
    np.testing.assert_array_equal(forward.learning_signal, reverse.learning_signal)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_finite_differences_see_a_wrong_reset_gradient(factor):
    network = random_network(3)
    inputs, targets = random_task(3, "mse")
    wrong = gradients(evolve(network, v_th=factor * network.v_th), inputs, targets, smooth=True)
    differences = differences_of(network, inputs, targets)
    assert relative(wrong, differences) > 1e-3


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("path", [{"v": "detached"}, {"a": "detached"}])
def test_finite_differences_see_a_path_that_is_left_out(path):
    network = random_network(3, kind="alif")
    inputs, targets = random_task(3, "mse")
    without = gradients(evolve(network, reset_path=path), inputs, targets, smooth=True)
    differences = differences_of(network, inputs, targets)
    assert relative(without, differences) > 1e-3


@pytest.mark.parametrize("kind", ["lif", "alif", "mixed"])
def test_eprop_differs_from_bptt_by_a_finite_amount(kind):
    network = random_network(1, kind=kind, feedback=None)
    inputs, targets = random_task(1, "mse")
    eprop, bptt = (gradients(network, inputs, targets, rule) for rule in ("eprop", "bptt"))
    assert eprop.spikes.sum() > 20
    assert 0.05 < relative(eprop, bptt) < 10
    np.testing.assert_array_equal(eprop.w_out, bptt.w_out)


def test_symmetric_eprop_is_bptt_without_recurrent_weights_and_reset_gradient():
    network = random_network(1, feedback=None, reset_path={"v": "detached"})
    network = evolve(network, w_rec=np.zeros_like(network.w_rec))
    inputs, targets = random_task(1, "mse")
    eprop, bptt = (gradients(network, inputs, targets, rule) for rule in ("eprop", "bptt"))
    assert relative(eprop, bptt) < ROUND_OFF


def test_exact_rules_ignore_the_feedback_weights():
    network = random_network(1)
    inputs, targets = random_task(1, "mse")
    other = evolve(network, feedback=-network.feedback)
    for rule in ("bptt", "rtrl", "factorized"):
        pair = [gradients(n, inputs, targets, rule) for n in (network, other)]
        np.testing.assert_array_equal(pair[0].w_rec, pair[1].w_rec)
    pair = [gradients(n, inputs, targets, "eprop") for n in (network, other)]
    np.testing.assert_array_equal(pair[0].w_rec, -pair[1].w_rec)


def test_exact_gradient_does_not_depend_on_which_undetached_edges_are_called_explicit():
    inputs, targets = random_task(5, "mse")
    results = [
        gradients(random_network(5, reset_path={"v": v, "a": a}), inputs, targets)
        for v in ("implicit", "explicit")
        for a in ("implicit", "explicit")
    ]
    for result in results[1:]:
        assert relative(result, results[0]) < ROUND_OFF


@pytest.mark.parametrize("kind", ["lif", "alif"])
def test_traces_are_the_closed_forms_of_bellec(kind):
    """Bellec et al. 2020, Methods Eqs 22–25, written out for one synapse of each kind."""
    network = random_network(7, kind=kind, max_delay=0, surrogate="arctan")
    inputs, _ = random_task(7, "mse", batch=1)
    inputs = inputs[0]
    run = simulate(network, inputs)
    traces = eligibility_traces(network, inputs)
    for name, source, late in (("w_in", inputs, 0), ("w_rec", run.spikes, 1)):
        i = source.sum(axis=0).argmax()
        j = (i + 1) % 5
        assert source[:, i].sum() > 2
        low_pass = eps_a = e_bar = 0.0
        for t in range(len(inputs)):
            arrival = source[t - late, i] if t - late >= 0 else 0
            low_pass = network.alpha[j] * low_pass + arrival
            e = run.psi[t, j] * (low_pass - network.beta[j] * eps_a)
            e_bar = network.kappa * e_bar + network.readout_gain * e
            got = traces[name]
            assert got.eps_v[t, i, j] == pytest.approx(low_pass, rel=ROUND_OFF)
            assert got.eps_a[t, i, j] == pytest.approx(eps_a, rel=1e-10, abs=1e-14)
            assert got.e_trace[t, i, j] == pytest.approx(e, rel=1e-10, abs=1e-14)
            assert got.e_bar[t, i, j] == pytest.approx(e_bar, rel=1e-10, abs=1e-14)
            eps_a = network.rho[j] * eps_a + e
        assert np.abs(traces[name].e_trace[:, i, j]).sum() > 0


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("rule", sorted(RULES))
def test_absent_synapses_have_no_gradient(rule):
    mask = np.random.default_rng(0).random((5, 5)) < 0.5
    network, options = network_for(rule, mask_rec=mask)
    assert not network.w_rec[~mask].any()
    task = cell_task(network, 1)
    result = gradients(network, *task, rule, seed=0, **options)
    assert not result.w_rec[~mask].any()
    assert result.w_rec[mask].any()
    # what an absent connection would weigh does not matter
    heavy = evolve(network, w_rec=np.where(mask, network.w_rec, 7.0))
    again = gradients(heavy, *task, rule, seed=0, **options)
    np.testing.assert_array_equal(again.w_rec, result.w_rec)


def test_absent_synapses_have_no_trace():
    mask = np.random.default_rng(0).random((5, 5)) < 0.5
    inputs, _ = random_task(2, "mse")
    traces = eligibility_traces(random_network(2, mask_rec=mask), inputs)["w_rec"]
    assert not traces.e_bar[..., ~mask].any()
    assert traces.e_bar[..., mask].any()


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("rule", sorted(RULES))
def test_batch_is_the_mean_of_its_trials(rule):
    """Sequences do not know of each other. The draws of stochastic rules differ, and rules that
    learn while the sequences go on learn from all of them: their trajectories are compared."""
    network, options = network_for(rule)
    task = cell_task(network, 1, batch=3)
    together = gradients(network, *task, rule, seed=0, **options)
    alone = [gradients(network, x, y, rule, seed=0, **options) for x, y in zip(*task, strict=True)]
    varies = RULES[rule].stochastic or RULES[rule].learned
    names = ("w_out", "loss") if varies else (*BLOCKS, "loss")
    for name in names:
        mean = np.mean([getattr(result, name) for result in alone], axis=0)
        assert np.any(mean)
        # sums over the batch in another order
        np.testing.assert_allclose(getattr(together, name), mean, rtol=1e-10, atol=1e-13)
    for name in ("spikes", "readout", "learning_signal"):
        assert getattr(together, name).shape[:2] == task[0].shape[:2]
        np.testing.assert_allclose(getattr(together, name)[1], getattr(alone[1], name), rtol=1e-12)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("rule", sorted(RULES))
def test_two_runs_are_the_same(rule):
    """Nothing is left of earlier sequences where nothing is learned, and the seed decides."""
    network, options = network_for(rule)
    task = cell_task(network, 1)
    first, again = (gradients(network, *task, rule, seed=3, **options) for _ in range(2))
    np.testing.assert_array_equal(first.w_rec, again.w_rec)
    if RULES[rule].stochastic:
        other = gradients(network, *task, rule, seed=4, **options)
        assert np.any(other.w_rec != first.w_rec)
    elif not RULES[rule].learned:
        repeated = gradients(network, *task, rule, seed=3, repetitions=3, **options)
        np.testing.assert_array_equal(repeated.w_rec, first.w_rec)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_is_described(rule):
    described = RULES[rule]
    assert described.recursion.__doc__ and described.source
    assert described.facing in ("past", "future", "local")
    assert described.unbiased or not described.exact
    assert described.parent in RULES or rule == "bptt"
    assert described.change or rule == "bptt"
    for options in described.examples:
        with_options = described.with_options(options)
        assert with_options.facing in ("past", "future", "local")
        assert len(with_options.memory) == len(with_options.time) == 2


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("rule", sorted(RULES))
def test_unknown_options_are_refused(rule):
    network, options = network_for(rule)
    with pytest.raises(ValueError, match=f"'{rule}' does not know the option 'speed'"):
        gradients(network, *cell_task(network, 1), rule, speed=1, **options)


@pytest.mark.parametrize("rule", ["rtrl", "eprop", "bptt", "tbptt(horizon=300)"])
def test_divergence_is_reported_with_the_step(rule):
    network = cell_network("lif", 1, n_rec=4)
    # a network without leak, of enormous weights and slope
    network = evolve(
        network,
        alpha=1.0,
        w_rec=1e60 * network.w_rec,
        surrogate="arctan",
        surrogate_height=1e80,
        surrogate_width=1e120,
    )
    task = cell_task(network, 1, n_steps=40)
    name, options, _ = parse_rule(rule)
    if name == "eprop":
        # e-prop leaves out the weights that make the others diverge
        assert np.isfinite(gradients(network, *task, name).w_rec).all()
        return
    with pytest.raises(ArithmeticError, match=rf"rule '{name}' diverged: .* at step \d+"):
        gradients(network, *task, name, **options)


@pytest.mark.parametrize("rule", ["bptt", "eprop"])
def test_average_divides_everything_by_the_window(rule):
    network = random_network(4, rate_strength=10.0)
    inputs, targets = random_task(4, "mse")
    total, mean = (
        gradients(evolve(network, average=average), inputs, targets, rule, learning_window=8)
        for average in (False, True)
    )
    for name in (*BLOCKS, "loss", "regularization", "learning_signal"):
        np.testing.assert_allclose(8 * getattr(mean, name), getattr(total, name), rtol=1e-12)


def test_only_the_learning_window_counts_but_the_filters_run_from_the_start():
    network = random_network(4)
    inputs, targets = random_task(4, "mse")
    result = gradients(network, inputs, targets, "eprop", learning_window=6)
    assert not result.learning_signal[:, :-6].any()
    assert result.learning_signal[:, -6:].any()
    y, z = result.readout, result.spikes
    error = y[:, -6:] - targets[:, -6:]
    assert result.loss == pytest.approx(0.5 * np.sum(error**2) / 2, rel=ROUND_OFF)
    filtered = np.zeros((2, 5))
    w_out = np.zeros((5, 2))
    for t in range(z.shape[1]):
        filtered = network.kappa * filtered + z[:, t]
        if t >= z.shape[1] - 6:
            w_out += filtered.T @ (y[:, t] - targets[:, t]) / 2
    np.testing.assert_allclose(result.w_out, w_out, rtol=1e-12)


def test_regularization_is_reported_beside_the_loss():
    inputs, targets = random_task(4, "mse")
    plain = gradients(random_network(4), inputs, targets)
    network = random_network(4, rate_strength=10.0, rate_target=0.05)
    regularized = gradients(network, inputs, targets)
    assert plain.regularization == 0
    assert regularized.loss == plain.loss
    excess = plain.spikes.mean(axis=1) - 0.05
    expected = 0.5 * 10 * np.sum(excess**2, axis=1).mean()
    assert regularized.regularization == pytest.approx(expected, rel=ROUND_OFF)
    assert relative(regularized, plain) > 1e-3


def test_orders_backwards_end_at_bptt():
    network = random_network(4, feedback=None)
    inputs, targets = random_task(4, "mse")
    bptt = gradients(network, inputs, targets)
    first, second, last = (
        relative(gradients(network, inputs, targets, "eprop_reverse", order=order), bptt)
        for order in (1, 2, inputs.shape[1])
    )
    assert last < ROUND_OFF < 1e-3 < second != first
