"""Linearized spikes z + ψ (d − d₀) around a recorded spike train, in a user's own Brian2 network.

Nothing here knows a derivative. The distance to the threshold and what a reset does are evaluated
by Brian2, from the text that the user wrote; what an arrival does: ``deliveries``.
"""

import ast
from copy import deepcopy

import numpy as np
from attrs import define, field
from brian2 import Function

from ..brian.code import code_object
from ..brian.internals import (
    SUBEXPRESSION,
    assigned_names,
    get_identifiers,
    refractoriness,
    remove_variables,
    reset_of,
)

RANDOM = {"rand", "randn", "poisson", "xi"}
DISTANCE, PSI = "__check_distance", "__check_psi"


class NotCheckable(Exception):
    """Why a network cannot be checked."""


def draws_numbers(group, code):
    """Whether code draws random numbers, itself or through a subexpression or function."""
    names = all_names(group, code)
    known = (group.namespace.get(name) for name in names)
    stateful = any(isinstance(k, Function) and not k.stateless for k in known)
    return stateful or bool(names & RANDOM)


def all_names(group, code):
    """The names in a piece of code, and those in the subexpressions among them."""
    equations = getattr(group, "equations", {})
    names, todo = set(), set(get_identifiers(code))
    while todo:
        name = todo.pop()
        names.add(name)
        if name in equations and equations[name].type == SUBEXPRESSION:
            todo |= set(get_identifiers(equations[name].expr.code)) - names
    return names


def distance_and_gate(group):
    """Brian2 expressions of the distance to the threshold and of what else must hold for a spike.

    Returns
    -------
    distance : str
        Positive when the neuron may fire.
    gate : str
        "True" where the threshold is a single inequality.

    Raises
    ------
    NotCheckable
        There is not exactly one inequality that depends on the state of the neuron.
    """
    condition = group.events["spike"]
    parts = _conjunction(ast.parse(" ".join(condition.split()), mode="eval").body)
    inequalities = [p for p in parts if _is_inequality(p)]
    if len(inequalities) > 1:
        # What only spikes change opens and closes the threshold
        states = group.equations.diff_eq_names
        inequalities = [p for p in inequalities if all_names(group, ast.unparse(p)) & states]
    if len(inequalities) != 1:
        raise NotCheckable(
            f"the threshold '{condition}' of group '{group.name}' has {len(inequalities)} "
            "inequalities in states of the neuron, so that there is not one distance to it"
        )
    inequality = inequalities[0]
    left, right = ast.unparse(inequality.left), ast.unparse(inequality.comparators[0])
    if isinstance(inequality.ops[0], ast.Lt | ast.LtE):
        left, right = right, left
    others = [f"({ast.unparse(p)})" for p in parts if p is not inequality]
    return f"({left}) - ({right})", " and ".join(others) or "True"


def _conjunction(tree):
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        return [part for value in tree.values for part in _conjunction(value)]
    return [tree]


def _is_inequality(tree):
    kinds = ast.Gt | ast.GtE | ast.Lt | ast.LtE
    return isinstance(tree, ast.Compare) and len(tree.ops) == 1 and isinstance(tree.ops[0], kinds)


class Given:
    """The surrogate of a group whose spikes count as given: ψ = 0."""

    def expression(self, x):
        return f"0*({x})"


