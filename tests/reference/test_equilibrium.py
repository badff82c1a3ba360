"""Recurrent backpropagation and equilibrium propagation against the implicit function theorem,
and that against finite differences and torch."""

import numpy as np
import pytest
from attrs import evolve

from brian_eprop.reference.equilibrium import (
    ConvergentNetwork,
    NotConverged,
    adjoint,
    equilibrium_propagation,
    fixed_point,
    fixed_point_gradient,
    recurrent_backpropagation,
)
from brian_eprop.reference.relaxation import chain_rule

BLOCKS = ("w_in", "w_rec", "bias")
RULES = (fixed_point_gradient, recurrent_backpropagation, equilibrium_propagation)
# spectral radius about 0.8 times the largest slope: far from the bifurcation
GAIN = {"tanh": 0.8, "logistic": 3.2}
CASES = [(phi, seed) for phi in GAIN for seed in range(4)]


def random_network(phi="tanh", seed=0, symmetric=False):
    rng = np.random.default_rng(seed)
    w_rec = GAIN[phi] * rng.standard_normal((6, 6)) / np.sqrt(6)
    return ConvergentNetwork(
        w_in=rng.standard_normal((3, 6)),
        # a symmetric matrix has twice the radius of an asymmetric one with entries of that size
        w_rec=(w_rec + w_rec.T) / np.sqrt(8) if symmetric else w_rec,
        bias=0.3 * rng.standard_normal(6),
        n_out=2,
        phi=phi,
    )


def random_task(seed=0, batch=3):
    rng = np.random.default_rng(seed + 100)
    return rng.standard_normal((batch, 3)), rng.uniform(0, 1, (batch, 2))


def tied(gradient):
    """The gradient of one parameter w_rec[i,j] = w_rec[j,i]."""
    both = gradient.w_rec + gradient.w_rec.T
    return evolve(gradient, w_rec=both - np.diag(np.diag(gradient.w_rec)))


def vector(gradient):
    return np.concatenate([getattr(gradient, block).ravel() for block in BLOCKS])


def relative(a, b):
    norm = np.linalg.norm(vector(b))
    assert norm > 1e-3, "the gradient vanishes: nothing is compared"
    return np.linalg.norm(vector(a) - vector(b)) / norm


def loss_of(network, inputs, targets):
    x = fixed_point(network, inputs).x
    return 0.5 * np.sum((x[:, -network.n_out :] - targets) ** 2) / len(inputs)


def differences(network, inputs, targets, symmetric=False):
    """Central differences of the loss; symmetric moves w_rec[i,j] and w_rec[j,i] together."""
    # step 1e-4: truncation 1e-8, and 1e-12/1e-4 = 1e-8 of the fixed point's tolerance
    step = 1e-4
    result = {}
    for block in BLOCKS:
        result[block] = np.zeros_like(getattr(network, block))
        for index in np.ndindex(result[block].shape):
            losses = []
            for sign in (1, -1):
                moved = getattr(network, block).copy()
                moved[index] += sign * step
                if symmetric and block == "w_rec":
                    moved[index[::-1]] = moved[index]
                losses.append(loss_of(evolve(network, **{block: moved}), inputs, targets))
            result[block][index] = (losses[0] - losses[1]) / (2 * step)
    return evolve(fixed_point_gradient(network, inputs, targets), **result)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("phi, seed", CASES)
def test_recurrent_backpropagation_is_the_implicit_gradient(phi, seed):
    network, task = random_network(phi, seed), random_task(seed)
    found = recurrent_backpropagation(network, *task)
    oracle = fixed_point_gradient(network, *task)
    # both relax to 1e-12; the residual is amplified by 1/(1 − 0.8) and more without normality
    assert relative(found, oracle) < 1e-10
    assert found.loss == oracle.loss == pytest.approx(loss_of(network, *task), rel=1e-14)
    assert found.iterations > oracle.iterations > 10


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("phi", GAIN)
def test_implicit_gradient_agrees_with_finite_differences(phi):
    network, task = random_network(phi, 5), random_task(5)
    assert relative(fixed_point_gradient(network, *task), differences(network, *task)) < 1e-6


