"""What returns with each trial to where it started the first, and what goes on."""

from __future__ import annotations

import warnings

import numpy as np
from brian2 import Group, NeuronGroup, Synapses

from ..brian.code import internal
from ..brian.internals import (
    known_values,
    parent_group,
    pathways,
)
from ..engines.contract import Learning
from ..engines.trials import (
    drop_spikes_under_way,
    parameters_that_may_change,
    restore_at_trial_start,
    restore_parameters_at_trial_start,
    restore_synapses_at_trial_start,
    variables_that_change,
)


def reset_with_trial(learner: Learning, group: Group) -> None:
    """Start every trial of a group from the state in which it started the first; once for each."""
    resettable = isinstance(group, NeuronGroup | Synapses)
    if learner.trial is None or group in learner.restored or not resettable:
        return
    learner.restored.add(group)
    if group is not learner.readout:
        learner.share(group, "__started", "__trial_begins")
    if isinstance(group, NeuronGroup):
        restore_at_trial_start(group)
        return
    restore_synapses_at_trial_start(group, changing(group))
    if not is_trained(group):
        for pathway in pathways(group):
            learner.share(pathway, "trial_step")
        drop_spikes_under_way(group)


def reset_parameters_too(learner: Learning, objects) -> None:
    """The same for what a user has listed: of groups, parameters that are not constant as well."""
    for listed in objects:
        learner.reset_with_trial(listed)
        if isinstance(listed, NeuronGroup):
            restore_parameters_at_trial_start(listed)
            learner.parameters_restored.add(listed)


def is_trained(synapses: Synapses) -> bool:
    """Whether synapses are trained, or are fixed ones of a learner."""
    return getattr(synapses, "learner", None) is not None


def changing(synapses: Synapses) -> set[str]:
    """Variables of a user's synapses that change, but for what learning changes."""
    variables = variables_that_change(synapses)
    if is_trained(synapses):
        variables = (variables & synapses.model_names) - {synapses.weight}
    return variables


def warn_of_what_goes_on(learner: Learning) -> None:
    """Warn of states that the end of a trial does not reset."""
    continuing = going_on(learner)
    if continuing:
        warnings.warn(
            f"trials of the learner of '{learner.readout.name}' are reset, but these go on from "
            f"one to the next: {'; '.join(continuing)}. To reset them too, name them in "
            "Learner(reset=[...])",
            stacklevel=3,
        )


def going_on(learner: Learning) -> list[str]:
    """Descriptions of the states of a network that the end of a trial does not reset.

    Parameters
    ----------
    learner : Learner
        Whose network has been read, and is about to run.
    """
    continuing, reading = [], learner.reader.reading
    onto_restored = [
        obj
        for obj in reading.objects
        if isinstance(obj, Synapses) and parent_group(obj.target) in learner.restored
    ]
    for synapses in onto_restored:
        name, target = synapses.name, parent_group(synapses.target)
        variables = changing(synapses)
        if variables and synapses not in learner.restored:
            continuing.append(f"{_named(variables)} of the synapses '{name}'")
        if not is_trained(synapses) and synapses not in learner.restored and _delays(synapses):
            continuing.append(f"spikes on the way along '{name}'")
        if target not in learner.parameters_restored:
            at_spikes = [a for a in reading.actions if a.kind == "synapses" and a.owner is synapses]
            changed = {effect.variable for action in at_spikes for effect in action.effects}
            kept = {
                parameter
                for parameter in parameters_that_may_change(target)
                if target.variables[parameter] in changed
                and internal("start", parameter) not in target.variables
            }
            if kept:
                continuing.append(f"{_named(kept)} of '{target.name}', which '{name}' changes")
    return continuing


def _delays(synapses):
    """Whether spikes are known to be under way for a while."""
    delays = [known_values(pathway.variables["delay"]) for pathway in pathways(synapses)]
    return any(np.any(values >= synapses.clock.dt_ / 2) for values in delays)


def _named(names):
    return ", ".join(f"'{name}'" for name in sorted(names))
