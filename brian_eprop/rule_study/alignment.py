"""The alignment of rules with the gradient of back-propagation, while a network trains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from attrs import define, evolve, field, fields
from numpy.typing import ArrayLike

from ..checks import Entry, Floats, in_field, truth, whole
from ..learning.learner import Learner
from ..learning.rule import BPTT, EProp, Rule
from ..learning.rules import OSTL
from ..memory import check_memory
from ..network import RecurrentNetwork
from ..network.projections import spans
from ..network.structures import values_of
from ..reference.computation import described_rule, parse_rule
from ..reference.problem import Problem
from ..reference.rules import RULES
from .brian2_problems import problem_in_brian2
from .own_networks import problem_of_learner

#: Of a synapse of a network that runs: weight, gradient, and the neurons that it connects.
BYTES_OF_A_SYNAPSE = 24
#: Of a step of a neuron that is recorded, at least: ψ and the spike.
BYTES_OF_A_STEP = 12


def label_of(rule: Rule | str) -> str:
    """The name of a rule in columns and figures: ``EProp(order=2)``."""
    if isinstance(rule, str):
        return rule
    given = [
        f"{f.name}={getattr(rule, f.name)!r}"
        for f in fields(type(rule))
        if f.name == "order" or (getattr(rule, f.name) != f.default and f.name == "engine")
    ]
    return f"{type(rule).__name__}({', '.join(given)})"


def column(quantity: str, rule: Rule | str, part: str) -> str:
    """The key of a number in an entry of a history: ``cosine EProp(order=2) w_rec``."""
    return f"{quantity} {label_of(rule)} {part}"


def _rules(name, rules):
    listed = [rules] if isinstance(rules, Rule | str) else list(rules)
    for rule in listed:
        if isinstance(rule, str):
            try:
                parse_rule(rule)
            except ValueError as error:
                raise ValueError(
                    f"{name} names '{rule}', which is no rule of the reference: {error}; or give a "
                    "rule such as EProp(order=2)"
                ) from None
        if not isinstance(rule, Rule | str):
            raise TypeError(f"{name} contains {rule!r}; give rules, [EProp(), EProp(order=2)]")
    labels = [label_of(rule) for rule in listed]
    if not listed or len(set(labels)) < len(labels):
        raise ValueError(f"{name} = {labels} must be different rules, at least one")
    return tuple(listed)


@define(eq=False)
class AlignmentMonitor:
    """How well rules point along the gradient of back-propagation, in the course of training.

    ::

        cosine = g·b/(|g| |b|),     norm ratio = |g|/|b|

    with g the gradient of a rule and b that of back-propagation through time along the true weights
    of the readout, both of the same trials, with the same weights and the same ψ. Training itself
    goes on by the network's own rule.

    Given as ``fit(…, alignment=AlignmentMonitor(…))``, it adds columns to the entries of the
    history: ``"cosine EProp(order=1) w_rec"`` and ``"norm ratio EProp(order=1) w_rec"``, for w_in
    and w_rec, both together (``all``), each population where there are several (``population 0``)
    and each trained parameter; in a `Learner`'s own network for groups and synapses by their names
    (``population excitatory``, ``synapses inputs``). Where one of the two gradients is 0 there is
    no column.
    :func:`~brian_eprop.plotting.plot_alignment` draws them.

    Every measurement costs a gradient of each rule and one of order ∞ of the same batch, in
    networks that are made, or compiled, once. The names of rules of the reference cost a trial in
    Brian2's numpy target for each trial of the batch, and what they compute themselves. In a
    `Learner`'s own network all rules are the reference's, on the first trial of an evaluation, and
    Brian2's code is generated anew each time: choose ``every`` accordingly.

    Parameters
    ----------
    rules : sequence of rules and names
        Rules that run in Brian2, and names of rules of `brian_eprop.reference`. In a `Learner`'s
        own network `EProp` and `OSTL`, which the reference has for all neurons, and names. Names
        may have options, ``"eprop(order=2, truncation=horizon)"``, as `brian-eprop compare` reads
        them.
    every : int
        Iterations between measurements.
    per_neuron : bool
        Whether `neurons` is filled.

    Attributes
    ----------
    neurons : list of dict
        For each measurement ``iteration``, and for each rule by its label the cosines of the
        weights onto each neuron, (n_rec,) array, NaN where one of the gradients is 0.

    Raises
    ------
    TypeError, ValueError
        For what is no rule, or twice the same.
    MemoryError
        When first measured, for a network that is too large, with the number of bytes.
    """

    rules: Sequence[Rule | str] = field(validator=in_field(_rules)())
    every: int = field(default=10, validator=whole(1))
    per_neuron: bool = field(default=False, validator=truth())
    neurons: list[dict[str, Any]] = field(factory=list, init=False)
    _networks: dict[str, Any] = field(factory=dict, init=False, repr=False)

    def due(self, iteration: int) -> bool:
        """Whether it measures in an iteration."""
        return iteration % self.every == 0

    def of_network(
        self,
        network: RecurrentNetwork,
        inputs: ArrayLike,
        targets: ArrayLike,
        learning_window: int | None = None,
        refused: dict[str, str] | None = None,
    ) -> Entry:
        """The columns of a network with its present weights, on a batch of trials.

        Parameters
        ----------
        network : RecurrentNetwork
        inputs, targets, learning_window
            As for :meth:`RecurrentNetwork.gradients`.
        refused : dict of str to str, optional
            Takes the rules that the network cannot have, and why. Default: that is an error.
        """
        trial = inputs, targets, learning_window
        self._check_size(network, np.shape(inputs))
        d = network.description
        exact = BPTT(d.rule.surrogate, d.rule.reset_path)
        truth = self._gradient_of(network, exact, "symmetric", trial)
        problem, gradients = None, {}
        for rule in self.rules:
            try:
                if isinstance(rule, str):
                    problem = problem or problem_in_brian2(network, *trial)
                    found = _named(problem, rule)
                else:
                    found = self._gradient_of(network, rule, d.feedback, trial)
            except ValueError as why:
                if refused is None:
                    raise
                refused[label_of(rule)] = str(why)
                continue
            gradients[label_of(rule)] = found
        names = {f"population {k}": span for k, span in enumerate(spans(d))}
        columns = self._columns(truth, gradients, names if len(names) > 1 else {})
        self._keep_neurons(network.updates, truth, gradients)
        return columns

    def of_learner(self, learner: Learner, network: Any, namespace: Mapping, number: int) -> Entry:
        """The columns of a user's own network, which runs for one trial and is as it was.

        Parameters
        ----------
        learner : Learner
            Of order 2 or more, so that all that happens is recorded.
        network : Network
        namespace : mapping
            Where names in the code of its objects are looked up.
        number : int
            Of the iteration.
        """
        problem = problem_of_learner(learner, network, namespace=dict(namespace))
        truth = _named(problem.with_symmetric_feedback(), "bptt")
        gradients = {}
        for rule in self.rules:
            label = rule if isinstance(rule, str) else _in_reference(rule)
            _check_influence(label, problem.network, 1)
            gradients[label_of(rule)] = _named(problem, label)
        edges = {}
        for group, first in _first_units(learner).items():
            edges[f"population {group.name}"] = slice(first, first + len(group))
        places = problem.network.places
        columns = self._columns(truth, gradients, edges if len(edges) > 1 else {}, places)
        self._keep_neurons(number, truth, gradients)
        return columns

    def _gradient_of(self, network, rule, feedback, trial):
        """{matrix or parameter: gradient} by a rule, in a network that is kept."""
        key, d = f"{label_of(rule)} {feedback}", network.description
        known, other = self._networks.get(key, (None, None))
        if known is not d:
            changed = evolve(d, rule=rule, feedback=feedback, feedback_decay=0.0)
            other = type(network).from_description(changed)
            self._networks[key] = d, other
        other.state = network.state
        found = other.gradients(*trial)
        return {"w_in": found.w_in, "w_rec": found.w_rec, **found.parameters}

    def _columns(self, truth, gradients, populations, places=MappingProxyType({})):
        columns = {}
        for label, gradient in gradients.items():
            # rules of the reference are those of weights
            parts = {name: (gradient[name], e) for name, e in truth.items() if name in gradient}
            parts = {n: (_values(g), _values(e)) for n, (g, e) in parts.items()}
            for name, span in populations.items():
                of_span = [
                    [_values(each[m][..., span]) for m in ("w_in", "w_rec")]
                    for each in (gradient, truth)
                ]
                parts[name] = tuple(np.concatenate(each) for each in of_span)
            for name, (matrix, rows, of) in places.items():
                parts[f"synapses {name}"] = tuple(g[matrix][rows, of] for g in (gradient, truth))
            pairs = [parts["w_in"], parts["w_rec"]]
            parts["all"] = tuple(np.concatenate(each) for each in zip(*pairs, strict=True))
            for part, (found, exact) in parts.items():
                lengths = np.linalg.norm(found), np.linalg.norm(exact)
                if min(lengths) > 0:
                    cosine = float(found @ exact / math.prod(lengths))
                    columns[column("cosine", label, part)] = cosine
                    columns[column("norm ratio", label, part)] = float(lengths[0] / lengths[1])
        return columns

    def _keep_neurons(self, iteration, truth, gradients):
        if not self.per_neuron:
            return
        exact = _by_neuron(truth)
        cosines = {}
        for label, gradient in gradients.items():
            found = _by_neuron(gradient)
            lengths = np.linalg.norm(found, axis=0) * np.linalg.norm(exact, axis=0)
            products = np.sum(found * exact, axis=0)
            undefined = np.full_like(products, np.nan)
            cosines[label] = np.divide(products, lengths, out=undefined, where=lengths > 0)
        self.neurons.append({"iteration": iteration, **cosines})

    def _check_size(self, network, shape):
        """Raise MemoryError for a network that would not fit once more for each rule."""
        d, steps = network.description, shape[-2]
        masks = [values_of(d.connectivity[m]) for m in ("w_in", "w_rec", "w_out")]
        synapses = sum(int(np.sum(mask)) for mask in masks)
        each = BYTES_OF_A_SYNAPSE * synapses + BYTES_OF_A_STEP * steps * d.n_rec
        copies = 1 + sum(isinstance(rule, Rule) for rule in self.rules)
        _check_memory(copies * each, f"{copies} more networks of {synapses} synapses")
        for rule in self.rules:
            if isinstance(rule, str):
                _check_influence(rule, d, shape[0] if len(shape) == 3 else 1)


def _first_units(learner):
    """The first unit of each group that learns, as `problem_of_learner` numbers them."""
    groups = [g for g, p in learner.populations.items() if p.learns]
    edges = np.cumsum([0, *map(len, groups)]).tolist()
    return dict(zip(groups, edges, strict=False))


def _in_reference(rule):
    """The rule of the reference that is the same for any neuron, as `parse_rule` reads it."""
    if isinstance(rule, EProp):
        return "bptt" if math.isinf(rule.order) else f"eprop_reverse(order={rule.order})"
    if isinstance(rule, OSTL):
        return "ostl"
    raise ValueError(
        f"AlignmentMonitor.rules: {label_of(rule)} cannot be measured in a Learner's own network, "
        "whose recorded steps hold all that it leaves out: give EProp(order=…), OSTL() or the name "
        "of a rule of the reference, or a RecurrentNetwork"
    )


def _named(problem: Problem, label: str) -> dict[str, Floats]:
    """The gradient by a rule of the reference, averaged over the batch, 0 where no weight is."""
    name, options, feedback = parse_rule(label)
    if feedback == "symmetric":
        problem = problem.with_symmetric_feedback()
    rule, network = RULES[name], problem.network
    recursion = rule.at_work(network, np.random.default_rng(0), **options)
    found, summed = problem.gradient(recursion, rule), {}
    for matrix in ("w_in", "w_rec"):
        present = np.where(network.mask_of(matrix), found[matrix], 0.0)
        # several gates of a matrix stand one after the other
        summed[matrix] = present.reshape(-1, network.n_rec) / problem.batch
    return summed


def _by_neuron(gradient):
    """Gradients of the weights onto each neuron, (weights, n_rec)."""
    parts = [gradient[m] for m in ("w_in", "w_rec")]
    return np.concatenate([p.toarray() if hasattr(p, "toarray") else p for p in parts])


def _values(matrix):
    """The entries of a dense or sparse array, side by side."""
    return np.ravel(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


def _check_influence(label, network, batch):
    """Raise MemoryError for the influence tensor of a rule that has one, if it is too large."""
    if described_rule(label).memory[0] < 3:
        return
    states = getattr(network, "n_states", 3)
    needed = 8 * states * batch * network.n_rec**2 * (network.n_in + network.n_rec)
    _check_memory(needed, f"the influence of all weights on all units, which '{label}' keeps,")


def _check_memory(needed, what):
    check_memory(
        needed,
        f"AlignmentMonitor: {what} would take",
        "give fewer rules, or measure a smaller network",
    )