@pytest.mark.parametrize("phi", GAIN)
def test_recurrent_backpropagation_agrees_with_autograd_through_the_iterations(phi):
    torch = pytest.importorskip("torch")
    network, (inputs, targets) = random_network(phi, 6), random_task(6)
    weights = {
        block: torch.tensor(getattr(network, block).copy(), requires_grad=True) for block in BLOCKS
    }
    function = {"tanh": torch.tanh, "logistic": torch.sigmoid}[phi]
    u = torch.zeros(3, 6, dtype=torch.float64)
    for _ in range(400):
        drive = function(u) @ weights["w_rec"] + torch.tensor(inputs) @ weights["w_in"]
        u = 0.5 * u + 0.5 * (drive + weights["bias"])
    error = function(u)[:, -2:] - torch.tensor(targets)
    (0.5 * (error**2).sum() / 3).backward()
    found = recurrent_backpropagation(network, inputs, targets)
    automatic = evolve(found, **{block: weights[block].grad.numpy() for block in BLOCKS})
    # 400 steps: what is left of the start is below the tolerance of 1e-12
    assert relative(found, automatic) < 1e-10


@pytest.mark.parametrize("symmetric", [False, True])
def test_adjoint_needs_the_transposed_weights(symmetric):
    network, (inputs, targets) = random_network(symmetric=symmetric), random_task()
    x = fixed_point(network, inputs).x
    wrong = evolve(network, w_rec=network.w_rec.T)
    z, _ = adjoint(wrong, network.slope(x), network.error(x, targets))
    error = relative(
        chain_rule(inputs, x, z, 0.0, 0), fixed_point_gradient(network, *random_task())
    )
    assert error < 1e-10 if symmetric else error > 0.1


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("phi, seed", CASES)
@pytest.mark.parametrize("symmetric, order", [(False, 1), (True, 2)])
def test_error_of_equilibrium_propagation_is_of_this_order(phi, seed, symmetric, order):
    network, task = random_network(phi, seed, symmetric=True), random_task(seed)
    oracle = tied(fixed_point_gradient(network, *task))
    errors = [
        relative(equilibrium_propagation(network, *task, nudging=beta, symmetric=symmetric), oracle)
        for beta in (0.02, 0.01, 0.005)
    ]
    slopes = np.log2(np.divide(errors[:-1], errors[1:]))
    # the next order changes the slope by O(β): 0.02 times a few
    np.testing.assert_allclose(slopes, order, atol=0.1)


@pytest.mark.parametrize("phi, seed", CASES)
def test_equilibrium_propagation_is_the_gradient_of_tied_weights(phi, seed):
    network, task = random_network(phi, seed, symmetric=True), random_task(seed)
    found = equilibrium_propagation(network, *task)
    untied = fixed_point_gradient(network, *task)
    # β² = 1e-6 times a constant, 1e-12/β = 1e-9 of the tolerance
    assert relative(found, tied(untied)) < 1e-5
    assert relative(found, untied) > 0.1
    np.testing.assert_array_equal(found.w_rec, found.w_rec.T)


def test_equilibrium_propagation_agrees_with_tied_finite_differences():
    network, task = random_network(seed=7, symmetric=True), random_task(7)
    expected = differences(network, *task, symmetric=True)
    # β² = 1e-6 times a constant
    assert relative(equilibrium_propagation(network, *task), expected) < 1e-5


def test_negative_nudging_has_the_opposite_error():
    network, task = random_network(symmetric=True), random_task()
    oracle = vector(tied(fixed_point_gradient(network, *task)))
    pull, push = (
        vector(equilibrium_propagation(network, *task, nudging=beta, symmetric=False)) - oracle
        for beta in (0.01, -0.01)
    )
    # the sum is twice the error of symmetric nudging, O(β²)
    assert np.linalg.norm(pull + push) < 0.1 * np.linalg.norm(pull)


