"""The one-step map of a neuron group: the code that Brian2 runs, as expressions.

One time step of Brian2 with its default schedule is

    groups      h ← F(h)             the integrator's code, the same text that Brian2 compiles
    thresholds  z = [threshold(h)]
    synapses    h ← h + Δ(w)         arrivals (on_pre)
    resets      h ← R(h) where z = 1

Each stage is kept as SymPy expressions of the values *before* that stage. Other code that changes
the state – run_regularly, code of other events, synapses that scale it – is a stage of its own,
where the network runs it.
"""

import ast
from collections.abc import Mapping

import sympy
from attrs import field, frozen
from brian2 import Function, Quantity, second

from ..brian.internals import (
    DIFFERENTIAL_EQUATION,
    SUBEXPRESSION,
    assigned_names,
    get_identifiers,
    parent_group,
    parse_expression_dimensions,
    refractoriness,
    reset_of,
    statements_of,
    str_to_sympy,
    word_substitute,
)
from ..neurons.model_checks import threshold_distance
from .derivatives import NoDerivativeError, indicator
from .programs import (
    Program,
    check_kind,
    expand,
    inputs,
    integrator_code,
    resolved,
    run_statements,
    symbol,
)

#: Name of the value of ``not_refractory`` that the *next* state update will use.
NEXT_NOT_REFRACTORY = "_next_not_refractory"
#: The time, and the number of the step, as Brian2 computes them for the next step: t + dt is
#: another number in its last digit, on which comparisons such as 't - lastspike <= 2*ms' hang.
TIME, STEPS = symbol("t"), symbol("t_in_timesteps")
AHEAD = {TIME: symbol("dt") * (STEPS + 1), STEPS: STEPS + 1}
#: Names in the code of coefficients that no group resolves.
OURS = frozenset({NEXT_NOT_REFRACTORY, "psi", "__spiked", "lastspike"})


#: The stages of a group on its own, in the order of Brian2's default schedule.
STANDARD = ("update", "threshold", "reset")


@frozen
class Piece:
    """A stage besides update, threshold and reset: other code that changes a group's state.

    Attributes
    ----------
    name : str
        Of the stage, fit to be a part of variables' names.
    statements : tuple of (target, operation, expression)
        In names of the group.
    overrides : bool
        It writes, as a reset does, states that are held during refractoriness.
    flag : str
        A variable of the group that is 1 for the neurons for which the code runs in a step; ""
        if it runs for all in every step.
    factors : mapping of str to str
        Instead of code: the variable that holds by how much each state was scaled.
    sets : str
        A variable that counts as a state, whatever its new value depends on.
    """

    name: str
    statements: tuple = ()
    flag: str = ""
    overrides: bool = False
    factors: Mapping[str, str] = field(factory=dict)
    sets: str = ""


@frozen
class OneStep:
    """The stages of a time step of one neuron.

    Attributes
    ----------
    states : tuple of str
        Variables that a step changes: those of the differential equations, those that the
        reset assigns to, and those that other stages make depend on them.
    update : Program
        F: each state after the state update.
    distance : sympy.Expr or None
        Left side minus right side of the threshold: positive when the neuron fires.
        None for a group without threshold (a readout).
    condition : str
        The threshold condition as the user wrote it.
    gate : str
        The parts of the condition that open or close the threshold and do not depend on what
        is differentiated; empty if there are none.
    reset : dict of str to sympy.Expr
        R: each state after the reset of a neuron that fires.
    refractory : bool
        Whether the group has a refractory period.
    not_refractory : str
        Code for ``not_refractory`` as the state update is about to set it; empty when F does not
        need it.
    next_not_refractory : str
        The same at the end of the step before.
    clamped : frozenset of str
        States that are held, and ignore arrivals, during refractoriness
        (``unless refractory``).
    per_neuron : frozenset of str
        Names of the group that have one value per neuron; every other name is uniform.
    varying : frozenset of str
        Names of the group whose values may change from step to step.
    pieces : tuple of (Piece, Program)
        The other stages.
    order : tuple of str
        Names of all stages as they run, from the start of a step.
    """

    states: tuple
    update: Program
    distance: sympy.Expr | None
    condition: str
    gate: str
    reset: dict
    refractory: bool
    not_refractory: str
    next_not_refractory: str
    clamped: frozenset
    per_neuron: frozenset
    varying: frozenset
    pieces: tuple = ()
    order: tuple = STANDARD


