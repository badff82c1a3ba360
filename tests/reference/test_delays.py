"""Delays between two steps: gradients of split spikes, against finite differences and by hand."""

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from random_networks import N_IN, N_REC, examples, random_network, random_task

from brian_eprop.reference import RULES, finite_differences, gradients, simulate
from brian_eprop.reference.backward import sweep
from brian_eprop.reference.problem import DELAYS, Problem

# two orders of summation of the same float64 numbers
ROUND_OFF = 1e-12
# step 1e-6: round-off 1e-9, truncation 1e-12, more where a kink of ψ is straddled
DIFFERENCES = 1e-6


def delays_of(seed, high=4):
    """Between two steps, so that the loss is smooth around them."""
    rng = np.random.default_rng(seed)

    def between(shape):
        return rng.integers(0, high, shape) + rng.uniform(0.05, 0.95, shape)

    return {"delay_in": between((N_IN, N_REC)), "delay_rec": between((N_REC, N_REC))}


def problem(seed=3, **changes):
    network = random_network(seed, feedback=None, **(delays_of(seed) | changes))
    return network, random_task(seed, "mse")


def assert_equal(found, expected, tolerance=ROUND_OFF):
    for name in DELAYS:
        scale = np.abs(expected[name]).max()
        assert scale > 0, "the gradient vanishes: nothing is compared"
        assert np.abs(found[name] - expected[name]).max() < tolerance * scale, name


def test_exact_rules_on_smooth_spikes_agree_with_finite_differences():
    network, task = problem()
    differences = finite_differences(network, *task, parameters=DELAYS)
    for rule in ("bptt", "rtrl", "factorized"):
        found = gradients(network, *task, rule, smooth=True, parameters=DELAYS)
        assert_equal(found.parameters, differences, DIFFERENCES)
        # weights of split spikes, too
        assert np.allclose(found.w_rec, differences["w_rec"], atol=DIFFERENCES * 10, rtol=0)


@pytest.mark.slow
@settings(max_examples=8)
@given(examples())
def test_finite_differences_of_random_networks(example):
    network = evolve(example.network, **delays_of(1))
    task = (example.inputs, example.targets)
    window = example.learning_window
    differences = finite_differences(network, *task, window, parameters=DELAYS)
    found = gradients(network, *task, "bptt", window, smooth=True, parameters=DELAYS)
    for name in DELAYS:
        scale = 1e-3 + np.abs(differences[name]).max()
        assert np.abs(found.parameters[name] - differences[name]).max() < DIFFERENCES * scale * 10


def test_credit_of_another_step_is_not_the_gradient():
    # dE/dd = w Σ_spikes (λ^{s+n+1} − λ^{s+n}), written out; one step off fails
    network, task = problem()
    differences = finite_differences(network, *task, parameters=DELAYS)
    of = Problem(network, *task, smooth=True)
    learning = of.learning_signal(False)
    credits = [step.readout * learning[:, t] for t, step in enumerate(of.steps)]
    lam, _ = sweep(of.steps, credits)
    # the membrane, and what of it the readout's filter has in the same step
    drive = [np.einsum("sgbj,sbj->bj", s.drive, m) for s, m in zip(of.steps, lam, strict=True)]
    none = np.zeros_like(drive[0])
    n = np.floor(network.delay_in).astype(int)

    def gradient(off):
        total = np.zeros_like(network.w_in)
        for s in range(of.n_steps):
            for i, j in np.ndindex(n.shape):
                late, first = (
                    drive[t][:, j] if t < of.n_steps else none[:, j]
                    for t in (s + n[i, j] + 1 + off, s + n[i, j] + off)
                )
                total[i, j] += network.w_in[i, j] * np.sum(of.inputs[:, s, i] * (late - first))
        return total / of.batch

    scale = np.abs(differences["delay_in"]).max()
    assert np.abs(gradient(0) - differences["delay_in"]).max() < DIFFERENCES * scale
    assert np.abs(gradient(1) - differences["delay_in"]).max() > 0.1 * scale


def test_orders_forwards_are_those_backwards():
    network, task = problem()
    forwards = gradients(network, *task, "eprop", parameters=DELAYS)
    backwards = gradients(network, *task, "eprop_reverse", parameters=DELAYS)
    exact = gradients(network, *task, "bptt", parameters=DELAYS)
    assert_equal(forwards.parameters, backwards.parameters)
    high = gradients(network, *task, "eprop_reverse", order=60, parameters=DELAYS)
    assert_equal(high.parameters, exact.parameters)
    # what order 1 leaves out is seen
    assert np.abs(forwards.parameters["delay_in"] - exact.parameters["delay_in"]).max() > 1e-3


@pytest.mark.parametrize(
    "rule", [name for name in RULES if name in ("eprop", "rtrl", "mdgl", "modprop")]
)
def test_a_split_delay_is_two_connections(rule):
    # d = 2 with half of the weight each to the steps 2 and 3 is the mean of their arrivals
    network, task = problem(delay_in=2.5, delay_rec=0.0, beta=0.0)
    x, y = task
    late = np.concatenate([np.zeros_like(x[:, :1]), x[:, :-1]], axis=1)
    twice = evolve(network, delay_in=2)
    mixed = gradients(twice, (x + 0.0 + late) / 2, y, rule)
    found = gradients(network, x, y, rule)
    assert np.allclose(found.w_in, mixed.w_in, rtol=0, atol=1e-12 * np.abs(mixed.w_in).max())
    assert np.abs(mixed.w_in).max() > 0


def test_rounded_delays_run_as_whole_ones_and_have_the_slope_between_steps():
    network, task = problem(rounded=True)
    whole = {name: np.floor(getattr(network, name) + 0.5) for name in DELAYS}
    other = evolve(network, rounded=False, **whole)
    rounded = gradients(network, *task, parameters=DELAYS)
    assert np.array_equal(rounded.spikes, gradients(other, *task).spikes)
    assert np.allclose(rounded.w_in, gradients(other, *task).w_in)
    assert rounded.spikes.sum() > 20
    # those that are rounded down have the derivative to the right of the whole ones
    to_the_right = gradients(other, *task, parameters=DELAYS).parameters
    for name in DELAYS:
        down = getattr(network, name) >= whole[name]
        present = down & network.mask_of(name)
        assert np.allclose(rounded.parameters[name][present], to_the_right[name][present])
        assert not np.allclose(rounded.parameters[name], to_the_right[name])


def test_the_loss_is_continuous_in_a_delay():
    network, (x, y) = problem()
    losses = []
    for d in (2 - 1e-9, 2.0, 2 + 1e-9):
        losses.append(simulate(evolve(network, delay_in=d), x, y, smooth=True).loss)
    assert np.ptp(losses) < 1e-6


def test_errors_name_what_is_wrong():
    network, task = problem()
    with pytest.raises(ValueError, match=r"'delay_in' contains 2: the loss has a kink"):
        finite_differences(evolve(network, delay_in=2), *task, parameters=DELAYS)
    with pytest.raises(ValueError, match="rounded=False"):
        finite_differences(evolve(network, rounded=True), *task, parameters=DELAYS)
    with pytest.raises(ValueError, match=r"delay_in contains -0.5; give a number of steps"):
        evolve(network, delay_in=-0.5)
    with pytest.raises(ValueError, match=r"'parameters' contains 'delay_out'"):
        gradients(network, *task, parameters=["delay_out"])
    with pytest.raises(ValueError, match=r"'snap' does not apply .* 'delay_rec' goes up to 0.5"):
        gradients(evolve(network, delay_rec=0.5), *task, "snap", n=1)
