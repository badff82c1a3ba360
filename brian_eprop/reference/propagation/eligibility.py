"""Eligibility vectors, forwards in time."""

from __future__ import annotations

import numpy as np

__all__ = ["EligibilityVectors"]


class EligibilityVectors:
    """The eligibility vectors of all synapses and parameters, step by step.

    ε_ij^t = D_j^t ε_ij^{t−1} + F_ij^t (Bellec et al. 2020, Methods Eq. 13).

    Attributes
    ----------
    values : dict of str to (S, batch, gates, n_pre, n_rec) ndarray
    """

    def __init__(self):
        self.values = {}

    def advance(self, step):
        """Take one step and return `values`."""
        values = {}
        for name in step.trained:
            values[name] = step.immediate(name)
            if self.values:
                decayed = np.einsum("srbj,rbgij->sbgij", step.implicit, self.values[name])
                values[name] = values[name] + decayed
        self.values = values
        return values

    def gradient(self, credit):
        """Σ_batch Σ_s credit_s,j ε_s,ij for all that is trained; credit (S, batch, n_rec)."""
        return {
            name: np.einsum("sbj,sbgij->gij", credit, value) for name, value in self.values.items()
        }
