"""Gradients by any rule, and finite differences.

Rules may be written as text: a name, or a name with options like a call.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..checks import one_of, whole_number
from .problem import (
    DELAYS,
    AnyNetwork,
    Gradients,
    Problem,
    as_network,
)
from .rule import RuleDoesNotApply
from .rules import RULES, rule_named
from .spiking import SpikingNetwork

FEEDBACK = ("symmetric", "random", "adaptive")


def parse_rule(text):
    """Name and options of a rule written like a call: ``ok(rank=4)``, ``eprop(order=inf)``.

    Rules that use feedback weights have one option more, ``feedback``: ``symmetric``, or
    ``random`` and ``adaptive``, which differ in training only.

    Returns
    -------
    name : str
    options : dict
    feedback : str or None

    Raises
    ------
    ValueError
        If the text is not of that form, or names no rule.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        if isinstance(tree, ast.Name):
            name, options = tree.id, {}
        else:
            name = tree.func.id
            if tree.args:
                raise ValueError
            options = {keyword.arg: _literal(keyword.value) for keyword in tree.keywords}
    except (SyntaxError, ValueError, AttributeError):
        raise ValueError(
            f"'{text}' is not a rule; write a name, or a name with options like "
            "'eprop(order=2, truncation=horizon)'"
        ) from None
    rule_named(name)
    feedback = options.pop("feedback", None)
    if feedback is not None:
        if not RULES[name].uses_feedback:
            raise ValueError(
                f"rule '{name}' has no feedback weights; leave the option 'feedback' away"
            )
        one_of(f"rule '{name}': 'feedback'", feedback, FEEDBACK)
    return name, options, feedback


def _literal(node):
    if isinstance(node, ast.Name):
        return math.inf if node.id == "inf" else node.id
    return ast.literal_eval(node)


def example_rules():
    """Every registered rule with the options of its `examples`, as text.

    Rules with feedback weights get symmetric ones, so that they are compared by what else they
    leave out; e-prop comes with random and adaptive feedback too.
    """
    labels = []
    for name, rule in RULES.items():
        feedback = "symmetric" if rule.uses_feedback else None
        labels += [rule_label(name, options, feedback) for options in rule.examples]
    return [*labels, "eprop(feedback=random)", "eprop(feedback=adaptive)"]


def described_rule(label):
    """The rule of a label, as it is with its options."""
    name, options, _ = parse_rule(label)
    return RULES[name].with_options(options)


def rule_label(name, options, feedback=None):
    """The text that `parse_rule` reads."""
    options = options | ({} if feedback is None else {"feedback": feedback})
    settings = ", ".join(f"{option}={value}" for option, value in options.items())
    return f"{name}({settings})" if settings else name


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
        Those of "alpha", "rho", "beta", "v_th", "delay_in" and "delay_rec" whose gradients are
        wanted, of a SpikingNetwork; for rules that have them (``RULES[rule].parameters``). Where a
        delay is whole its gradient is the derivative to the right.
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
    whole_number("'repetitions'", repetitions)
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
    alternatives = [
        f"'{rule_label(known, example)}'"
        for known, rule in RULES.items()
        for example in rule.examples
        if rule.with_options(example).parameters
    ]
    return RuleDoesNotApply(
        f"rule '{rule_label(name, options)}' gives no gradient of parameters of neurons; leave "
        f"'parameters' away, or use one of {', '.join(alternatives)}"
    )


def finite_differences(
    network: AnyNetwork,
    inputs: ArrayLike,
    targets: ArrayLike,
    learning_window: ArrayLike | None = None,
    *,
    parameters: Sequence[str] = (),
    step: float = 1e-6,
) -> dict[str, np.ndarray]:
    """Central differences of the loss, one weight or parameter after the other.

    (E(W + step) − E(W − step))/(2 step). Spikes are smooth, with the derivative ψ, so that the
    surrogate gradient is the true one. ψ keeps its height and width where v_th is varied.

    Parameters
    ----------
    network, inputs, targets, learning_window, parameters
        See :func:`brian_eprop.reference.gradients`.
    step : float

    Returns
    -------
    dict of str to ndarray
        Of the shapes of the network's weights, 0 for absent connections, and of its parameters.
    """
    smooth = isinstance(as_network(network), SpikingNetwork)
    problem = Problem(
        network, inputs, targets, learning_window, smooth=smooth, parameters=parameters
    )
    network, gradient = problem.network, {}
    _check_between_steps(network, problem.parameters, step)
    of_units = {name: getattr(network, name) for name in problem.parameters}
    for name, weights in (network.parameters | of_units).items():
        gradient[name] = np.zeros_like(weights)
        present = np.broadcast_to(network.mask_of(name), weights.shape)
        for index in zip(*np.nonzero(present), strict=True):
            sides = []
            for sign in (1, -1):
                varied = weights.copy()
                varied[index] += sign * step
                sides.append(problem.varied_loss({name: varied}))
            gradient[name][index] = (sides[0] - sides[1]) / (2 * step)
        gradient[name] = gradient[name].reshape(np.shape(getattr(network, name)))
    return gradient


def _check_between_steps(network, names, step):
    """Raise an error for delays around which the loss is not smooth."""
    for name in names:
        if name not in DELAYS:
            continue
        delays = getattr(network, name)[network.mask_of(name)]
        if network.rounded:
            raise ValueError(
                "finite differences of delays that are rounded are 0 or jumps; give a network with "
                "rounded=False"
            )
        at_kink = np.abs(delays - np.round(delays)) <= step
        if np.any(at_kink):
            raise ValueError(
                f"'{name}' contains {delays[at_kink][0]:g}: the loss has a kink where a delay is a "
                "whole number of steps; give delays between two steps"
            )
