"""Brian2 abstract code as a straight-line program: what it computes, and its Jacobian.

The code of a state update is the same text that Brian2 compiles.

Substituting every statement into the next gives closed expressions, which is what one wants to
read for a leaky integrator, and is hopeless for four nested stages of rk4. So a value that has
grown beyond a few dozen operations keeps a name; the chain rule is then applied statement by
statement (forward accumulation; Griewank & Walther 2008, Evaluating Derivatives, §3.1), and no
expression ever grows.
"""

from itertools import islice
from weakref import WeakKeyDictionary

import sympy
from attrs import frozen
from brian2 import CodeRunner, SpatialNeuron, StateUpdateMethod, get_logger

from ..brian.code import FastStateUpdater
from ..brian.internals import (
    StateUpdater,
    UnsupportedEquationsException,
    contained,
    statements_of,
    str_to_sympy,
)
from ..checks import text
from .derivatives import NoDerivativeError, UnsuitableMethodError, derivative

logger = get_logger(__name__)

#: Largest number of nodes (operations and operands) of a value that is substituted, not named.
READABLE = 120

_IN_PLACE = {
    "+=": lambda a, b: a + b,
    "-=": lambda a, b: a - b,
    "*=": lambda a, b: a * b,
    "/=": lambda a, b: a / b,
    "**=": lambda a, b: a**b,
}


#: Each projection onto a group asks for its code; an exact solution takes seconds to find.
_CODE: WeakKeyDictionary = WeakKeyDictionary()

#: Templates of code that does what its text says, for each neuron on its own.
READABLE_TEMPLATES = frozenset({"stateupdate", "threshold", "reset"})


def symbol(name):
    """The SymPy symbol that Brian2's parser makes of ``name``."""
    return str_to_sympy(name)


def checked_statements(name, code):
    """The statements of an argument; a ValueError that names it if it cannot be read as code."""
    text(name, code, "v_post += w")
    try:
        statements = statements_of(code)
        for _, _, expression in statements:
            str_to_sympy(expression)
    except (ValueError, TypeError, SyntaxError, KeyError, NotImplementedError) as error:
        said = " ".join(str(error).split())
        raise ValueError(
            f"{name} = {code!r} cannot be read as statements ({said}); write for example "
            "'v_post += w'"
        ) from None
    return statements


def expand(expression, definitions):
    """An expression in which symbols are replaced by what they stand for, to any depth."""
    while expression.free_symbols & definitions.keys():
        expression = expression.xreplace(definitions)
    return expression


def inputs(expressions, definitions):
    """Symbols that expressions depend on, through definitions, in their order, too."""
    used = set().union(*(expression.free_symbols for expression in expressions))
    for name in reversed(definitions):
        if name in used:
            used |= definitions[name].free_symbols
    return used


def longer_than(nodes, expression):
    """Whether an expression has more than this number of nodes, without counting them all."""
    return next(islice(sympy.preorder_traversal(expression), nodes, None), None) is not None


@frozen
class Program:
    """Final values of variables as expressions of their initial values.

    Attributes
    ----------
    values : dict of str to sympy.Expr
        In initial values and definitions.
    definitions : dict of sympy.Symbol to sympy.Expr
        Values that kept a name, each in initial values and earlier definitions.
    """

    values: dict
    definitions: dict

    @classmethod
    def of(cls, statements, names, *, subexpressions=None, known=None, label="", readable=READABLE):
        """Read abstract code.

        Parameters
        ----------
        statements : list of (target, operation, expression)
        names : iterable of str
            Variables whose final values are wanted.
        subexpressions : dict of sympy.Symbol to sympy.Expr, optional
            Replaced wherever they are used, with the values of that moment.
        known : dict of sympy.Expr to sympy.Expr, optional
            Values to put in for whatever is known, such as a flag.
        label : str
            Appended to the names of definitions.
        readable : int or None
            Nodes from which on a value keeps a name; None for a closed expression.
        """
        values, definitions = {}, {}
        for target, operation, written in statements:
            value = expand(str_to_sympy(written), subexpressions or {}).xreplace(values)
            if operation != "=":
                previous = values.get(symbol(target), symbol(target))
                value = _IN_PLACE[operation](previous, value)
            if known:
                value = value.xreplace(known)
            if readable is not None and longer_than(readable, value):
                name = _unused(f"_{target.strip('_')}{label}", definitions)
                definitions[name], value = value, name
            values[symbol(target)] = value
        return cls({n: values.get(symbol(n), symbol(n)) for n in names}, definitions)

    def jacobian(self, names, initial=None):
        """Derivatives of the final values of ``names`` with respect to initial values.

        Parameters
        ----------
        names : sequence of str
        initial : sequence of str, optional
            Default: of the same names.

        Returns
        -------
        matrix : (names, initial) sympy.Matrix
        definitions : dict of sympy.Symbol to sympy.Expr
            Those of the program, and derivatives of them that kept a name.

        Raises
        ------
        NoDerivativeError
            Naming the function without a derivative.
        """
        columns = [symbol(name) for name in (names if initial is None else initial)]
        total = {column: {column: sympy.S.One} for column in columns}
        definitions = {}

        def row(expression):
            partial = {s: derivative(expression, s) for s in expression.free_symbols & total.keys()}
            inner = sorted(partial, key=str)
            return [
                sympy.Add(*(partial[s] * total[s][c] for s in inner if c in total[s]))
                for c in columns
            ]

        needed = inputs([self.values[name] for name in names], self.definitions)
        for defined, expression in self.definitions.items():
            if defined not in needed:
                continue
            definitions[defined] = expression
            changes = {}
            for column, change in zip(columns, row(expression), strict=True):
                if change == 0:
                    continue
                if longer_than(3, change):
                    name = _unused(f"{defined}_by_{column}", definitions)
                    definitions[name], change = change, name
                changes[column] = change
            total[defined] = changes
        return sympy.Matrix([row(self.values[name]) for name in names]), definitions


