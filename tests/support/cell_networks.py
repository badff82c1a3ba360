"""A small active network of every cell, for the battery of rules."""

from __future__ import annotations

import numpy as np
from random_networks import random_network

from brian_eprop.reference import CELLS, RULES, LeakyRate, RateNetwork, gradients

SPIKING = ("lif", "alif")
RATE = tuple(name for name in CELLS if name not in SPIKING)
ALL = tuple(CELLS)


def cell_network(name, seed=0, n_in=3, n_rec=5, n_out=2, density=1.0, **changes):
    """A network of the cell; spiking ones have all parameters of `random_network` but no delays.

    density : fraction of recurrent connections that exist.
    """
    rng = np.random.default_rng([seed, n_rec])
    mask = {} if density == 1 else {"mask_rec": rng.random((n_rec, n_rec)) < density}
    if name in SPIKING:
        sizes = dict(n_in=n_in, n_rec=n_rec, n_out=n_out)
        return random_network(seed, kind=name, max_delay=0, **sizes, **(mask | changes))
    cell = LeakyRate(leak=0.3) if name == "leaky_rate" else CELLS[name]()

    def drawn(gates, *shape):
        weights = rng.normal(0, 1, (len(gates), *shape)) / np.sqrt(shape[0])
        return weights[0] if cell.gates == 1 else weights

    settings = dict(
        w_in=drawn(cell.gates_in, n_in, n_rec),
        w_rec=1.2 * drawn(cell.gates_rec, n_rec, n_rec),
        bias=0.3 * drawn(range(cell.gates), n_rec),
        feedback=rng.normal(0, 1, (n_out, n_rec)),
    )
    if name == "jordan":
        settings["visible"] = n_out
        if mask:
            allowed = np.arange(n_rec) >= n_rec - n_out
            mask["mask_rec"] &= np.not_equal.outer(allowed, allowed)
    else:
        settings |= dict(w_out=rng.normal(0, 1, (n_rec, n_out)), bias_out=rng.normal(0, 0.3, n_out))
    return RateNetwork(cell=cell, **(settings | mask | changes))


def cell_task(network, seed=0, batch=2, n_steps=12):
    """Inputs and targets; spiking networks get spikes."""
    rng = np.random.default_rng([seed, 7])
    shape = (batch, n_steps, network.n_in)
    spiking = network.cell.name in SPIKING
    inputs = (rng.random(shape) < 0.5).astype(float) if spiking else rng.normal(0, 1, shape)
    if network.loss == "mse":
        return inputs, rng.normal(0, 1, (batch, n_steps, network.n_out))
    return inputs, rng.dirichlet(np.ones(network.n_out), (batch, n_steps))


def network_for(rule, seed=1, **changes):
    """A network to which a registered rule applies, and the options of its first example."""
    options, refusals = RULES[rule].examples[0], []
    for name in ("alif", "lif", "leaky_rate"):
        uniform = {"alpha": 0.8} if name in SPIKING else {}
        network = cell_network(name, seed, **(uniform | changes))
        try:
            RULES[rule].at_work(network, np.random.default_rng(0), **options)
        except ValueError as error:
            refusals.append(str(error))
        else:
            return network, options
    raise AssertionError(f"{rule} applies to no network: {refusals}")


def relative(a, b, network, blocks=None):
    """‖a − b‖/‖b‖ over the weights of the recurrent layer, or the named ones; b must not vanish."""
    names = tuple(network.blocks) if blocks is None else blocks
    a, b = (np.concatenate([np.ravel(getattr(g, name)) for name in names]) for g in (a, b))
    norm = np.linalg.norm(b)
    assert norm > 0, "the gradient vanishes: nothing is compared"
    return np.linalg.norm(a - b) / norm


def gradient(network, task, rule, **options):
    """The gradients of a rule; asserts that a spiking network is alive."""
    result = gradients(network, *task, rule, **options)
    if network.cell.name in SPIKING:
        assert result.spikes.sum() > 5
    return result
