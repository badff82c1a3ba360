"""The NumPy reference reproduces NEST and TensorFlow, and wrong variants of it do not."""

import numpy as np
import pytest
from attrs import evolve
from comparing import difference
from nest_cases import BLOCKS, TASKS, TRAJECTORIES, load_case

from brian_eprop.reference import RULES, SpikingNetwork, gradients, simulate
from brian_eprop.reference.problem import Problem
from brian_eprop.reference.spiking import ALIF, LIF
from brian_eprop.reference.step import run
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
        network = evolve(network_of(case, weights), **changes)
        result = gradients(
            network, case.inputs[k], case.targets[k], "eprop_reverse", case.learning_window
        )
        losses.append(result.loss)
        gradient = {block: getattr(result, block) for block in BLOCKS}
        weights = case.update(weights, gradient, k, moments)
    return np.array(losses)


def mismatch(case, result):
    """Largest relative error of the hidden gradients against NEST's."""
    return max(difference(getattr(result, block), case.gradient[block]) for block in BLOCKS[:2])


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", TRAJECTORIES)
def test_trajectory_of_nest_is_reproduced(name):
    case = load_case(name)
    run = simulate(network_of(case), case.inputs[0], case.targets[0])
    assert run.spikes.sum() > 50
    assert run.psi.sum() > 0
    np.testing.assert_array_equal(run.spikes, case.local["z"])
    assert difference(run.v, case.local["v"]) < NEST
    assert difference(run.psi, case.local["psi"]) < NEST
    assert difference(run.readout, case.local["y"]) < NEST
    assert difference(run.error, case.local["E"]) < NEST
    assert difference(run.learning_signal[:-1], case.local["L"][:-1]) < NEST
    if case.beta.any():
        assert difference(run.a, case.local["a"]) < NEST
        assert difference(run.threshold, case.local["th"]) < NEST


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("rule", ["eprop", "eprop_reverse"])
@pytest.mark.parametrize("name", TRAJECTORIES)
def test_gradient_of_nest_is_reproduced(name, rule):
    case = load_case(name)
    result = gradient_of(case, rule)
    for block in BLOCKS:
        assert np.linalg.norm(case.gradient[block]) > 0
        assert difference(getattr(result, block), case.gradient[block]) < NEST, block


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_five_published_losses_are_reproduced(name):
    case = load_case(name)
    losses = losses_of(case, iterations=5)
    np.testing.assert_allclose(losses, case.loss_nest, rtol=NEST)
    np.testing.assert_allclose(losses, case.loss_tf, rtol=TENSORFLOW)


@pytest.mark.slow
def test_forward_traces_give_the_published_loss_after_an_update():
    case = load_case("sine_bsshslm_2020")
    result = gradient_of(case, "eprop")
    gradient = {block: getattr(result, block) for block in BLOCKS}
    weights = case.update(case.weights, gradient, 0, {})
    run = simulate(network_of(case, weights), case.inputs[1], case.targets[1])
    np.testing.assert_allclose(run.loss, case.loss_nest[1], rtol=NEST)


# ------------------------------------------------------------------- negative controls
# What is wrong in published code (mixed-up filters, shifted times) must be seen here.


def perturb_psi(monkeypatch, psi_of):
    """Let both cells take ψ from `psi_of(network, step)`; the spikes stay."""
    for cell in (LIF, ALIF):
        right = cell.advance

        def wrong(self, network, before, drive, held, right=right):
            step = right(self, network, before, drive, held)
            observation = step.observation.copy()
            observation[0] = psi_of(network, step)
            if self.name == "alif":
                observation[1] = -network.beta * observation[0]
            return evolve(step, observation=observation)

        monkeypatch.setattr(cell, "advance", wrong)


def gradient_along(case, wrong):
    """The gradient of e-prop with the right errors along the steps `wrong(problem)`."""
    problem = Problem(network_of(case), case.inputs[0], case.targets[0], case.learning_window)
    problem.steps = wrong(problem)
    rule = RULES["eprop"]
    recursion = rule.at_work(problem.network, rng=None)
    return problem.result(problem.gradient(recursion, rule), rule)


