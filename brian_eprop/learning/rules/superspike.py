"""SuperSpike: the postsynaptic potential as the trace of a synapse."""

import sympy
from attrs import frozen

from ..rule import Rule, of_integrator


@frozen
class SuperSpike(Rule):
    """The trace of a synapse is its postsynaptic potential, without the neuron's own spikes.

    ::

        s_ji ← F'_j s_ji + F'_j b x_ji            the postsynaptic potential
        e_ji = ψ_j ∂distance_j/∂h · s_ji
        dE/dW_ji ≈ Σ_t L_j^t F_κ(e_ji)^t

    It keeps the Jacobian F' of the integrator whole: the leak, filters of synapses, conductances,
    and what currents of adaptation do below threshold. It drops the reset, J = 1, and all that a
    spike does to its own neuron, k = 0. So of an ALIF neuron, whose adaptation has no other drive
    than spikes, it is e-prop of the LIF neuron; for LIF with an explicit or detached reset it is
    e-prop (Zenke & Ganguli 2018, Neural Computation 30(6):1514, Eqs 5–10, whose double exponential
    and filter are those of its neuron).

    The published loss compares filtered spike trains. It is a `Loss` on a state of the neuron that
    only spikes drive, ``dx/dt = -x/tau``, reset ``x += 1``: such a state leads back to no
    threshold, and what a spike adds to it is kept, so that e_ji passes through the filter of x. The
    readout gives any other error, ∂E/∂y through the feedback of the learner, symmetric or random as
    there.

    Parameters
    ----------
    engine, surrogate, reset_path
        As for `EProp`; reset paths have no effect, since the rule has none.
    """

    def kept(self, stage: str, entries: sympy.Matrix) -> sympy.Matrix:
        """F' as it is; the reset changes nothing, and spikes add nothing."""
        return of_integrator(stage, entries)
