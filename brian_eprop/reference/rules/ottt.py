"""Local rules with one presynaptic trace: OTTT, DECOLLE and SuperSpike."""

import numpy as np
from attrs import evolve

from ...checks import ABOVE_0, number
from ..losses import task_error
from ..rule import Recursion, Rule, filtered, option
from ..spiking import SPIKING


@Rule(
    name="ottt",
    source="Xiao et al. 2022, NeurIPS 35, arXiv 2210.04195",
    facing="local",
    cells=SPIKING,
    reason="its traces decay with a membrane",
    delays="single",
    memory=(1, 0),
    parent="superspike",
    change="no filter; one trace for a presynaptic unit",
)
class OTTT(Recursion):
    """A trace of each presynaptic neuron, and the error of the same step::

        â_i^t = α â_i^{t−1} + û_i^t
        dE/dW_ij ≈ Σ_t (gain L_j^t + ∂E_reg/∂z_j) ψ_j^t â_i^t

    û are the inputs of the step and the spikes of the step before. Reset, adaptation and the
    filter of the readout are detached, whatever the network says. L goes back through the true
    w_out. For LIF with κ = 0 and no implicit reset this is e-prop with symmetric feedback. Used at
    the end of a trial it is OTTT_A of the paper, in each step OTTT_O.

    Departure: the published code has no trace for the first layer, which is given an image that
    does not change; inputs have one here.

    Stored: â, a number for each presynaptic neuron: so all neurons must have the same α.
    """

    def __attrs_post_init__(self):
        low, high = self.network.alpha.min(), self.network.alpha.max()
        if low != high:
            raise self.refusal(
                f"'alpha' goes from {low:g} to {high:g}; the trace of a presynaptic neuron serves "
                "all its synapses, which needs one value ('superspike' has one for each synapse)"
            )

    def start(self, batch):
        self.traces = {}

    def step(self, step, signal):
        self.traces = filtered(self.traces, self.network.alpha[0], step.arrivals)
        credit = np.zeros_like(step.state)
        credit[0] = step.observation[0] * (self.learning(step, signal) + signal.rate)
        return evolve(step, arrivals=self.traces).gradient(credit)

    def learning(self, step, signal):
        """What a spike of each neuron does to the loss of this step; (batch, n_rec)."""
        return self.network.readout_gain * signal.learning


@Rule(
    name="decolle",
    source="Kaiser, Mostafa & Neftci 2020, Front. Neurosci. 14:424",
    facing="local",
    cells=SPIKING,
    reason="its traces decay with a membrane",
    delays="single",
    memory=(1, 0),
    parent="ottt",
    change="loss of a readout of its own",
)
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

    scale: float = option(number, "be positive", low=ABOVE_0, default=0.5)

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        n_rec, n_out = self.network.n_rec, self.network.n_out
        bound = self.scale / np.sqrt(n_rec)
        self.local_readout = self.rng.uniform(-bound, bound, (n_rec, n_out))

    def learning(self, step, signal):
        y = step.observable @ self.local_readout
        error = task_error(self.network, y, signal.target, signal.weight)
        return error @ self.local_readout.T


@Rule(
    name="superspike",
    source="Zenke & Ganguli 2018, Neural Computation 30(6):1514",
    facing="local",
    cells=SPIKING,
    reason="its trace is a postsynaptic potential",
    uses_feedback=True,
    parent="eprop",
    change="no adaptation, no reset in the trace",
)
class SuperSpike(Recursion):
    """A voltage-dependent trace of each synapse, without the neuron's own spikes::

        ε_ij^t = α_j ε_ij^{t−1} + û_i^t              the postsynaptic potential
        e_ij^t = ψ_j^t ε_ij^t
        dE/dW_ij ≈ Σ_t L_j^t F_κ(e_ij)^t + ∂E_reg/∂z_j Σ_t e_ij^t

    û are the inputs and spikes that arrive in the step. For LIF whose reset is detached or
    explicit this is e-prop; an implicit reset and adaptation are not part of the trace.

    Departures. The paper's loss is the van Rossum distance between output spikes and target
    spikes, and its trace is filtered with the kernel of that distance; here the error is that of
    the readout and the filter F_κ, with its gain, the readout's. Its potential is a double
    exponential, as the neuron's is; ours is that of delta synapses. Its surrogate
    1/(1 + β|v − v_th|)² is the network's ψ. Its learning rate per parameter (RMaxProp) is a matter
    of the optimizer. L goes through the feedback weights, which may be symmetric, random or
    uniform, as in the paper.

    Stored: ε and F_κ(e) of each synapse.
    """

    def start(self, batch):
        self.potential, self.filtered = {}, {}

    def step(self, step, signal):
        network, psi = self.network, step.observation[0][:, np.newaxis]
        self.potential = filtered(self.potential, network.alpha, step.arrivals)
        traces = {name: psi * potential for name, potential in self.potential.items()}
        seen = {name: network.readout_gain * trace for name, trace in traces.items()}
        self.filtered = filtered(self.filtered, network.kappa, seen)
        gradient = {}
        for name, trace in traces.items():
            of_loss = np.einsum("bj,bij->ij", signal.learning, self.filtered[name])
            of_rate = np.einsum("bj,bij->ij", signal.rate, trace)
            gradient[name] = (of_loss + of_rate)[np.newaxis]
        return gradient
