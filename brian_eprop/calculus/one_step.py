"""The one-step map of a neuron group: the code that Brian2 runs, as expressions.

One time step of Brian2 with its default schedule is

    groups      h ← F(h)             the integrator's code, the same text that Brian2 compiles
    thresholds  z = [threshold(h)]
    synapses    h ← h + Δ(w)         arrivals (on_pre)
    resets      h ← R(h) where z = 1

Each phase is read off the objects of the group and kept as SymPy expressions of the
values *before* that phase.
"""

from dataclasses import dataclass

import sympy
from brian2 import Quantity
from brian2.equations.equations import SUBEXPRESSION
from brian2.groups.subgroup import Subgroup
from brian2.parsing.statements import parse_statement
from brian2.parsing.sympytools import str_to_sympy
from brian2.stateupdaters.base import StateUpdateMethod

from .derivatives import NoDerivativeError

#: Name of the value of ``not_refractory`` that the *next* state update will use.
NEXT_NOT_REFRACTORY = "_next_not_refractory"


def symbol(name):
    """The SymPy symbol that Brian2's parser makes of ``name``."""
    return str_to_sympy(name)


@dataclass(frozen=True)
class OneStep:
    """The phases of a time step of one neuron.

    Attributes
    ----------
    states : tuple of str
        Variables that a step changes: those of the differential equations, and those
        that the reset assigns to.
    update : dict of str to sympy.Expr
        F: each state after the state update.
    distance : sympy.Expr or None
        Left side minus right side of the threshold: positive when the neuron fires.
        None for a group without threshold (a readout).
    condition : str
        The threshold condition as the user wrote it.
    reset : dict of str to sympy.Expr
        R: each state after the reset of a neuron that fires.
    refractory : bool
        Whether the group has a refractory period.
    next_not_refractory : str
        Code for ``not_refractory`` in the next step; empty when F does not need it.
    clamped : frozenset of str
        States that are held, and deaf to arrivals, during refractoriness
        (``unless refractory``).
    per_neuron : frozenset of str
        Names of the group that have one value per neuron; every other name is uniform.
    """

    states: tuple
    update: dict
    distance: sympy.Expr | None
    condition: str
    reset: dict
    refractory: bool
    next_not_refractory: str
    clamped: frozenset
    per_neuron: frozenset


def run_statements(code, names, subexpressions=None):
    """Substitute the statements of abstract code into each other, in order.

    Parameters
    ----------
    code : str
        Brian2 abstract code, one statement a line.
    names : iterable of str
        Names whose final values are wanted.
    subexpressions : dict of str to sympy.Expr, optional
        Replaced wherever they are used, with the values of that moment.

    Returns
    -------
    dict of str to sympy.Expr
    """
    values = {}
    subexpressions = subexpressions or {}
    for line in code.split("\n"):
        line = line.split("#")[0].strip()
        if not line:
            continue
        target, operation, expression, _ = parse_statement(line)
        value = str_to_sympy(expression)
        value = expand(value, subexpressions).xreplace(values)
        if operation != "=":
            previous = values.get(symbol(target), symbol(target))
            value = {
                "+=": lambda a, b: a + b,
                "-=": lambda a, b: a - b,
                "*=": lambda a, b: a * b,
                "/=": lambda a, b: a / b,
                "**=": lambda a, b: a**b,
            }[operation](previous, value)
        values[symbol(target)] = value
    return {name: values.get(symbol(name), symbol(name)) for name in names}


def expand(expression, subexpressions):
    """Replace the names of subexpressions by what they stand for, to any depth."""
    replacement = {symbol(name): value for name, value in subexpressions.items()}
    while replacement and expression.free_symbols & replacement.keys():
        expression = expression.xreplace(replacement)
    return expression


def parent_group(group):
    """The whole group that a sub-group is a part of (itself if it is not one)."""
    return group.source if isinstance(group, Subgroup) else group


def assigned_names(code):
    """Names on the left side of the statements of ``code``, in order."""
    lines = (line.split("#")[0].strip() for line in code.split("\n"))
    return list(dict.fromkeys(parse_statement(line)[0] for line in lines if line))


