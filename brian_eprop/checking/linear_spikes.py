"""Linearized spikes z + ψ (d − d₀) around a recorded spike train, in a user's own Brian2 network.

Nothing here knows a derivative. The distance to the threshold, what a reset does and what an
arrival does are all evaluated by Brian2, from the text that the user wrote; of an arrival, what it
does beyond what the recorded spike did.
"""

import ast
import re
from copy import deepcopy

import numpy as np
from attrs import define, field
from brian2 import Function

from ..brian.code import code_object, internal
from ..brian.internals import (
    SUBEXPRESSION,
    ArrayVariable,
    assigned_names,
    get_identifiers,
    itself,
    refractoriness,
    remove_variables,
    reset_of,
    statements_of,
    whole_group,
)

RANDOM = {"rand", "randn", "poisson", "xi"}
DISTANCE, PSI = "__check_distance", "__check_psi"


class NotCheckable(Exception):
    """Why a network cannot be checked."""


def draws_numbers(group, code):
    """Whether code draws random numbers, itself or through a subexpression or function."""
    names = _all_names(group, code)
    known = (group.namespace.get(name) for name in names)
    stateful = any(isinstance(k, Function) and not k.stateless for k in known)
    return stateful or bool(names & RANDOM)


def _all_names(group, code):
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
        inequalities = [p for p in inequalities if _all_names(group, ast.unparse(p)) & states]
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
        return [n for n in self.reset_variables if _is_real(self.group.variables[n])]

    def _check_integers(self):
        """Raise NotCheckable if an integer that the reset changes acts on more than a gate."""
        group, reset = self.group, reset_of(self.group)
        for name in self.reset_variables:
            if not group.variables[name].is_integer or self.paths.get(name) == "detached":
                continue
            read = [group.equations[n].expr.code for n in group.equations.diff_eq_names]
            read += [" ".join(statement) for statement in reset if statement[0] != name]
            read.append(distance_and_gate(group)[0])
            if any(name in _all_names(group, code) for code in read):
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


class FoundAtSource:
    """Variables, and trained parameters, that spikes find at their own neuron when they arrive.

    With a limited number of hops they are those of the recorded run, and what has moved them in
    the run before: the way over a synapse is a hop, like that of a spike.
    """

    def __init__(self, pathway, source):
        read = {n.removesuffix("_pre") for n in get_identifiers(pathway.code) if n.endswith("_pre")}
        names = _all_names(source, " ".join(read)) if read else set()
        known = source.variables
        self.variables = [
            known[n]
            for n in sorted(names & known.keys())
            if isinstance(known[n], ArrayVariable)
            and _is_real(known[n])
            and (not known[n].constant or f"grad_{n}" in known)
        ]
        self.changed = self._changed_by(pathway, source)
        self.recorded, self.values, self.moved = [], [], None

    def _changed_by(self, pathway, source):
        """Those among the variables that the spikes themselves change, of their targets."""
        read, changed = {variable.name for variable in self.variables}, set()
        read -= pathway.synapses.equations.names
        onto_itself = whole_group(pathway.target) is source
        for target, operation, value in statements_of(pathway.code) if onto_itself else ():
            name = target.removesuffix("_post")
            if name not in read:
                continue
            used = {n.removesuffix("_post") for n in get_identifiers(value)}
            if operation not in ("+=", "-=") or name in _all_names(source, " ".join(used)):
                raise NotCheckable(
                    f"the spikes of '{pathway.synapses.name}' depend on '{name}' of both their "
                    "neuron and their target: let them depend on what only their reset changes"
                )
            changed.add(name)
        return changed

    def start(self, *, recording, follows):
        """Begin a run: one that records, or that follows the last one, or that is the first."""
        if self.values and not recording and follows:
            pairs = zip(self.values, self.recorded, strict=True)
            self.moved = [[now - then for now, then in zip(*pair, strict=True)] for pair in pairs]
        else:
            self.moved = None
        if recording:
            self.recorded = []
        self.values, self.recording = [], recording

    @property
    def has_moved(self):
        """Whether the run that has ended differs from the recorded one."""
        pairs = zip(self.values, self.recorded, strict=True)
        return any(np.any(n != t) for now, then in pairs for n, t in zip(now, then, strict=True))

    def run(self, deliver):
        """Deliver spikes, with what they find."""
        arrays = [variable.get_value() for variable in self.variables]
        step, found = len(self.values), [array.copy() for array in arrays]
        self.values.append(found)
        if self.recording:
            self.recorded.append(found)
            deliver()
            return
        given = self.recorded[step]
        if self.moved is not None:
            given = [then + moved for then, moved in zip(given, self.moved[step], strict=True)]
        for array, values in zip(arrays, given, strict=True):
            array[:] = values
        deliver()
        for variable, array, values, then in zip(self.variables, arrays, found, given, strict=True):
            if variable.name not in self.changed:
                array[:] = values
            elif not np.array_equal(values, then):
                array += values - then


