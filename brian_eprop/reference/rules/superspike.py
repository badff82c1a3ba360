"""SuperSpike."""

import numpy as np

from ..networks.spiking import SpikingNetwork
from ..options import refusal
from ..rule import Recursion, Rule


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


RULE = Rule(
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
