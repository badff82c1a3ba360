"""Rules side by side on one network: error, spread, memory, operations, time."""

from __future__ import annotations

import ast
import copy
import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from .networks.network import Network
from .operations import count, counted
from .options import RuleDoesNotApply
from .problem import Problem
from .rule import Recursion
from .rules import RULES, rule_named
from .step import Step

__all__ = [
    "Comparison",
    "compare",
    "described_rule",
    "example_rules",
    "parse_rule",
    "rule_label",
    "stored_numbers",
]

#: How often rules that learn something of the network see the sequences before they are judged.
LESSONS = 50
FEEDBACK = ("symmetric", "random", "adaptive")


@dataclass(frozen=True)
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
        _check_feedback(name, feedback)
    return name, options, feedback


def _check_feedback(name, feedback):
    if not RULES[name].uses_feedback:
        raise ValueError(f"rule '{name}' has no feedback weights; leave the option 'feedback' away")
    if feedback not in FEEDBACK:
        raise ValueError(
            f"rule '{name}': 'feedback' is '{feedback}'; give one of {', '.join(FEEDBACK)}"
        )


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
    given = ", ".join(f"{option}={value}" for option, value in options.items())
    return f"{name}({given})" if given else name


def compare(
    network,
    inputs,
    targets,
    rules,
    *,
    learning_window=None,
    spikes=None,
    draws=20,
    repeats=3,
    seed=0,
):
    """Compare rules on one network and one batch of sequences.

    Parameters
    ----------
    network, inputs, targets, learning_window, spikes
        See :func:`brian_eprop.reference.gradients`.
    rules : sequence of str
        As :func:`parse_rule` reads them.
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
    problem = Problem(network, inputs, targets, learning_window, spikes=spikes)
    exact = _flat(problem, problem.gradient(_at_work("bptt", problem, seed), RULES["bptt"]))
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
        recursion = _at_work(name, problem, seed, options)
        for _ in range(LESSONS if rule.learned else 0):
            problem.gradient(recursion, rule)
        seconds, found = [], []
        for _ in range(max(repeats, draws if rule.stochastic else 1)):
            before = time.perf_counter()
            found.append(_flat(problem, problem.gradient(recursion, rule)))
            seconds.append(time.perf_counter() - before)
    except (RuleDoesNotApply, ArithmeticError) as error:
        return Comparison(label, name, refusal=str(error))
    found = np.array(found if rule.stochastic else found[:1])
    norm = np.linalg.norm(exact)
    errors = np.linalg.norm(found - exact, axis=1) / norm
    lengths = np.maximum(np.linalg.norm(found, axis=1), np.finfo(float).tiny)
    cosines = found @ exact / (lengths * norm)
    return Comparison(
        label=label,
        rule=name,
        error=float(np.mean(errors)),
        error_spread=float(np.std(errors)),
        cosine=float(np.mean(cosines)),
        cosine_spread=float(np.std(cosines)),
        bias=float(np.linalg.norm(found.mean(axis=0) - exact) / norm),
        spread=float(np.sqrt(np.sum(found.var(axis=0))) / norm),
        memory=_memory(problem, name, options, seed),
        operations=_operations(problem, name, options, seed) / problem.n_steps,
        seconds=float(np.median(seconds)) / problem.n_steps,
    )


def _at_work(name, problem, seed, options=None) -> Recursion:
    return RULES[name].at_work(problem.network, np.random.default_rng(seed), **(options or {}))


def _flat(problem, gradient):
    """The gradient of the recurrent layer as one vector, 0 for absent connections."""
    masked = (
        np.where(problem.network.mask_of(name), gradient[name], 0.0)
        for name in problem.network.blocks
    )
    return np.concatenate([array.ravel() for array in masked])


def _operations(problem, name, options, seed):
    """Operations of the recursion over the sequences, the forward pass left out."""
    watched = copy.copy(problem)
    arrays = ("state", "observable", "output", "implicit", "observation", "readout", "drive")
    watched.steps = [
        replace(
            step,
            **{field: counted(getattr(step, field)) for field in (*arrays, "self_edge")},
            arrivals={block: counted(array) for block, array in step.arrivals.items()},
        )
        for step in problem.steps
    ]
    recursion = _at_work(name, problem, seed, options)
    with count() as counter:
        watched.gradient(recursion, RULES[name])
    return sum(counter)


def _memory(problem, name, options, seed):
    """Numbers that the recursion holds after the last step, or after its end if these are more."""
    recursion = _at_work(name, problem, seed, options)
    sizes = []

    def finish():
        sizes.append(stored_numbers(recursion))
        return type(recursion).finish(recursion)

    # the rule's own end is the last moment at which the steps are there for sure
    recursion.finish = finish
    problem.gradient(recursion, RULES[name])
    return max(*sizes, stored_numbers(recursion))


def stored_numbers(recursion):
    """How many numbers a recursion holds, those of the network and its weights left out.

    Views of one array count as often as they show different numbers, but not more than it has.
    """
    weights = {id(_owner(array)) for array in recursion.network.parameters.values()}
    seen, owners = set(), {}

    def visit(thing):
        if isinstance(thing, np.ndarray):
            owner = _owner(thing)
            views = owners.setdefault(id(owner), (owner.size, {}))[1]
            views[thing.ctypes.data, thing.shape, thing.strides] = thing.size
        elif id(thing) not in seen and not isinstance(thing, Network | np.random.Generator):
            seen.add(id(thing))
            for part in _parts(thing):
                visit(part)

    visit(recursion)
    return sum(
        min(size, sum(views.values()))
        for owner, (size, views) in owners.items()
        if owner not in weights
    )


def _parts(thing):
    if isinstance(thing, Step):
        names = {field.name for field in fields(thing)} - {"network", "recurrent"}
        return [getattr(thing, name) for name in names]
    if isinstance(thing, Mapping):
        return list(thing.values())
    if isinstance(thing, list | tuple | deque):
        return list(thing)
    return list(vars(thing).values()) if hasattr(thing, "__dict__") else []


def _owner(array):
    """The array whose memory a view shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
