"""Trials: the state returns to where the first one started, and no spike outlives its own."""

import re
from typing import NamedTuple

import numpy as np

from ..brian import schedule
from ..brian.code import declare, internal, run_if
from ..brian.internals import (
    PARAMETER,
    parent_group,
    parse_statement,
    pathways,
    refractoriness,
)
from ..calculus.one_step import assigned_names

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
    """

    early: bool
    lag: int
    without_delay: bool
    crosses_trials: bool

    @classmethod
    def of(cls, source, arrival, delay, learner):
        early = arrival == "after_groups"
        lag = int(early and not fires_early(source))
        without_delay = delay is not None and np.ndim(delay) == 0 and float(delay) == 0
        crosses_trials = learner.trial is not None and (lag > 0 or not without_delay)
        return cls(early, lag, without_delay, crosses_trials)

    @property
    def unconditional(self):
        """All spikes of a neuron reach all its synapses together, and count."""
        return self.without_delay and not self.crosses_trials


def fires_early(source):
    """Whether the spikes of a source are there before the threshold of the same step."""
    group = parent_group(source)
    thresholder = getattr(group, "thresholder", {}).get("spike", group)
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
    changed = assigned_names(group.event_codes.get("spike", ""))
    states = group.equations.diff_eq_names | {name for name in changed if name in group.variables}
    times = set()
    if refractoriness(group) is not False:
        states, times = states | {"not_refractory"}, {"lastspike"}
    _restore(group, states, times, f"{group.name}_trial_start")


def restore_parameters_at_trial_start(group):
    """Start every trial with the parameters of a group that are not constant as in the first.

    Those that `restore_at_trial_start` restores are left to it.
    """
    names = {name for name in parameters_that_may_change(group) if not _is_restored(group, name)}
    _restore(group, names, set(), f"{group.name}_trial_start_parameters")


def parameters_that_may_change(group):
    """Names of the parameters of a group that are not flagged as constant."""
    return {
        name
        for name, equation in group.equations.items()
        if equation.type == PARAMETER and "constant" not in equation.flags
    }


def _is_restored(group, name):
    return internal("start", name) in group.variables


def restore_synapses_at_trial_start(synapses, names):
    """Start every trial with these variables of synapses as in the first."""
    times = {"lastupdate"} & set(synapses.variables) if names else set()
    if names:
        _restore(synapses, names, times, f"{synapses.name}_trial_start_variables")


def variables_that_change(synapses):
    """Names of the variables of synapses that their equations or their pathways change."""
    assigned = {name for pathway in pathways(synapses) for name in assigned_names(pathway.code)}
    own = {
        name
        for name in assigned
        if getattr(getattr(synapses.variables.get(name), "owner", None), "name", "")
        == synapses.name
    }
    driven = synapses.event_driven.diff_eq_names if synapses.event_driven is not None else set()
    return own | synapses.equations.diff_eq_names | set(driven)


def _restore(group, names, times, runner):
    """Remember variables in the first step, and let every trial begin with what they were.

    Parameters
    ----------
    group : Group
        Which knows the shared variables ``__started`` and ``__trial_begins``.
    names, times : set of str
        Its variables; times are remembered relative to the present one.
    runner : str
        The name of the code.
    """
    code = []
    # Brian2 wants shared variables written before any other.
    for name in sorted(names | times, key=lambda name: (not group.variables[name].scalar, name)):
        variable, start = group.variables[name], internal("start", name)
        value, back = name, start
        if name in times:
            value, back = f"{name} - t", f"t + {start}"
        elif variable.is_boolean:
            value, back = f"int({name})", f"{start} > 0.5"
        declare(group, start, shared=variable.scalar)
        code.append(f"{start} = __started*{start} + (1 - __started)*({value})")
        code.append(f"{name} = {back}")
    if code:
        at_trial_start(group, "\n".join(code), runner)


def dropped_at_trial_start(code, weight, lag, added=""):
    """Let spikes that were emitted before the trial began act on nothing.

    Parameters
    ----------
    code : str
        What an arriving spike does, in terms of ``weight``.
    weight : str
    lag : int
        As in `Timing`.
    added : str
        Statements of learning that add to its own variables, and come before.
    """
    # Rounded as Brian2's spike queue does
    lines = [f"_emitted = int(__trial_step >= int(delay/dt + 0.5) + {lag})"]
    lines += [f"{line}*_emitted" for line in added.split("\n") if line]
    lines.append(re.sub(rf"\b{weight}\b", f"({weight}*_emitted)", code))
    return "\n".join(lines)


def drop_spikes_under_way(synapses):
    """Let spikes on their way along plain synapses act on nothing when a trial has begun.

    The pathways know the shared variable ``__trial_step``.

    Raises
    ------
    ValueError
        For a statement that cannot be made to do nothing.
    """
    for pathway in pathways(synapses):
        source = parent_group(pathway.source)
        fires = getattr(source, "thresholder", {}).get("spike", source)
        lag = int(_slot(pathway.when) < _slot(fires.when))
        lines = [f"_emitted = int(__trial_step >= int(delay/dt + 0.5) + {lag})"]
        for line in pathway.code.replace(";", "\n").split("\n"):
            if line.split("#")[0].strip():
                lines.append(_only_if_emitted(line, synapses))
        pathway.user_code, pathway.code = pathway.code, "\n".join(lines)


def _only_if_emitted(line, synapses):
    variable, operation, expression, _ = parse_statement(line)
    if operation in ("+=", "-="):
        return f"{variable} {operation} _emitted*({expression})"
    if operation in ("*=", "/="):
        return f"{variable} {operation} (1 + _emitted*(({expression}) - 1))"
    if operation != "=":
        raise ValueError(
            f"Learner.reset: '{synapses.name}' has the statement '{line.strip()}', which cannot be "
            "left out for spikes of the trial before; write it with =, +=, -=, *= or /="
        )
    known = synapses.variables.get(variable)
    if known is None:
        return line
    if known.is_boolean:
        chosen = f"_emitted*int({expression}) + (1 - _emitted)*int({variable})"
        return f"{variable} = ({chosen}) > 0.5"
    return f"{variable} = _emitted*({expression}) + (1 - _emitted)*{variable}"
