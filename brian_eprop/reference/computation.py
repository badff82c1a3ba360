"""Gradients of a network by any registered rule."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np

from .cells import alif
from .losses import low_pass, task_error, task_loss
from .results import Gradients
from .rule import Problem
from .rules import RULES
from .simulation import (
    as_network,
    as_sequences,
    as_targets,
    as_window,
    feedback_of,
    rate_penalty,
    readout_of,
)

__all__ = ["gradients"]


def gradients(network, inputs, targets, rule="bptt", learning_window=None, smooth=False, **options):
    """Gradient of the loss with respect to all weights.

    Parameters
    ----------
    network : SpikingNetwork, or an object whose ``reference_network()`` returns one
    inputs : (T, n_in) or (batch, T, n_in) bool array
        ``inputs[t]`` acts on the membrane in step t, the recurrent spikes of t in t + 1.
    targets : (T, n_out) or (batch, T, n_out) array
    rule : str
        A key of `RULES`.
    learning_window : int, optional
        Number of last steps that count; default all. The readout filters run from step 0.
    smooth : bool
        Smooth spikes with the derivative ψ; always so for the rule ``finite_difference``.
    **options
        Options of the rule.

    Returns
    -------
    Gradients
        Summed over time, averaged over the batch.

    Raises
    ------
    ValueError
        Unknown rule or option; wrong shapes or values.
    """
    rule = _find(rule, options)
    network = as_network(network)
    inputs, single = as_sequences("inputs", inputs, network.n_in)
    batch, n_steps = inputs.shape[:2]
    window = as_window(learning_window, n_steps)
    targets = as_targets(network, targets, inputs.shape, single, window)

    smooth = smooth or rule.smooth
    activity = alif.run(network, inputs, smooth)
    y = readout_of(network, activity.z)
    error = task_error(network, y, targets, window)
    feedback = feedback_of(network) if rule.uses_feedback else network.w_out.T
    per_trial = n_steps * (window if network.average else 1)
    excess = activity.z.mean(axis=1) - network.rate_target

    def loss_of(weights):
        varied = replace(network, **weights)
        z = alif.run(varied, inputs, smooth=True, base=activity).z
        task = task_loss(network, readout_of(varied, z), targets, window)
        return np.sum(task + rate_penalty(network, z, window))

    problem = Problem(
        linearization=alif.linearize(network, inputs, activity),
        learning_signal=error @ feedback,
        rate_signal=network.rate_strength * excess / per_trial,
        kappa=network.kappa,
        readout_gain=network.readout_gain,
        weights={name: getattr(network, name) for name in ("w_in", "w_rec", "w_out")},
        loss_of=loss_of,
    )
    # ∂E/∂w_out is local whatever the rule: Σ_t error_k F_κ(z_j) (Bellec et al. 2020, Eq. 29)
    filtered = network.readout_gain * low_pass(activity.z, network.kappa)
    gradient = {"w_out": np.einsum("btj,btk->jk", filtered, error)}
    gradient |= rule.gradient(problem, **options)
    masks = {"w_in": network.mask_in, "w_rec": network.mask_rec, "w_out": network.mask_out}
    gradient = {name: np.where(masks[name], g, 0.0) / batch for name, g in gradient.items()}

    def of_input_shape(array):
        return array[0] if single else array

    return Gradients(
        **gradient,
        loss=float(np.mean(task_loss(network, y, targets, window))),
        spikes=of_input_shape(activity.z if smooth else activity.z > 0),
        readout=of_input_shape(y),
        learning_signal=of_input_shape(problem.learning_signal),
        regularization=float(np.mean(rate_penalty(network, activity.z, window))),
    )


def _find(name, options):
    if name not in RULES:
        known = ", ".join(f"'{known}'" for known in RULES)
        raise ValueError(f"unknown rule '{name}'; the known rules are {known}")
    rule = RULES[name]
    known = list(inspect.signature(rule.gradient).parameters)[1:]
    for option in options:
        if option not in known:
            remedy = f"its options are {', '.join(known)}" if known else "it has no options"
            raise ValueError(f"rule '{name}' does not know the option '{option}'; {remedy}")
    return rule
