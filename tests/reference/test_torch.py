"""The reference against automatic differentiation by torch, an implementation of its own.

The network is written down once more, with indices instead of matrices, and differentiated
through a step function whose backward pass is ψ. Stopping the gradient at the explicit edges
makes the same program an autograd form of e-prop (Bellec et al. 2020, Methods), and scaling it
there one of its higher orders. Delays are real numbers, by which signals are split between two
steps or, where the network rounds them, would be.
"""

import numpy as np
import pytest
from hypothesis import given
from random_networks import Example, examples, random_network, random_task

from brian_eprop.reference import gradients
from brian_eprop.reference.problem import DELAYS, PARAMETERS

torch = pytest.importorskip("torch")

# the same float64 numbers in another order of summation; found are 4e-15
ROUND_OFF = 1e-12


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, distance, height, width, mask):
        ctx.save_for_backward(distance, height, width, mask)
        return (distance > 0).to(distance) * mask

    @staticmethod
    def backward(ctx, grad):
        distance, height, width, mask = ctx.saved_tensors
        psi = height * torch.clamp(1 - torch.abs(distance) / width, min=0)
        return grad * psi * mask, None, None, None


def scaled(value, factor):
    """The value itself, with `factor` times the gradient."""
    return value.detach() + factor * (value - value.detach())


def arrived(stack, now, delays, rounded):
    """What arrives of signals (steps, batch, n_pre), (n_pre, n_post, batch), in a step.

    Rounded delays have the slope of split ones, and no effect of it.
    """
    numbers, rows = delays.detach().numpy(), np.arange(len(delays))[:, None]
    whole = np.floor(numbers).astype(int)
    first, second = (stack[now - whole - more, :, rows] for more in (0, 1))
    if not rounded:
        later = delays - torch.tensor(whole, dtype=torch.float64)
        return first + later[..., None] * (second - first)
    nothing = (delays - delays.detach())[..., None]
    return stack[now - np.floor(numbers + 0.5).astype(int), :, rows] + nothing * (second - first)


def autograd(example, through_feedback=False, edges=1.0):
    """Gradients by autograd, those along explicit edges times a factor for each edge."""
    net = example.network
    inputs = torch.tensor(example.inputs, dtype=torch.float64)
    targets = torch.tensor(example.targets, dtype=torch.float64)
    w_in, w_rec, w_out = (
        torch.tensor(w.copy(), requires_grad=True) for w in (net.w_in, net.w_rec, net.w_out)
    )
    alpha, rho, beta, v_th = (
        torch.tensor(getattr(net, name).copy(), requires_grad=True) for name in PARAMETERS
    )
    delay_in, delay_rec = (
        torch.tensor(np.array(getattr(net, name), dtype=float), requires_grad=True)
        for name in DELAYS
    )
    height, width, rate_target, rate_strength = (
        torch.tensor(p.copy())
        for p in (net.surrogate_height, net.surrogate_width, net.rate_target, net.rate_strength)
    )
    batch, n_steps, n_in = inputs.shape
    n_rec = net.n_rec
    zero = torch.zeros((batch, n_rec), dtype=torch.float64)
    # steps before the first, so that a delayed index always exists
    past = 2 + int(max(net.delay_in.max(), net.delay_rec.max()))
    x = [torch.zeros((batch, n_in), dtype=torch.float64)] * past + list(inputs.unbind(1))
    z = [zero] * past
    v = a = zero
    y = torch.zeros((batch, net.n_out), dtype=torch.float64)
    last_spike = np.full((batch, n_rec), -(10**6))
    loss = torch.zeros((), dtype=torch.float64)
    window = example.learning_window or n_steps
    scale = window if net.average else 1
    for t in range(n_steps):
        # delays count along explicit edges that do not, too
        arrived_x = arrived(torch.stack(x), t + past, delay_in, net.rounded)
        arrived_z = arrived(scaled(torch.stack(z), edges), t + past - 1, delay_rec, net.rounded)
        own = {"v": z[-1], "a": z[-1]}
        for name, path in net.reset_path.items():
            if path != "implicit":
                own[name] = scaled(own[name], edges if path == "explicit" else 0.0)
        drive = torch.einsum("ij,ijb->bj", w_in, arrived_x)
        drive = drive + torch.einsum("ij,ijb->bj", w_rec, arrived_z)
        v = alpha * v + drive - v_th * own["v"]
        a = rho * a + own["a"]
        silent = (t - last_spike) < net.n_ref
        spike = Spike.apply(v - (v_th + beta * a), height, width, torch.tensor(~silent))
        last_spike[spike.detach().numpy() > 0] = t
        z.append(spike)
        into_readout = spike.detach() @ w_out if through_feedback else spike @ w_out
        if through_feedback:
            feedback = w_out.detach() if net.feedback is None else torch.tensor(net.feedback.T)
            broadcast = spike @ feedback
            into_readout = into_readout + broadcast - broadcast.detach()
        y = net.kappa * y + net.readout_gain * into_readout
        if t >= n_steps - window:
            if net.loss == "mse":
                loss = loss + 0.5 * torch.sum((y - targets[:, t]) ** 2) / scale
            elif net.loss == "linear":
                loss = loss + torch.sum(y * targets[:, t]) / scale
            else:
                log_p = torch.log_softmax(y, dim=-1)
                loss = loss - torch.sum(targets[:, t] * log_p) / scale
    rate = torch.stack(z[past:]).mean(dim=0)
    penalty = 0.5 * torch.sum(rate_strength * (rate - rate_target) ** 2) / scale
    ((loss + penalty) / batch).backward()
    masks = {"w_in": net.mask_in, "w_rec": net.mask_rec, "w_out": net.mask_out}
    weights = {"w_in": w_in, "w_rec": w_rec, "w_out": w_out}
    gradient = {name: w.grad.numpy() * masks[name] for name, w in weights.items()}
    for name, parameter in zip(PARAMETERS, (alpha, rho, beta, v_th), strict=True):
        gradient[name] = parameter.grad.numpy()
    for name, delays in zip(DELAYS, (delay_in, delay_rec), strict=True):
        gradient[name] = delays.grad.numpy()
    return gradient, loss.item() / batch, penalty.item() / batch


