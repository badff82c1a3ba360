"""The objects that run in a step of a network, in order, and the variables they read and write.

Everything that computes is a `BrianObject` with a slot, an order and a name. Most of them are
generated from text, which is read here; a function of Python has no text. Variables are compared
as objects, not by name: a linked variable *is* the variable of the other group.
"""

from __future__ import annotations

from attrs import field, frozen
from brian2 import (
    BrianObject,
    Clock,
    CodeRunner,
    Group,
    PoissonGroup,
    PoissonInput,
    SpikeGeneratorGroup,
)

from ..brian.code import of_learning
from ..brian.internals import (
    DIFFERENTIAL_EQUATION,
    MONITORS,
    ArrayVariable,
    Resetter,
    StateUpdater,
    Subexpression,
    SummedVariableUpdater,
    SynapticPathway,
    Thresholder,
    Variable,
    get_identifiers,
    itself,
    parent_group,
    statements_of,
    whole_group,
)
from ..calculus.programs import READABLE_TEMPLATES

#: What runs for the present step and changes no variable of another object.
_HARMLESS = (*MONITORS, SpikeGeneratorGroup, PoissonGroup)


@frozen
class Effect:
    """One statement: the variable it changes, and what it is changed by.

    Attributes
    ----------
    name : str
        As the code calls the variable.
    variable : Variable
    operation : str
        ``=``, ``+=``, ``*=`` and so on.
    expression : str
    reads : frozenset of Variable
        Of the expression, through subexpressions and local names; for operations in place the
        variable itself is not among them.
    """

    name: str
    variable: Variable
    operation: str
    expression: str
    reads: frozenset


@frozen
class Action:
    """An object that computes in a step.

    Attributes
    ----------
    runner : BrianObject
    kind : str
        "state update", "threshold", "reset", "event", "code", "synapses", "summed", "input",
        "Python" or "learning".
    owner : Group or None
        Whose variables its code names.
    code : str
    effects : tuple of Effect
    trigger : (Group, str) or None
        The group and the event whose neurons it runs for.
    reads : frozenset of Variable
        Of a threshold.
    order : float
        Of the runner in its slot.
    """

    runner: BrianObject
    kind: str
    owner: Group | None = None
    code: str = ""
    effects: tuple = ()
    trigger: tuple | None = None
    reads: frozenset = field(factory=frozenset)
    order: float = field(init=False)

    def __attrs_post_init__(self):
        # As the user has said it: see `in_one_order`
        object.__setattr__(self, "order", self.runner.order)

    @property
    def name(self):
        return self.runner.name

    @property
    def of_part(self):
        """The sub-group for which code of a group runs; None if it runs for the whole."""
        group = getattr(self.runner, "group", None)
        whole = group is None or parent_group(group) is group
        return None if whole or self.kind not in ("code", "event") else group

    @property
    def target(self):
        """The group whose variables it changes; of synapses the one that they end on."""
        if self.kind == "synapses" and self.effects:
            pre = all(effect.name.endswith("_pre") for effect in self.effects)
            return parent_group(self.owner.source if pre else self.owner.target)
        if self.kind == "summed":
            return parent_group(self.runner.target)
        return self.owner

    @property
    def source(self):
        """The group whose variables a sum over synapses is of."""
        synapses = self.owner
        at_source = self.effects[0].name.endswith("_pre")
        return parent_group(synapses.target if at_source else synapses.source)

    def effects_on(self, variables):
        """Its effects on any of some variables."""
        return [effect for effect in self.effects if effect.variable in variables]

    def __str__(self):
        return f"{self.kind} '{self.name}' ({self.runner.when}, order {self.order:g})"


def running_objects(network):
    """All objects of a network that are active, contained ones included, as they run."""
    return [obj for obj in network.sorted_objects if obj.active]


def in_one_order(objects, moments):
    """Orders for objects of one slot and order, which Brian2 runs in the order of their names.

    They run as before, and there is room between them: something can be recorded just before one.

    Parameters
    ----------
    objects : list of BrianObject
        As they run.
    moments : set of Moment

    Returns
    -------
    dict of BrianObject to (float, float)
        Its order before and now, for each that has another one now.
    """
    changed = {}
    for when, order in moments:
        orders = {obj.order for obj in objects if obj.when == when and obj.order > order}
        room = min(orders, default=order + 1) - order
        tied = [obj for obj in objects if (obj.when, obj.order) == (when, order)]
        for place, obj in enumerate(tied):
            changed[obj] = (order, order + room * place / len(tied))
    for obj, (_, order) in changed.items():
        obj.order = order
    return changed


