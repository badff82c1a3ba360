"""Online training through time."""

from dataclasses import replace

import numpy as np

from ..networks.spiking import SpikingNetwork
from ..options import refusal, require_single_delays
from ..rule import Recursion, Rule


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
        return replace(step, arrivals=self.traces).gradient(credit)

    def learning(self, step, signal):
        """What a spike of each neuron does to the loss of this step; (batch, n_rec)."""
        return self.network.readout_gain * signal.learning


RULE = Rule(
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
