"""ModProp: e-prop and the effect by way of any number of other neurons of one constant slope."""

import numpy as np

from ..options import number_within, refusal
from ..propagation.backward import gradient_of, sweep_hops
from ..propagation.cell_types import as_types, type_means
from ..rule import Rule
from .bptt import BPTT

CELLS = ("lif", "leaky_rate", "elman")


class ModProp(BPTT):
    """Credit through the recurrence with the gain μ in place of the slopes of units::

        d_k^t = (D_k^{t+1})ᵀ d_k^{t+1} + ∂E^t/∂c_k^t
        s_k^t = K_k^t · d_k^t + m_k^t
        m_k^t = D_k^{t+1} m_k^{t+1} + μ b g_k^t,     g_j^t = Σ_k w_rec[j,k] s_k^{t+1}
        dE/dW_ij ≈ Σ_t (∂E^t/∂c_j^t + q_j^t g_j^t) · ε_ij^t

    d is the credit without hops and s that of the drives: a unit through which an effect only
    passes on its way to another one has the slope μ, b is the rest of its gain (the leak of
    `leaky_rate`, otherwise 1). The unit that owns the weight and the one whose observable reaches
    the loss keep their true slopes: in s hops there are s − 1 factors μ, as in the filters
    μ^{s−1} W^s of the paper. The authors' program has μ in place of the owner's slope as well when
    there is a hop; it says that the trace should not be approximated, which is done here. Slopes
    of LIF are those of the spikes, ψ, those of rate units those of tanh.

    Since the gain is constant, the same numbers could be had forwards in time, by filters of the
    traces for each pair of types: without types these are n_rec³ numbers. Here they come from a
    sweep backwards, as in the authors' program, which stores the steps. It needs the eigenvalues
    of D + μ b w_recᵀ to be smaller than 1. With several delays each weight acts with its own.

    `types` replaces w_rec[j,k] by its mean over all pairs of the types of j and k, those without
    a connection included.

    It applies to units with one slope, LIF, leaky and Elman's. ALIF has the slope in its own memory
    too; gated units have one per gate; half the units of Jordan are linear.

    Parameters
    ----------
    types : (n_rec,) int array, optional
        The type of each cell. Default: filters specific to each pair of neurons.
    mu : float
        0.25 in the authors' program.
    """

    def __init__(self, network, rng, *, types=None, mu=0.25):
        super().__init__(network, rng)
        if network.cell.name not in CELLS:
            known = ", ".join(f"'{name}'" for name in CELLS)
            raise refusal(
                "modprop",
                network,
                f"one gain 'mu' stands for the slope of a unit; it needs {known}",
            )
        self.types = as_types("modprop", types, network)
        self.mu = number_within("modprop", "mu", mu, 0)

    def finish(self):
        direct = sweep_hops(self.steps, self.credits, 0)
        total, of_drive, hops = [], {}, 0.0
        for t in reversed(range(len(self.steps))):
            step, received = self.steps[t], np.zeros_like(self.steps[t].observable)
            for lag in self.network.recurrent_lags:
                if t + lag in of_drive:
                    weights = self._weights(self.steps[t + lag], lag)
                    received = received + of_drive[t + lag] @ weights.T
            if t + 1 < len(self.steps):
                hops = self.steps[t + 1].implicit[0, 0] * hops
            hops = hops + self.mu * _gain(step) * received
            of_drive[t] = np.einsum("sbk,sbk->bk", step.drive[:, 0], direct[t]) + hops
            total.append(self.credits[t] + step.observation * received)
        lam = sweep_hops(self.steps, total[::-1], 0)
        return gradient_of(self.steps, lam)

    def _weights(self, step, lag):
        every = np.ones_like(self.network.mask_rec)
        return type_means(step.recurrent[lag], self.types, every)[0]


def _gain(step):
    """The gain of units from drive to observable but for their slope, (batch, n_rec) or 1."""
    cell = step.network.cell
    if cell.name == "lif":
        return 1.0
    # the observation is 0 for units that are forced by a teacher, otherwise 1
    return getattr(cell, "leak", 1.0) * step.observation[0]


RULE = Rule(
    name="modprop",
    recursion=ModProp,
    source="Liu, Smith, Mihalas, Shea-Brown & Sümbül 2022, NeurIPS, arXiv 2206.01338",
    facing="future",
    causal=False,
    memory=(1, 1),
    time=(2, 0),
    parent="factorized",
    change="one constant slope on the way",
)
