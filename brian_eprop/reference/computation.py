"""Gradients of a network by any registered rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .labels import rule_label
from .options import RuleDoesNotApply
from .problem import Problem
from .results import Gradients
from .rules import RULES, rule_named
from .validation import AnyNetwork

__all__ = ["gradients"]


def gradients(
    network: AnyNetwork,
    inputs: ArrayLike,
    targets: ArrayLike,
    rule: str = "bptt",
    learning_window: ArrayLike | None = None,
    *,
    smooth: bool = False,
    spikes: ArrayLike | None = None,
    parameters: Sequence[str] = (),
    seed: int | np.random.Generator | None = None,
    repetitions: int = 1,
    **options: Any,
) -> Gradients:
    """Gradient of the loss with respect to all weights, and to parameters of the neurons.

    Parameters
    ----------
    network : SpikingNetwork or RateNetwork, or an object whose ``reference_network()`` returns one
    inputs : (T, n_in) or (batch, T, n_in) array
        ``inputs[t]`` acts on the units in step t, their observables of t in t + 1.
    targets : (T, n_out) or (batch, T, n_out) array
    rule : str
        A key of `RULES`.
    learning_window : int, (T,) or (batch, T) array, optional
        Number of last steps that count, or a weight for each step; default all. The readout
        filters run from step 0.
    smooth : bool
        Smooth spikes with the derivative ψ.
    spikes : (T, n_rec) or (batch, T, n_rec) array, optional
        Spikes of a run made elsewhere, by Brian2 say, along which the gradient is taken.
    parameters : sequence of str
        Those of "alpha", "rho", "beta" and "v_th" whose gradients are wanted, of a SpikingNetwork;
        for rules that have them (``RULES[rule].parameters``).
    seed : int or numpy.random.Generator, optional
        Of stochastic rules.
    repetitions : int
        How often the sequences are shown; the gradient is that of the last time. For rules that
        learn something of the network first.
    **options
        Options of the rule.

    Returns
    -------
    Gradients
        Summed over time, averaged over the batch.

    Raises
    ------
    ValueError
        Unknown rule, option or parameter; wrong shapes or values; a rule that does not apply to
        the network, or that gives no gradient of parameters.
    ArithmeticError
        If the recursion of the rule diverges, with the step.
    """
    rule = rule_named(rule)
    if isinstance(repetitions, bool) or repetitions != int(repetitions) or repetitions < 1:
        raise ValueError(f"'repetitions' is {repetitions!r}; give a whole number, 1 or more")
    if parameters and not rule.with_options(options).parameters:
        raise _no_parameters(rule.name, options)
    problem = Problem(
        network,
        inputs,
        targets,
        learning_window,
        smooth=smooth,
        spikes=spikes,
        parameters=parameters,
    )
    recursion = rule.at_work(problem.network, np.random.default_rng(seed), **options)
    for _ in range(repetitions):
        gradient = problem.gradient(recursion, rule)
    return problem.result(gradient, rule)


def _no_parameters(name, options):
    able = [
        f"'{rule_label(known, example)}'"
        for known, rule in RULES.items()
        for example in rule.examples
        if rule.with_options(example).parameters
    ]
    return RuleDoesNotApply(
        f"rule '{rule_label(name, options)}' gives no gradient of parameters of neurons; leave "
        f"'parameters' away, or use one of {', '.join(able)}"
    )
