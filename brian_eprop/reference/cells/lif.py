"""Leaky integrate-and-fire neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..step import Step
from .spikes import fire, own_spike, self_edges

__all__ = ["LIF"]


@dataclass(frozen=True)
class LIF:
    """The leaky integrate-and-fire cell of Bellec et al. 2020, Methods Eqs 6–8::

        v_j^t = α_j v_j^{t−1} + u_j^t − v_th,j z_j^{t−1}
        z_j^t = [v_j^t > v_th,j], and 0 in refractory steps

        q_j^t = ψ_j^t        D_j^t = α_j − v_th,j ψ_j^{t−1}        K_j = 1

    The term with ψ in D is that of an implicit reset; an explicit one is the self-edge −v_th,j.
    """

    name: ClassVar = "lif"
    states: ClassVar = ("v",)
    gates: ClassVar = 1
    gates_in: ClassVar = [0]
    gates_rec: ClassVar = [0]

    def advance(self, network, before, drive, held):
        """The next step; see :class:`brian_eprop.reference.cells.spikes.Held`."""
        (u,) = drive
        batch = len(u)
        last = np.zeros_like(u) if before is None else before.state[0]
        reset = network.v_th * own_spike(network, before, held, "v", batch)
        v = network.alpha * last + u - reset
        threshold = np.broadcast_to(network.v_th, v.shape)
        spikes, memory = fire(network, before, v, threshold, held)
        implicit = np.empty((1, 1, *u.shape))
        implicit[0, 0] = network.alpha
        self_edge = self_edges(network, before, {"v": -network.v_th}, implicit, batch)
        return Step(
            state=v[np.newaxis],
            observable=spikes,
            implicit=implicit,
            observation=memory.psi[np.newaxis],
            drive=np.ones((1, 1, *u.shape)),
            self_edge=self_edge,
            memory=memory,
        )
