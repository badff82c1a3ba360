"""The one-step map of a neuron group: the code that Brian2 runs, as expressions.

One time step of Brian2 with its default schedule is

    groups      h ← F(h)             the integrator's code, the same text that Brian2 compiles
    thresholds  z = [threshold(h)]
    synapses    h ← h + Δ(w)         arrivals (on_pre)
    resets      h ← R(h) where z = 1

Each phase is kept as SymPy expressions of the values *before* that phase.
"""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import sympy
from brian2 import Quantity, get_logger, second
from brian2.equations.equations import DIFFERENTIAL_EQUATION, SUBEXPRESSION
from brian2.groups.subgroup import Subgroup
from brian2.parsing.expressions import parse_expression_dimensions
from brian2.parsing.sympytools import str_to_sympy
from brian2.stateupdaters.base import StateUpdateMethod, UnsupportedEquationsException
from brian2.utils.stringtools import get_identifiers

from .derivatives import NoDerivativeError, UnsuitableMethodError, indicator
from .programs import Program, assigned_names, expand, run_statements, symbol

logger = get_logger(__name__)

#: Name of the value of ``not_refractory`` that the *next* state update will use.
NEXT_NOT_REFRACTORY = "_next_not_refractory"
#: Each projection onto a group asks for its code; an exact solution takes seconds to find.
_CODE: WeakKeyDictionary = WeakKeyDictionary()


@dataclass(frozen=True)
class OneStep:
    """The phases of a time step of one neuron.

    Attributes
    ----------
    states : tuple of str
        Variables that a step changes: those of the differential equations, and those
        that the reset assigns to.
    update : Program
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
    varying : frozenset of str
        Names of the group whose values may change from step to step.
    """

    states: tuple
    update: Program
    distance: sympy.Expr | None
    condition: str
    reset: dict
    refractory: bool
    next_not_refractory: str
    clamped: frozenset
    per_neuron: frozenset
    varying: frozenset


def parent_group(group):
    """The whole group that a sub-group is a part of (itself if it is not one)."""
    if not isinstance(group, Subgroup):
        return group
    # A sub-group holds a weak proxy, which is neither hashable nor identical to its group; a
    # bound method has the group itself.
    return group.source.before_run.__self__


def one_step(group, namespace):
    """Read the one-step map of a group.

    Parameters
    ----------
    group : NeuronGroup or Subgroup
    namespace : dict
        External names, where the group's own namespace lacks them.

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
    # `diff_eq_names` is a set: its order would differ from process to process.
    states = [n for n, eq in group.equations.items() if eq.type == DIFFERENTIAL_EQUATION]
    states += [
        name
        for name in assigned_names(reset_code)
        if name in group.variables and name not in states
    ]
    clamped = [
        eq.varname
        for eq in group.user_equations.values()
        if "unless refractory" in eq.flags and group._refractory is not False
    ]
    update = _update(
        _integrator_code(group, namespace), states, clamped, subexpressions | constant_over_dt
    )

    condition = group.events.get("spike", "")
    distance = None
    if condition:
        distance = _threshold_distance(condition, subexpressions, group.name)
    reset = run_statements(reset_code, states, subexpressions)
    for name in constant_over_dt:
        if any(
            symbol(name) in e.free_symbols for e in [distance, *reset.values()] if e is not None
        ):
            raise NoDerivativeError(
                f"the threshold or reset of group '{group.name}' uses '{name}', which is "
                "'(constant over dt)' and therefore one step old; remove the flag"
            )

    expressions = [*update.values.values(), *update.definitions.values()]
    needs_refractory = any(symbol(NEXT_NOT_REFRACTORY) in e.free_symbols for e in expressions)
    return OneStep(
        states=tuple(states),
        update=update,
        distance=distance,
        condition=condition,
        reset=reset,
        refractory=group._refractory is not False,
        next_not_refractory=_next_not_refractory(group, namespace) if needs_refractory else "",
        clamped=frozenset(clamped),
        per_neuron=frozenset(
            [n for n in group.variables if not group.variables[n].scalar] + [NEXT_NOT_REFRACTORY]
        ),
        varying=frozenset(
            [n for n, v in group.variables.items() if not v.constant] + [NEXT_NOT_REFRACTORY]
        ),
    )


def _update(code, states, clamped, subexpressions):
    """F, with what Brian2 does to a state that is held during refractoriness.

    Such a state is written only outside refractoriness. The formula need not say so: that of
    exponential_euler is then 0/0, which Brian2 computes and throws away.
    """
    flag, renamed = str_to_sympy("int(not_refractory)"), symbol(NEXT_NOT_REFRACTORY)
    known = {symbol("not_refractory"): renamed}
    update = Program.of(code, states, subexpressions=subexpressions, known=known)
    if not clamped:
        return update
    known = {flag: sympy.S.One, **known}
    free = Program.of(code, clamped, subexpressions=subexpressions, known=known, label="_free")
    flag = indicator(renamed)
    held = {n: flag * free.values[n] + (1 - flag) * symbol(n) for n in clamped}
    return Program(update.values | held, update.definitions | free.definitions)


def _integrator_code(group, namespace):
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
            f"{' '.join(str(error).split())} Choose another method, such as 'exponential_euler', "
            "'euler' or 'rk4'"
        ) from None
    if not isinstance(code, str):
        raise NoDerivativeError(
            f"group '{group.name}' is integrated by GSL, whose steps have no closed form; "
            "use an explicit method such as 'exponential_euler' or 'rk4'"
        )
    _CODE[group] = code
    return code


def resolved(group, names, namespace):
    """The objects behind the names that a group's code uses, or an error for an unknown one."""
    try:
        return group.resolve_all(names, namespace, user_identifiers=set())
    except KeyError as error:
        raise ValueError(
            f"the equations of group '{group.name}' cannot be linearized yet: {error.args[0]} "
            "Define it before this call, or pass it in the group's namespace"
        ) from error


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


def _next_not_refractory(group, namespace):
    """Code for the ``not_refractory`` of the next step, evaluated at the end of this one."""
    refractory = group._refractory
    if isinstance(refractory, Quantity):
        refractory, is_duration = repr(float(refractory)), True
    else:
        variables = resolved(group, get_identifiers(refractory), namespace)
        is_duration = parse_expression_dimensions(refractory, variables) is second.dim
    if is_duration:
        return f"timestep(t + dt - lastspike, dt) >= timestep({refractory}, dt)"
    return f"not_refractory or not ({refractory})"
