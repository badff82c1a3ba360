"""The stages of a learning group's step, as the network runs them.

What changes a state of the group besides its own update, threshold and reset becomes a stage of
the one-step map if it can be differentiated, is left alone if it merely adds something that does
not depend on the state, and is refused by name otherwise.
"""

from __future__ import annotations

import sympy
from attrs import define, field

from ..brian.code import internal
from ..brian.internals import assigned_names, get_identifiers, parent_group, statements_of
from ..calculus.arrivals import as_synapses_see_them
from ..calculus.derivatives import NoDerivativeError, derivative
from ..calculus.one_step import Piece, drawing, state_names
from ..calculus.programs import run_statements, symbol
from ..calculus.statements import printed
from .actions import variables_read

#: What Brian2 keeps about the spikes of a group with a refractory period.
OF_REFRACTORINESS = ("lastspike", "not_refractory")
#: What to write instead of changing these.
OF_ONES_OWN = (
    "use a variable of your own, 'allowed : 1', as a gate of the threshold, 'v > v_th and "
    "allowed > 0', and as a factor in the equations"
)


class UnreadableNetworkError(ValueError):
    """A network that cannot be differentiated as it is; the message says what to change."""


@define(slots=False)
class Stages:
    """What happens to a group in a step, in the order of the network.

    Attributes
    ----------
    group : NeuronGroup
    actions : dict of str to Action
        By the name of the stage.
    pieces : list of Piece
        Stages besides update, threshold and reset.
    scaled : list of (Action, str, str, str)
        Synapses that scale a state: the state, the variable that holds the factor, its text.
    given : list of Action
        What adds to a state without depending on it.
    """

    group: object
    actions: dict = field(factory=dict)
    pieces: list = field(factory=list)
    scaled: list = field(factory=list)
    given: list = field(factory=list)

    def order(self, position):
        """Names of the stages as they run; a group without reset has an empty one."""
        names = sorted(self.actions, key=lambda name: position[self.actions[name].name])
        if "reset" not in names:
            names.insert(names.index("threshold") + 1, "reset")
        return tuple(names)


def stages_of(group, actions, rule, projections, namespace):
    """The stages of a group.

    Parameters
    ----------
    group : NeuronGroup
    actions : list of Action
        Of the whole network, as they run.
    rule : EProp
    projections : dict of str to TrainableSynapses
        The learner's own, by the names of their presynaptic pathways.
    namespace : dict

    Returns
    -------
    Stages

    Raises
    ------
    UnreadableNetworkError
    """
    found = Stages(group)
    own = {"state update": "update", "threshold": "threshold", "reset": "reset"}
    for action in actions:
        of_spikes = action.trigger is None or action.trigger[1] == "spike"
        if action.owner is group and action.kind in own and of_spikes:
            found.actions[own[action.kind]] = action
    # What Brian2 stores once a step is a part of the update, see network.py
    stored = getattr(group, "subexpression_updater", None)
    others = [
        a
        for a in actions
        if a not in found.actions.values() and a.kind != "learning" and a.runner is not stored
    ]
    _check_switched_on(group, found.actions)
    waiting, changed = others, True
    matters = _what_matters(group, actions)
    while changed:
        states = state_names(group, found.pieces)
        variables = {group.variables[name]: name for name in states}
        changed, still = False, []
        for action in waiting:
            if _concerns(action, group, variables, matters):
                _add(found, action, variables, rule, projections, namespace)
                changed = True
            else:
                still.append(action)
        waiting = still
    return found


def _check_switched_on(group, found):
    """Raise an error for a group whose update, threshold or reset does not run."""
    expected = {"update": group.state_updater, "threshold": group.thresholder.get("spike")}
    if "spike" in group.event_codes:
        expected["reset"] = group.resetter["spike"]
    for stage, runner in expected.items():
        if stage not in found:
            name = getattr(runner, "name", stage)
            raise UnreadableNetworkError(
                f"the {stage} of group '{group.name}', '{name}', does not run: its active is "
                "False. Switch it on, or write the neurons without it"
            )


def _what_matters(group, actions):
    """The variables on which the threshold of a group depends, at once or in later steps."""
    found = set(variables_read(group, group.events["spike"]))
    effects = [effect for action in actions for effect in action.effects]
    while True:
        new = set().union(*(e.reads for e in effects if e.variable in found)) - found
        if not new:
            return found
        found |= new


