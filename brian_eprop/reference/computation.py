"""Gradients by any rule, finite differences, simulations and eligibility traces.

Rules may be written as text: a name, or a name with options like a call.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import ArrayLike

from ..checks import one_of, whole_number
from .backward import EligibilityVectors
from .losses import feedback_of, rate_penalty, step_weights, task_error, task_loss
from .problem import (
    DELAYS,
    AnyNetwork,
    Gradients,
    Problem,
    as_network,
    as_sequences,
    as_targets,
    read,
)
from .rule import RuleDoesNotApply
from .rules import RULES, rule_named
from .spiking import SpikingNetwork, held_by
from .step import run

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


@frozen(eq=False)
class Trajectory:
    """A run of the network, per step.

    The axis ``batch`` is absent where the inputs had none. What needs targets is None without.

    Attributes
    ----------
    inputs : (batch, T, n_in) ndarray
    v, a, threshold, psi, spikes : (batch, T, n_rec) ndarrays
        Membrane before the reset, adaptation, threshold A, pseudo-derivative, spikes
        (bool; real numbers for smooth spikes).
    silent : (batch, T, n_rec) bool ndarray
        Refractory steps.
    readout : (batch, T, n_out) ndarray
        y, including the spikes of the same step.
    error : (batch, T, n_out) ndarray
        ∂E/∂y.
    learning_signal : (batch, T, n_rec) ndarray
        L_j^t = Σ_k B_kj error_k^t with the feedback of e-prop.
    loss, regularization : float
        Averaged over the batch.
    """

    inputs: np.ndarray
    v: np.ndarray
    a: np.ndarray
    threshold: np.ndarray
    psi: np.ndarray
    spikes: np.ndarray
    silent: np.ndarray
    readout: np.ndarray
    error: np.ndarray | None
    learning_signal: np.ndarray | None
    loss: float | None
    regularization: float


def simulate(
    network: AnyNetwork,
    inputs: ArrayLike,
    targets: ArrayLike | None = None,
    learning_window: int | None = None,
    smooth: bool = False,
) -> Trajectory:
    """Run the network and record everything.

    Parameters
    ----------
    network : SpikingNetwork, or an object whose ``reference_network()`` returns one
    inputs : (T, n_in) or (batch, T, n_in) array
        ``inputs[t]`` acts on the membrane in step t, the recurrent spikes of t in t + 1.
    targets : (T, n_out) or (batch, T, n_out) array, optional
    learning_window : int, optional
        Number of last steps that count; default all.
    smooth : bool
        Smooth spikes with the derivative ψ (see `brian_eprop.reference.surrogates`).

    Returns
    -------
    Trajectory

    Raises
    ------
    ValueError
        Wrong shapes or values.
    """
    network = evolve(as_network(network, spiking=True), adaptive=True)
    inputs, single = as_sequences("inputs", inputs, network.n_in)
    weight = step_weights(network, learning_window, *inputs.shape[:2])
    steps = run(network, inputs)
    if smooth:
        steps = run(evolve(network, smooth=True), inputs, held_by(network, steps))
    y = np.stack([read(step, network.parameters) for step in steps], axis=1)
    loss = error = learning_signal = None
    if targets is not None:
        targets = as_targets(network, targets, inputs.shape, single, weight)
        loss = float(np.mean(np.sum(task_loss(network, y, targets, weight), axis=1)))
        error = task_error(network, y, targets, weight)
        learning_signal = error @ feedback_of(network)
    z = np.stack([step.observable for step in steps], axis=1)
    arrays: dict[str, Any] = {
        name: np.stack([step.state[k] for step in steps], axis=1)
        for k, name in enumerate(("v", "a"))
    }
    for name in ("threshold", "psi", "silent"):
        arrays[name] = np.stack([getattr(step.memory, name) for step in steps], axis=1)
    arrays |= {"inputs": inputs, "spikes": z if smooth else z > 0, "readout": y}
    arrays |= {"error": error, "learning_signal": learning_signal}
    if single:
        arrays = {name: array if array is None else array[0] for name, array in arrays.items()}
    penalty = float(np.mean(rate_penalty(network, z, weight)[0]))
    return Trajectory(**arrays, loss=loss, regularization=penalty)


@frozen(eq=False)
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
    network = evolve(as_network(network, spiking=True), adaptive=True)
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
