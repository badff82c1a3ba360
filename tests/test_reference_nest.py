"""The NumPy reference reproduces NEST and TensorFlow, and wrong variants of it do not."""

from dataclasses import replace

import numpy as np
import pytest
from nest_cases import BLOCKS, TASKS, TRAJECTORIES, load_case

from brian_eprop.reference import RULES, SpikingNetwork, gradients, simulate
from brian_eprop.reference.cells import alif
from brian_eprop.reference.surrogates import pseudo_derivative

# NEST's own sums run in another order: 1.5e-12 on the longest case
NEST = 1e-10
# the TensorFlow numbers are float32
TENSORFLOW = 1e-6


def network_of(case, weights=None):
    kappa = np.exp(-case.dt / case.tau_out)
    return SpikingNetwork(
        **case.effective(weights),
        alpha=np.exp(-case.dt / case.tau_m),
        rho=np.exp(-case.dt / case.tau_a),
        beta=case.beta,
        kappa=kappa,
        readout_gain=1 - kappa if case.normalize else 1.0,
        v_th=case.v_th,
        n_ref=case.n_ref,
        feedback=case.feedback,
        mask_in=case.masks["w_in"],
        mask_rec=case.masks["w_rec"],
        mask_out=case.masks["w_out"],
        surrogate_height=case.surrogate_height,
        surrogate_width=case.surrogate_width,
        loss=case.loss,
        average=case.average,
        rate_target=case.rate_target,
        rate_strength=case.rate_strength,
    )


def gradient_of(case, rule="eprop"):
    return gradients(network_of(case), case.inputs[0], case.targets[0], rule, case.learning_window)


def losses_of(case, iterations, **changes):
    weights, moments, losses = dict(case.weights), {}, []
    for k in range(iterations):
        network = replace(network_of(case, weights), **changes)
        result = gradients(
            network, case.inputs[k], case.targets[k], "eprop_reverse", case.learning_window
        )
        losses.append(result.loss)
        gradient = {block: getattr(result, block) for block in BLOCKS}
        weights = case.update(weights, gradient, k, moments)
    return np.array(losses)


def relative(a, b):
    return np.max(np.abs(a - b)) / np.max(np.abs(b))


def mismatch(case, result):
    """Largest relative error of the hidden gradients against NEST's."""
    return max(relative(getattr(result, block), case.gradient[block]) for block in BLOCKS[:2])


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_trajectory_of_nest_is_reproduced(name):
    case = load_case(name)
    run = simulate(network_of(case), case.inputs[0], case.targets[0])
    assert run.spikes.sum() > 50
    assert run.psi.sum() > 0
    np.testing.assert_array_equal(run.spikes, case.local["z"])
    assert relative(run.v, case.local["v"]) < NEST
    assert relative(run.psi, case.local["psi"]) < NEST
    assert relative(run.readout, case.local["y"]) < NEST
    assert relative(run.error, case.local["E"]) < NEST
    assert relative(run.learning_signal[:-1], case.local["L"][:-1]) < NEST
    if case.beta.any():
        assert relative(run.a, case.local["a"]) < NEST
        assert relative(run.threshold, case.local["th"]) < NEST


@pytest.mark.parametrize("rule", ["eprop", "eprop_reverse"])
@pytest.mark.parametrize("name", TRAJECTORIES)
def test_gradient_of_nest_is_reproduced(name, rule):
    case = load_case(name)
    result = gradient_of(case, rule)
    for block in BLOCKS:
        assert np.linalg.norm(case.gradient[block]) > 0
        assert relative(getattr(result, block), case.gradient[block]) < NEST, block


@pytest.mark.parametrize("name", TASKS)
def test_five_published_losses_are_reproduced(name):
    case = load_case(name)
    losses = losses_of(case, iterations=5)
    np.testing.assert_allclose(losses, case.loss_nest, rtol=NEST)
    np.testing.assert_allclose(losses, case.loss_tf, rtol=TENSORFLOW)


def test_forward_traces_give_the_published_loss_after_an_update():
    case = load_case("sine_bsshslm_2020")
    result = gradient_of(case, "eprop")
    gradient = {block: getattr(result, block) for block in BLOCKS}
    weights = case.update(case.weights, gradient, 0, {})
    run = simulate(network_of(case, weights), case.inputs[1], case.targets[1])
    np.testing.assert_allclose(run.loss, case.loss_nest[1], rtol=NEST)


