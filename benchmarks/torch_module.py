"""Gradients of a module of PyTorch as data for tests without torch: tests/data/torch_module.npz.

    python3 -m pip install "brian_eprop[torch]"
    python3 benchmarks/torch_module.py

A network of ALIF neurons and a linear layer on the mean of its outputs, with the cross-entropy of
torch: inputs, ∂E/∂y of each step, and the gradients of the weights.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from brian2 import prefs

from brian_eprop import RecurrentNetwork


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", type=Path, default=Path("tests/data/torch_module.npz"))
    file = parser.parse_args().file
    prefs.codegen.target = "numpy"
    rng = np.random.default_rng(0)
    inputs = rng.random((3, 40, 5)) < 0.3
    net = RecurrentNetwork("alif", 5, 8, 2, seed=1)
    net.weights["w_in"] *= 3
    module, layer = net.as_torch(), torch.nn.Linear(2, 2, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -0.5], [-0.75, 1.25]]))
        layer.bias.copy_(torch.tensor([0.25, -0.25]))
    y = module(torch.from_numpy(inputs))
    y.retain_grad()
    loss = torch.nn.functional.cross_entropy(layer(y.mean(1)), torch.tensor([0, 1, 1]))
    loss.backward()
    gradients = {name: getattr(module, name).grad.numpy() for name in ("w_in", "w_rec", "w_out")}
    versions = f"torch {version('torch')}"
    np.savez_compressed(file, inputs=inputs, errors=y.grad.numpy(), versions=versions, **gradients)
    print(f"loss {loss.item():.6f}, {versions}")


if __name__ == "__main__":
    main()
