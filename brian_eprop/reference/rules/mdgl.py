"""Multi-digraph learning: e-prop and the effect by way of one other neuron."""

from collections import deque

import numpy as np

from ..propagation.cell_types import as_types, type_means
from ..propagation.eligibility import EligibilityVectors
from ..rule import Recursion, Rule, added


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

    def __init__(self, network, rng, *, types=None):
        super().__init__(network, rng)
        self.types = as_types("mdgl", types, network)

    def start(self, batch):
        self.vectors = EligibilityVectors()
        self.slope, self.traces = 0.0, dict.fromkeys(self.network.blocks, 0.0)
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
        self.traces = {
            name: self.network.kappa * self.traces[name]
            + np.einsum("sbj,sbgij->bgij", step.observation, value)
            for name, value in values.items()
        }
        self.before.append(self.traces)
        return gradient

    def _modulations(self, step, signal):
        """{lag: M_j}, (batch, n_rec) each."""
        network = self.network
        kappa, gates = network.kappa, network.blocks["w_rec"].gates
        slope = np.einsum("sbk,sgbk->gbk", step.readout, step.drive)[gates]
        self.slope = kappa * self.slope + (1 - kappa) * slope
        weights = type_means(sum(step.recurrent.values()), self.types, network.mask_rec)
        sent = signal.learning * self.slope
        return {
            lag: np.sum(sent @ (weights * mask).swapaxes(1, 2), axis=0)
            for lag, mask in network.recurrent_lags.items()
        }


RULE = Rule(
    name="mdgl",
    recursion=MDGL,
    source="Liu, Smith, Mihalas, Shea-Brown & Sümbül 2021, PNAS 118(51) e2111821118",
    facing="past",
    memory=(2, 0),
    time=(2, 0),
    parent="eprop",
    change="one hop to other units",
)
