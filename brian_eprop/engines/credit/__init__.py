"""The engine ``credit``: the past is recorded per neuron, and played backwards.

Σ_t L^t F_κ(e_ji)^t is linear in the arrivals that the trace is driven by, so that it equals the
sum, over all arrivals, of b·λ, with λ the adjoint of the trace's recursion: one number per
state and neuron, swept backwards in time at the end of each window. Per step a few numbers per
neuron are kept, and nothing is done per synapse; afterwards every arrival is given its credit.
Letting credit flow on, backwards across recurrent synapses, gives e-prop of higher order, and
back-propagation through time.
"""

from .engine import Credit

__all__ = ["Credit"]
