"""What spikes that vary do where they arrive, beyond what the recorded ones do."""

import re

import numpy as np
from brian2.parsing.statements import parse_statement

from ..names import internal
from .linear_spikes import NotCheckable, code_object, draws_numbers, statements


def single_assignments(code):
    """Statements in which each name is assigned once, and the last name of each variable.

    In NumPy, ``y = x; y += 1`` would change x as well.
    """
    latest, lines = {}, []
    for statement in statements(code):
        name, operator, expression, _ = parse_statement(statement)
        if operator != "=":
            expression = f"{name} {operator.removesuffix('=')} ({expression})"
        expression = re.sub(r"\b[A-Za-z_]\w*\b", lambda m: latest.get(m[0], m[0]), expression)
        latest[name] = f"_new_{len(lines)}"
        lines.append(f"{latest[name]} = {expression}")
    return lines, latest


class Delivery:
    """What varying spikes do beyond the recorded ones, where they arrive along a pathway.

    Parameters
    ----------
    pathway : SynapticPathway
    source : Population
    code : str, optional
        What a spike does. Default: the pathway's own statements.
    """

    def __init__(self, pathway, source, code=None):
        self.pathway, self.source = pathway, source
        self.synapses = pathway.synapses.before_run.__self__
        self.text, self.jumps = pathway.code if code is None else code, []

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
        self.targets = [
            name
            for name in sorted(latest)
            if name in known and np.issubdtype(known[name].dtype, np.floating)
        ]
        path = self.pathway.prepost  # the synapses may have one of either kind
        self.jumps = [internal("check_jump", path, str(k)) for k in range(len(self.targets))]
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
        self.start()

    def remove(self):
        """Take the added variables away again."""
        for name in self.jumps:
            self.synapses.variables._variables.pop(name, None)
            self.synapses.variables.indices.pop(name, None)

    def start(self):
        """Nothing is under way."""
        longest = int(self.delays.max(initial=0)) + 1
        self.ring = np.zeros((longest, len(self.source.group)))
        self.step, self.under_way = 0, 0

    def effects(self):
        """What one spike would add now : list of (synapses,) arrays, one per target variable."""
        self.code()
        variables, found = self.synapses.variables, []
        for name, jump in zip(self.targets, self.jumps, strict=True):
            effect = variables[jump].get_value().copy()
            listens = getattr(variables[name], "conditional_write", None)
            if listens is not None:
                # "unless refractory": deaf to arrivals as well
                effect *= listens.get_value()[variables[variables.indices[name]].get_value()]
            found.append(effect)
        return found

    def arrivals(self):
        """Send the present deviations off; those that arrive now : (synapses,) or None."""
        longest, outgoing = len(self.ring), self.source.outgoing
        row = self.step % longest
        self.ring[row] = 0 if outgoing is None else outgoing
        self.step += 1
        if outgoing is not None and outgoing.any():
            self.under_way = longest
        elif self.under_way:
            self.under_way -= 1
        if not self.under_way:
            return None
        return self.ring[(row - self.delays) % longest, self.pre]

    def run(self):
        """Deliver the recorded spikes, then what varies in them."""
        arriving = self.arrivals()
        if arriving is None or not arriving.any():
            self.pathway.run()
            return
        effects = self.effects()
        self.pathway.run()
        variables = self.synapses.variables
        for name, effect in zip(self.targets, effects, strict=True):
            values, index = variables[name].get_value(), variables.indices[name]
            if index == "_idx":
                values += arriving * effect
            else:
                np.add.at(values, variables[index].get_value(), arriving * effect)
