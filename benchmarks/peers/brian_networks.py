"""brian_eprop itself, compiled: the gradient by each engine, and the network without learning."""

import os

import numpy as np
from attrs import evolve
from brian2 import prefs, set_device

from brian_eprop import EProp
from peers import Found
from peers.problem import recurrent_network

__all__ = ["gradient_of", "train"]

# said as to JAX and PyTorch
SINGLE = os.environ.get("JAX_ENABLE_X64") == "0"
prefs.core.default_float_dtype = np.float32 if SINGLE else np.float64


def rule_of(kind):
    """The rule of ``"credit inf"``, ``"traces 1"``, …"""
    engine, order = kind.split()
    return EProp(engine=engine, order=float(order) if order == "inf" else int(order))


def gradient_of(network, inputs, targets, window, kind):
    """A call that computes the gradient, or only runs the network, for kind = ``"simulate"``.

    It includes what every call of a compiled network does: hand the program weights and trials,
    and read the results. The first call starts the program.
    """
    set_device("cpp_standalone", build_on_run=False)
    ours = recurrent_network(network.n_rec, None if kind == "simulate" else rule_of(kind))

    def simulation():
        simulated = ours.simulate(inputs)
        return Found({}, None, simulated.spikes.mean(), *program_clocks(ours))

    def gradient():
        found = ours.gradients(inputs, targets, window)
        gradients = {name: getattr(found, name) for name in ("w_in", "w_rec", "w_out")}
        return Found(gradients, found.loss, found.spikes.mean(), *program_clocks(ours))

    return simulation if kind == "simulate" else gradient


def train(network, task, batch, iterations, kind):
    """Train by `RecurrentNetwork.fit`; see :func:`.jax_networks.train`."""
    set_device("cpp_standalone", build_on_run=False)
    network.description = evolve(network.description, rule=rule_of(kind))
    for _ in range(iterations):
        (entry,) = network.fit(task, 1, batch, seed=0)
        yield entry["loss"], entry["rate"] * float(task.dt), *program_clocks(network)


def program_clocks(network):
    """Processor time of the last call in the compiled program: of the simulation, and of all."""
    (compiled,) = network._networks.values()
    return compiled.simulation_seconds, compiled.program_seconds
