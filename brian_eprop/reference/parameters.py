"""Parameters of spiking neurons that have a gradient, and their direct effects in each step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .networks.spiking import SpikingNetwork

__all__ = ["PARAMETERS", "as_parameters", "with_direct_effects"]

#: Attributes of a SpikingNetwork, (n_rec,) each
PARAMETERS = ("alpha", "rho", "beta", "v_th")


def as_parameters(parameters, network):
    """The names as a tuple.

    Raises
    ------
    ValueError
        An unknown name, or any name where the units do not spike.
    """
    parameters = tuple(parameters)
    for name in parameters:
        if name not in PARAMETERS:
            known = ", ".join(f"'{known}'" for known in PARAMETERS)
            raise ValueError(f"'parameters' contains {name!r}; give a sequence of names of {known}")
    if parameters and not isinstance(network, SpikingNetwork):
        raise ValueError(
            f"'parameters' are those of spiking neurons, but the network has '{network.cell.name}' "
            "units; leave the option away"
        )
    return parameters


def with_direct_effects(steps, parameters):
    """The steps of alif units with the immediate derivatives F of their parameters.

    With them a parameter is to every rule what a weight is, and its direct effect is one of no
    explicit edge::

        F_α    = (v^{t−1}, 0)
        F_ρ    = (0, a^{t−1})
        F_β    = (−a^t + α a^{t−1}, 0)
        F_v_th = (−1 + α − z^{t−1}, 0)        without the α in the first step

    The spike sees nothing but the distance x = v − v_th − β a. A threshold that is higher by δ in
    the step t is therefore a membrane that is lower by δ in t and gets back what is left of it,
    α δ, in t + 1: so the sum Σ_t λ_v^t F_β^t is −Σ_t a^t ψ^t dE/dz^t. The last term of F_v_th is
    the size of the reset; it counts whatever the `reset_path`, z^{t−1} being a given number here.
    Height and width of ψ are constants, also where they were made from v_th.

    Parameters
    ----------
    steps : list of Step
        All of the sequence; units with the states v and a.
    parameters : sequence of str
    """
    with_effects = []
    for step, before in zip(steps, [None, *steps[:-1]], strict=True):
        effects = _direct_effects(step, before)
        wanted = {name: effects[name] for name in parameters}
        with_effects.append(replace(step, parameters=wanted))
    return with_effects


def _direct_effects(step, before):
    alpha, a = step.network.alpha, step.state[1]
    nothing = np.zeros_like(a)
    if before is None:
        v_last = a_last = z_last = given_back = nothing
    else:
        v_last, a_last = before.state[:2]
        z_last, given_back = before.observable, alpha + nothing
    effects = {
        "alpha": (v_last, nothing),
        "rho": (nothing, a_last),
        "beta": (alpha * a_last - a, nothing),
        "v_th": (given_back - 1 - z_last, nothing),
    }
    return {name: _with_output(step, np.stack(effect)) for name, effect in effects.items()}


def _with_output(step, effect):
    """With the effect on the output, where that is one of the states."""
    if step.network.kappa == 0:
        return effect
    observed = np.einsum("sbj,sbj->bj", step.observation[:2], effect)
    return np.concatenate([effect, [step.network.readout_gain * observed]])
