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
from ..calculus.printing import printed
from ..calculus.programs import run_statements, symbol
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
    """The stages of a step of a group, in the order of the network.

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
    thresholds : float
        Where in the network thresholds are: a group without one has a stage there, which does
        nothing, and what arrives comes before it or after it.
    """

    group: object
    actions: dict = field(factory=dict)
    pieces: list = field(factory=list)
    scaled: list = field(factory=list)
    given: list = field(factory=list)
    thresholds: float = 0.0

    def places(self, position):
        """Where each stage runs, in the order of a step; a reset that is missing does nothing."""
        places = {name: position[action.name] for name, action in self.actions.items()}
        places.setdefault("threshold", self.thresholds)
        places.setdefault("reset", places["threshold"])
        return dict(sorted(places.items(), key=lambda stage: stage[1]))


def stages_of(group, actions, rule, projections, namespace, scored, thresholds, summed):
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
    scored : iterable of str
        States that losses read.
    thresholds : float
        See `Stages`.
    summed : dict of str to Sum
        Sums that the learner follows, by the names of the objects that compute them.

    Returns
    -------
    Stages

    Raises
    ------
    UnreadableNetworkError
    """
    stages = Stages(group, thresholds=thresholds)
    names = {"state update": "update", "threshold": "threshold", "reset": "reset"}
    for action in actions:
        of_spikes = action.trigger is None or action.trigger[1] == "spike"
        if action.owner is group and action.kind in names and of_spikes:
            stages.actions[names[action.kind]] = action
        if action.name in summed and action.target is group:
            piece = summed[action.name].piece
            stages.pieces.append(piece)
            stages.actions[piece.name] = action
    # What Brian2 stores once a step is a part of the update, see network.py
    stored = getattr(group, "subexpression_updater", None)
    others = [
        a
        for a in actions
        if a not in stages.actions.values() and a.kind != "learning" and a.runner is not stored
    ]
    _check_switched_on(group, stages.actions)
    matters = _what_matters(group, actions, scored)
    while True:
        states = state_names(group, stages.pieces)
        variables = {group.variables[name]: name for name in states}
        concerned = [a for a in others if _concerns(a, group, variables, matters)]
        if not concerned:
            return stages
        for action in concerned:
            _add(stages, action, variables, rule, projections, namespace)
        others = [action for action in others if action not in concerned]


def _check_switched_on(group, actions):
    """Raise an error for a group whose update, threshold or reset does not run."""
    expected = {"update": group.state_updater}
    if "spike" in group.events:
        expected["threshold"] = group.thresholder.get("spike")
    if "spike" in group.event_codes:
        expected["reset"] = group.resetter["spike"]
    for stage, runner in expected.items():
        if stage not in actions:
            name = getattr(runner, "name", stage)
            raise UnreadableNetworkError(
                f"the {stage} of group '{group.name}', '{name}', does not run: its active is "
                "False. Switch it on, or write the neurons without it"
            )


def _what_matters(group, actions, scored):
    """What the threshold of a group and losses on it depend on, at once or in later steps."""
    # Without a threshold, all states of a rate unit may be what others, or losses, read
    scored = scored if "spike" in group.events else state_names(group)
    threshold = group.events.get("spike", "")
    read = {*variables_read(group, threshold), *(group.variables[n] for n in scored)}
    effects = [effect for action in actions for effect in action.effects]
    while True:
        new = set().union(*(e.reads for e in effects if e.variable in read)) - read
        if not new:
            return read
        read |= new


def _concerns(action, group, variables, matters):
    """Whether an action changes a state, or makes another variable of the group depend on one."""
    effects = action.effects_on(matters)
    makes_states = action.owner is group and any(
        effect.reads & variables.keys()
        and getattr(getattr(effect.variable, "owner", None), "name", "") == group.name
        for effect in effects
    )
    return makes_states or any(effect.variable in variables for effect in effects)


def _add(stages, action, variables, rule, projections, namespace):
    """Take an action for a stage, or for given, or refuse it."""
    group = stages.group
    if action.kind == "synapses":
        _add_synapses(stages, action, variables, projections)
    elif action.owner is group and action.kind in ("code", "event", "input"):
        _add_code(stages, action, variables, rule, namespace)
    else:
        written = action.effects_on(variables)[0].variable
        raise UnreadableNetworkError(
            f"{action} changes '{variables[written]}', a state of group '{group.name}', from "
            f"another group: write it into the equations of '{group.name}', or into its "
            "run_regularly"
        )


def _add_code(stages, action, variables, rule, namespace):
    """Code of a group that changes its state."""
    group = stages.group
    if action.kind == "event":
        _check_event(action, group, variables, rule)
    slower = action.runner.clock.dt_ != group.clock.dt_
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
        stages.given.append(action)
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
    at_event, statements = action.kind == "event", tuple(statements_of(action.code))
    sometimes = slower or at_event or action.of_part is not None
    flag = internal("runs", action.name) if sometimes else ""
    name = f"{action.kind}_{action.name}"
    stages.pieces.append(Piece(name, statements, flag, overrides=at_event))
    stages.actions[name] = action


def _multiplying(action, group, variables):
    """Names in the derivative of a piece of code with respect to the state."""
    states, statements = list(variables.values()), statements_of(action.code)
    assigned = [n for n in assigned_names(statements) if n in group.variables]
    after = run_statements(statements, [*states, *assigned])
    entries = [derivative(value, symbol(n)) for value in after.values() for n in states]
    names = set().union(*(get_identifiers(printed(e)) for e in entries if not e.is_number))
    return names & (group.variables.keys() | {"rand", "randn", "poisson", "binomial"})


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


def _add_synapses(stages, action, variables, projections):
    """Synapses that change a state: given, or a factor, or refused."""
    group = stages.group
    trained = projections.get(action.name)
    names = {}
    for effect in action.effects_on(variables):
        state = variables[effect.variable]
        at_source = action.runner.prepost == "post"
        if effect.name.endswith("_pre") != at_source:
            raise UnreadableNetworkError(
                f"{action} changes '{state}' of group '{group.name}' at the neurons' own spikes: "
                "write what a spike does to its neuron into the reset"
            )
        names[effect.name] = state
    factors, adds = _factors(group, action, names, variables, trained)
    if factors:
        _check_clock(action, group)
    for state, text in factors.items():
        holder = internal("scaled", state, str(len(stages.scaled)))
        stages.scaled.append((action, state, holder, text))
        stage = f"synapses_{action.name}_{state}"
        stages.pieces.append(Piece(stage, factors={state: holder}))
        stages.actions[stage] = action
    if adds and trained is None:
        stages.given.append(action)


def _factors(group, action, names, variables, trained):
    """By how much synapses scale states: {state: text}; and whether they add to any."""
    synapses, code = action.owner, action.code
    side, other_side, other_end = "post", "pre", synapses.source
    if action.runner.prepost == "post":
        side, other_side, other_end = "pre", "post", synapses.target
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
        free = change.free_symbols
        seen = [n for n in variables.values() if symbol(f"{n}_{other_side}") in free]
        # What a presynaptic spike finds at its own neuron the engine looks at
        if seen and parent_group(other_end) is group and side == "pre":
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
            if other != state:
                raise UnreadableNetworkError(
                    f"{action} changes '{state}' of group '{group.name}' by an amount that depends "
                    f"on its '{other}': credit cannot follow; let the synapses change a "
                    "conductance, and write the product into the equations"
                )
            used = get_identifiers(printed(entry))
            drawn = [name for name in ("rand", "randn", "poisson") if name in used]
            if drawn:
                raise UnreadableNetworkError(
                    f"{action} scales '{state}' of group '{group.name}' by a random number, "
                    f"'{drawn[0]}()': its derivative would draw another; draw it into a variable "
                    "of the synapses first"
                )
            factors[state] = printed(1 + entry)
    return factors, adds
