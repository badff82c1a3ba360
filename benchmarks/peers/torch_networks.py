"""e-prop and BPTT as they are written in PyTorch: a loop over the steps and automatic gradients.

For e-prop the gradient is detached where spikes enter recurrent synapses and the reset. Numbers
are float32 unless JAX_ENABLE_X64 is 1, as for JAX.
"""

import os

import numpy as np
import torch

from peers import Found

__all__ = ["KINDS", "gradient_of"]

BLOCKS = ("w_in", "w_rec", "w_out")
FLOAT = torch.float64 if os.environ.get("JAX_ENABLE_X64") == "1" else torch.float32


class Spike(torch.autograd.Function):
    """1 above the threshold, 0 while refractory; differentiated as a triangle."""

    @staticmethod
    def forward(ctx, distance, ready, height, width):
        ctx.save_for_backward(distance, ready, height, width)
        return (ready & (distance > 0)).to(distance.dtype)

    @staticmethod
    def backward(ctx, upstream):
        distance, ready, height, width = ctx.saved_tensors
        psi = height * torch.clamp(1 - torch.abs(distance) / width, min=0)
        return upstream * psi * ready, None, None, None


def tensor(array):
    return torch.tensor(array, dtype=FLOAT)


def gradient_of(network, inputs, targets, window, kind):
    """A call that computes the gradient; see :func:`.jax_networks.gradient_of`.

    For networks with the loss mse, symmetric feedback and no regularization.
    """
    regularized = np.any(network.rate_strength)
    if network.loss != "mse" or network.feedback is not None or regularized:
        raise ValueError("written for mse, symmetric feedback and no regularization")
    names = ("alpha", "rho", "beta", "v_th", "surrogate_height", "surrogate_width")
    alpha, rho, beta, v_th, height, width = (tensor(getattr(network, name)) for name in names)
    n_ref = torch.tensor(network.n_ref)
    masks = [tensor(getattr(network, f"mask{name[1:]}")) for name in BLOCKS]
    weights = [tensor(getattr(network, name)).requires_grad_() for name in BLOCKS]
    inputs, targets = tensor(inputs), tensor(targets)
    batch, steps, _ = inputs.shape
    zero = torch.zeros(batch, network.n_rec, dtype=FLOAT)
    local = KINDS[kind]

    def gradient():
        w_in, w_rec, w_out = (w * mask for w, mask in zip(weights, masks, strict=True))
        v = a = z = zero
        silent = torch.zeros(batch, network.n_rec, dtype=n_ref.dtype)
        spikes = []
        for current in (inputs @ w_in).unbind(1):
            heard = z.detach() if local else z
            v = alpha * v + current + heard @ w_rec - v_th * heard
            a = rho * a + z
            silent = torch.clamp(silent - 1, min=0)
            z = Spike.apply(v - v_th - beta * a, silent == 0, height, width)
            silent = torch.where(z > 0, n_ref, silent)
            spikes.append(z)
        z = torch.stack(spikes, 1)
        y, readout = torch.zeros_like(targets[:, 0]), []
        for into in (z @ w_out).unbind(1):
            y = network.kappa * y + network.readout_gain * into
            readout.append(y)
        error = (torch.stack(readout, 1) - targets)[:, steps - window :]
        loss = 0.5 * torch.sum(error**2) / batch
        loss = loss / window if network.average else loss
        found = torch.autograd.grad(loss, weights)
        return Found(dict(zip(BLOCKS, found, strict=True)), loss.item(), z.mean().item())

    return gradient


#: Whether the gradient is detached between neurons.
KINDS = {"e-prop": True, "bptt": False}
