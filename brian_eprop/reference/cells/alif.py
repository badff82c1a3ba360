"""Adaptive leaky integrate-and-fire neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..step import Step
from .spikes import fire, own_spike, self_edges

__all__ = ["ALIF"]


@dataclass(frozen=True)
class ALIF:
    """The adaptive cell of Bellec et al. 2020, Methods Eqs 6–11::

        v_j^t = α_j v_j^{t−1} + u_j^t − v_th,j z_j^{t−1}
        a_j^t = ρ_j a_j^{t−1} + z_j^{t−1}
        z_j^t = [v_j^t > A_j^t],  A_j^t = v_th,j + β_j a_j^t, and 0 in refractory steps

        q_j^t = (ψ_j^t, −β_j ψ_j^t)        K_j = (1, 0)
        D_j^t = diag(α_j, ρ_j) + (own spike's implicit edges) ⊗ q_j^{t−1}

    The own spike enters v with −v_th and a with 1. Where `reset_path` calls such an edge implicit,
    it is substituted into D through z = z(v, a); where it calls it explicit, it is a self-edge;
    where detached, nothing.

    Jacobians: Bellec et al. 2020, Methods Eqs 13, 22–25.
    """

    name: ClassVar = "alif"
    states: ClassVar = ("v", "a")
    gates: ClassVar = 1
    gates_in: ClassVar = [0]
    gates_rec: ClassVar = [0]

    def advance(self, network, before, drive, held):
        """The next step; see :class:`brian_eprop.reference.cells.spikes.Held`."""
        (u,) = drive
        batch = len(u)
        v_last, a_last = np.zeros((2, *u.shape)) if before is None else before.state[:2]
        reset = network.v_th * own_spike(network, before, held, "v", batch)
        v = network.alpha * v_last + u - reset
        a = network.rho * a_last + own_spike(network, before, held, "a", batch)
        threshold = network.v_th + network.beta * a
        spikes, memory = fire(network, before, v, threshold, held)
        implicit = np.zeros((2, 2, *u.shape))
        implicit[0, 0] = network.alpha
        implicit[1, 1] = network.rho
        edges = {"v": -network.v_th, "a": np.ones(network.n_rec)}
        self_edge = self_edges(network, before, edges, implicit, batch)
        drive = np.zeros((2, 1, *u.shape))
        drive[0] = 1
        return Step(
            state=np.stack([v, a]),
            observable=spikes,
            implicit=implicit,
            observation=np.stack([memory.psi, -network.beta * memory.psi]),
            drive=drive,
            self_edge=self_edge,
            memory=memory,
        )
