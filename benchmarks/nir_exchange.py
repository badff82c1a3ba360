"""Networks that go by NIR to four other tools, and come back: the files in tests/data/nir.

    python3 -m pip install "brian_eprop[nir,torch]" snntorch norse spikingjelly nirtorch sinabs
    python3 benchmarks/nir_exchange.py

For each network of ours a file of its graph, and one with inputs and the spikes that each of the
tools gives for it, all in float32 but SpikingJelly. For each network that snnTorch or Sinabs has
trained the graph that it exports, and its spikes. Prints what is equal, and the versions.
"""

import argparse
import logging
import warnings
from importlib.metadata import version
from pathlib import Path

import nir
import numpy as np
import sinabs.layers
import sinabs.nir
import snntorch as snn
import torch
from brian2 import ms, ohm, prefs
from norse.torch.utils.import_nir import from_nir as to_norse
from sinabs.activation import MembraneReset, SingleSpike
from snntorch.export_nir import export_to_nir
from snntorch.import_nir import import_from_nir as to_snntorch
from spikingjelly.activation_based.nir_exchange.from_nir import import_from_nir as to_spikingjelly

from brian_eprop import RecurrentNetwork, to_nir

DT = 0.1 * ms  # the one of snnTorch, which cannot be chosen
STEPS, N_IN, N_REC = 100, 6, 12
#: Model, its parameters, and whether it has recurrent weights and a bias.
NETWORKS = {
    "lif_layer": ("nir_lif", {"tau_m": 2 * ms}, False),
    "lif_recurrent": ("nir_lif", {"tau_m": 2 * ms}, True),
    "cuba_recurrent": (
        "nir_cuba_lif",
        {"tau_m": 2 * ms, "tau_syn": 0.5 * ms, "R": 20 * ohm, "gain": 5.0},
        True,
    ),
}


def network(name):
    """One of ours, and inputs for it."""
    model, values, recurrent = NETWORKS[name]
    rng = np.random.default_rng(7)
    size = 20 / float(values.get("R", 1)) / values.get("gain", 1.0)
    weights = {
        "w_in": size * (rng.normal(size=(N_IN, N_REC)) + 0.2),
        "w_rec": 0.5 * size * rng.normal(size=(N_REC, N_REC)),
    }
    # numbers that float32 has as well
    weights = {name: np.float32(matrix).astype(float) for name, matrix in weights.items()}
    masks = {"w_rec": np.full((N_REC, N_REC), recurrent)}
    made = RecurrentNetwork(
        [(model, N_REC, values)], N_IN, N_REC, 2, dt=DT, weights=weights, connectivity=masks, seed=1
    )
    return made, rng.random((STEPS, N_IN)) < 0.3


def spikes_of(step, inputs):
    """Step by step, with the state that each step hands to the next one."""
    found, state = [], None
    for row in inputs:
        y, state = step(row[None], state)
        found.append(y.detach().numpy()[0] > 0.5)
    return np.array(found)


def tools(graph, inputs):
    """The spikes of a graph in each tool : dict of str to (T, n) bool array."""
    single = torch.from_numpy(inputs.astype(np.float32))
    double = {"dt": float(DT), "dtype": torch.float64}
    found = {
        "snntorch": spikes_of(to_snntorch(graph), single),
        "norse": spikes_of(to_norse(graph, dt=float(DT)), single),
        "spikingjelly": spikes_of(to_spikingjelly(graph, **double), single.double()),
    }
    # Sinabs reads no CubaLIF
    try:
        changed = for_sinabs(graph, float(DT))
    except KeyError:
        return found
    return found | {"sinabs": spikes_of(to_sinabs(changed), single)}


def for_sinabs(graph, dt):
    """A graph as Sinabs takes it: α = exp(−1/tau), v ← α v + I, linear maps with a bias."""
    kinds = {
        "LIF": lambda n: nir.LIF(
            tau=-1 / np.log1p(-dt / n.tau),  # in steps
            r=np.ones_like(n.r),
            v_leak=n.v_leak,
            v_threshold=n.v_threshold * n.tau / (n.r * dt),
            v_reset=n.v_reset,
        ),
        "Linear": lambda n: nir.Affine(n.weight, np.zeros(len(n.weight))),
        "NIRGraph": lambda n: for_sinabs(n, dt),
        **dict.fromkeys(("Affine", "Input", "Output"), lambda n: n),
    }
    nodes = {name: kinds[type(node).__name__](node) for name, node in graph.nodes.items()}
    return nir.NIRGraph(nodes, graph.edges)


def to_sinabs(graph):
    """Step by step, with the reset of NIR."""
    net = sinabs.nir.from_nir(graph, batch_size=1)
    for layer in net.modules():
        if isinstance(layer, sinabs.layers.LIF):
            layer.spike_fn, layer.reset_fn = SingleSpike, MembraneReset()
    return net


