"""What makes a neuron model valid: names, units, and one comparison as threshold."""

import ast
from collections.abc import Mapping

import numpy as np
from brian2 import (
    DEFAULT_CONSTANTS,
    DEFAULT_FUNCTIONS,
    DEFAULT_UNITS,
    Equations,
    StateUpdateMethod,
    second,
)
from brian2.units.fundamentalunits import DIMENSIONLESS, DimensionMismatchError, get_dimensions

from ..brian.internals import (
    DIFFERENTIAL_EQUATION,
    EquationError,
    Variable,
    analyse_identifiers,
    assigned_names,
    check_units_statements,
    get_identifiers,
    is_boolean_expression,
    parse_expression_dimensions,
    statements_of,
)
from ..checks import suggest, unit_name
from ..quantities import quantity
from .surrogates import SURROGATES

#: names that Brian2 uses itself in groups and synapses, beyond those that Equations refuses
RESERVED = frozenset({"j", "lastspike", "not_refractory", "delay", "lastupdate"})

#: keywords of NeuronGroup that NeuronModel.group passes on: no parameter can have their names
GROUP_KEYWORDS = frozenset(
    {"clock", "codeobj_class", "dt", "dtype", "method", "method_options", "name", "order"}
)

#: Fields of a model that are tables, and texts that may be left out.
TABLES = ("parameters", "initial", "reset_path")
MAY_BE_NONE = ("refractory", "on_input")

RESET_PATHS = ("implicit", "explicit", "detached")

_BRIAN_ERRORS = (
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    AssertionError,
    NotImplementedError,
    EquationError,
    DimensionMismatchError,
)


def _text(error):
    """What Brian2 says, up to the first line that is complete."""
    first, _, rest = str(error).strip().partition("\n")
    if first.rstrip().endswith(":"):
        first = f"{first.rstrip()} {' '.join(rest.split())}"
    return first.rstrip(".")


class ModelError(ValueError):
    """A neuron model, or a value given to one, is not valid.

    The message names the file or model, the key, the value and the remedy.
    """


def check_kinds(table):
    """Raise ModelError unless what must be text is text, and what must be a table is one."""
    for key, value in table.items():
        if key in TABLES:
            if not isinstance(value, Mapping):
                raise ModelError(f"'{key}' = {value!r} must be a table: write [{key}], or a dict")
        elif key != "surrogate" and not isinstance(value, str):
            if value is not None or key not in MAY_BE_NONE:
                raise ModelError(f"'{key}' = {value!r} must be text in quotes, '' for nothing")


def check_method(method, where=""):
    """Raise ModelError for a name, or a list of names, that is none of Brian2's methods."""
    for name in method if isinstance(method, list | tuple) else [method]:
        if callable(name) or (isinstance(name, str) and name in StateUpdateMethod.stateupdaters):
            continue
        methods = sorted(StateUpdateMethod.stateupdaters)
        hint = suggest(name, methods) or f"; known: {', '.join(methods)}"
        raise ModelError(f"{where}'method' = {name!r}: Brian2 has no such method{hint}")


def check_value(value, *, time_may_be_zero):
    """Raise ValueError if a parameter's value is not finite, or is an impossible time."""
    if not np.isfinite(np.asarray(value)).all():
        raise ValueError("it is not finite; give finite numbers")
    if get_dimensions(value) is second.dim:
        if time_may_be_zero and (np.asarray(value) < 0).any():
            raise ValueError("a duration cannot be negative")
        if not time_may_be_zero and (np.asarray(value) <= 0).any():
            raise ValueError("a time constant must be positive")


def threshold_distance(threshold):
    """Expression of membrane − threshold from a condition such as 'v > v_th'.

    Raises
    ------
    ValueError
        The condition is not one comparison.
    """
    tree = ast.parse(threshold.strip(), mode="eval").body
    if not (isinstance(tree, ast.Compare) and len(tree.ops) == 1):
        raise ValueError("it is not one comparison, so it defines no distance to the threshold")
    left, right = ast.unparse(tree.left), ast.unparse(tree.comparators[0])
    if isinstance(tree.ops[0], ast.Lt | ast.LtE):
        left, right = right, left
    elif not isinstance(tree.ops[0], ast.Gt | ast.GtE):
        raise ValueError("it compares with neither '>' nor '<'")
    return f"({left}) - ({right})"