def with_arrivals(steps, name, shift):
    """Steps whose presynaptic values of a block are those of `shift` steps later."""
    other = np.roll([step.arrivals[name] for step in steps], -shift, axis=0)
    return [
        evolve(step, arrivals=step.arrivals | {name: value})
        for step, value in zip(steps, other, strict=True)
    ]


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    ("change", "error"), [({"kappa": 0.9}, 0.01), ({"readout_gain": 1.0}, 1.0)]
)
def test_trace_filtered_with_the_wrong_time_constant_or_gain_is_seen(change, error):
    case = load_case("bss_alif_mse_sgd")
    assert network_of(case).kappa != 0.9
    result = gradient_along(
        case, lambda problem: run(evolve(problem.network, **change), problem.inputs)
    )
    assert mismatch(case, result) > error


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", TRAJECTORIES)
def test_psi_after_the_reset_is_seen(monkeypatch, name):
    case = load_case(name)

    def after_reset(network, step):
        distance = step.state[0] - network.v_th * step.observable - step.memory.threshold
        return pseudo_derivative(network, distance) * ~step.memory.silent

    perturb_psi(monkeypatch, after_reset)
    assert mismatch(case, gradient_of(case)) > 0.01


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", TRAJECTORIES)
def test_psi_alive_in_refractoriness_is_seen(monkeypatch, name):
    case = load_case(name)
    perturb_psi(
        monkeypatch,
        lambda network, step: pseudo_derivative(network, step.state[0] - step.memory.threshold),
    )
    assert mismatch(case, gradient_of(case)) > 0.001


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", TRAJECTORIES)
def test_the_perturbation_without_a_change_is_none(monkeypatch, name):
    case = load_case(name)
    perturb_psi(monkeypatch, lambda network, step: step.memory.psi)
    assert mismatch(case, gradient_of(case)) < NEST
    assert mismatch(case, gradient_along(case, lambda problem: problem.steps)) < NEST


def test_input_one_step_late_in_the_trace_is_seen():
    case = load_case("bss_lif_mse_sgd")
    result = gradient_along(case, lambda problem: with_arrivals(problem.steps, "w_in", -1))
    assert mismatch(case, result) > 0.01


def test_recurrent_spike_one_step_early_in_the_trace_is_seen():
    case = load_case("bss_lif_mse_sgd")
    result = gradient_along(case, lambda problem: with_arrivals(problem.steps, "w_rec", 1))
    assert mismatch(case, result) > 0.01


def test_trace_without_adaptation_is_seen(monkeypatch):
    case = load_case("bss_alif_mse_sgd")
    right = ALIF.advance

    def wrong(*args):
        step = right(*args)
        return evolve(step, observation=step.observation * [[[1.0]], [[0.0]]])

    monkeypatch.setattr(ALIF, "advance", wrong)
    assert mismatch(case, gradient_of(case)) > 0.01


def test_reset_gradient_in_the_local_trace_is_seen():
    case = load_case("bss_lif_mse_sgd")
    network = evolve(network_of(case), reset_path={"v": "implicit"})
    result = gradients(network, case.inputs[0], case.targets[0], "eprop")
    assert mismatch(case, result) > 0.01


def test_regularization_with_the_filtered_trace_is_seen(monkeypatch):
    case = load_case("sine_bsshslm_2020")
    right = RULES["eprop_reverse"]

    class ThroughTheReadout(right.recursion):
        def step(self, step, signal):
            both = signal.learning + signal.rate
            return super().step(step, evolve(signal, learning=both, rate=0 * both))

    monkeypatch.setitem(RULES, "eprop_reverse", evolve(right, recursion=ThroughTheReadout))
    losses = losses_of(case, iterations=2)
    assert losses[0] == pytest.approx(case.loss_nest[0], rel=NEST)
    assert abs(losses[1] / case.loss_nest[1] - 1) > TENSORFLOW


@pytest.mark.slow
def test_missing_regularization_is_seen():
    case = load_case("sine_bsshslm_2020")
    losses = losses_of(case, iterations=2, rate_strength=0.0)
    assert abs(losses[1] / case.loss_nest[1] - 1) > TENSORFLOW
