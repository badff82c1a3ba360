"""Reset of the state, and of spikes in flight, at the begin of each trial."""

from typing import NamedTuple

import numpy as np

from ..brian import schedule
from ..brian.code import declare, internal, run_if
from ..brian.internals import (
    PARAMETER,
    assigned_names,
    code_of,
    fires_by,
    parent_group,
    pathways,
    refractoriness,
    reset_of,
    statements_of,
    word_substitute,
)

SLOTS = ("start", "groups", "thresholds", "synapses", "resets", "end")


class Timing(NamedTuple):
    """When the spikes of a projection act.

    Attributes
    ----------
    early : bool
        They arrive between state update and threshold, and act in the same step.
    lag : int
        Steps from a spike to its arrival, beyond the delay.
    without_delay : bool
        It was stated that no synapse has a delay.
    crosses_trials : bool
        A spike of one trial could arrive in the next.
    longest : int, optional
        Steps of the longest delay that training may come to; None where delays do not learn.
    stated : float, optional
        Seconds of the delay that all synapses were created with.
    """

    early: bool
    lag: int
    without_delay: bool
    crosses_trials: bool
    longest: int | None = None
    stated: float | None = None

    @classmethod
    def of(cls, source, arrival, delay, learner, longest=None):
        early = arrival == "after_groups"
        lag = int(early and not fires_early(source))
        stated = None if delay is None or np.ndim(delay) else float(delay)
        without_delay = stated == 0
        crosses_trials = learner.trial is not None and (lag > 0 or not without_delay)
        return cls(early, lag, without_delay, crosses_trials, longest, stated)

    @property
    def unconditional(self):
        """All spikes of a neuron reach all its synapses together, and count."""
        return self.without_delay and not self.crosses_trials


def fires_early(source):
    """Whether the spikes of a source are there before the threshold of the same step."""
    group = parent_group(source)
    thresholder = fires_by(group)
    return _slot(thresholder.when) < SLOTS.index("thresholds")


def _slot(when):
    return SLOTS.index(when.removeprefix("before_").removeprefix("after_"))


def at_trial_start(group, code, name, gate="__trial_begins"):
    """Run abstract code for all of a group at the start of every trial."""
    run_if(gate, group, code, schedule.TRIAL_START, name)


def restore_at_trial_start(group):
    """Start every trial of a group from the state in which it started the first.

    What is restored: variables of its differential equations, those that its reset changes,
    and refractoriness. The group knows the shared variables ``__started`` and ``__trial_begins``.
    """
    changed = assigned_names(reset_of(group))
    states = group.equations.diff_eq_names | {name for name in changed if name in group.variables}
    times = set()
    if refractoriness(group) is not False:
        states, times = states | {"not_refractory"}, {"lastspike"}
    _restore(group, states, times, f"{group.name}_trial_start")


def restore_parameters_at_trial_start(group):
    """Start every trial with the parameters of a group that are not constant as in the first.

    Those that `restore_at_trial_start` restores are left to it.
    """
    names = {
        n for n in parameters_that_may_change(group) if internal("start", n) not in group.variables
    }
    _restore(group, names, set(), f"{group.name}_trial_start_parameters")


def parameters_that_may_change(group):
    """Names of the parameters of a group that are not flagged as constant."""
    return {
        name
        for name, equation in group.equations.items()
        if equation.type == PARAMETER and "constant" not in equation.flags
    }


def restore_synapses_at_trial_start(synapses, names):
    """Start every trial with these variables of synapses as in the first."""
    times = {"lastupdate"} & set(synapses.variables) if names else set()
    _restore(synapses, names, times, f"{synapses.name}_trial_start_variables")


def variables_that_change(synapses):
    """Names of the variables of synapses that their equations or their pathways change."""
    assigned = {
        name
        for pathway in pathways(synapses)
        for name in assigned_names(statements_of(pathway.code))
    }
    changed = {
        name
        for name in assigned
        if getattr(getattr(synapses.variables.get(name), "owner", None), "name", "")
        == synapses.name
    }
    driven = synapses.event_driven.diff_eq_names if synapses.event_driven is not None else set()
    return changed | synapses.equations.diff_eq_names | set(driven)


