"""Deep continuous local learning."""

import numpy as np

from ..losses import task_error
from ..rule import Rule
from .ottt import OTTT


class DECOLLE(OTTT):
    """The loss of a readout that belongs to the layer, random and fixed::

        r_k^t = Σ_j G_jk z_j^t,      G_jk uniform in ±scale/√n_rec
        dE/dW_ij ≈ Σ_t (Σ_k G_jk ∂E(r^t, y*^t)/∂r_k + ∂E_reg/∂z_j) ψ_j^t P_i^t

    with the loss of the network, ½Σ(r − y*)² or cross-entropy of softmax(r), in the steps that
    count. The trace P of a presynaptic neuron is the â of
    :class:`~brian_eprop.reference.rules.ottt.OTTT`; the path through the reset is left out. The
    network's own readout learns beside it from its own error, which does not reach the layer.

    Departures: the paper's neurons filter twice, membrane and synapse, ours once; in the published
    code the loss is the smooth L1 distance, and the readout has a bias and drops half its inputs.

    Stored: P and G. The only randomness is that of G, drawn when the rule is set to work: so the
    rule is not called stochastic.

    Parameters
    ----------
    scale : float
        Of G; 0.5 in the published code.
    """

    name = "decolle"

    def __init__(self, network, rng, *, scale=0.5):
        super().__init__(network, rng)
        number = isinstance(scale, int | float | np.number) and not isinstance(scale, bool)
        if not number or not 0 < scale < np.inf:
            raise ValueError(f"rule 'decolle': 'scale' is {scale!r}; give a positive number")
        bound = scale / np.sqrt(network.n_rec)
        self.local_readout = rng.uniform(-bound, bound, (network.n_rec, network.n_out))

    def learning(self, step, signal):
        y = step.observable @ self.local_readout
        error = task_error(self.network, y, signal.target, signal.weight)
        return error @ self.local_readout.T


RULE = Rule(
    name=DECOLLE.name,
    recursion=DECOLLE,
    source="Kaiser, Mostafa & Neftci 2020, Front. Neurosci. 14:424",
    facing="local",
    local=True,
    memory=(1, 0),
    time=(2, 0),
    parent="ottt",
    change="loss of a readout of its own",
)