def _is_real(variable):
    """Whether a variable has floating-point values."""
    return np.issubdtype(variable.dtype, np.floating)


def single_assignments(code):
    """Statements in which each name is assigned once, and the last name of each variable.

    In NumPy, ``y = x; y += 1`` would change x as well.
    """
    latest, lines = {}, []
    for name, operator, expression in statements_of(code):
        if operator != "=":
            expression = f"{name} {operator.removesuffix('=')} ({expression})"
        expression = re.sub(r"\b[A-Za-z_]\w*\b", lambda m: latest.get(m[0], m[0]), expression)
        latest[name] = f"_new_{len(lines)}"
        lines.append(f"{latest[name]} = {expression}")
    return lines, latest


class Delivery:
    """The delivery of deviations of spikes along a pathway, beside that of the recorded spikes.

    Parameters
    ----------
    pathway : SynapticPathway
    source : Population
    code : str, optional
        What a spike does. Default: the pathway's own statements.
    """

    #: Of the variables that Brian2 computes for it.
    kind = "check_jump"

    def __init__(self, pathway, source, code=None):
        self.pathway, self.source = pathway, source
        self.synapses = itself(pathway.synapses)
        self.text, self.jumps = pathway.code if code is None else code, []
        self.recorded = []

    def prepare(self, namespace):
        """Let Brian2 evaluate what one spike adds to each variable, for every synapse."""
        synapses = self.synapses
        if getattr(synapses, "event_driven", None) is not None:
            raise NotCheckable(
                f"'{synapses.name}' has event-driven equations, and spikes that would count pass "
                "through it; make them clock-driven"
            )
        if draws_numbers(synapses, self.text):
            raise NotCheckable(
                f"'{synapses.name}' draws random numbers where a spike arrives, and none is drawn "
                "for spikes that did not happen; draw them into a variable first"
            )
        code, latest = single_assignments(self.text)
        known = synapses.variables
        self.targets = [n for n in sorted(latest) if n in known and _is_real(known[n])]
        path = self.pathway.prepost  # the synapses may have one of either kind
        self.jumps = [internal(self.kind, path, str(k)) for k in range(len(self.targets))]
        for name, jump in zip(self.targets, self.jumps, strict=True):
            known.add_dynamic_array(jump, size=len(synapses))
            known[jump].resize(len(synapses))
            code.append(f"{jump} = {latest[name]} - {name}")
        self.code = code_object(
            synapses, "\n".join(code), namespace, additional_variables=self.pathway.variables
        )
        dt = self.pathway.source.clock.dt_
        delays = np.atleast_1d(self.pathway.variables["delay"].get_value())
        steps = np.floor(delays / dt + 0.5).astype(int)
        self.delays = np.broadcast_to(steps, len(synapses))
        self.pre = np.array(self.pathway.synapse_sources.get_value())
        self.in_turn = self._depends_on_what_it_changes()
        self.ranks = self._ranks() if self.in_turn else []
        self.start()

    def _depends_on_what_it_changes(self):
        """Whether an arrival acts by an amount that earlier ones of the same step change."""
        indices = self.synapses.variables.indices
        shared = {n for n in self.targets if indices[n] != "_idx"}
        names = shared | {n.removesuffix("_post") for n in shared}
        return any(
            (target in shared and operation not in ("+=", "-=")) or names & get_identifiers(value)
            for target, operation, value in statements_of(self.text)
        )

    def _ranks(self):
        """Synapses that are the first, second, … of their target : list of int arrays.

        In the order of Brian2's queue: by the time of the spike, its neuron, the synapse.
        """
        post = self.synapses.variables["_synaptic_post"].get_value()
        order = np.lexsort((np.arange(len(post)), self.pre, -self.delays))
        ranks, seen = [], {}
        for synapse in order:
            rank = seen[post[synapse]] = seen.get(post[synapse], -1) + 1
            if rank == len(ranks):
                ranks.append([])
            ranks[rank].append(synapse)
        return [np.array(rank) for rank in ranks]

    def remove(self):
        """Take the added variables away again."""
        remove_variables(self.synapses, self.jumps)

    def start(self):
        """Empty the ring buffer of deviations that are under way."""
        longest = int(self.delays.max(initial=0)) + 1
        self.ring, self.step = np.zeros((longest, len(self.source.group))), 0
        self.spikes = np.zeros_like(self.ring)

    def record(self):
        """Deliver the recorded spikes, and keep what one spike would add."""
        self.recorded.append(self.effects())
        self.pathway.run()

    def effects(self):
        """What one spike would add now : list of (synapses,) arrays, one per target variable."""
        self.code()
        variables, effects = self.synapses.variables, []
        for name, jump in zip(self.targets, self.jumps, strict=True):
            effect = variables[jump].get_value().copy()
            listens = getattr(variables[name], "conditional_write", None)
            if listens is not None:
                # "unless refractory": deaf to arrivals as well
                effect *= listens.get_value()[variables[variables.indices[name]].get_value()]
            effects.append(effect)
        return effects

    def arrivals(self):
        """Send the present deviations off; those that arrive now : (synapses,) array."""
        row = self.step % len(self.ring)
        self.ring[row] = 0 if self.source.outgoing is None else self.source.outgoing
        events = self.source.group.variables["_spikespace"].get_value()
        self.spikes[row] = 0
        self.spikes[row, events[: events[-1]]] = 1
        self.step += 1
        return self._of_synapses(self.ring)

    def _of_synapses(self, ring):
        """What arrives in this step of what has been sent off : (synapses,) array."""
        return ring[(self.step - 1 - self.delays) % len(ring), self.pre]

    def run(self):
        """Deliver the recorded spikes, then what varies in them."""
        arriving = self.arrivals()
        if not arriving.any():
            self.pathway.run()
            return
        if self.in_turn:
            self._run_in_turn(arriving + self._of_synapses(self.spikes))
            return
        effects = self.effects()
        self.pathway.run()
        self._add(arriving, effects, slice(None))

    def _add(self, arriving, effects, some):
        """Add the effects at some of the synapses."""
        variables = self.synapses.variables
        for name, effect in zip(self.targets, effects, strict=True):
            values, index = variables[name].get_value(), variables.indices[name]
            if index == "_idx":
                values[some] += (arriving * effect)[some]
            else:
                at = variables[index].get_value()[some]
                np.add.at(values, at, (arriving * effect)[some])

    def _run_in_turn(self, arriving):
        """Deliver spikes with what varies in them, one after the other of each target."""
        arrays = [self.synapses.variables[name].get_value() for name in self.targets]
        before = [array.copy() for array in arrays]
        self.pathway.run()
        for array, values in zip(arrays, before, strict=True):
            array[:] = values
        for rank in self.ranks:
            some = rank[arriving[rank] != 0]
            if len(some):
                self._add(arriving, self.effects(), some)