def _concerns(action, group, variables, matters):
    """Whether an action changes a state, or makes another variable of the group depend on one."""
    for effect in action.effects:
        if effect.variable not in matters:
            continue
        if effect.variable in variables:
            return True
        depends = effect.reads & variables.keys() and _owned(effect.variable, group)
        if action.owner is group and depends:
            return True
    return False


def _owned(variable, group):
    owner = getattr(variable, "owner", None)
    return owner is not None and owner.name == group.name


def _add(found, action, variables, rule, projections, namespace):
    group = found.group
    if action.kind == "synapses":
        _add_synapses(found, action, variables, projections)
    elif action.owner is group and action.kind in ("code", "event", "input"):
        if action.kind == "event":
            _check_event(action, group, variables, rule)
        name = f"{action.kind}_{action.name}"
        slower = action.runner.clock.dt_ != group.clock.dt_
        some = slower or action.kind == "event" or action.of_part is not None
        flag = internal("runs", action.name) if some else ""
        if slower:
            _check_clock(action, group)
        if action.of_part is not None and "i" in get_identifiers(action.code):
            raise UnreadableNetworkError(
                f"{action} of the sub-group '{action.of_part.name}' changes the state of group "
                f"'{group.name}' by an amount that depends on the index 'i', which counts from "
                "the beginning of the sub-group: use a parameter of the group in its place"
            )
        if action.kind == "input":
            _check_input(action, group, variables)
            found.given.append(action)
            return
        try:
            drawn = drawing(group, _multiplying(action, group, variables), namespace)
        except NoDerivativeError as error:
            raise UnreadableNetworkError(f"{action} of group '{group.name}': {error}") from None
        if drawn:
            raise UnreadableNetworkError(
                f"{action} of group '{group.name}' multiplies its state by a random number, "
                f"'{drawn}()': its derivative would draw another; draw it into a variable first, "
                f"in a run_regularly of its own"
            )
        found.pieces.append(
            Piece(name, tuple(statements_of(action.code)), flag, overrides=action.kind == "event")
        )
        found.actions[name] = action
    else:
        written = next(e for e in action.effects if e.variable in variables)
        raise UnreadableNetworkError(
            f"{action} changes '{variables[written.variable]}', a state of group "
            f"'{group.name}', from another group: write it into the equations of '{group.name}', "
            "or into its run_regularly"
        )


def _multiplying(action, group, variables):
    """Names in the derivative of a piece of code with respect to the state."""
    names = list(variables.values())
    statements = statements_of(action.code)
    assigned = [n for n in assigned_names(statements) if n in group.variables]
    after = run_statements(statements, [*names, *assigned])
    found = set()
    for value in after.values():
        for other in names:
            entry = derivative(value, symbol(other))
            if not entry.is_number:
                found |= get_identifiers(printed(entry))
    return found & (group.variables.keys() | {"rand", "randn", "poisson", "binomial"})


def _check_event(action, group, variables, rule):
    """Raise an error for an event that depends on the state, unless it is to count as given."""
    event = action.trigger[1]
    condition = group.events[event]
    depends = variables_read(group, condition) & variables.keys()
    if depends and rule.reset_path.get(event) != "detached":
        state = variables[next(iter(depends))]
        raise UnreadableNetworkError(
            f"{action} of group '{group.name}' runs at the event '{event}', '{condition}', which "
            f"depends on the state '{state}': there is no pseudo-derivative for it. Say "
            f"EProp(reset_path={{'{event}': 'detached'}}) if its times are to count as given"
        )


def _check_clock(action, group):
    """Raise an error for code that may run twice in a step, or between two."""
    ratio = action.runner.clock.dt_ / group.clock.dt_
    if round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-6:
        of, remedy = f"of group '{group.name}'", "choose a multiple"
        if action.kind == "synapses":
            source = action.trigger[0].name
            of = f"scales a state of group '{group.name}' at the spikes of '{source}' and"
            remedy = f"give '{source}' such a dt, or let its spikes merely add"
        raise UnreadableNetworkError(
            f"{action} {of} runs every {action.runner.clock.dt!s}, which is no "
            f"multiple of the group's time step {group.clock.dt!s}; {remedy}"
        )


