"""What a presynaptic spike does to its target: b, the jump per unit of weight, and the jump Δ."""

from functools import cached_property
from typing import Any

import sympy
from attrs import frozen
from sympy.core.function import AppliedUndef

from ..brian.internals import (
    PARAMETER,
    SUBEXPRESSION,
    assigned_names,
    parent_group,
    statements_of,
    str_to_sympy,
)
from .derivatives import RANDOM, NoDerivativeError, derivative
from .programs import run_statements, symbol

#: Variables that all synapses have and nothing changes.
OF_ALL_SYNAPSES = frozenset({"i", "j", "N_incoming", "N_outgoing"})
#: A remedy where a delay has no derivative.
WITHOUT_DELAY = "leave 'delay' out of TrainableSynapses.trainable"


@frozen
class OnPre:
    """The statements of an arriving spike (on_pre), read once from the text of the user.

    Attributes
    ----------
    text : str
        As messages show it.
    statements : list of (target, operation, expression)
        In names of the synapse.
    weight : str
        "" for synapses that have none.
    target : NeuronGroup or Subgroup
        Where it arrives.
    synaptic : frozenset of str
        Variables of the synapses besides the weight: a name that both have is theirs, as in
        Brian2.
    source : Group, optional
        Where the spikes come from.
    in_turn : bool
        Arrivals are replayed one after the other, so that the jump of a state may depend on
        this state itself.
    delay_learns : bool
        The delay of the arrivals is trained.
    """

    text: str
    statements: list
    weight: str
    target: Any
    synaptic: frozenset = frozenset()
    source: Any = None
    in_turn: bool = False
    delay_learns: bool = False

    @cached_property
    def changes(self) -> dict[str, sympy.Expr]:
        """The jump of each variable of the target that can be changed."""
        weight, variables = self.weight, parent_group(self.target).variables
        changeable = [n for n in variables if not variables[n].read_only and not n.startswith("_")]
        names = [name for base in changeable for name in (f"{base}_post", base)]
        names = [name for name in names if name not in {*self.synaptic, weight}]
        after = run_statements(
            self.statements,
            [*names, *([weight] if weight else [])],
            as_synapses_see_them(self.target, self.synaptic)
            | _of_source(self.source, {*self.synaptic, weight}),
        )
        if weight and after[weight] != symbol(weight):
            raise NoDerivativeError(
                f"on_pre = '{self.text}' assigns to the weight '{weight}', which the learner "
                "changes"
            )
        return {name: after[name] - symbol(name) for name in names}

    def effects(self, step):
        """∂(jump of each state)/∂w.

        Parameters
        ----------
        step : OneStep
            Of the target.

        Returns
        -------
        dict of str to sympy.Expr
            In names of the synapse; only states that the weight acts on.

        Raises
        ------
        NoDerivativeError
            If the jump depends on the postsynaptic state, or on no weight.
        """
        effects = {}
        for name, jump in self.changes.items():
            if (effect := derivative(jump, symbol(self.weight))) == 0:
                continue
            _check_not_drawn(effect, self.text)
            self._check_independent(jump, name, step)
            effects[name.removesuffix("_post")] = self._in_one_name(effect, name)
        group = parent_group(self.target).name
        if not effects:
            raise NoDerivativeError(
                f"on_pre = '{self.text}' does not add the weight '{self.weight}' to a variable of "
                f"group '{group}'; write for example '{step.states[0]}_post += {self.weight}'"
            )
        unknown = set(effects) - set(step.states)
        if unknown:
            raise NoDerivativeError(
                f"on_pre = '{self.text}' adds the weight to '{sorted(unknown)[0]}', which no "
                f"equation of group '{group}' integrates; add it to a state variable"
            )
        return effects

    def changed(self, step):
        """States that an arrival changes : set of str."""
        names = {name for name, jump in self.changes.items() if jump != 0}
        return {name.removesuffix("_post") for name in names} & {*step.states}

    def jumps(self, step, among=None):
        """What is added to each state (or each of some), the weight's part and others."""
        jumps, among = {}, step.states if among is None else among
        for name, jump in self.changes.items():
            state = name.removesuffix("_post")
            if state in among and jump != 0:
                _check_not_drawn(jump, self.text)
                self._check_independent(jump, name, step)
                jumps[state] = self._in_one_name(jump.expand(), name)
        return jumps

    def _in_one_name(self, expression, name):
        """An expression in which the state that jumps, `v` or `v_post`, is `v_post`."""
        state = name.removesuffix("_post")
        if not self.in_turn or state in {*self.synaptic, self.weight}:
            return expression
        return expression.xreplace({symbol(state): symbol(f"{state}_post")})

    def _check_independent(self, jump, name, step):
        """Raise an error if a jump depends on the state of the postsynaptic neuron."""
        # The time of its last spike is set by the neuron's own spikes, as a reset sets a state
        of_target = (*step.states, "lastspike")
        states = {n for state in of_target for n in (state, f"{state}_post")}
        states -= {*self.synaptic, self.weight}
        # Of the two names that a state has, one is written
        itself = {name, name.removesuffix("_post"), f"{name.removesuffix('_post')}_post"}
        read = {s.name for s in jump.expand().free_symbols} & states
        if read - itself or (read and not self.in_turn):
            raise NoDerivativeError(
                f"on_pre = '{self.text}': the jump of '{name}' depends on the state of the "
                f"postsynaptic neuron{self._beyond_itself}; let spikes add to it, as in "
                "'g_post += w', and the driving force belongs into the neuron's equations"
                f"{'' if read - itself else self._instead}"
            )

    @property
    def _instead(self):
        """What differentiates a jump that depends on nothing of the target but itself."""
        onto_neurons = bool(getattr(parent_group(self.target), "events", ()))
        if self.in_turn or not onto_neurons:
            return ""
        without = f", and {WITHOUT_DELAY}" if self.delay_learns else ""
        return f"; or choose EProp(engine='credit'){without}"

    @property
    def _beyond_itself(self):
        return ", and not on this variable alone" if self.in_turn else ""