def one_step(group, namespace, pieces=(), order=STANDARD, changing=frozenset()):
    """Read the one-step map of a group.

    Parameters
    ----------
    group : NeuronGroup or Subgroup
    namespace : dict
        External names, where the group's own namespace lacks them.
    pieces : sequence of Piece
        What else changes the state of the group in the network that runs.
    order : sequence of str
        Names of all stages as they run.
    changing : set of str
        Names of variables that are changed in a run, whatever their flags say.

    Returns
    -------
    OneStep

    Raises
    ------
    NoDerivativeError
        If the threshold is not one inequality, or a stage cannot be differentiated.
    ValueError
        If an external name is not known.
    """
    group = parent_group(group)
    check_kind(group)
    reset_code = reset_of(group)
    stored, subexpressions = _stored(group), subexpressions_of(group.equations)
    states = state_names(group, pieces)
    refractory = refractoriness(group) is not False
    clamped = [
        eq.varname
        for eq in group.user_equations.values()
        if refractory and "unless refractory" in eq.flags
    ]
    update = _update(integrator_code(group, namespace), states, clamped, subexpressions | stored)
    condition, distance, gate = group.events.get("spike", ""), None, ""
    if condition:
        continuous = set(states) - set(_assigned(group, reset_code)) | group.equations.diff_eq_names
        distance, gate = _threshold(condition, subexpressions, continuous, group.name)
    compared = [] if distance is None else [distance]
    _check_flags(group, reset_code, subexpressions, [*update.values.values(), *compared])
    reset = run_statements(_without_flags(group, reset_code), states, subexpressions)
    used = inputs([*update.values.values(), *compared], update.definitions)
    if compared and refractory and symbol("lastspike") in used:
        # The time since the last spike acts on more than refractoriness
        states = [*states, "lastspike"]
        update.values["lastspike"] = symbol("lastspike")
        reset["lastspike"] = symbol("t")
    after_update = inputs([*reset.values(), *compared], {})
    for name in stored:
        if name in after_update:
            raise NoDerivativeError(
                f"the threshold or reset of group '{group.name}' uses '{name}', which is "
                "'(constant over dt)' and therefore one step old; remove the flag"
            )

    # The group has its flags only when it is known which pieces there are.
    flags = {piece.flag for piece in pieces} - {""}
    written = flags.union(changing, *(assigned_names(piece.statements) for piece in pieces))
    factors = frozenset().union(*(piece.factors.values() for piece in pieces))
    variables, not_of_group = group.variables.items(), flags | {NEXT_NOT_REFRACTORY}
    needs_refractory = symbol(NEXT_NOT_REFRACTORY) in used
    open_again = _not_refractory(group, namespace) if needs_refractory else ""
    return OneStep(
        states=tuple(states),
        update=update,
        distance=distance,
        condition=condition,
        gate=gate,
        reset=reset,
        refractory=refractory,
        not_refractory=open_again,
        next_not_refractory=_one_step_ahead(open_again, group.equations),
        clamped=frozenset(clamped),
        per_neuron=not_of_group.union(n for n, v in variables if not v.scalar),
        varying=not_of_group.union(
            factors, (n for n, v in variables if not v.constant or n in written)
        ),
        pieces=tuple(
            (
                piece,
                Program.of(
                    _held_while_refractory(
                        _without_flags(group, piece.statements), () if piece.overrides else clamped
                    ),
                    states,
                    subexpressions=subexpressions,
                    label="_piece",
                ),
            )
            for piece in pieces
        ),
        order=tuple(order),
    )


def subexpressions_of(equations, flag=""):
    """What subexpressions, all of them or those with a flag, stand for: {symbol: expression}."""
    return {
        symbol(eq.varname): str_to_sympy(eq.expr.code)
        for eq in equations.values()
        if eq.type == SUBEXPRESSION and (not flag or flag in eq.flags)
    }


def _stored(group):
    """The subexpressions that Brian2 computes and stores once per step."""
    return subexpressions_of(group.user_equations, "constant over dt")


def state_names(group, pieces=()):
    """Names of a group's state: what has dynamics, and what other code makes depend on it."""
    subexpressions = subexpressions_of(group.equations)
    # `diff_eq_names` is a set: its order would differ from process to process.
    names = [n for n, eq in group.equations.items() if eq.type == DIFFERENTIAL_EQUATION]
    names += _assigned(group, reset_of(group))
    names += [piece.sets for piece in pieces if piece.sets]
    states = dict.fromkeys([*names, *(name for piece in pieces for name in piece.factors)])
    while True:
        known, added = {symbol(n) for n in states}, {}
        for piece in pieces:
            assigned = _assigned(group, piece.statements)
            statements = _without_flags(group, piece.statements)
            after = run_statements(statements, assigned, subexpressions)
            dependent = (n for n in assigned if after[n].free_symbols & known)
            added |= {n: None for n in dependent if n not in states}
        if not added:
            return list(states)
        for name in added:
            if group.variables[name].scalar:
                raise NoDerivativeError(
                    f"'{name}', which all neurons of group '{group.name}' share, is set from "
                    "their state: credit cannot flow from one to the others in this way"
                )
        states |= added


def _is_flag(group, name):
    return name in group.variables and group.variables[name].is_boolean


def _without_flags(group, statements):
    """All but the statements that set booleans, which are not differentiated."""
    return [statement for statement in statements if not _is_flag(group, statement[0])]


def _assigned(group, statements):
    """The variables of a group that statements assign to, but for flags (booleans)."""
    assigned = assigned_names(_without_flags(group, statements))
    return [name for name in assigned if name in group.variables]


