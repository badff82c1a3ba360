"""Rules with signals between types of cells: MDGL and ModProp."""

from __future__ import annotations

from collections import deque

import numpy as np
from attrs import field

from ...checks import keep, number
from ..backward import EligibilityVectors, gradient_of, sweep_hops
from ..rule import Recursion, Rule, added, filtered, option
from .bptt import BPTT


def numbered_types(recursion, attribute, types):
    """The validator of the types of cells, kept as numbers from 0, (n_rec,), or as None.

    Raises
    ------
    ValueError
        For anything but a whole number for each unit.
    """
    if types is not None:
        array, n_rec = np.asarray(types), recursion.network.n_rec
        if array.shape != (n_rec,) or array.dtype.kind not in "iu":
            raise ValueError(
                f"rule '{recursion.rule.name}': 'types' is {types!r}; give a whole number for each "
                f"of the {n_rec} units, the type of the cell, or None"
            )
        keep(recursion, attribute, np.unique(array, return_inverse=True)[1])


def type_means(weights, types, counted):
    """Weights replaced by their mean over all pairs of units of the same two types.

    Parameters
    ----------
    weights : (gates, n_rec, n_rec) ndarray
    types : (n_rec,) int ndarray or None
        As :func:`numbered_types` keeps them.
    counted : (n_rec, n_rec) bool ndarray
        Which pairs the mean is over; it is 0 where there are none.
    """
    if types is None:
        return weights
    member = np.equal.outer(types, np.arange(types.max() + 1)).astype(float)
    pairs = member.T @ counted @ member
    total = member.T @ (weights * counted) @ member
    means = np.divide(total, pairs, out=np.zeros_like(total), where=pairs > 0)
    return means[:, types[:, np.newaxis], types]


@Rule(
    name="mdgl",
    source="Liu, Smith, Mihalas, Shea-Brown & Sümbül 2021, PNAS 118(51) e2111821118",
    facing="past",
    parent="eprop",
    change="one hop to other units",
)
class MDGL(Recursion):
    """e-prop, and what a trace does to other units in the next step and through them to the loss::

        dE/dW_ij ≈ Σ_t ∂E^t/∂c_j^t · ε_ij^t + Σ_t M_j^t F_κ(e_ij)^{t−1}
        M_j^t = Σ_k w_rec[j,k] a_k^t,     a_k^t = L_k^t ψ̄_k^t
        ψ̄_k^t = κ ψ̄_k^{t−1} + (1 − κ) ψ_k^t,     ψ_k = ∂o_k/∂u_k at fixed o_k^{t−1}

    The first sum is e-prop. In the second one e_ij = q_j · ε_ij is the effect on the observable,
    and ψ_k the slope of a unit from its drive to what the readout sees of it. Units with several
    gates have a slope and weights for each; connections with a delay take the trace of as many
    steps before.

    The one hop takes one step: what the unit k remembers of it is left out, also where hop order 2
    keeps it. For κ = 0 this is the rule of the paper. With a leaky readout that needs the loss of
    the future, in ∂E/∂z_k; here it is the authors' causal form ("OnMDGL" in their program), which
    replaces the filtered product F_κ(ψ_k e_ij) by a product of filtered factors. It is exact for a
    constant slope, once its filter has settled.

    `types` makes the modulatory signal one of cell types: w_rec[j,k] is replaced by its mean over
    the existing connections between the types of j and k, where a connection exists.

    The self-edge of an explicit reset is no connection and left out, as in e-prop; the authors'
    traces have it, which is an implicit `reset_path`. The regularization of firing rates acts by
    way of e-prop only. It applies to every cell; published are LIF and ALIF.

    Stored are the eligibility vectors, and F_κ(e) of the steps before that connections reach.

    Parameters
    ----------
    types : (n_rec,) int array, optional
        The type of each cell. Default: the signal is specific to each neuron.
    """

    types: np.ndarray | None = field(default=None, validator=numbered_types)

    def start(self, batch):
        self.vectors = EligibilityVectors()
        self.slope, self.traces = 0.0, {}
        self.before = deque(maxlen=max(self.network.recurrent_lags))

    def step(self, step, signal):
        values = self.vectors.advance(step)
        gradient = self.vectors.gradient(signal.credit(step))
        for lag, modulation in self._modulations(step, signal).items():
            if lag <= len(self.before):
                of_hop = {
                    name: np.einsum("bj,bgij->gij", modulation, trace)
                    for name, trace in self.before[-lag].items()
                }
                gradient = added(gradient, of_hop)
        observed = {
            name: np.einsum("sbj,sbgij->bgij", step.observation, value)
            for name, value in values.items()
        }
        self.traces = filtered(self.traces, self.network.kappa, observed)
        self.before.append(self.traces)
        return gradient

    def _modulations(self, step, signal):
        """{lag: M_j}, (batch, n_rec) each."""
        network = self.network
        kappa, gates = network.kappa, network.blocks["w_rec"].gates
        slope = np.einsum("sbk,sgbk->gbk", step.readout, step.drive)[gates]
        self.slope = kappa * self.slope + (1 - kappa) * slope
        weights = type_means(sum(step.recurrent.values()), self.types, network.mask_rec)
        activity = signal.learning * self.slope
        return {
            lag: np.sum(activity @ (weights * share).swapaxes(1, 2), axis=0)
            for lag, share in network.recurrent_shares.items()
        }


@Rule(
    name="modprop",
    source="Liu, Smith, Mihalas, Shea-Brown & Sümbül 2022, NeurIPS, arXiv 2206.01338",
    facing="future",
    cells=("lif", "leaky_rate", "elman"),
    reason="one gain 'mu' stands for the slope of a unit",
    causal=False,
    memory=(1, 1),
    parent="factorized",
    change="one constant slope on the way",
)
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

    types: np.ndarray | None = field(default=None, validator=numbered_types)
    mu: float = option(number, default=0.25)

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
        all_pairs = np.ones_like(self.network.mask_rec)
        return type_means(step.recurrent[lag], self.types, all_pairs)[0]


def _gain(step):
    """The gain of units from drive to observable but for their slope, (batch, n_rec) or 1."""
    cell = step.network.cell
    if cell.name == "lif":
        return 1.0
    # the observation is 0 for units that are forced by a teacher, otherwise 1
    return getattr(cell, "leak", 1.0) * step.observation[0]