def action_of(obj):
    """An object as an action of a step; None if it computes nothing."""
    if isinstance(obj, _HARMLESS):
        return None
    if of_learning(obj):
        return Action(obj, "learning")
    if isinstance(obj, SynapticPathway):
        return _pathway(obj)
    if isinstance(obj, SummedVariableUpdater):
        sum_of = str(obj.expression)
        read = variables_read(obj.group, sum_of)
        effect = Effect(obj.target_varname, obj.target_var, "=", sum_of, read)
        return Action(obj, "summed", whole_group(obj.group), sum_of, (effect,))
    if isinstance(obj, Thresholder):
        group = whole_group(obj.group)
        code = group.events[obj.event]
        trigger = (group, obj.event)
        return Action(obj, "threshold", group, code, (), trigger, variables_read(group, code))
    if isinstance(obj, Resetter):
        group = whole_group(obj.group)
        code = group.event_codes[obj.event]
        kind = "reset" if obj.event == "spike" else "event"
        return Action(obj, kind, group, code, effects_of(group, code), (group, obj.event))
    if isinstance(obj, CodeRunner):
        return _code(obj)
    if isinstance(obj, Group):
        return None
    # A network operation, or an object that somebody has derived: a function of Python
    return Action(obj, "Python") if type(obj).run is not BrianObject.run else None


def _pathway(pathway):
    synapses = itself(pathway.synapses)
    side = synapses.source if pathway.prepost == "pre" else synapses.target
    trigger = (parent_group(side), pathway.event)
    effects = effects_of(synapses, pathway.code)
    return Action(pathway, "synapses", synapses, pathway.code, effects, trigger)


def _code(runner):
    group = itself(runner.group)
    if isinstance(runner, StateUpdater) or runner is getattr(group, "state_updater", None):
        return Action(runner, "state update", group, "", _dynamics(group))
    kind = "input" if isinstance(runner, PoissonInput) else "code"
    owner = parent_group(group) if isinstance(group, Group) else group
    code = runner.abstract_code or ""
    if runner.template not in READABLE_TEMPLATES and isinstance(owner, Group):
        return Action(runner, kind, owner, code, _anything(owner))
    variables = getattr(runner, "variables", {})
    return Action(runner, kind, owner, code, effects_of(owner, code, variables))


def _anything(group):
    """The effects of code whose template does more than its text says, as a SpatialNeuron's."""
    written = {
        variable: name
        for name, variable in group.variables.items()
        if isinstance(variable, ArrayVariable)
        and not variable.read_only
        and getattr(variable.owner, "name", "") == group.name
    }
    return tuple(Effect(name, v, "=", "", frozenset(written)) for v, name in written.items())


def _dynamics(group):
    """The differential equations as effects."""
    rates = {
        name: str(equation.expr)
        for name, equation in (getattr(group, "equations", None) or {}).items()
        if equation.type == DIFFERENTIAL_EQUATION and name in group.variables
    }
    return tuple(
        Effect(name, group.variables[name], "+=", rate, variables_read(group, rate))
        for name, rate in rates.items()
    )


def variables_read(group, expression):
    """The variables that an expression in names of a group depends on, through subexpressions."""
    variables = _read(group, expression)
    return frozenset(v for v in variables if isinstance(v, Variable) and not v.read_only)


def reads_time(group, expression):
    """Whether an expression in names of a group depends on t, through subexpressions."""
    return any(
        isinstance(getattr(v, "owner", None), Clock) and v.name != "dt"
        for v in _read(group, expression)
    )


def _read(group, expression):
    """The variables behind the names of an expression, read-only ones included."""
    variables, seen = set(), set()
    waiting = [(group, name) for name in get_identifiers(expression)]
    while waiting:
        owner, name = waiting.pop()
        variable = owner.variables.get(name)
        if variable is None or (id(owner), name) in seen:
            continue
        seen.add((id(owner), name))
        if isinstance(variable, Subexpression):
            inner = itself(variable.owner)
            waiting += [(inner, name) for name in get_identifiers(variable.expr)]
        else:
            variables.add(variable)
    return variables


def effects_of(group, code, further=()):
    """The statements of abstract code that change variables of a group, or known to it."""
    effects, local = [], {}
    for target, operation, expression in statements_of(code):
        reads = variables_read(group, expression)
        for name in get_identifiers(expression):
            reads |= local.get(name, frozenset())
        variable = group.variables.get(target)
        if variable is None and target not in further:
            local[target] = reads | (local.get(target, frozenset()) if operation != "=" else set())
        elif variable is not None:
            effects.append(Effect(target, variable, operation, expression, reads))
    return tuple(effects)
