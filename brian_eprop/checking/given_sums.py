"""Sums over synapses in a run with clamped spikes, of what the sources had in the recorded run.

A '(summed)' variable is computed from the text of the user, with what it reads of the sources
replaced by numbers: the recorded ones, or these and what varies in them.
"""

import numpy as np

from ..brian.code import code_object, internal
from ..brian.internals import (
    SUBEXPRESSION,
    get_identifiers,
    itself,
    remove_variables,
    word_substitute,
)


class GivenSum:
    """A sum over synapses, whose sources can be given.

    Parameters
    ----------
    updater : SummedVariableUpdater

    Attributes
    ----------
    recorded : (T, names, synapses) array
        What it reads of the sources, in the recorded run.
    """

    def __init__(self, updater):
        self.updater, self.synapses = updater, itself(updater.group)
        self.code = _without_own_names(self.synapses, str(updater.expression))
        self.names = sorted(filter(self._of_senders, get_identifiers(self.code)))
        self.given = [internal("check_given", n) for n in self.names]
        self.result = internal("check", updater.target_varname)
        self.recorded, self.seen = None, []

    def _of_senders(self, name):
        """Whether a name is a variable of those that are summed up."""
        if self.updater.target_varname.endswith("_post"):
            return name.endswith("_pre")
        variable = self.synapses.target.variables.get(name.removesuffix("_post"))
        own = name in self.synapses.equations.names
        return variable is not None and not own and not variable.read_only

    def prepare(self, namespace):
        """Let Brian2 evaluate what is read of the sources, and the sum of what is given."""
        synapses = self.synapses
        for name in (*self.given, self.result):
            synapses.variables.add_dynamic_array(name, size=len(synapses))
            synapses.variables[name].resize(len(synapses))
        look = [f"{given} = {name}" for given, name in zip(self.given, self.names, strict=True)]
        of_given = word_substitute(self.code, dict(zip(self.names, self.given, strict=True)))
        self.look = code_object(synapses, "\n".join(look), namespace)
        self.evaluate = code_object(synapses, f"{self.result} = {of_given}", namespace)

    def remove(self):
        """Take the added variables away again."""
        remove_variables(self.synapses, (*self.given, self.result))

    def start(self):
        """Forget what was read of the sources in the run before."""
        self.seen = []

    def observe(self):
        """What the sum reads of the sources now."""
        self.look()
        variables = self.synapses.variables
        self.seen.append(np.array([variables[name].get_value() for name in self.given]))

    def deviations(self):
        """What varied in the sources, in the run that has ended : (T, names, synapses) array."""
        return np.array(self.seen) - self.recorded

    def run(self, deviation=None):
        """Sum up what was recorded, and what varies in it, in the present step."""
        step = len(self.seen)
        self.observe()
        given = self.recorded[step] + (0 if deviation is None else deviation[step])
        variables = self.synapses.variables
        for name, values in zip(self.given, given, strict=True):
            variables[name].set_value(values)
        self.evaluate()
        target = self.updater.target_var.get_value()
        index = variables[self.updater.template_kwds["_index_var"].name].get_value()
        start = self.updater.template_kwds["_target_start"]
        stop = self.updater.template_kwds["_target_stop"]
        stop = len(target) if stop < 0 else stop
        sums = np.bincount(index, variables[self.result].get_value(), minlength=len(target))
        target[start:stop] = sums[start:stop]


def _without_own_names(synapses, code):
    """An expression with what subexpressions of the synapses stand for."""
    own = {
        equation.varname: f"({equation.expr.code})"
        for equation in synapses.equations.values()
        if equation.type == SUBEXPRESSION and "summed" not in equation.flags
    }
    while get_identifiers(code) & own.keys():
        code = word_substitute(code, own)
    return code