def _check_input(action, group, variables):
    for effect in action.effects:
        if effect.operation not in ("+=", "-=") or effect.reads & variables.keys():
            raise UnreadableNetworkError(
                f"{action} of group '{group.name}' does not merely add to '{effect.name}'; write "
                "its weight as a constant, and the factor into the equations"
            )


def _add_synapses(found, action, variables, projections):
    """Synapses that change a state: given, or a factor, or refused."""
    group = found.group
    trained = projections.get(action.name)
    side = "pre" if action.runner.prepost == "post" else "post"
    code = trained.user_on_pre if trained is not None else action.code
    names = {}
    for effect in action.effects:
        if effect.variable not in variables:
            continue
        state = variables[effect.variable]
        end = "pre" if effect.name.endswith("_pre") else "post"
        if end != side:
            raise UnreadableNetworkError(
                f"{action} changes '{state}' of group '{group.name}' at the neurons' own spikes: "
                "write what a spike does to its neuron into the reset"
            )
        names[effect.name] = state
    factors, adds = _factors(found, action, code, names, variables, trained)
    if factors:
        _check_clock(action, group)
    for state, text in factors.items():
        holder = internal("scaled", state, str(len(found.scaled)))
        found.scaled.append((action, state, holder, text))
        stage = f"synapses_{action.name}_{state}"
        found.pieces.append(Piece(stage, factors={state: holder}))
        found.actions[stage] = action
    if adds and trained is None:
        found.given.append(action)


def _other(side):
    return "pre" if side == "post" else "post"


def _factors(found, action, code, names, variables, trained):
    """By how much synapses scale states: {state: text}; and whether they add to any."""
    group, synapses = found.group, action.owner
    side = "pre" if action.runner.prepost == "post" else "post"
    own = synapses.equations.names if synapses.equations is not None else set()
    one_name = {
        symbol(state): symbol(f"{state}_{side}")
        for state in variables.values()
        if side == "post" and state not in own
    }
    try:
        after = run_statements(statements_of(code), list(names), as_synapses_see_them(group, own))
    except (ValueError, SyntaxError, TypeError, KeyError, NotImplementedError) as error:
        raise UnreadableNetworkError(
            f"{action}: its code {code!r} cannot be read ({' '.join(str(error).split())}); write "
            "it in simpler statements"
        ) from None
    factors, adds = {}, False
    for name, state in names.items():
        value = after[name].xreplace(one_name)
        change = sympy.expand(value - symbol(f"{state}_{side}"))
        adds |= change != 0
        other_end = synapses.source if side == "post" else synapses.target
        seen = [
            n for n in variables.values() if symbol(f"{n}_{_other(side)}") in change.free_symbols
        ]
        if seen and parent_group(other_end) is group:
            raise UnreadableNetworkError(
                f"{action} changes '{state}' of group '{group.name}' by an amount that depends on "
                f"'{seen[0]}' of the neuron at its other end, past its spikes: credit cannot "
                "follow; let spikes change a variable by a fixed amount"
            )
        for other in variables.values():
            try:
                entry = derivative(change, symbol(f"{other}_{side}"))
            except NoDerivativeError as error:
                raise UnreadableNetworkError(
                    f"{action} changes '{state}' of group '{group.name}': {error}"
                ) from None
            if entry == 0:
                continue
            if trained is not None and symbol(trained.weight) in change.free_symbols:
                continue  # refused, with its own message, where the weight is differentiated
            if other != state:
                raise UnreadableNetworkError(
                    f"{action} changes '{state}' of group '{group.name}' by an amount that depends "
                    f"on its '{other}': credit cannot follow; let the synapses change a "
                    "conductance, and write the product into the equations"
                )
            drawn = [
                n for n in ("rand", "randn", "poisson") if n in get_identifiers(printed(entry))
            ]
            if drawn:
                raise UnreadableNetworkError(
                    f"{action} scales '{state}' of group '{group.name}' by a random number, "
                    f"'{drawn[0]}()': its derivative would draw another; draw it into a variable "
                    "of the synapses first"
                )
            factors[state] = printed(1 + entry)
    return factors, adds