def _check_not_drawn(effect, on_pre):
    """Raise an error if the effect of an arrival draws a random number."""
    drawn = {f.func.__name__ for f in effect.atoms(AppliedUndef)} & RANDOM
    if drawn:
        raise NoDerivativeError(
            f"on_pre = '{on_pre}' draws a random number, '{min(drawn)}()', on which the effect of "
            "a spike depends: its derivative would draw another; draw it into a variable of the "
            "synapses first, in a run_regularly"
        )


def as_synapses_see_them(group, synaptic=()):
    """Subexpressions of a postsynaptic group, by the names that on_pre may use."""
    group = parent_group(group)
    subexpressions = {}
    for eq in group.user_equations.values():
        if eq.type == SUBEXPRESSION:
            value = str_to_sympy(eq.expr.code)
            post = {symbol(n): symbol(f"{n}_post") for n in eq.identifiers if n in group.variables}
            names = {eq.varname: value, f"{eq.varname}_post": value.xreplace(post)}
            subexpressions |= {symbol(n): v for n, v in names.items() if n not in synaptic}
    return subexpressions


def _of_source(source, synaptic):
    """Subexpressions of a presynaptic group, by the names that on_pre uses."""
    if source is None or not hasattr(parent_group(source), "user_equations"):
        return {}
    group = parent_group(source)
    subexpressions = {}
    for eq in group.user_equations.values():
        if eq.type == SUBEXPRESSION and f"{eq.varname}_pre" not in synaptic:
            pre = {symbol(n): symbol(f"{n}_pre") for n in eq.identifiers if n in group.variables}
            subexpressions[symbol(f"{eq.varname}_pre")] = str_to_sympy(eq.expr.code).xreplace(pre)
    return subexpressions


