"""Eligibility traces, per synapse and step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .cells import alif
from .linearization import Linearization
from .simulation import as_network, as_sequences

__all__ = ["EligibilityTraces", "eligibility_traces", "forward_traces"]


class Traces(NamedTuple):
    """Of one projection in one step: vector (n_states, batch, n_pre, n_rec), others without
    the axis of the states."""

    vector: np.ndarray
    trace: np.ndarray
    filtered: np.ndarray


def forward_traces(
    linearization: Linearization, kappa: float, readout_gain: float
) -> Iterator[dict[str, Traces]]:
    """Eligibility traces of each step (Bellec et al. 2020, Methods Eqs 13–14, 28)::

        ε_ij^t = D_j^t ε_ij^{t−1} + F_ij^t        eligibility vector
        e_ij^t = q_j^t · ε_ij^t                   eligibility trace
        ē_ij^t = κ ē_ij^{t−1} + readout_gain e_ij^t

    Yields
    ------
    traces : dict of str to Traces
        For each weight name.
    """
    vector, filtered = {}, {}
    for t, (d, q) in enumerate(zip(linearization.implicit, linearization.readout, strict=True)):
        traces = {}
        for name, immediate in linearization.immediate(t).items():
            vector[name] = (
                np.einsum("srbj,rbij->sbij", d, vector[name]) + immediate if t else immediate
            )
            trace = np.einsum("sbj,sbij->bij", q, vector[name])
            last = filtered[name] if t else 0.0
            filtered[name] = kappa * last + readout_gain * trace
            traces[name] = Traces(vector[name], trace, filtered[name])
        yield traces


@dataclass(frozen=True, eq=False)
class EligibilityTraces:
    """Traces of one projection at every step, (batch, T, n_pre, n_rec) each.

    The axis ``batch`` is absent where the inputs had none. Absent synapses have 0.

    Attributes
    ----------
    eps_v, eps_a : ndarray
        Eligibility vector after the step t: ∂v_j^t/∂w_ij and ∂a_j^t/∂w_ij along implicit edges.
    e_trace : ndarray
        e = ψ (eps_v − β eps_a).
    e_bar : ndarray
        F_κ(e), with the gain of the readout.
    """

    eps_v: np.ndarray
    eps_a: np.ndarray
    e_trace: np.ndarray
    e_bar: np.ndarray


def eligibility_traces(network, inputs):
    """Eligibility traces at every step.

    Parameters
    ----------
    network : SpikingNetwork, or an object whose ``reference_network()`` returns one
    inputs : (T, n_in) or (batch, T, n_in) array

    Returns
    -------
    dict of str to EligibilityTraces
        Keys "w_in" and "w_rec".
    """
    network = as_network(network)
    inputs, single = as_sequences("inputs", inputs, network.n_in)
    linearization = alif.linearize(network, inputs, alif.run(network, inputs))
    steps = list(forward_traces(linearization, network.kappa, network.readout_gain))

    def stack(arrays):
        stacked = np.stack(arrays, axis=1)
        return stacked[0] if single else stacked

    return {
        name: EligibilityTraces(
            eps_v=stack([step[name].vector[0] for step in steps]),
            eps_a=stack([step[name].vector[1] for step in steps]),
            e_trace=stack([step[name].trace for step in steps]),
            e_bar=stack([step[name].filtered for step in steps]),
        )
        for name in steps[0]
    }
