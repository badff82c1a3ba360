"""The delivery of spikes that vary, z + ψ (d − d₀), along synapses of a user's own network.

Of an arrival, what it does beyond what the recorded spike did: Brian2 evaluates it from the text
that the user wrote.
"""

import re

import numpy as np

from ..brian.code import code_object, internal
from ..brian.internals import (
    ArrayVariable,
    get_identifiers,
    itself,
    remove_variables,
    statements_of,
    whole_group,
)
from .linear_spikes import NotCheckable, all_names, draws_numbers, is_real


class FoundAtSource:
    """Variables, and trained parameters, that spikes find at their own neuron when they arrive.

    With a limited number of hops they are those of the recorded run, and what has moved them in
    the run before: the way over a synapse is a hop, like that of a spike.
    """

    def __init__(self, pathway, source):
        read = {n.removesuffix("_pre") for n in get_identifiers(pathway.code) if n.endswith("_pre")}
        names = all_names(source, " ".join(read)) if read else set()
        known = source.variables
        self.variables = [
            known[n]
            for n in sorted(names & known.keys())
            if isinstance(known[n], ArrayVariable)
            and is_real(known[n])
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
            if operation not in ("+=", "-=") or name in all_names(source, " ".join(used)):
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
        self.targets = [n for n in sorted(latest) if n in known and is_real(known[n])]
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
