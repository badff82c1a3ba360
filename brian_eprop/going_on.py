"""What goes on from one trial to the next, because nothing resets it: looked for, and named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from brian2 import Network, Synapses

from .calculus.one_step import assigned_names, parent_group
from .engines.trials import parameters_that_may_change, variables_that_change
from .names import internal

if TYPE_CHECKING:
    from .learner import Learner


def is_trained(synapses: Synapses) -> bool:
    """Whether synapses belong to a learner."""
    return getattr(synapses, "learner", None) is not None


def changing(synapses: Synapses) -> set[str]:
    """Variables of a user's synapses that change, but for what learning changes."""
    found = variables_that_change(synapses)
    if is_trained(synapses):
        found = (found & synapses.model_names) - {synapses.weight}
    return found


def going_on(learner: Learner) -> list[str]:
    """What of the learner's network is left as it is at the end of a trial, in words.

    Parameters
    ----------
    learner : Learner
        Whose readout is in a `brian2.Network` that is about to run.
    """
    found = []
    for obj in _neighbours(learner):
        target = parent_group(obj.target)
        variables = changing(obj)
        if variables and obj not in learner.restored:
            found.append(f"{_named(variables)} of the synapses '{obj.name}'")
        if not is_trained(obj) and obj not in learner.restored and _delays(obj):
            found.append(f"spikes on the way along '{obj.name}'")
        moved = {
            name.removesuffix("_post")
            for pathway in obj._pathways
            for name in assigned_names(pathway.code)
            if name.removesuffix("_post") not in obj.variables or name.endswith("_post")
        }
        if target in learner.restored and target not in learner.parameters_restored:
            parameters = {
                name
                for name in moved & parameters_that_may_change(target)
                if internal("start", name) not in target.variables
            }
            if parameters:
                found.append(f"{_named(parameters)} of '{target.name}', which '{obj.name}' changes")
    return found


def _neighbours(learner):
    """Synapses of the learner's network onto groups that are reset."""
    for reference in list(Network.__instances__()):
        network = reference()
        objects = network.objects if network is not None else ()
        if any(obj is learner.readout for obj in objects):
            for obj in objects:
                if isinstance(obj, Synapses) and parent_group(obj.target) in learner.restored:
                    yield obj


def _delays(synapses):
    """Whether spikes are known to be under way for a while."""
    for pathway in synapses._pathways:
        try:
            if np.any(pathway.variables["delay"].get_value() >= synapses.clock.dt_ / 2):
                return True
        except NotImplementedError:
            continue
    return False


def _named(names):
    return ", ".join(f"'{name}'" for name in sorted(names))