def _check_flags(group, reset_code, subexpressions, continuous):
    """Raise an error if a boolean that the reset sets acts on more than a gate."""
    kept = _without_flags(group, reset_code)
    read = [expand(str_to_sympy(expression), subexpressions) for _, _, expression in kept]
    used = inputs([*read, *continuous], {})
    for name in assigned_names(reset_code):
        if _is_flag(group, name) and symbol(name) in used:
            raise NoDerivativeError(
                f"the reset of group '{group.name}' sets '{name}', a boolean on which its "
                "equations, reset or threshold depend: the path of a spike through it has no "
                "derivative; make it a number, or use it as a gate only, as in "
                "'v > v_th and allowed'"
            )


def _update(code, states, clamped, subexpressions):
    """F, with what Brian2 does to a state that is held during refractoriness.

    Such a state is written only outside refractoriness. The formula need not say so: that of
    exponential_euler is then 0/0, which Brian2 computes and throws away.
    """
    flag, renamed = str_to_sympy("int(not_refractory)"), symbol(NEXT_NOT_REFRACTORY)
    known = {symbol("not_refractory"): renamed}
    statements = statements_of(code)
    update = Program.of(statements, states, subexpressions=subexpressions, known=known)
    if not clamped:
        return update
    known = {flag: sympy.S.One, **known}
    free = Program.of(
        statements, clamped, subexpressions=subexpressions, known=known, label="_free"
    )
    flag = indicator(renamed)
    held = {n: flag * free.values[n] + (1 - flag) * symbol(n) for n in clamped}
    return Program(update.values | held, update.definitions | free.definitions)


def _held_while_refractory(statements, clamped):
    """Statements as Brian2 runs them: those held 'unless refractory' change outside of it only."""
    held = []
    for target, operation, written in statements:
        if target in clamped:
            change = (
                f"({written})" if operation == "=" else f"({target} {operation[0]} ({written}))"
            )
            operation, written = "=", f"{target} + int(not_refractory)*({change} - {target})"
        held.append((target, operation, written))
    return held


def drawing(group, names, namespace):
    """The first of some names that is a function which draws random numbers; "" for none."""
    functions = resolved(group, names - OURS, namespace)
    for name in sorted(functions):
        if isinstance(functions[name], Function) and not functions[name].stateless:
            return name
    return ""


def stored_names(group, states):
    """Names of what Brian2 stores once per step and computes from the state."""
    stored, known = _stored(group), {symbol(name) for name in states}
    expressions = subexpressions_of(group.equations) | stored
    return [str(n) for n in stored if expand(n, expressions).free_symbols & known]


def _threshold(condition, subexpressions, continuous, group_name):
    """Distance to the threshold, and the text of what else must be true for a spike.

    Parameters
    ----------
    condition : str
    subexpressions : dict of str to sympy.Expr
    continuous : set of str
        States that change in other ways than by spikes alone.
    group_name : str

    Returns
    -------
    sympy.Expr, str
    """
    tree = ast.parse(condition.strip(), mode="eval").body
    both = isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And)
    parts = [ast.unparse(part) for part in (tree.values if both else [tree])]
    moving = {symbol(name) for name in continuous}
    compared = []
    for part in parts:
        used = [expand(symbol(name), subexpressions) for name in get_identifiers(part)]
        if any(value.free_symbols & moving for value in used):
            compared.append(part)
    if len(parts) == 1:
        compared = parts
    if len(compared) != 1:
        raise NoDerivativeError(
            f"the threshold '{condition}' of group '{group_name}' has "
            f"{len(compared) or 'no'} parts that depend on its equations, so that there is no one "
            "distance to it; write it as 'v > threshold', or as 'v > threshold and …' with gates "
            "that are true or false whatever the equations do"
        )
    gates = [f"({part})" for part in parts if part not in compared]
    try:
        distance = threshold_distance(compared[0])
    except ValueError:
        raise NoDerivativeError(
            f"the threshold '{compared[0]}' of group '{group_name}' is not a single inequality, so "
            "that there is no distance to it; write it as 'v > threshold'"
        ) from None
    return expand(str_to_sympy(distance), subexpressions), " and ".join(gates)


def _not_refractory(group, namespace):
    """Code for ``not_refractory`` as Brian2's state update sets it, just before it does."""
    refractory = refractoriness(group)
    if isinstance(refractory, Quantity):
        refractory, is_duration = repr(float(refractory)), True
    else:
        variables = resolved(group, get_identifiers(refractory), namespace)
        is_duration = parse_expression_dimensions(refractory, variables) is second.dim
    if is_duration:
        return f"timestep(t - lastspike, dt) >= timestep({refractory}, dt)"
    return f"not_refractory or not ({refractory})"


def _one_step_ahead(code, equations):
    """Code with the time of the next step, in what its subexpressions stand for, too."""
    meant = {
        name: f"({eq.expr.code})" for name, eq in equations.items() if eq.type == SUBEXPRESSION
    }
    while meant.keys() & get_identifiers(code):
        code = word_substitute(code, meant)
    # One word after the other: the second may stand in what the first becomes
    return word_substitute(code, {str(word): f"({AHEAD[word]})" for word in (STEPS, TIME)})
