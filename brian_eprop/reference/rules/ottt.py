"""Local rules with one presynaptic trace: OTTT, DECOLLE and SuperSpike."""

import numpy as np
from attrs import evolve

from ...checks import ABOVE_0, number
from ..losses import task_error
from ..rule import Recursion, Rule, refusal, require_single_delays
from ..spiking import SpikingNetwork


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

    name = "ottt"

    def __init__(self, network, rng):
        super().__init__(network, rng)
        if not isinstance(network, SpikingNetwork):
            raise refusal(self.name, network, "its traces decay with a membrane; give 'lif' units")
        low, high = network.alpha.min(), network.alpha.max()
        if low != high:
            raise refusal(
                self.name,
                network,
                f"'alpha' goes from {low:g} to {high:g}; the trace of a presynaptic neuron serves "
                "all its synapses, which needs one value ('superspike' has one for each synapse)",
            )
        require_single_delays(self.name, network)

    def start(self, batch):
        self.traces = {}

    def step(self, step, signal):
        decay = self.network.alpha[0]
        self.traces = {
            name: decay * self.traces.get(name, 0.0) + arrival
            for name, arrival in step.arrivals.items()
        }
        credit = np.zeros_like(step.state)
        credit[0] = step.observation[0] * (self.learning(step, signal) + signal.rate)
        return evolve(step, arrivals=self.traces).gradient(credit)

    def learning(self, step, signal):
        """What a spike of each neuron does to the loss of this step; (batch, n_rec)."""
        return self.network.readout_gain * signal.learning


OTTT_RULE = Rule(
    name=OTTT.name,
    recursion=OTTT,
    source="Xiao et al. 2022, NeurIPS 35, arXiv 2210.04195",
    facing="local",
    local=True,
    memory=(1, 0),
    time=(2, 0),
    parent="superspike",
    change="no filter; one trace for a presynaptic unit",
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

    name = "decolle"

    def __init__(self, network, rng, *, scale=0.5):
        super().__init__(network, rng)
        number("rule 'decolle': 'scale'", scale, "be positive", low=ABOVE_0)
        bound = scale / np.sqrt(network.n_rec)
        self.local_readout = rng.uniform(-bound, bound, (network.n_rec, network.n_out))

    def learning(self, step, signal):
        y = step.observable @ self.local_readout
        error = task_error(self.network, y, signal.target, signal.weight)
        return error @ self.local_readout.T


DECOLLE_RULE = Rule(
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

    def __init__(self, network, rng):
        super().__init__(network, rng)
        if not isinstance(network, SpikingNetwork):
            raise refusal(
                "superspike", network, "its trace is a postsynaptic potential; give 'lif' units"
            )

    def start(self, batch):
        self.potential, self.filtered = {}, {}

    def step(self, step, signal):
        network, gradient = self.network, {}
        psi = step.observation[0][:, np.newaxis]
        for name, arrival in step.arrivals.items():
            potential = network.alpha * self.potential.get(name, 0.0) + arrival
            trace = psi * potential
            filtered = network.kappa * self.filtered.get(name, 0.0) + network.readout_gain * trace
            self.potential[name], self.filtered[name] = potential, filtered
            paid = np.einsum("bj,bij->ij", signal.learning, filtered)
            gradient[name] = (paid + np.einsum("bj,bij->ij", signal.rate, trace))[np.newaxis]
        return gradient


SUPERSPIKE_RULE = Rule(
    name="superspike",
    recursion=SuperSpike,
    source="Zenke & Ganguli 2018, Neural Computation 30(6):1514",
    facing="local",
    local=True,
    memory=(2, 0),
    time=(2, 0),
    uses_feedback=True,
    parent="eprop",
    change="no adaptation, no reset in the trace",
)
