"""Trials: the state returns to where the first one started, and no spike outlives its own."""

import re
from typing import NamedTuple

import numpy as np

from .. import schedule
from ..calculus.one_step import assigned_names, parent_group
from .code import declare
from .gated import GatedCode

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
    slot = thresholder.when.removeprefix("before_").removeprefix("after_")
    return SLOTS.index(slot) < SLOTS.index("thresholds")


def at_trial_start(group, code, name, gate="trial_begins"):
    """Run abstract code for all of a group at the start of every trial."""
    runner = GatedCode(group, code, gate, schedule.TRIAL_START, name)
    group.contained_objects.append(runner)


def restore_at_trial_start(group):
    """Start every trial of a group from the state in which it started the first.

    What is restored: variables of its differential equations, those that its reset changes,
    and refractoriness. The group knows the shared variables ``started`` and ``trial_begins``.
    """
    changed = assigned_names(group.event_codes.get("spike", ""))
    states = group.equations.diff_eq_names | {name for name in changed if name in group.variables}
    code = []

    def restore(name, value, start):
        declare(group, f"start_{name}")
        code.append(f"start_{name} = started*start_{name} + (1 - started)*({value})")
        code.append(f"{name} = {start}")

    for name in sorted(states):
        restore(name, name, f"start_{name}")
    if group._refractory is not False:
        restore("lastspike", "lastspike - t", "t + start_lastspike")
        restore("not_refractory", "int(not_refractory)", "start_not_refractory > 0.5")
    at_trial_start(group, "\n".join(code), f"{group.name}_trial_start")


def dropped_at_trial_start(code, weight, lag):
    """Let spikes that were emitted before the trial began act on nothing.

    Parameters
    ----------
    code : str
        What an arriving spike does, in terms of ``weight`` and of the variables that traces
        add.
    weight : str
    lag : int
        As in `Timing`.
    """
    # Rounded as Brian2's spike queue does
    lines = [f"_emitted = int(trial_step >= int(delay/dt + 0.5) + {lag})"]
    for line in code.split("\n"):
        if line.startswith(("eps_", "arrived_")):
            lines.append(f"{line}*_emitted")
        else:
            lines.append(re.sub(rf"\b{weight}\b", f"({weight}*_emitted)", line))
    return "\n".join(lines)
