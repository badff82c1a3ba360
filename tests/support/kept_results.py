"""What Brian2 and SymPy work out again for each of many small networks, worked out once.

Nothing here changes what is computed: each result is found again by all on which it depends.
"""

import inspect
from functools import cache, partial, wraps
from types import SimpleNamespace

import sympy
from brian2 import prefs, second
from brian2.codegen import translation
from brian2.codegen.generators import base as generators
from brian2.core import base, magic
from brian2.core.clocks import Clock
from brian2.core.functions import Function
from brian2.core.preferences import BrianGlobalPreferences
from brian2.core.variables import Subexpression, Variable
from brian2.stateupdaters import explicit
from brian2.stateupdaters.exact import LinearStateUpdater


def kind(name, variable):
    """All of a variable on which code depends."""
    if isinstance(variable, Function):
        return name, variable  # each is itself
    if isinstance(variable, Subexpression):
        return name, type(variable), variable.dtype, variable.scalar, variable.expr
    if isinstance(variable, Variable):
        return name, type(variable), variable.dtype, variable.scalar, variable.constant
    return name, type(variable)


def statements_by_content(make):
    """`make_statements` of Brian2 for the same code and the same kinds of variables.

    Brian2 keeps statements by the state of all variables of a group, which is another one for each
    network, and to find them takes longer than to make them.
    """
    kept = {}

    @wraps(make)
    def made(code, variables, dtype, optimise=True, blockname=""):
        names = translation.get_identifiers_recursively([code], variables)
        # a subexpression may be wrong for itself
        names.update(n for n, v in variables.items() if isinstance(v, Subexpression))
        kinds = frozenset(kind(name, variables[name]) for name in names if name in variables)
        precision = prefs["core.default_float_dtype"]
        key = code, kinds, dtype, optimise, blockname, precision
        if key not in kept:
            kept[key] = make(code, variables, dtype, optimise, blockname)
        return kept[key]

    return made


def integrators_by_content(integrate):
    """`LinearStateUpdater` of Brian2 for the same equations and the same kinds of variables."""
    kept = {}

    @wraps(integrate)
    def code(updater, equations, variables=None, method_options=None):
        known = variables or {}
        names = equations.identifiers | equations.names | {"t", "dt"}
        kinds = frozenset(kind(name, known[name]) for name in names if name in known)
        # functions of time may be constant over some time steps
        dt = known["dt"].get_value().item() if "dt" in known else None
        options = repr(method_options)
        key = tuple((str(e), e.dim) for e in equations.values()), kinds, dt, options
        if key not in kept:
            kept[key] = integrate(updater, equations, variables, method_options)
        return kept[key]

    return code


def keep():
    """From now on, in this process."""
    make = translation.make_statements.__wrapped__
    translation.make_statements = generators.make_statements = statements_by_content(make)
    LinearStateUpdater.__call__ = integrators_by_content(LinearStateUpdater.__call__.__wrapped__)
    # of equations that differ in a constant, or another time step
    exponential = cache(sympy.ImmutableMatrix.exp)
    sympy.ImmutableMatrix.exp = lambda matrix: exponential(matrix)
    explicit.split_expression = cache(explicit.split_expression)
    # of each object, for a message that its name is enough for
    base.traceback = SimpleNamespace(extract_stack=lambda: [])
    written = cache(lambda dt: repr(dt * second))
    Clock.__repr__ = lambda clock: f"Clock(dt={written(clock.dt_)}, name={clock.name!r})"
    # of each category whenever a preference is asked for
    BrianGlobalPreferences.get_documentation = lambda *args, **options: ""
    # the lines of code around each call, of which none is used
    magic.inspect = SimpleNamespace(stack=partial(inspect.stack, 0))