@pytest.mark.parametrize("phi", GAIN)
def test_symmetric_network_descends_its_energy_to_a_stationary_point(phi):
    network, inputs = random_network(phi, 3, symmetric=True), random_task(3)[0][0]

    def energy(u):
        # ∫φ⁻¹ = x u − ∫φ (integration by parts); log cosh and softplus are the integrals of φ
        x = network.rate(u)
        integral = np.log(np.cosh(u)) if phi == "tanh" else np.logaddexp(0, u)
        return np.sum(x * u - integral) - 0.5 * x @ network.w_rec @ x - network.external(inputs) @ x

    u = np.zeros(6)
    energies = [energy(u)]
    for _ in range(20):
        drive = network.rate(u) @ network.w_rec + network.external(inputs)
        u = u + network.step * (drive - u)
        energies.append(energy(u))
    assert np.all(np.diff(energies) < 0)

    end = fixed_point(network, inputs).u
    slopes = [(energy(end + step) - energy(end - step)) / 2e-5 for step in np.eye(len(end)) * 1e-5]
    # round-off of the energy over the step
    np.testing.assert_allclose(slopes, 0, atol=1e-9)


@pytest.mark.parametrize("rule", RULES)
def test_batch_is_the_mean_of_its_examples(rule):
    network, (inputs, targets) = random_network(symmetric=True), random_task()
    together = rule(network, inputs, targets)
    alone = [rule(network, s, y) for s, y in zip(inputs, targets, strict=True)]
    for name in (*BLOCKS, "loss"):
        mean = np.mean([getattr(result, name) for result in alone], axis=0)
        # examples stop at different steps: 1e-12, divided by β = 1e-3 by equilibrium propagation
        np.testing.assert_allclose(getattr(together, name), mean, rtol=0, atol=1e-8)
    assert fixed_point(network, inputs).x.shape == (3, 6)
    assert fixed_point(network, inputs[0]).x.shape == (6,)


def test_gradient_stays_exact_when_the_error_almost_vanishes():
    network, (inputs, _) = random_network(), random_task()
    targets = fixed_point(network, inputs).x[:, -2:] + 1e-7
    found = recurrent_backpropagation(network, inputs, targets)
    oracle = fixed_point_gradient(network, inputs, targets)
    # the adjoint's tolerance is relative to the error
    for block in BLOCKS:
        expected = getattr(oracle, block)
        np.testing.assert_allclose(
            getattr(found, block), expected, rtol=0, atol=1e-10 * np.abs(expected).max()
        )


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("rule", [recurrent_backpropagation, equilibrium_propagation])
def test_xor_is_learned(rule):
    # some starts end in a local minimum of XOR, at 0.5 of the first loss; this one does not
    rng = np.random.default_rng(1)
    w_rec = rng.standard_normal((10, 10)) / np.sqrt(10)
    network = ConvergentNetwork(
        w_in=rng.standard_normal((2, 10)),
        w_rec=(w_rec + w_rec.T) / 2,
        # without a bias the network is odd, f(−s) = −f(s), and XOR is even
        bias=rng.standard_normal(10),
        tolerance=1e-8,
    )
    inputs = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    targets = np.array([[-0.8], [0.8], [0.8], [-0.8]])
    losses = []
    for _ in range(150):
        gradient = rule(network, inputs, targets)
        losses.append(gradient.loss)
        step = {name: getattr(network, name) - 0.2 * getattr(gradient, name) for name in BLOCKS}
        network = evolve(network, **step)
    assert losses[-1] < 1e-4 * losses[0]
    outputs = fixed_point(network, inputs).x[:, -1:]
    np.testing.assert_array_equal(np.sign(outputs), np.sign(targets))