def _names(*codes):
    return {name.removesuffix("_post") for code in codes for name in get_identifiers(code)}


def names_used(model):
    """Names that the model uses outside 'refractory'."""
    return Equations(model.equations).identifiers | _names(
        model.threshold,
        model.reset,
        model.on_pre,
        model.on_input,
        model.surrogate.expression("0"),
        *model.initial.values(),
    )


def unused_parameters(model):
    """Parameters that nothing in the model uses."""
    return set(model.parameters) - names_used(model) - _names(model.refractory or "")


def _variable(dimensions=DIMENSIONLESS, dtype=float):
    return Variable("_", dimensions=dimensions, dtype=dtype)


class _Checker:
    """The checks of one model: every method raises ModelError naming key, value and remedy."""

    def __init__(self, model):
        self.model = model
        try:
            self.equations = Equations(model.equations)
        except _BRIAN_ERRORS as error:
            self.fail("equations", model.equations, f"they do not parse: {_text(error)}")
        self.names()
        self.variables = {
            name: _variable(equation.dim, bool if equation.var_type == "boolean" else float)
            for name, equation in self.equations.items()
        }
        self.variables |= {
            name: _variable(get_dimensions(value)) for name, value in model.parameters.items()
        }
        self.variables |= {"t": _variable(second.dim), "dt": _variable(second.dim)}
        self.nameable = [*self.variables, *(f"{name}_post" for name in self.variables), "w"]
        #: everything that code inside the neuron group may name
        self.scope = {
            **{name: _variable(get_dimensions(unit)) for name, unit in DEFAULT_UNITS.items()},
            **DEFAULT_FUNCTIONS,
            **DEFAULT_CONSTANTS,
            **{"i": _variable(), "N": _variable()},
            **{"lastspike": _variable(second.dim), "not_refractory": _variable(dtype=bool)},
            **self.variables,
        }

    def fail(self, key, value, problem):
        value = value.strip() if isinstance(value, str) else value
        raise ModelError(f"'{key}' = {value!r}: {problem}") from None

    def names(self):
        for name in (*self.model.parameters, *self.equations.names):
            problem = None
            if name in RESERVED or name.endswith(("_pre", "_post")):
                problem = "the name is reserved by Brian2"
            elif name == "w":
                problem = "the name is taken by the synapse's weight in 'on_pre'"
            elif name in GROUP_KEYWORDS or name == "surrogate":
                problem = "the name is taken by a keyword of 'group'"
            elif name in self.model.parameters and name in self.equations.names:
                problem = "it is declared in 'equations' too; leave it to [parameters]"
            else:
                try:
                    Equations.check_identifier(name)
                except (SyntaxError, ValueError) as error:
                    problem = _text(error)
            if problem:
                key = "parameters" if name in self.model.parameters else "equations"
                self.fail(key, name, f"{problem}; rename it")

    def known(self, key, code, names, scope):
        for name in sorted(set(names) - set(scope)):
            hint = suggest(name, set(scope) & set(self.nameable)) or "; add it to [parameters]"
            self.fail(key, code, f"unknown name '{name}'{hint}")

    def expression(self, key, code, scope=None):
        """Dimensions of a Brian2 expression."""
        scope = scope or self.scope
        try:
            ast.parse(code.strip(), mode="eval")
        except SyntaxError as error:
            self.fail(key, code, f"it is not an expression ({error.msg}); correct it")
        self.known(key, code, get_identifiers(code), scope)
        try:
            return parse_expression_dimensions(code.strip(), scope)
        except _BRIAN_ERRORS as error:
            self.fail(key, code, f"{_text(error)}; correct it")

    def has_unit(self, key, code, expected, subject="it", scope=None):
        """Check the dimensions of a Brian2 expression."""
        unit = self.expression(key, code, scope)
        if unit is not expected:
            problem = f"{subject} has the unit {unit_name(unit)}, not {unit_name(expected)}"
            self.fail(key, code, f"{problem}; correct it")

    def statements(self, key, code, scope):
        """Check Brian2 statements; return the names of `scope` that they change."""
        try:
            changed = set(assigned_names(statements_of(code)))
            # Brian2 hashes the whole scope, unit by unit, on every call
            named = {name: scope[name] for name in get_identifiers(code) & set(scope)}
            _, _, unknown = analyse_identifiers(code, named)
            self.known(key, code, unknown, scope)
            check_units_statements(code, named)
        except _BRIAN_ERRORS as error:
            if isinstance(error, ModelError):
                raise
            self.fail(key, code, f"{_text(error)}; correct it")
        return changed & set(scope)

    def dynamics(self):
        xi = {name: _variable(second.dim**-0.5) for name in self.equations.stochastic_variables}
        for name, equation in self.equations.items():
            if equation.expr is None:
                continue
            expected = equation.dim
            if equation.type == DIFFERENTIAL_EQUATION:
                expected = expected / second.dim
            subject, code = f"the right side for '{name}'", str(equation.expr)
            self.has_unit("equations", code, expected, subject, self.scope | xi)
            if "unless refractory" in equation.flags and self.model.refractory is None:
                problem = "'(unless refractory)' needs the key 'refractory'; add it"
                self.fail("equations", str(equation), problem)
        check_method(self.model.method)

    def events(self):
        model = self.model
        self.expression("threshold", model.threshold)
        try:
            distance = threshold_distance(model.threshold)
        except ValueError as error:
            self.fail("threshold", model.threshold, f"{error}; write one, such as 'v > v_th'")
        x = self.expression("threshold", distance)
        psi = self.expression("surrogate", model.surrogate.expression(distance))
        if psi is not x**-1:
            problem = f"ψ has the unit {unit_name(psi)} but must have {unit_name(x**-1)}"
            self.fail("surrogate", model.surrogate, f"{problem}; correct it")
        changed = self.statements("reset", model.reset, self.scope)
        for name, path in model.reset_path.items():
            if name not in changed:
                known = ", ".join(sorted(changed)) or "nothing"
                self.fail("reset_path", name, f"the reset changes {known}; remove or rename it")
            if path not in RESET_PATHS:
                hint = suggest(path, RESET_PATHS) or f"; choose {' or '.join(RESET_PATHS)}"
                self.fail(f"reset_path.{name}", path, f"no such path{hint}")
        if model.refractory is not None:
            unit = self.expression("refractory", model.refractory)
            condition = is_boolean_expression(model.refractory, self.scope)
            if not condition and unit is not second.dim:
                problem = f"it has the unit {unit_name(unit)}; give a duration or a condition"
                self.fail("refractory", model.refractory, problem)

    def arrivals(self):
        try:
            weight = quantity(self.model.weight_unit)
        except ValueError as error:
            self.fail("weight_unit", self.model.weight_unit, f"{error}; give e.g. '1' or 'mV'")
        synapse = self.scope | {f"{name}_post": self.variables[name] for name in self.variables}
        synapse["w"] = _variable(get_dimensions(weight))
        self.statements("on_pre", self.model.on_pre, synapse)
        self.statements("on_input", self.model.on_input, synapse)

    def values(self):
        elsewhere = names_used(self.model)
        for name, value in self.model.parameters.items():
            try:
                check_value(value, time_may_be_zero=name not in elsewhere)
            except ValueError as error:
                self.fail(f"parameters.{name}", value, error)
        for name, code in self.model.initial.items():
            if name not in self.equations.names:
                hint = suggest(name, self.equations.names) or "; remove it"
                self.fail("initial", name, f"no variable of the equations{hint}")
            self.has_unit(f"initial.{name}", code, self.variables[name].dim)


def validate(model):
    """Raise ModelError unless `model`, a NeuronModel, can be simulated and differentiated."""
    if not callable(getattr(type(model.surrogate), "expression", None)):
        raise ModelError(
            f"'surrogate' = {model.surrogate!r} is no surrogate; give an object of "
            f"{', '.join(SURROGATES)}"
        )
    checker = _Checker(model)
    checker.dynamics()
    checker.events()
    checker.arrivals()
    checker.values()