def from_sinabs(graph):
    """What Sinabs has exported as NIR has it, in steps of 1 s; from norm_input=True."""
    for node in graph.nodes.values():
        if isinstance(node, nir.LIF):
            node.tau = -1 / np.expm1(-1 / np.asarray(node.tau, dtype=float))
    return graph


class Recurrent(torch.nn.Module):
    """Inputs, a recurrent layer that resets to zero at once, and perhaps one of two neurons."""

    def __init__(self, layers):
        super().__init__()
        reset = {"reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}
        self.first = torch.nn.Linear(N_IN, N_REC)
        self.hidden = snn.RLeaky(beta=0.9, linear_features=N_REC, **reset)
        self.layers = layers
        if layers == 2:
            self.second = torch.nn.Linear(N_REC, 2)
            self.last = snn.Leaky(beta=torch.full((2,), 0.8), threshold=torch.ones(2), **reset)

    def forward(self, x):
        spikes = self.hidden(self.first(x))
        return self.last(self.second(spikes)) if self.layers == 2 else spikes


def trained(layers):
    """A network of snnTorch, trained there for a while to fire at 0.2 and 0.05 per step."""
    torch.manual_seed(layers)
    net, rng = Recurrent(layers), np.random.default_rng(layers)
    with torch.no_grad():
        net.first.weight *= 3
    inputs = rng.random((STEPS, N_IN)) < 0.3
    x = torch.from_numpy(inputs.astype(np.float32))
    wanted = torch.tensor([0.2, 0.05] * (1 if layers == 2 else N_REC // 2))
    optimizer, losses = torch.optim.Adam(net.parameters(), lr=5e-3), []
    for _ in range(60):
        reset(net)
        loss = ((torch.stack([net(row[None])[0] for row in x]).mean(0) - wanted) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    reset(net)
    spikes = np.array([net(row[None])[0].detach().numpy() > 0.5 for row in x])
    reset(net)
    graph = export_to_nir(net, x[:1], ignore_dims=[0])
    return graph, inputs, spikes, losses


def trained_by_sinabs():
    """A layer of Sinabs, trained there for a while to fire at 0.2 and 0.05 per step."""
    torch.manual_seed(1)
    layer = sinabs.layers.LIFSqueeze(
        batch_size=1,
        tau_mem=torch.linspace(5, 20, N_REC),
        spike_threshold=torch.ones(N_REC),
        spike_fn=SingleSpike,
        reset_fn=MembraneReset(),
    )
    net = torch.nn.Sequential(torch.nn.Linear(N_IN, N_REC), layer)
    with torch.no_grad():
        net[0].weight *= 8
    inputs = np.random.default_rng(1).random((STEPS, N_IN)) < 0.3
    x = torch.from_numpy(inputs.astype(np.float32))
    wanted = torch.tensor([0.2, 0.05] * (N_REC // 2))
    optimizer, losses = torch.optim.Adam(net.parameters(), lr=2e-2), []
    for _ in range(60):
        layer.reset_states()
        loss = ((net(x).mean(0) - wanted) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    layer.reset_states()
    spikes = net(x).detach().numpy() > 0.5
    layer.reset_states()
    return from_sinabs(sinabs.nir.to_nir(net, x)), inputs, spikes, losses


def reset(net):
    net.hidden.reset_mem()
    if net.layers == 2:
        net.last.reset_mem()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("tests/data/nir"))
    folder = parser.parse_args().folder
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    prefs.codegen.target = "numpy"
    names = ("nir", "nirtorch", "torch", "snntorch", "norse", "spikingjelly", "sinabs")
    versions = " ".join(f"{name} {version(name)}" for name in names)
    for name in NETWORKS:
        ours, inputs = network(name)
        graph = to_nir(ours, outputs="spikes")
        nir.write(folder / f"{name}.nir", graph)
        found, expected = tools(graph, inputs), ours.simulate(inputs).spikes
        np.savez_compressed(folder / f"{name}.npz", inputs=inputs, versions=versions, **found)
        for tool, spikes in found.items():
            print(
                f"{name:16} {tool:13} {spikes.sum():5} spikes, {(spikes != expected).sum()} differ"
            )
    made = {f"snntorch_{layers}": trained(layers) for layers in (1, 2)}
    made["sinabs_1"] = trained_by_sinabs()
    for name, (graph, inputs, spikes, losses) in made.items():
        nir.write(folder / f"{name}.nir", graph)
        tool = {name.partition("_")[0]: spikes}
        np.savez_compressed(folder / f"{name}.npz", inputs=inputs, versions=versions, **tool)
        print(f"{name:16} loss {losses[0]:.3f} → {losses[-1]:.3f}, {spikes.sum()} spikes")
    print(versions)


if __name__ == "__main__":
    main()