@define(slots=False)
class Population:
    """A group of neurons with a threshold, whose spikes are clamped.

    Attributes
    ----------
    group : NeuronGroup
    surrogate : surrogate
    implicit, explicit : list of str
        Variables whose reset follows the varying spike of the neuron itself: that of the
        same run, or that of the run before.
    paths : dict of str to str
        How the paths of spikes through the reset are differentiated.
    random_reset : bool
        The reset draws random numbers.
    distance, psi : (T, n) array
        Of the recorded run.
    own : (n,) array
        ψ (d − d₀) in the present step.
    outgoing : (n,) array
        What is delivered to others in the present step.
    """

    group: object
    surrogate: object
    paths: dict
    implicit: list = field(factory=list)
    explicit: list = field(factory=list)
    random_reset: bool = False
    distance: np.ndarray | None = None
    psi: np.ndarray | None = None
    own: np.ndarray | None = None
    outgoing: np.ndarray | None = None
    distances: list = field(factory=list)
    states: dict = field(factory=dict)

    def prepare(self, namespace):
        """Let Brian2 evaluate d and ψ; the group gets two variables until `remove`."""
        group = self.group
        self._check_integers()
        self.implicit, self.explicit = (
            [n for n in self.moved_by_reset if self.paths.get(n, "implicit") == kind]
            for kind in ("implicit", "explicit")
        )
        self.random_reset = draws_numbers(group, group.event_codes.get("spike", ""))
        distance, gate = distance_and_gate(group)
        if draws_numbers(group, distance):
            raise NotCheckable(
                f"the threshold '{group.events['spike']}' of group '{group.name}' draws random "
                "numbers; draw them into a variable first"
            )
        if refractoriness(group) is not False:
            gate = f"({gate}) and not_refractory"
        for name in (DISTANCE, PSI):
            group.variables.add_array(name, size=len(group))
        code = f"{DISTANCE} = {distance}"
        psi = self.surrogate.expression(f"({distance})")
        code += f"\n{PSI} = ({psi})" + ("" if gate == "True" else f"*int({gate})")
        self.code = code_object(group, code, namespace)

    @property
    def reset_variables(self):
        """Names of the variables that the reset changes, sorted."""
        return sorted({*assigned_names(reset_of(self.group))} & set(self.group.variables))

    @property
    def moved_by_reset(self):
        """Names of the floating-point variables among them, which can be moved by a little."""
        return [n for n in self.reset_variables if is_real(self.group.variables[n])]

    def _check_integers(self):
        """Raise NotCheckable if an integer that the reset changes acts on more than a gate."""
        group, reset = self.group, reset_of(self.group)
        for name in self.reset_variables:
            if not group.variables[name].is_integer or self.paths.get(name) == "detached":
                continue
            read = [group.equations[n].expr.code for n in group.equations.diff_eq_names]
            read += [" ".join(statement) for statement in reset if statement[0] != name]
            read.append(distance_and_gate(group)[0])
            if any(name in all_names(group, code) for code in read):
                raise NotCheckable(
                    f"the reset changes '{name}' of group '{group.name}', an integer, which cannot "
                    f"be moved by a little; write '{name} : 1' for the check: the gradient is the "
                    "same"
                )

    def remove(self):
        """Take the two variables away again."""
        remove_variables(self.group, (DISTANCE, PSI))

    def observe(self):
        """d and ψ now : (n,), (n,)."""
        self.code()
        values = self.group.variables
        return values[DISTANCE].get_value().copy(), values[PSI].get_value().copy()

    def reset(self, run, implicit, explicit):
        """Run a reset for spikes that vary: h + z̃ (R(h) − h).

        Where it draws random numbers, it has none for neurons that do not fire: they are as they
        are.

        Parameters
        ----------
        run : callable
            The reset of the recorded spikes.
        implicit, explicit : (n,) array or None
            Deviations of the spikes along the paths of either kind.
        """
        paths = [(implicit, self.implicit), (explicit, self.explicit)]
        paths = [(d, names) for d, names in paths if names and d is not None and np.any(d)]
        if not paths:
            run()
            return
        variables = self.group.variables
        arrays = {name: variables[name].get_value() for name in self.reset_variables}
        before = deepcopy(arrays)
        run()
        after = reset = deepcopy(arrays)
        if not self.random_reset:
            # What the reset would do to those that did not fire
            spikes = variables["_spikespace"].get_value()
            recorded = spikes.copy()
            for name, array in arrays.items():
                array[:] = before[name]
            spikes[:-1], spikes[-1] = np.arange(len(self.group)), len(self.group)
            run()
            reset = deepcopy(arrays)
            spikes[:] = recorded
            for name, array in arrays.items():
                array[:] = after[name]
        for deviation, names in paths:
            for name in names:
                arrays[name] += deviation * (reset[name] - before[name])


def is_real(variable):
    """Whether a variable has floating-point values."""
    return np.issubdtype(variable.dtype, np.floating)
