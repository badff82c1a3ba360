"""What LIF and ALIF share: threshold, refractoriness, pseudo-derivative and the own spike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..surrogates import antiderivative, pseudo_derivative

__all__ = ["Held", "Spiking", "fire", "held_by", "own_spike", "self_edges"]


class Spiking(NamedTuple):
    """What a spiking cell remembers beside its states, each (batch, n_rec).

    Attributes
    ----------
    threshold : ndarray
        A.
    psi : ndarray
        Pseudo-derivative.
    silent : bool ndarray
        Whether the neuron is refractory.
    countdown : int ndarray
        Steps of refractoriness left.
    """

    threshold: np.ndarray
    psi: np.ndarray
    silent: np.ndarray
    countdown: np.ndarray


class Held(NamedTuple):
    """What a run takes from another one.

    Attributes
    ----------
    silent : (batch, n_rec) bool ndarray, optional
        Refractory steps.
    own : (batch, n_rec) ndarray, optional
        Spikes of the step before in the resets whose path is detached.
    spikes : (batch, n_rec) ndarray, optional
        The spikes of this step; those of another simulator.
    """

    silent: np.ndarray | None = None
    own: np.ndarray | None = None
    spikes: np.ndarray | None = None


def held_by(network, steps, own=False):
    """What a smooth run keeps of the run `steps`.

    The refractory steps, which have no derivative; with `own` also the spikes in detached resets,
    so that weights varied around those of `steps` see exactly the paths that the gradient follows.
    """
    nothing = np.zeros_like(steps[0].observable)
    before = [nothing, *(step.observable for step in steps[:-1])]
    return [
        Held(step.memory.silent, z if own else None) for step, z in zip(steps, before, strict=True)
    ]


def own_spike(network, before, held, variable, batch):
    """z^{t−1} as it acts on a variable at the reset."""
    if held is not None and held.own is not None and network.reset_path[variable] == "detached":
        return held.own
    return np.zeros((batch, network.n_rec)) if before is None else before.observable


def fire(network, before, v, threshold, held):
    """Spikes, pseudo-derivative and refractoriness.

    Returns
    -------
    spikes : (batch, n_rec) ndarray
    memory : Spiking
    """
    distance = v - threshold
    countdown = np.zeros(distance.shape, dtype=int)
    if before is not None:
        countdown = np.maximum(before.memory.countdown - 1, 0)
    silent = held.silent if held is not None and held.silent is not None else countdown > 0
    if held is not None and held.spikes is not None:
        spikes = held.spikes
    elif network.smooth:
        spikes = antiderivative(network, distance) * ~silent
    else:
        spikes = (distance > 0) * ~silent * 1.0
    countdown = np.where(spikes > 0, network.n_ref, countdown)
    psi = pseudo_derivative(network, distance) * ~silent
    return spikes, Spiking(threshold, psi, silent, countdown)


def self_edges(network, before, edges, implicit, batch):
    """The own spike's edges to the states: implicit ones go into D, explicit ones are returned.

    Parameters
    ----------
    edges : dict of str to (n_rec,) ndarray
        {state variable: ∂c/∂z of the step before}, in the order of the states.
    implicit : (S, S, batch, n_rec) ndarray
        D without the spike; changed in place.

    Returns
    -------
    (S, batch, n_rec) ndarray
    """
    explicit = np.zeros((len(edges), batch, network.n_rec))
    for row, (variable, edge) in enumerate(edges.items()):
        if network.reset_path[variable] == "explicit":
            explicit[row] = edge
        elif network.reset_path[variable] == "implicit" and before is not None:
            # z^{t−1} is a function of c^{t−1}; the output of the readout is not part of it
            implicit[row] += edge * before.observation[: len(edges)]
    return explicit
