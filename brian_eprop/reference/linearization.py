"""The derivatives along a trajectory from which every rule is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Linearization"]


@dataclass(frozen=True, eq=False)
class Linearization:
    """Jacobians of a cell c^t = f(c^{t−1}, h^{t−lag}, x; W), h^t = g(c^t) along a trajectory.

    A unit j has n_states hidden variables c_j and one observable h_j (the spike z_j); a weight
    belongs to its postsynaptic unit. The state axes come first, so that the units are contiguous.

    Attributes
    ----------
    implicit : (T, n_states, n_states, batch, n_rec) ndarray
        D_j^t = ∂c_j^t/∂c_j^{t−1}, row = state at t.
    readout : (T, n_states, batch, n_rec) ndarray
        q_j^t = ∂h_j^t/∂c_j^t.
    explicit : mapping of int to (T, n_states, batch, n_rec, n_rec) ndarray
        R^t at each lag: ∂c_k^t/∂h_l^{t−lag} with l on the last but one and k on the last axis.
        Cells whose R does not depend on time give a broadcast view.
    immediate : function of int
        t → {weight name: (n_states, batch, n_pre, n_rec) ndarray}, F^t = ∂c_j^t/∂W_ij at fixed
        c^{t−1} and h; 0 for absent synapses.

    References
    ----------
    The distinction of implicit and explicit recurrence: Martín-Sánchez, Bohté & Otte 2022,
    arXiv 2207.11439; Bellec et al. 2020, Nat. Commun. 11:3625, Methods Eqs 1 and 13.
    """

    implicit: np.ndarray
    readout: np.ndarray
    explicit: Mapping[int, np.ndarray]
    immediate: Callable[[int], dict[str, np.ndarray]]