def _restore(group, names, times, runner):
    """Remember variables in the first step, and let every trial begin with what they were.

    Of times it is remembered how long ago they were.
    """
    code = []
    # Brian2 wants shared variables written before any other.
    for name in sorted(names | times, key=lambda name: (not group.variables[name].scalar, name)):
        variable, start = group.variables[name], internal("start", name)
        value, back = name, start
        if name in times:
            value, back = f"t - {name}", f"t - {start}"
        elif variable.is_boolean:
            value, back = f"int({name})", f"{start} > 0.5"
        dtype = None if variable.is_boolean else variable.dtype
        declare(group, start, shared=variable.scalar, dtype=dtype)
        code.append(f"{start} = __started*{start} + (1 - __started)*({value})")
        code.append(f"{name} = {back}")
    if code:
        at_trial_start(group, "\n".join(code), runner)


def dropped_at_trial_start(statements, weight, lag, added=(), changes=None):
    """Statements of on_pre without effect for spikes emitted before the trial began.

    Parameters
    ----------
    statements : list of (target, operation, expression)
        What an arriving spike does, in terms of ``weight``.
    weight : str
    lag : int
        As in `Timing`.
    added : list of (target, operation, expression)
        Of learning, which add to its own variables, and come before.
    changes : mapping, optional
        Variables by name, where a spike without weight would still change them.

    Returns
    -------
    list of (target, operation, expression)
        ``_emitted = int(__trial_step >= int(delay/dt + 0.5) + 0)`` and ``v_post += (w*_emitted)``.
    """
    only = {weight: f"({weight}*_emitted)"}
    if changes is None:
        gated = [(name, operation, word_substitute(v, only)) for name, operation, v in statements]
    else:
        gated = [_only_if_emitted(s, changes, "TrainableSynapses.on_pre: it") for s in statements]
    added = [(name, operation, f"({value})*_emitted") for name, operation, value in added]
    return [_emitted(lag), *added, *gated]


def _emitted(lag):
    """Whether a spike that arrives is of the present trial; rounded as Brian2's queue does."""
    return "_emitted", "=", f"int(__trial_step >= int(delay/dt + 0.5) + {lag})"


def of_this_trial(statements):
    """Statements of on_pre as they are for a spike of the present trial."""
    return [
        (name, operation, word_substitute(value, {"_emitted": "1"}))
        for name, operation, value in statements
        if name != "_emitted"
    ]


def drop_spikes_under_way(synapses):
    """Drop spikes in flight along plain synapses when a trial begins.

    The pathways know the shared variable ``__trial_step``.

    Raises
    ------
    ValueError
        For a statement that cannot be made to do nothing.
    """
    for pathway in pathways(synapses):
        source = parent_group(pathway.source)
        fires = fires_by(source)
        lag = int(_slot(pathway.when) < _slot(fires.when))
        of = f"Learner.reset: '{synapses.name}'"
        known = synapses.variables
        statements = [_only_if_emitted(s, known, of) for s in statements_of(pathway.code)]
        pathway.user_code, pathway.code = pathway.code, code_of([_emitted(lag), *statements])


def _only_if_emitted(statement, variables, of):
    variable, operation, expression = statement
    if operation in ("+=", "-="):
        return variable, operation, f"_emitted*({expression})"
    if operation in ("*=", "/="):
        return variable, operation, f"(1 + _emitted*(({expression}) - 1))"
    if operation != "=":
        raise ValueError(
            f"{of} has the statement '{' '.join(statement)}', which "
            "cannot be left out for spikes of the trial before; write it with =, +=, -=, *= or /="
        )
    known = variables.get(variable)
    if known is None:
        return statement
    if known.is_boolean:
        chosen = f"_emitted*int({expression}) + (1 - _emitted)*int({variable})"
        return variable, "=", f"({chosen}) > 0.5"
    return variable, "=", f"_emitted*({expression}) + (1 - _emitted)*{variable}"
