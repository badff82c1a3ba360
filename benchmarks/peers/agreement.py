"""That the programs compute what they are said to: the gradient of brian_eprop.reference.

    JAX_ENABLE_X64=1 python -m peers.agreement jax-bptt torch-bptt nest

on a small network, in float64.
"""

import sys
from importlib import import_module

import numpy as np
from attrs import evolve

from brian_eprop.reference import SpikingNetwork, gradients
from peers import PEERS

#: Round-off; NEST's gradient is a difference of weights.
TOLERANCE = 1e-10
BLOCKS = ("w_in", "w_rec", "w_out")
N_IN, N_REC, N_OUT, BATCH, STEPS, WINDOW = 6, 14, 2, 3, 100, 70


def plain():
    """What every program can do: ALIF neurons, mse, symmetric feedback."""
    rng = np.random.default_rng(5)
    return SpikingNetwork(
        w_in=rng.normal(0, 0.4, (N_IN, N_REC)),
        w_rec=rng.normal(0, 0.2, (N_REC, N_REC)) * (1 - np.eye(N_REC)),
        w_out=rng.normal(0, 0.5, (N_REC, N_OUT)),
        alpha=np.exp(-1 / 25),
        rho=np.exp(-1 / 60),
        beta=0.1,
        v_th=0.6,
        n_ref=3,
        kappa=np.exp(-1 / 20),
        readout_gain=0.3,
    )


def trained():
    """What the tasks need besides: cross-entropy, given feedback, regularization, LIF too."""
    rng = np.random.default_rng(6)
    return evolve(
        plain(),
        beta=np.where(np.arange(N_REC) < N_REC // 2, 0, 0.1),
        loss="cross_entropy",
        average=True,
        feedback=rng.normal(0, 0.5, (N_OUT, N_REC)),
        rate_target=0.02,
        rate_strength=30.0,
    )


def trials(network):
    rng = np.random.default_rng(7)
    inputs = rng.random((BATCH, STEPS, N_IN)) < 0.1
    inputs[:, :2] = False  # see tests/data/README.md: what NEST loses in the first steps
    targets = rng.random((BATCH, STEPS, N_OUT))
    if network.loss == "cross_entropy":
        targets = targets / targets.sum(axis=-1, keepdims=True)
    return inputs, targets


def difference(found, expected):
    """The largest relative difference of a block."""
    return max(
        np.linalg.norm(np.asarray(found[name]) - getattr(expected, name))
        / np.linalg.norm(getattr(expected, name))
        for name in BLOCKS
    )


def check(key, network):
    """Raise AssertionError unless a program has the reference's gradient."""
    peer, (inputs, targets) = PEERS[key], trials(network)
    rules = ("bptt", "eprop") if peer.kind.startswith("bptt") else ("eprop", "bptt")
    right, wrong = (gradients(network, inputs, targets, rule, WINDOW) for rule in rules)
    program = import_module(f"peers.{peer.module}")
    if peer.package == "nest":
        found = program.once(network, inputs, targets, WINDOW)
    else:
        found = program.gradient_of(network, inputs, targets, WINDOW, peer.kind)()
        assert abs(found.loss / right.loss - 1) < TOLERANCE, f"{peer.label}: loss {found.loss}"
    error, of_other = difference(found.gradients, right), difference(found.gradients, wrong)
    assert right.spikes.mean() > 0.005, "the network of the check is silent"
    assert of_other > 1e-2, f"{peer.label}: the check cannot tell {rules[0]} from {rules[1]}"
    assert error < TOLERANCE, f"{peer.label}: its gradient is off by {error:.1e} ({network.loss})"
    if peer.package != "nest":  # there the last spike that updates weights is counted as well
        same = abs(found.rate / right.spikes.mean() - 1) < TOLERANCE
        assert same, f"{peer.label}: {found.rate} spikes per neuron and step"
    print(f"{peer.label:28} {network.loss:14} the reference's gradient to {error:.0e}", flush=True)


def main():
    for key in sys.argv[1:]:
        check(key, plain())
        if key in ("jax-eprop", "jax-eprop-drive", "nest"):
            check(key, trained())


if __name__ == "__main__":
    main()