def every_gradient(result):
    return {name: getattr(result, name) for name in ("w_in", "w_rec", "w_out")} | result.parameters


@given(examples(kinds=("piecewise_linear",)))
@pytest.mark.parametrize(
    ("rule", "options"), [("bptt", {}), ("eprop", {"through_feedback": True, "edges": 0.0})]
)
def test_gradients_are_those_of_autograd(rule, options, example):
    expected, loss, regularization = autograd(example, **options)
    task = (example.inputs, example.targets, rule, example.learning_window)
    result = gradients(example.network, *task, parameters=(*PARAMETERS, *DELAYS))
    assert result.loss == pytest.approx(loss, rel=ROUND_OFF)
    assert result.regularization == pytest.approx(regularization, rel=ROUND_OFF, abs=1e-15)
    assert np.linalg.norm(expected["w_in"]) + np.linalg.norm(expected["w_rec"]) > 0
    for name, found in every_gradient(result).items():
        gradient = expected[name]
        error = np.linalg.norm(found - gradient)
        assert error <= ROUND_OFF * np.linalg.norm(gradient), name


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize(
    ("rule", "options"), [("bptt", {}), ("eprop", {"through_feedback": True, "edges": 0.0})]
)
def test_gradients_of_delays_between_two_steps_are_those_of_autograd(rule, options, rounded):
    rng = np.random.default_rng(7)
    delays = {"delay_in": rng.uniform(0, 4, (3, 5)), "delay_rec": rng.uniform(0, 4, (5, 5))}
    network = random_network(3, feedback=None, rounded=rounded, **delays)
    example = Example(network, *random_task(3, "mse"), None)
    expected, _, _ = autograd(example, **options)
    result = gradients(network, example.inputs, example.targets, rule, parameters=DELAYS)
    assert result.spikes.sum() > 20
    for name, found in every_gradient(result).items():
        size = np.linalg.norm(expected[name])
        assert size > 0.1 and np.linalg.norm(found - expected[name]) <= ROUND_OFF * size, name


@pytest.mark.parametrize("v", ["explicit", "implicit", "detached"])
@pytest.mark.parametrize("kind", ["lif", "alif"])
def test_orders_of_eprop_are_coefficients_of_a_polynomial_in_the_edges(kind, v):
    n_steps = 9
    network = random_network(1, kind=kind, max_delay=0, reset_path={"v": v}, rate_strength=1.0)
    inputs, targets = (array[:, :n_steps] for array in random_task(1, "mse"))
    x = np.cos(np.pi * (np.arange(n_steps) + 0.5) / n_steps)
    example = Example(network, inputs, targets, None)
    values = [autograd(example, through_feedback=True, edges=factor)[0] for factor in x]
    powers = np.vander(x, increasing=True)
    for order in (1, 2, 3, n_steps):
        result = gradients(
            network, inputs, targets, "eprop_reverse", parameters=PARAMETERS, order=order
        )
        assert result.spikes.sum() > 10
        for name, found in every_gradient(result).items():
            of_edges = np.linalg.solve(powers, np.array([value[name].ravel() for value in values]))
            error = np.linalg.norm(found.ravel() - of_edges[:order].sum(axis=0))
            # times 500, the condition of the powers
            assert error <= 500 * ROUND_OFF * np.linalg.norm(of_edges), name
            if name not in ("w_out", "rho"):
                sizes = np.linalg.norm(of_edges[:2], axis=1)
                assert np.all(sizes > 1e-3 * np.linalg.norm(of_edges)), name