def changing_at_source(expressions, source, synaptic):
    """Names of variables of the presynaptic neurons that change from arrival to arrival.

    Parameters
    ----------
    expressions : iterable of sympy.Expr
        What an arrival does, in names of the synapses.
    source : Group
    synaptic : set of str
        Names that are the synapses' own.
    """
    variables = parent_group(source).variables
    names = {s.name for expression in expressions for s in expression.free_symbols}
    of_source = {n.removesuffix("_pre") for n in names if n.endswith("_pre") and n not in synaptic}
    return sorted(n for n in of_source & set(variables) if not variables[n].constant)


def common_effects(effects, synaptic):
    """b where it is the same for all synapses of the target, in names of the target.

    Parameters
    ----------
    effects : dict of str to sympy.Expr
        b of each state, in names of the synapses.
    synaptic : set of str
        Names that differ from synapse to synapse.
    """
    common = {}
    for state, effect in effects.items():
        names = {s: s.name for s in effect.free_symbols}
        if not any(name.endswith("_pre") or name in synaptic for name in names.values()):
            # Others stay as they are: the argument of a function without one is no variable
            post = {s: name for s, name in names.items() if name.endswith("_post")}
            common[state] = effect.xreplace(
                {s: symbol(name.removesuffix("_post")) for s, name in post.items()}
            )
    return common


def check_constant(synapses, group, expressions, learner, recorded=frozenset()):
    """Raise an error if arrivals have another effect from time to time.

    Parameters
    ----------
    synapses : TrainableSynapses
    group : NeuronGroup
        The whole target.
    expressions : dict of str to sympy.Expr
        What an arrival does.
    learner : Learner
    recorded : set of str
        Names whose values are recorded at each arrival.

    Raises
    ------
    NoDerivativeError
        Naming what changes.
    """
    changed = assigned_names(statements_of(synapses.pre.code))
    names = {s.name for e in expressions.values() for s in e.free_symbols}
    for name in sorted(names - recorded):
        if is_synaptic(synapses, name):
            known = synapses.equations.get(name)
            parameter = known is not None and known.type == PARAMETER
            varies = name in changed or not (parameter or name in OF_ALL_SYNAPSES)
        elif name.endswith("_pre"):
            variables = parent_group(synapses.source).variables
            varies = not variables[name.removesuffix("_pre")].constant
        else:
            variable = group.variables.get(name.removesuffix("_post"))
            varies = variable is not None and not variable.constant
        if varies:
            raise NoDerivativeError(
                f"what a spike of '{synapses.name}' does depends on '{name}', which changes "
                "with time; the engine 'credit' looks at it at the end of a window: "
                f"{remedy(learner, synapses)}"
                f"{_at_source(synapses, name)}"
            )


def _at_source(synapses, name):
    """What to do, besides, about a variable of synapses that is the same for all of a neuron."""
    if not is_synaptic(synapses, name):
        return ""
    return (
        f"; or, where '{name}' is the same for all synapses of a neuron and they have no delay, "
        f"give it to the presynaptic neurons, whose reset changes it, and read '{name}_pre'"
    )


def remedy(learner, synapses):
    """What to do about spikes whose effect changes with time.

    Parameters
    ----------
    learner : Learner
    synapses : Synapses
        Trained, or plain ones that credit crosses.

    Returns
    -------
    str
    """
    constant = "keep it constant (a parameter of neurons has a flag, '(constant)')"
    if getattr(synapses, "learner", None) is learner:
        if "grad_delay" in synapses.variables:
            return f"{constant}, or {WITHOUT_DELAY}"  # traces of delays refuse it, too
        if learner.trainable:
            return constant  # parameters have no traces
        order = "order=1, " if learner.rule.order > 1 else ""
        return f"choose EProp({order}engine='traces'), or {constant}"
    if learner.rule.order > 1:
        return f"choose order=1, at which these synapses count as given, or {constant}"
    return f"{constant}, or choose feedback='random'"


def is_synaptic(synapses, name):
    """Whether a name is one of the synapses, and has a value for each."""
    variable = synapses.variables.get(name)
    owner = getattr(variable, "owner", None)
    return owner is not None and owner.name == synapses.name