# A free phase that turns in a circle, an adjoint of a fixed point that is not stable, a nudging
# that outweighs the leak of the output unit, and one that has no gradient
CIRCLE = ConvergentNetwork(w_in=[[1.0, 0.0]], w_rec=[[1.5, 3.0], [-3.0, 1.5]])
UNSTABLE = ConvergentNetwork(w_in=[[1.0]], w_rec=[[2.0]])
ALONE = ConvergentNetwork(w_in=[[1.0]], w_rec=[[0.0]])
BIFURCATION = ConvergentNetwork(w_in=[[1.0]], w_rec=[[1.0]])


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: fixed_point(CIRCLE, [1.0]),
            r"free phase has not settled: after 10000 iterations the residual is \d.*'w_rec' with "
            r"smaller weights or a 'step' below 0\.5 or 'max_iterations' above 10000",
        ),
        (
            lambda: fixed_point(evolve(random_network(), max_iterations=3), np.ones(3)),
            r"after 3 iterations .* allowed is .*'max_iterations' above 3",
        ),
        (
            lambda: recurrent_backpropagation(UNSTABLE, [0.0], [0.5]),
            r"adjoint phase has not settled: after \d{1,4} iterations the residual is inf.*0\.5$",
        ),
        (
            lambda: equilibrium_propagation(ALONE, [0.0], [0.5], nudging=100.0),
            r"nudged phase has not settled.*a 'nudging' smaller than 100 or",
        ),
    ],
)
def test_what_does_not_settle_is_an_error(call, message):
    with pytest.raises(NotConverged, match=message):
        call()


def test_gradient_at_a_bifurcation_is_an_error():
    with pytest.raises(ArithmeticError, match="'w_rec' gives a fixed point at a bifurcation"):
        fixed_point_gradient(BIFURCATION, [0.0], [0.5])


def test_equilibrium_propagation_refuses_asymmetric_weights():
    network, task = random_network(symmetric=True), random_task()
    w_rec = network.w_rec.copy()
    w_rec[1, 4] = 0.25
    message = r"'w_rec' is asymmetric, w_rec\[1,4\] = 0.25 .*\(w_rec \+ w_rec.T\)/2, or take rec"
    with pytest.raises(ValueError, match=message):
        equilibrium_propagation(evolve(network, w_rec=w_rec), *task)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"w_rec": np.zeros((6, 5))}, r"w_rec has shape \(6, 5\); give .*\(n, n\) = \(5, 5\)"),
        ({"w_in": np.zeros((3, 5))}, r"w_in has shape \(3, 5\); give .*\(n_in, n\) = \(3, 6\)"),
        ({"w_in": [["a"]]}, r"w_in = \[\['a'\]\] must be an array of numbers"),
        ({"bias": np.zeros(5)}, r"bias has shape \(5,\); give a single value or .*\(6,\)"),
        ({"bias": np.nan}, r"bias contains nan \(1 of 1 .*give finite"),
        ({"phi": "relu"}, r"phi = 'relu' is not known; choose one of 'tanh', 'logistic'"),
        ({"n_out": 7}, r"n_out = 7 is more than the 6 units; give at most 6"),
        ({"n_out": 1.5}, r"n_out = 1\.5 must be an integer"),
        ({"step": 0}, r"step = 0 must be above 0 and at most 1"),
        ({"tolerance": -1.0}, r"tolerance = -1\.0 must be above 0"),
        ({"max_iterations": 0}, r"max_iterations = 0 must be an integer ≥ 1$"),
    ],
)
def test_bad_networks_are_refused(change, message):
    with pytest.raises(ValueError, match=r"^ConvergentNetwork\." + message):
        evolve(random_network(), **change)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "inputs, targets, message",
    [
        (np.zeros((3, 2)), np.zeros((3, 2)), r"'inputs' has shape \(3, 2\); give \(3,\) or"),
        (np.zeros((0, 3)), np.zeros((0, 2)), r"'inputs' has shape \(0, 3\).*at least one"),
        (np.zeros((4, 3)), np.zeros((3, 2)), r"'targets' has shape \(3, 2\); give \(4, 2\)"),
        (np.zeros(3), np.zeros((1, 2)), r"'targets' has shape \(1, 2\); give \(2,\)"),
        (np.zeros(3), [0, np.inf], r"'targets' contains inf"),
    ],
)
def test_bad_tasks_are_refused(rule, inputs, targets, message):
    with pytest.raises(ValueError, match=f"^{rule.__name__}: {message}"):
        rule(random_network(symmetric=True), inputs, targets)


@pytest.mark.parametrize("nudging", [0, np.nan, [0.1, 0.2]])
def test_bad_nudging_is_refused(nudging):
    with pytest.raises(ValueError, match=r"^equilibrium_propagation: 'nudging'"):
        equilibrium_propagation(random_network(symmetric=True), *random_task(), nudging=nudging)