def run_statements(statements, names, subexpressions=None):
    """Final values of ``names`` after statements, as closed expressions: {name: expression}."""
    return Program.of(statements, names, subexpressions=subexpressions, readable=None).values


def _unused(name, taken):
    """A symbol with this name, numbered if there is one already."""
    candidate, number = symbol(name), 1
    while candidate in taken:
        number += 1
        candidate = symbol(f"{name}_{number}")
    return candidate


def check_no_diffusion(group):
    """Raise an error for a group whose compartments are coupled outside of its equations."""
    if isinstance(group, SpatialNeuron):
        raise NoDerivativeError(
            f"group '{group.name}' is a SpatialNeuron, whose compartments are coupled by a "
            "diffusion that is not in its equations ('Im'): write the compartments as variables of "
            "a NeuronGroup, with the currents between them in its equations"
        )


def check_kind(group):
    """Raise an error for a group whose step is more than its equations, threshold and reset."""
    check_no_diffusion(group)
    kind = type(group).__name__
    updater = getattr(group, "state_updater", None)
    if type(updater) not in (StateUpdater, FastStateUpdater):
        raise NoDerivativeError(
            f"group '{group.name}' is a {kind}, whose 'state_updater' is a "
            f"{type(updater).__name__} and not made from its equations: use a NeuronGroup"
        )
    for runner in contained(group):
        of_learning = getattr(runner, "of_learning", False)
        if isinstance(runner, CodeRunner) and not of_learning:
            if runner.template not in READABLE_TEMPLATES:
                raise NoDerivativeError(
                    f"group '{group.name}' is a {kind}, in whose step '{runner.name}' runs the "
                    f"template '{runner.template}', which is not in its equations: use a "
                    "NeuronGroup"
                )


def integrator_code(group, namespace):
    """The abstract code that Brian2 will generate its state updater from."""
    if not group.equations.diff_eq_names:
        return ""
    names = group.equations.names | group.equations.identifiers | {"dt"}
    variables = resolved(group, names, namespace)
    if group in _CODE:
        return _CODE[group]
    updater = group.state_updater
    if updater.method_choice in ("exact", "linear") and len(group.equations.diff_eq_names) > 2:
        logger.info(
            f"solving the equations of group '{group.name}' exactly; if this takes minutes, choose "
            "another method, such as 'exponential_euler' or 'rk4'",
            "exact",
        )
    try:
        code = StateUpdateMethod.apply_stateupdater(
            group.equations,
            variables,
            updater.method_choice,
            method_options=updater.method_options,
            group_name=group.name,
        )
    except UnsupportedEquationsException as error:
        raise UnsuitableMethodError(
            f"group '{group.name}': method = {updater.method_choice!r} is not for its equations: "
            f"{' '.join(str(error).split())} Choose another method, such as "
            f"{_other_methods(updater.method_choice)}"
        ) from None
    if not isinstance(code, str):
        raise NoDerivativeError(
            f"group '{group.name}' is integrated by GSL, whose steps have no closed form; "
            "use an explicit method such as 'exponential_euler' or 'rk4'"
        )
    _CODE[group] = code
    return code


def _other_methods(failed):
    """Methods that fit most equations, without the one that was chosen."""
    names = [n for n in ("exponential_euler", "euler", "rk4") if n != failed]
    return f"{', '.join(map(repr, names[:-1]))} or '{names[-1]}'"


def resolved(group, names, namespace):
    """The objects behind the names that a group's code uses, or an error for an unknown one."""
    try:
        return group.resolve_all(names, namespace, user_identifiers=set())
    except KeyError as error:
        for name in sorted(names - group.variables.keys()):
            if "linked" in getattr(group.user_equations.get(name), "flags", ()):
                raise ValueError(
                    f"'{name}' of group '{group.name}' is '(linked)', and not linked to anything "
                    f"yet: write {group.name}.{name} = linked_var(…) before you create the "
                    "synapses that learn"
                ) from None
        raise ValueError(
            f"the equations of group '{group.name}' cannot be linearized yet: {error.args[0]} "
            "Define it before this call, or pass it in the group's namespace"
        ) from error
