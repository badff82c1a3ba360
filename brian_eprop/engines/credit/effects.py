"""What the spikes of a projection do, looked at when they have long arrived."""

from brian2.equations.equations import PARAMETER

from ...calculus.arrivals import OF_ALL_SYNAPSES
from ...calculus.derivatives import NoDerivativeError
from ...calculus.one_step import parent_group
from ...calculus.programs import assigned_names, symbol


def common_effects(synapses, effects):
    """b of each state in names of the target; None if it differs from synapse to synapse.

    Parameters
    ----------
    synapses : TrainableSynapses
    effects : dict of str to sympy.Expr
        In names of the synapses.
    """
    found = {}
    for state, effect in effects.items():
        names = [s.name for s in effect.free_symbols]
        if any(_synaptic(synapses, n) or n.endswith("_pre") for n in names):
            return None
        own = {symbol(n): symbol(n.removesuffix("_post")) for n in names}
        found[state] = effect.xreplace(own)
    return found


def check_constant(synapses, group, expressions, learner):
    """Raise an error if arrivals have another effect from time to time.

    Parameters
    ----------
    synapses : TrainableSynapses
    group : NeuronGroup
        The whole target.
    expressions : dict of str to sympy.Expr
        What an arrival does.
    learner : Learner

    Raises
    ------
    NoDerivativeError
        Naming what changes.
    """
    changed = assigned_names(synapses.pre.code)
    for name in sorted({s.name for e in expressions.values() for s in e.free_symbols}):
        own = name.removesuffix("_post")
        if _synaptic(synapses, name):
            known = synapses.equations.get(name)
            parameter = known is not None and known.type == PARAMETER
            varies = name in changed or not (parameter or name in OF_ALL_SYNAPSES)
        elif name.endswith("_pre"):
            variables = parent_group(synapses.source).variables
            varies = not variables[name.removesuffix("_pre")].constant
        else:
            varies = own in group.variables and not group.variables[own].constant
        if varies:
            raise NoDerivativeError(
                f"what a spike of '{synapses.name}' does depends on '{name}', which changes "
                "with time; the engine 'credit' looks at it at the end of a window: "
                f"{remedy(learner, synapses)}"
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
        if learner.trainable:
            return constant  # parameters have no traces
        order = "order=1, " if learner.rule.order > 1 else ""
        return f"choose EProp({order}engine='traces'), or {constant}"
    if learner.rule.order > 1:
        return f"choose order=1, at which these synapses count as given, or {constant}"
    return f"{constant}, or choose feedback='random'"


def _synaptic(synapses, name):
    """Whether a name is one of the synapses, and has a value for each."""
    variable = synapses.variables.get(name)
    owner = getattr(variable, "owner", None)
    return owner is not None and owner.name == synapses.name
