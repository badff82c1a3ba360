"""RFLO: a trace that decays with the leak of the unit alone."""

import sympy
from attrs import frozen

from ..rule import Rule, of_integrator


@frozen
class RFLO(Rule):
    """The trace of a synapse decays with the leak of its neuron, and nothing else acts on it.

    ::

        s_ji ← diag(F'_j) s_ji + diag(F'_j) b x_ji
        e_ji = ψ_j ∂distance_j/∂h · s_ji
        dE/dW_ji ≈ Σ_t L_j^t F_κ(e_ji)^t

    It keeps the diagonal of F', what each state makes of itself. It drops what the states do to
    each other, the reset, J = 1, and what a spike does to its own neuron, k = 0. For LIF neurons
    with an explicit or detached reset it is e-prop, as it is for the leaky rate units for which it
    was published (Murray 2019, eLife 8:e43299).

    A neuron whose synapses act on a state that the threshold does not read, a current or a
    conductance, has no path through a diagonal: it is refused; `SuperSpike` keeps it. The paper
    sends errors back along random weights: ``Learner(feedback="random")``.

    Parameters
    ----------
    engine, surrogate, reset_path
        As for `EProp`; reset paths have no effect, since the rule has none.
    """

    def kept(self, stage: str, entries: sympy.Matrix) -> sympy.Matrix:
        """The diagonal of F'; the reset changes nothing, and spikes add nothing."""
        if stage == "update":
            return sympy.diag(*entries.diagonal())
        return of_integrator(stage, entries)
