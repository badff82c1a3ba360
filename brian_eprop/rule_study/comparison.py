"""Rules side by side on one network: error, spread, memory, operations, time."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence

import numpy as np
from attrs import evolve, frozen
from brian2 import Network, get_local_namespace
from numpy.typing import ArrayLike

from ..learning.learner import Learner
from ..network import RecurrentNetwork
from ..reference.computation import parse_rule, rule_label
from ..reference.problem import AnyNetwork, Problem
from ..reference.rule import Recursion, RuleDoesNotApply
from ..reference.rules import RULES
from .brian2_problems import problem_in_brian2
from .operations import count, counted, stored_numbers
from .own_networks import problem_of_learner

#: How often rules that learn something of the network see the sequences before they are judged.
LESSONS = 50


@frozen
class Comparison:
    """One rule on one network, against back-propagation through time.

    All over the weights of the recurrent layer, g the gradient of the rule and g* that of bptt.
    For a rule without randomness there is one draw, and no spread.

    Attributes
    ----------
    label : str
        The rule with its options.
    rule : str
    error, error_spread : float
        ‖g − g*‖/‖g*‖, mean and standard deviation over draws.
    cosine, cosine_spread : float
        g·g*/(‖g‖ ‖g*‖).
    bias : float
        ‖mean of g − g*‖/‖g*‖; for draws of finite number not below spread/√draws.
    spread : float
        √(Σ var g)/‖g*‖, the relative standard deviation of one draw.
    memory : int
        Numbers stored at the end of the sequences, without the weights.
    operations : float
        Floating-point operations per step, counted; each multiplication or addition is one.
    seconds : float
        Per step, median of several runs.
    refusal : str or None
        Why the rule does not apply to the network, or where it diverged; everything else is then
        NaN.
    """

    label: str
    rule: str
    error: float = math.nan
    error_spread: float = math.nan
    cosine: float = math.nan
    cosine_spread: float = math.nan
    bias: float = math.nan
    spread: float = math.nan
    memory: float = math.nan
    operations: float = math.nan
    seconds: float = math.nan
    refusal: str | None = None


def compare(
    network: AnyNetwork | RecurrentNetwork,
    inputs: ArrayLike,
    targets: ArrayLike,
    rules: Sequence[str],
    *,
    learning_window: ArrayLike | None = None,
    spikes: ArrayLike | None = None,
    draws: int = 20,
    repeats: int = 3,
    seed: int = 0,
) -> list[Comparison]:
    """Compare rules on one network and one batch of sequences.

    Parameters
    ----------
    network : SpikingNetwork, RateNetwork or RecurrentNetwork
        A RecurrentNetwork, of any neuron models, is run by Brian2, and the rules see its steps:
        :func:`~brian_eprop.rule_study.brian2_problems.problem_in_brian2`.
    inputs, targets : array
        See :func:`brian_eprop.reference.gradients`; those of a RecurrentNetwork as for its
        ``gradients``.
    rules : sequence of str
        As :func:`parse_rule` reads them.
    learning_window, spikes : optional
        Likewise; a RecurrentNetwork takes no spikes, which are Brian2's.
    draws : int
        Of stochastic rules.
    repeats : int
        Runs of which the median time is taken.
    seed : int

    Returns
    -------
    list of Comparison
        In the order of `rules`. A rule that does not apply has a `refusal`.

    Raises
    ------
    ValueError
        Wrong shapes or values, what is no rule, an option out of range, or a gradient of bptt that
        is 0 everywhere.
    """
    if isinstance(network, RecurrentNetwork):
        if spikes is not None:
            raise ValueError(
                "compare: 'spikes' are given, but Brian2 runs this RecurrentNetwork and finds them "
                "itself; leave them away, or give network.reference_network()"
            )
        problem = problem_in_brian2(network, inputs, targets, learning_window)
    else:
        problem = Problem(network, inputs, targets, learning_window, spikes=spikes)
    return compared(problem, rules, draws=draws, repeats=repeats, seed=seed)


def compare_own_network(
    learner: Learner,
    rules: Sequence[str],
    network: Network | None = None,
    *,
    draws: int = 20,
    repeats: int = 3,
    seed: int = 0,
) -> list[Comparison]:
    """Compare rules on the next trial of your own Brian2 network, which is as it was afterwards.

    The units are the groups that learn; the inputs, all others that send spikes along trained
    synapses. The network may have several groups and synapses, delays, and any neuron model that
    the learner accepts. Each way in which spikes act on a group, excitation and inhibition say, is
    a gate, as those of rate units are: memory and operations count a weight for each.

    Parameters
    ----------
    learner : Learner
        With trials, ``rule=BPTT()`` or another order above 1, and a readout with a target.
    rules : sequence of str
        As for :func:`compare`.
    network : Network, optional
        Default: the one that contains the readout; else all objects that the caller sees, as for
        :func:`brian2.run`.
    draws, repeats, seed
        As for :func:`compare`.

    Returns
    -------
    list of Comparison

    Raises
    ------
    ValueError
        As :func:`compare`; and naming what of the network has no place in it, and the remedy.
    """
    namespace = get_local_namespace(level=1)
    problem = problem_of_learner(learner, network, namespace=namespace, level=1)
    return compared(problem, rules, draws=draws, repeats=repeats, seed=seed)


def compared(problem, rules, *, draws=20, repeats=3, seed=0):
    """Compare rules on sequences that a network has run through.

    Parameters
    ----------
    problem : Problem
    rules, draws, repeats, seed
        See :func:`compare`, which returns and raises the same.
    """
    bptt = RULES["bptt"]
    exact = _flat(problem, problem.gradient(_at_work(bptt, problem, seed), bptt))
    if not np.any(exact):
        raise ValueError(
            "compare: the gradient of bptt is 0 everywhere, so that nothing can be compared; "
            "give stronger inputs or weights"
        )
    return [_compared(problem, exact, *parse_rule(text), draws, repeats, seed) for text in rules]


def _compared(problem, exact, name, options, feedback, draws, repeats, seed):
    rule, label = RULES[name], rule_label(name, options, feedback)
    if feedback == "symmetric":
        problem = problem.with_symmetric_feedback()
    try:
        recursion = _at_work(rule, problem, seed, options)
        for _ in range(LESSONS if rule.learned else 0):
            problem.gradient(recursion, rule)
        seconds, gradients = [], []
        for _ in range(max(repeats, draws if rule.stochastic else 1)):
            before = time.perf_counter()
            gradients.append(_flat(problem, problem.gradient(recursion, rule)))
            seconds.append(time.perf_counter() - before)
    except (RuleDoesNotApply, ArithmeticError) as error:
        return Comparison(label, name, refusal=str(error))
    gradients = np.array(gradients if rule.stochastic else gradients[:1])
    norm = np.linalg.norm(exact)
    errors = np.linalg.norm(gradients - exact, axis=1) / norm
    lengths = np.maximum(np.linalg.norm(gradients, axis=1), np.finfo(float).tiny)
    cosines = gradients @ exact / (lengths * norm)
    return Comparison(
        label=label,
        rule=name,
        error=float(np.mean(errors)),
        error_spread=float(np.std(errors)),
        cosine=float(np.mean(cosines)),
        cosine_spread=float(np.std(cosines)),
        bias=float(np.linalg.norm(gradients.mean(axis=0) - exact) / norm),
        spread=float(np.sqrt(np.sum(gradients.var(axis=0))) / norm),
        memory=_memory(problem, rule, _at_work(rule, problem, seed, options)),
        operations=_operations(problem, rule, _at_work(rule, problem, seed, options)),
        seconds=float(np.median(seconds)) / problem.n_steps,
    )


def _at_work(rule, problem, seed, options=None) -> Recursion:
    """A recursion of the rule that has seen nothing yet."""
    return rule.at_work(problem.network, np.random.default_rng(seed), **(options or {}))


def _flat(problem, gradient):
    """The gradient of the recurrent layer as one vector, 0 for absent connections."""
    masked = (
        np.where(problem.network.mask_of(name), gradient[name], 0.0)
        for name in problem.network.blocks
    )
    return np.concatenate([array.ravel() for array in masked])


def _operations(problem, rule, recursion):
    """Operations per step of the recursion, the forward pass left out."""
    watched = copy.copy(problem)
    arrays = ("state", "observable", "output", "implicit", "observation", "readout", "drive")
    watched.steps = [
        evolve(
            step,
            **{field: counted(getattr(step, field)) for field in (*arrays, "self_edge")},
            arrivals={block: counted(array) for block, array in step.arrivals.items()},
        )
        for step in problem.steps
    ]
    with count() as counter:
        watched.gradient(recursion, rule)
    return sum(counter) / problem.n_steps


def _memory(problem, rule, recursion):
    """Numbers that the recursion holds after the last step, or after its end if these are more."""
    sizes = []

    def finish():
        sizes.append(stored_numbers(recursion))
        return type(recursion).finish(recursion)

    # the rule's own end is the last moment at which the steps are there for sure
    recursion.finish = finish
    problem.gradient(recursion, rule)
    return max(*sizes, stored_numbers(recursion))