# ------------------------------------------------------------------- negative controls
# What is wrong in published code (mixed-up filters, shifted times) must be seen here.


def perturb_problem(monkeypatch, change):
    rule = RULES["eprop"]
    wrong = replace(rule, gradient=lambda problem: rule.gradient(change(problem)))
    monkeypatch.setitem(RULES, "eprop", wrong)


def perturb_linearization(monkeypatch, change):
    right = alif.linearize
    monkeypatch.setattr(alif, "linearize", lambda n, x, activity: right(*change(n, x, activity)))


def test_trace_filtered_with_the_wrong_time_constant_is_seen(monkeypatch):
    case = load_case("bss_alif_mse_sgd")
    perturb_problem(monkeypatch, lambda p: replace(p, kappa=0.9 * p.kappa))
    assert mismatch(case, gradient_of(case)) > 0.01


def test_filtered_trace_without_the_gain_of_the_readout_is_seen(monkeypatch):
    case = load_case("bss_alif_mse_sgd")
    perturb_problem(monkeypatch, lambda p: replace(p, readout_gain=1.0))
    assert mismatch(case, gradient_of(case)) > 1


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_psi_after_the_reset_is_seen(monkeypatch, name):
    case = load_case(name)

    def after_reset(network, inputs, activity):
        v = activity.v - network.v_th * activity.z
        psi = pseudo_derivative(network, v - activity.threshold) * ~activity.silent
        return network, inputs, replace(activity, psi=psi)

    perturb_linearization(monkeypatch, after_reset)
    assert mismatch(case, gradient_of(case)) > 0.01


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_psi_alive_in_refractoriness_is_seen(monkeypatch, name):
    case = load_case(name)

    def unmasked(network, inputs, activity):
        psi = pseudo_derivative(network, activity.v - activity.threshold)
        return network, inputs, replace(activity, psi=psi)

    perturb_linearization(monkeypatch, unmasked)
    assert mismatch(case, gradient_of(case)) > 0.001


def test_input_one_step_late_in_the_trace_is_seen(monkeypatch):
    case = load_case("bss_lif_mse_sgd")
    perturb_linearization(monkeypatch, lambda n, x, a: (n, np.roll(x, 1, axis=1), a))
    assert mismatch(case, gradient_of(case)) > 0.01


def test_recurrent_spike_one_step_early_in_the_trace_is_seen(monkeypatch):
    case = load_case("bss_lif_mse_sgd")
    perturb_linearization(
        monkeypatch, lambda n, x, a: (n, x, replace(a, z=np.roll(a.z, -1, axis=1)))
    )
    assert mismatch(case, gradient_of(case)) > 0.01


def test_trace_without_adaptation_is_seen(monkeypatch):
    case = load_case("bss_alif_mse_sgd")
    perturb_linearization(monkeypatch, lambda n, x, a: (replace(n, beta=0.0), x, a))
    assert mismatch(case, gradient_of(case)) > 0.01


def test_reset_gradient_in_the_local_trace_is_seen():
    case = load_case("bss_lif_mse_sgd")
    network = replace(network_of(case), reset_path={"v": "implicit"})
    result = gradients(network, case.inputs[0], case.targets[0], "eprop")
    assert mismatch(case, result) > 0.01


def test_regularization_with_the_filtered_trace_is_seen(monkeypatch):
    case = load_case("sine_bsshslm_2020")
    right = RULES["eprop_reverse"]

    def through_the_readout(problem):
        signal = problem.learning_signal + problem.rate_signal[:, np.newaxis]
        rate = np.zeros_like(problem.rate_signal)
        return right.gradient(replace(problem, learning_signal=signal, rate_signal=rate))

    wrong = replace(right, gradient=through_the_readout)
    monkeypatch.setitem(RULES, "eprop_reverse", wrong)
    losses = losses_of(case, iterations=2)
    assert losses[0] == pytest.approx(case.loss_nest[0], rel=NEST)
    assert abs(losses[1] / case.loss_nest[1] - 1) > TENSORFLOW


def test_missing_regularization_is_seen():
    case = load_case("sine_bsshslm_2020")
    losses = losses_of(case, iterations=2, rate_strength=0.0)
    assert abs(losses[1] / case.loss_nest[1] - 1) > TENSORFLOW
