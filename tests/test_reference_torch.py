"""The reference against automatic differentiation by torch, an implementation of its own.

The network is written down once more, with indices instead of matrices, and differentiated
through a step function whose backward pass is ψ. Stopping the gradient at the explicit edges
makes the same program an autograd form of e-prop (Bellec et al. 2020, Methods).
"""

import numpy as np
import pytest
from hypothesis import given, settings
from random_networks import examples

from brian_eprop.reference import gradients

torch = pytest.importorskip("torch")

battery = settings(max_examples=20, deadline=None, derandomize=True)
ROUND_OFF = 1e-10


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


def autograd(example, local):
    """Gradients by autograd; local stops it at the explicit edges and uses the feedback."""
    net = example.network
    inputs = torch.tensor(example.inputs, dtype=torch.float64)
    targets = torch.tensor(example.targets, dtype=torch.float64)
    w_in, w_rec, w_out = (
        torch.tensor(w.copy(), requires_grad=True) for w in (net.w_in, net.w_rec, net.w_out)
    )
    alpha, rho, beta, v_th, height, width, rate_target, rate_strength = (
        torch.tensor(p.copy())
        for p in (
            net.alpha, net.rho, net.beta, net.v_th, net.surrogate_height, net.surrogate_width,
            net.rate_target, net.rate_strength,
        )
    )  # fmt: skip
    batch, n_steps, n_in = inputs.shape
    n_rec = net.n_rec
    i_in, i_rec = np.arange(n_in)[:, None], np.arange(n_rec)[:, None]
    zero = torch.zeros((batch, n_rec), dtype=torch.float64)
    # steps before the first, so that a delayed index always exists
    past = 1 + int(max(net.delay_in.max(), net.delay_rec.max()))
    x = [torch.zeros((batch, n_in), dtype=torch.float64)] * past + list(inputs.unbind(1))
    z = [zero] * past
    v = a = zero
    y = torch.zeros((batch, net.n_out), dtype=torch.float64)
    last_spike = np.full((batch, n_rec), -(10**6))
    loss = torch.zeros((), dtype=torch.float64)
    window = example.learning_window or n_steps
    scale = window if net.average else 1
    for t in range(n_steps):
        x_stack, z_stack = torch.stack(x), torch.stack(z)
        arrived_x = x_stack[t + past - net.delay_in, :, i_in]  # (n_in, n_rec, batch)
        arrived_z = z_stack[t + past - 1 - net.delay_rec, :, i_rec]
        own = {"v": z[-1], "a": z[-1]}
        for name, path in net.reset_path.items():
            if path == "detached" or (local and path == "explicit"):
                own[name] = own[name].detach()
        if local:
            arrived_z = arrived_z.detach()
        drive = torch.einsum("ij,ijb->bj", w_in, arrived_x)
        drive = drive + torch.einsum("ij,ijb->bj", w_rec, arrived_z)
        v = alpha * v + drive - v_th * own["v"]
        a = rho * a + own["a"]
        silent = (t - last_spike) < net.n_ref
        spike = Spike.apply(v - (v_th + beta * a), height, width, torch.tensor(~silent))
        last_spike[spike.detach().numpy() > 0] = t
        z.append(spike)
        into_readout = spike.detach() @ w_out if local else spike @ w_out
        if local:
            feedback = w_out.detach() if net.feedback is None else torch.tensor(net.feedback.T)
            broadcast = spike @ feedback
            into_readout = into_readout + broadcast - broadcast.detach()
        y = net.kappa * y + net.readout_gain * into_readout
        if t >= n_steps - window:
            if net.loss == "mse":
                loss = loss + 0.5 * torch.sum((y - targets[:, t]) ** 2) / scale
            else:
                log_p = torch.log_softmax(y, dim=-1)
                loss = loss - torch.sum(targets[:, t] * log_p) / scale
    rate = torch.stack(z[past:]).mean(dim=0)
    penalty = 0.5 * torch.sum(rate_strength * (rate - rate_target) ** 2) / scale
    ((loss + penalty) / batch).backward()
    masks = {"w_in": net.mask_in, "w_rec": net.mask_rec, "w_out": net.mask_out}
    weights = {"w_in": w_in, "w_rec": w_rec, "w_out": w_out}
    gradient = {name: w.grad.numpy() * masks[name] for name, w in weights.items()}
    return gradient, loss.item() / batch, penalty.item() / batch


@battery
@given(examples(kinds=("piecewise_linear",)))
@pytest.mark.parametrize(("rule", "local"), [("bptt", False), ("eprop", True)])
def test_gradients_are_those_of_autograd(rule, local, example):
    expected, loss, regularization = autograd(example, local)
    result = gradients(
        example.network, example.inputs, example.targets, rule, example.learning_window
    )
    assert result.loss == pytest.approx(loss, rel=ROUND_OFF)
    assert result.regularization == pytest.approx(regularization, rel=ROUND_OFF, abs=1e-15)
    assert np.linalg.norm(expected["w_in"]) + np.linalg.norm(expected["w_rec"]) > 0
    for block, gradient in expected.items():
        error = np.linalg.norm(getattr(result, block) - gradient)
        assert error <= ROUND_OFF * np.linalg.norm(gradient), block
