"""OTTT: a trace of each presynaptic neuron, and the error of the same step."""

from typing import ClassVar

import sympy
from attrs import frozen
from brian2 import NeuronGroup

from ...calculus.linearization import Linearization
from ...calculus.one_step import OURS
from ..rule import Rule, of_integrator


@frozen
class OTTT(Rule):
    """The trace belongs to the presynaptic neuron, and meets ψ and the error of the same step.

    ::

        â_i ← F' â_i + F' b x_i                   one for all synapses of a neuron
        dE/dW_ji ≈ Σ_t L_j^t g ψ_j^t ∂distance/∂h · â_i^t

    g is the gain of the readout. It keeps the Jacobian F' of the integrator; it drops the reset,
    J = 1, what a spike does to its own neuron, k = 0, and the filter F_κ of the readout: what a
    spike still does to later outputs does not count (Xiao et al. 2022, NeurIPS 35,
    arXiv 2210.04195). Gradients that are summed over a trial are OTTT_A of the paper, updates in
    every step, with ``engine="traces"``, OTTT_O. Errors go back along the readout's own weights
    there, the default of the learner.

    A trace of the presynaptic neuron alone exists where F' is the same number for all neurons of
    the target in all steps: LIF, ALIF, with synaptic currents too. Other neurons, whose F' depends
    on their state, are refused; `SuperSpike` has a trace for each synapse.

    Parameters
    ----------
    engine, surrogate, reset_path
        As for `EProp`; reset paths have no effect, since the rule has none.
    """

    filtered: ClassVar[bool] = False

    def kept(self, stage: str, entries: sympy.Matrix) -> sympy.Matrix:
        """F' as it is; the reset changes nothing, and spikes add nothing."""
        return of_integrator(stage, entries)

    def check(self, linearization: Linearization, group: NeuronGroup) -> None:
        """Raise an error unless the trace is one of the presynaptic neuron alone."""
        if any(linearization.jump):
            raise ValueError(
                f"OTTT meets the error of the step, but a loss on group '{group.name}' reads a "
                "filter of its spikes, through which they act later: choose SuperSpike(), which "
                "follows it, or a loss of the readout"
            )
        changing = _changing(linearization)
        if changing:
            raise ValueError(
                f"OTTT has one trace for each presynaptic neuron, but what group '{group.name}' "
                f"makes of an arrival depends on '{changing[0]}', which is not the same for all "
                "its neurons in all steps: give parameters one value, or choose SuperSpike(), "
                "which has a trace for each synapse"
            )


def _changing(linearization):
    """Names in A and D that are not one number for all neurons of the group in all steps."""
    used = {*linearization.A.free_symbols, *linearization.D.free_symbols}
    definitions, step = linearization.definitions, linearization.step
    while nested := {s for n in used for s in definitions.get(n, n).free_symbols} - used:
        used |= nested
    names = {s.name for s in used - definitions.keys()}
    changing = names & (step.varying | step.per_neuron)
    return sorted({"not_refractory" if name in OURS else name for name in changing})
