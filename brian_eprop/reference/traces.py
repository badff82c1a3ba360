"""Eligibility traces of spiking networks, per synapse and step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from .forward import run
from .propagation.eligibility import EligibilityVectors
from .validation import AnyNetwork, as_network, as_sequences

__all__ = ["EligibilityTraces", "eligibility_traces"]


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


def eligibility_traces(network: AnyNetwork, inputs: ArrayLike) -> dict[str, EligibilityTraces]:
    """Eligibility traces of a spiking network at every step.

    Parameters
    ----------
    network : SpikingNetwork, or an object whose ``reference_network()`` returns one
    inputs : (T, n_in) or (batch, T, n_in) array

    Returns
    -------
    dict of str to EligibilityTraces
        Keys "w_in" and "w_rec".
    """
    network = replace(as_network(network, spiking=True), adaptive=True)
    inputs, single = as_sequences("inputs", inputs, network.n_in)
    traces = EligibilityVectors()
    steps: dict[str, list] = {name: [] for name in network.blocks}
    for step in run(network, inputs):
        for name, value in traces.advance(step).items():
            e_trace = np.einsum("sbj,sbgij->bgij", step.observation, value)
            # run() has added the readout
            e_bar = np.einsum("sbj,sbgij->bgij", step.readout, value)  # type: ignore[arg-type]
            steps[name].append((value[0], value[1], e_trace, e_bar))

    def stack(arrays):
        stacked = np.stack([array[:, 0] for array in arrays], axis=1)
        return stacked[0] if single else stacked

    return {
        name: EligibilityTraces(*map(stack, zip(*of_block, strict=True)))
        for name, of_block in steps.items()
    }
