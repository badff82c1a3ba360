"""Abstract code of Brian2, run with complex numbers: what `complex_steps.py` is made of."""

from __future__ import annotations

import ast
import operator
from functools import cache

import numpy as np
from brian2 import Subgroup
from brian2.core.functions import Function
from brian2.core.variables import AuxiliaryVariable, Constant, Subexpression
from brian2.parsing.rendering import NumpyNodeRenderer
from brian2.parsing.statements import parse_statement
from brian2.synapses.synapses import SummedVariableUpdater, SynapticPathway
from brian2.utils.stringtools import get_identifiers

OPERATIONS = {
    "+=": operator.add,
    "-=": operator.sub,
    "*=": operator.mul,
    "/=": operator.truediv,
}


def clipped(x, low, high):
    """As np.clip; a value that is clipped has the derivative of its limit."""
    x, low, high = np.broadcast_arrays(x, low, high)
    return np.where(x.real < low.real, low, np.where(x.real > high.real, high, x))


def exprel(x):
    """(eˣ − 1)/x."""
    small = np.abs(np.real(x)) < 1e-8
    return np.where(small, 1 + x / 2, (np.exp(x) - 1) / np.where(small, 1, x))


#: By the names that Brian2 writes. np.abs and np.clip are no analytic functions; |x| has the
#: derivative 0 at 0, and whole numbers have none.
FUNCTIONS = {
    "abs": lambda x: np.sign(np.real(x)) * x,
    "clip": clipped,
    "exprel": exprel,
    "expm1": lambda x: np.exp(x) - 1,
    "log1p": lambda x: np.log(1 + x),
    **{name: getattr(np, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tan")},
    **{name: getattr(np, name) for name in ("sinh", "cosh", "tanh", "arctan")},
    **{name: lambda x: np.asarray(np.real(x)).astype(int) for name in ("int", "int_")},
    "floor": lambda x: np.floor(np.real(x)),
    "ceil": lambda x: np.ceil(np.real(x)),
    "sign": lambda x: np.sign(np.real(x)),
}
WORDS = {"logical_and": np.logical_and, "logical_or": np.logical_or, "logical_not": np.logical_not}


class RealComparisons(ast.NodeTransformer):
    """a < b for complex numbers: that of their real parts."""

    def visit_Compare(self, node):
        """Re of both sides."""
        self.generic_visit(node)
        left, *right = (
            ast.Call(ast.Name("Re", ast.Load()), [side], [])
            for side in (node.left, *node.comparators)
        )
        return ast.Compare(left, node.ops, right)


@cache
def compiled(expression):
    """An expression in Brian2's syntax, and the names in it."""
    tree = ast.parse(NumpyNodeRenderer().render_expr(expression), mode="eval")
    tree = ast.fix_missing_locations(RealComparisons().visit(tree))
    return compile(tree, "<expression>", "eval"), get_identifiers(expression) - {"and", "or", "not"}


def whole_group(group):
    """The group of which this is a part."""
    return group.source if isinstance(group, Subgroup) else group


class Code:
    """Abstract code of an object, run for some of its elements, z times if they are events.

    Parameters
    ----------
    steps : ComplexSteps
    obj
        Of Brian2.
    elements : (n,) ndarray
        Neurons, or synapses.
    spikes : (copies, levels, n) complex ndarray, optional
        z.
    """

    def __init__(self, steps, obj, elements, spikes=None):
        self.steps, self.obj, self.elements, self.spikes = steps, obj, elements, spikes
        self.variables, self.indices = obj.codeobj.variables, obj.codeobj.variable_indices
        self.local, self.after = {}, {}

    def places(self, name):
        """Where the elements have a variable in its array; None if all share it."""
        index = self.indices.get(name)
        if index in (None, "0"):
            return None
        if index == "_idx":
            return self.elements
        values = np.asarray(self.variables[index].get_value(), int)
        return values if self.indices.get(index) == "0" else values[self.elements]

    def value(self, expression):
        """Of an expression, for the elements."""
        code, names = compiled(str(expression))
        known = {"Re": np.real, "__builtins__": {}} | WORDS | FUNCTIONS
        known |= {name: self.named(name) for name in names}
        with np.errstate(invalid="ignore"):  # of neurons that are held, whose value is not used
            return eval(code, known)

    def named(self, name):
        """What a name stands for."""
        for kept in (self.local, self.after):
            if name in kept:
                return kept[name]
        variable = self.variables.get(name)
        if variable is None or isinstance(variable, Function):
            return FUNCTIONS[name] if name in FUNCTIONS else self.function(name, variable)
        if isinstance(variable, Subexpression):
            return self.value(variable.expr)
        if isinstance(variable, Constant):
            return variable.get_value()
        if not hasattr(variable.owner, "variables") or "timestep" in variable.owner.variables:
            return np.asarray(variable.get_value()).item()  # of a clock
        array, places = self.steps.array(variable), self.places(name)
        values = array if places is None else array[..., places]
        forward = isinstance(self.obj, SummedVariableUpdater) or (
            isinstance(self.obj, SynapticPathway)
            and self.obj.prepost == "pre"
            and whole_group(self.obj.target) is not self.steps.readout
        )
        if forward and self.indices.get(name) == "_presynaptic_idx" and np.iscomplexobj(values):
            return values.real + 1j * self.steps.over_an_edge(values.imag)
        return values

    def function(self, name, variable):
        """A function that Brian2 or a user has made: of numbers without a derivative."""
        made = self.obj.codeobj.namespace[name]

        def without_derivative(*arguments):
            if name != "timestep" and any(np.any(np.imag(x)) for x in arguments):
                raise NotImplementedError(f"the derivative of {name}()")
            arguments = [np.real(x) for x in arguments]
            if not variable.auto_vectorise:
                return made(*arguments)
            if self.spikes is not None:
                raise NotImplementedError(f"{name}() where events are only likely")
            return made(*arguments, self.elements)

        return without_derivative

    def run(self, code=None):
        """Statement after statement."""
        code = self.obj.abstract_code if code is None else code
        for line in map(str.strip, code.replace(";", "\n").split("\n")):
            if line and not line.startswith("#"):
                self.assign(*parse_statement(line)[:3])
        if self.spikes is not None:
            for name, after in self.after.items():
                array, places = self.steps.array(self.variables[name]), self.places(name)
                array[..., places] = self.happened(array[..., places], after, self.spikes)

    def happened(self, before, after, spikes):
        """s + z (s_after − s); exactly s_after where there is a spike."""
        values = np.where(np.real(spikes[:1, :1]) > 0.5, after, before)
        if not np.iscomplexobj(before):
            return values
        return values + 1j * np.imag(spikes) * np.real(after - before)

    def assign(self, name, operation, expression):
        """One statement."""
        value, variable = self.value(expression), self.variables.get(name)
        if variable is None or isinstance(variable, AuxiliaryVariable):
            self.local[name] = value
            return
        array, places = self.steps.array(variable), self.places(name)
        held = getattr(variable, "conditional_write", None)
        written_anyway = getattr(self.obj, "override_conditional_write", None) or ()
        if held is not None and held.name in written_anyway:
            held = None
        free = True if held is None else self.steps.array(held)[..., places]
        if isinstance(self.obj, SynapticPathway) and self.indices.get(name) != "_idx":
            repeated = name in get_identifiers(expression)
            self.write_into_neurons(name, operation, expression if repeated else value, free)
            return
        before = self.named(name)
        after = value if operation == "=" else OPERATIONS[operation](before, value)
        if held is not None:
            after = np.where(free, after, before)
        if not np.iscomplexobj(array):
            after = np.real(after)[:1, :1] if np.ndim(after) == 3 else np.real(after)
        if self.spikes is None:
            array[... if places is None else (..., places)] = after
        elif places is None:
            raise NotImplementedError(f"an event that changes {name!r}, which all share")
        else:
            self.after[name] = np.broadcast_to(after, (*array.shape[:2], len(places)))

    def write_into_neurons(self, name, operation, value, free):
        """One synapse after the other, as several may end on one neuron."""
        array, places = self.steps.array(self.variables[name]), self.places(name)
        spikes = self.spikes * free
        if operation in ("+=", "-=") and not isinstance(value, str):
            sign = 1 if operation == "+=" else -1
            np.add.at(array, (..., places), sign * spikes * value)
            return
        for k, place in enumerate(places):
            here = slice(k, k + 1)
            if isinstance(value, str):
                change = Code(self.steps, self.obj, self.elements[here]).value(value)
            else:
                change = np.broadcast_to(value, spikes.shape)[..., here]
            before = array[..., [place]]
            after = change if operation == "=" else OPERATIONS[operation](before, change)
            array[..., [place]] = self.happened(before, after, spikes[..., here])