def one_step(group, namespace):
    """Read the one-step map of a group.

    Parameters
    ----------
    group : NeuronGroup or Subgroup
    namespace : dict
        External names (as given to ``Network.run``) in which the group's own namespace
        is completed.

    Returns
    -------
    OneStep

    Raises
    ------
    NoDerivativeError
        If the threshold is not a single inequality.
    ValueError
        If an external name is not known.
    """
    group = parent_group(group)
    reset_code = group.event_codes.get("spike", "")
    constant_over_dt = _constant_over_dt(group)
    subexpressions = {
        eq.varname: str_to_sympy(eq.expr.code)
        for eq in group.equations.values()
        if eq.type == SUBEXPRESSION
    }
    states = list(group.equations.diff_eq_names)
    states += [
        name for name in assigned_names(reset_code) if name in group.variables and name not in states
    ]
    update_code = _integrator_code(group, namespace)
    update = run_statements(update_code, states, constant_over_dt)

    condition = group.events.get("spike", "")
    distance = None
    if condition:
        distance = _threshold_distance(condition, subexpressions, group.name)
    reset = run_statements(reset_code, states, subexpressions)
    for name in constant_over_dt:
        if any(symbol(name) in e.free_symbols for e in [distance, *reset.values()] if e is not None):
            raise NoDerivativeError(
                f"the threshold or reset of group '{group.name}' uses '{name}', which is "
                "'(constant over dt)' and therefore one step old; remove the flag"
            )

    needs_refractory = any(symbol("not_refractory") in e.free_symbols for e in update.values())
    renamed = {symbol("not_refractory"): symbol(NEXT_NOT_REFRACTORY)}
    return OneStep(
        states=tuple(states),
        update={name: e.xreplace(renamed) for name, e in update.items()},
        distance=distance,
        condition=condition,
        reset=reset,
        refractory=group._refractory is not False,
        next_not_refractory=_next_not_refractory(group) if needs_refractory else "",
        clamped=frozenset(
            eq.varname
            for eq in group.user_equations.values()
            if "unless refractory" in eq.flags
        ),
        per_neuron=frozenset(
            [n for n in group.variables if not group.variables[n].scalar] + [NEXT_NOT_REFRACTORY]
        ),
    )


def _integrator_code(group, namespace):
    """The abstract code that Brian2 will generate its state updater from."""
    if not group.equations.diff_eq_names:
        return ""
    names = group.equations.names | group.equations.identifiers | {"dt"}
    try:
        variables = group.resolve_all(names, namespace, user_identifiers=set())
    except KeyError as error:
        raise ValueError(
            f"the equations of group '{group.name}' cannot be linearized yet: {error.args[0]} "
            "Define it before this call, or pass it in the group's namespace"
        ) from error
    updater = group.state_updater
    code = StateUpdateMethod.apply_stateupdater(
        group.equations,
        variables,
        updater.method_choice,
        method_options=updater.method_options,
        group_name=group.name,
    )
    if not isinstance(code, str):
        raise NoDerivativeError(
            f"group '{group.name}' is integrated by GSL, whose steps have no closed form; "
            "use an explicit method such as 'exponential_euler' or 'rk4'"
        )
    return code


def _constant_over_dt(group):
    """Expressions of the subexpressions that Brian2 stores once per step."""
    return {
        eq.varname: str_to_sympy(eq.expr.code)
        for eq in group.user_equations.values()
        if eq.type == SUBEXPRESSION and "constant over dt" in eq.flags
    }


def _threshold_distance(condition, subexpressions, group_name):
    parsed = str_to_sympy(condition)
    if isinstance(parsed, sympy.StrictGreaterThan | sympy.GreaterThan):
        distance = parsed.lhs - parsed.rhs
    elif isinstance(parsed, sympy.StrictLessThan | sympy.LessThan):
        distance = parsed.rhs - parsed.lhs
    else:
        raise NoDerivativeError(
            f"the threshold '{condition}' of group '{group_name}' is not a single inequality, so "
            "that there is no distance to it; write it as 'v > threshold'"
        )
    return expand(distance, subexpressions)


def _next_not_refractory(group):
    """Code for the ``not_refractory`` of the next step, evaluated at the end of this one."""
    refractory = group._refractory
    if isinstance(refractory, Quantity):
        return f"timestep(t + dt - lastspike, dt) >= timestep({float(refractory)!r}, dt)"
    if _is_duration(group, refractory):
        return f"timestep(t + dt - lastspike, dt) >= timestep({refractory}, dt)"
    return f"not_refractory or not ({refractory})"


def _is_duration(group, expression):
    """Whether a refractory expression is a time span and not a condition."""
    parsed = str_to_sympy(expression)
    return not isinstance(parsed, sympy.logic.boolalg.Boolean | sympy.core.relational.Relational)
