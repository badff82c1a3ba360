"""The network and the trials that are timed, and a file that takes them to other processes."""

import numpy as np
from attrs import fields
from brian2 import ms

from brian_eprop import RecurrentNetwork

__all__ = ["N_IN", "STEPS", "recurrent_network", "synapses", "write"]

STEPS, N_IN = 1000, 100
#: Standard deviations of the weights, times √(number of presynaptic neurons): about 15 spikes/s.
GAINS = {"w_in": 0.55, "w_rec": 0.55, "w_out": 0.03}


def synapses(n):
    """How many weights are trained."""
    return n * (N_IN + n - 1 + 1)


def recurrent_network(n, rule=None):
    """100 inputs, n ALIF neurons, all-to-all without autapses, one readout."""
    rng = np.random.default_rng(0)
    shapes = {"w_in": (N_IN, n), "w_rec": (n, n), "w_out": (n, 1)}
    weights = {
        name: GAINS[name] * rng.standard_normal(shape) / np.sqrt(shape[0])
        for name, shape in shapes.items()
    }
    return RecurrentNetwork(
        [("alif", n, {"tau_m": 30 * ms})],
        N_IN,
        n,
        1,
        tau_out=30 * ms,
        weights=weights,
        rule=rule,
    )


def write(path, n, batch):
    """Write the network, in the terms of the reference, and its trials to a file (.npz)."""
    rng = np.random.default_rng(1)
    inputs = rng.random((batch, STEPS, N_IN)) < 0.05
    inputs[:, :2] = False  # NEST loses something of the first two steps, see tests/data/README.md
    targets = rng.standard_normal((batch, STEPS, 1))
    network = recurrent_network(n).reference_network()
    arrays = {field.name: getattr(network, field.name) for field in fields(type(network))}
    # plain arrays: what NumPy could only write as objects is the same for all
    arrays = {name: value for name, value in arrays.items() if np.asarray(value).dtype != object}
    np.savez(path, inputs=inputs, targets=targets, **arrays)
