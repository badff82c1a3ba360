"""One spiking network in the hands of several programs: what the speed benchmark compares.

Every module of a program has ``gradient_of(network, inputs, targets, window, kind)``, which
returns a call without arguments that computes one gradient and returns `Found`.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["PEERS", "Found", "Peer", "trials"]


class Found(NamedTuple):
    """What one call found.

    Attributes
    ----------
    gradients : dict of str to array
        ``w_in``, ``w_rec``, ``w_out``, row = pre; averaged over the batch. Empty where nothing
        is learned.
    loss : float or None
    rate : float
        Mean spikes per neuron and step.
    simulation_seconds : float or None
        Processor time of the simulation alone, where it runs in a program of its own.
    program_seconds : float
        Processor time of a program that stays, which the operating system adds to no other's.
    """

    gradients: dict
    loss: float | None
    rate: float
    simulation_seconds: float | None = None
    program_seconds: float = 0.0


class Peer(NamedTuple):
    """A way to the gradient: what it is called, and where it is.

    Attributes
    ----------
    label : str
    package : str
        What must be importable.
    module : str
        Of this package.
    kind : str
        What `gradient_of` of the module is to do.
    """

    label: str
    package: str
    module: str
    kind: str

    @property
    def ours(self):
        return self.package == "brian_eprop"


PEERS = {
    "credit": Peer("brian_eprop, credit", "brian_eprop", "brian_networks", "credit 1"),
    "credit-2": Peer("brian_eprop, credit, order 2", "brian_eprop", "brian_networks", "credit 2"),
    "credit-inf": Peer(
        "brian_eprop, credit, order ∞", "brian_eprop", "brian_networks", "credit inf"
    ),
    "traces": Peer("brian_eprop, traces", "brian_eprop", "brian_networks", "traces 1"),
    "simulate": Peer("brian_eprop, no learning", "brian_eprop", "brian_networks", "simulate"),
    "jax-eprop": Peer("JAX e-prop", "jax", "jax_networks", "e-prop"),
    "jax-eprop-drive": Peer("JAX e-prop, one product", "jax", "jax_networks", "e-prop by drive"),
    "jax-traces": Peer("JAX e-prop, traces", "jax", "jax_networks", "e-prop traces"),
    "jax-bptt": Peer("JAX BPTT", "jax", "jax_networks", "bptt"),
    "jax-bptt-drive": Peer("JAX BPTT, one product", "jax", "jax_networks", "bptt by drive"),
    "torch-eprop": Peer("PyTorch e-prop", "torch", "torch_networks", "e-prop"),
    "torch-bptt": Peer("PyTorch BPTT", "torch", "torch_networks", "bptt"),
    "nest": Peer("NEST e-prop", "nest", "nest_network", "e-prop"),
}


def trials(task, batch, iteration):
    """Those that ``RecurrentNetwork.fit(task, …, seed=0)`` draws in an iteration, from 0."""
    return task.sample(
        np.random.default_rng(np.random.SeedSequence(0, spawn_key=(iteration,))), batch
    )
