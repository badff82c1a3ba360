"""Refusals: what runs in a network with a learning group and would make its gradient wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..brian.internals import (
    arrays_of_functions,
    fires_by,
    generated_code,
    get_identifiers,
    is_standalone,
    not_compiled,
    parent_group,
    refractoriness,
)
from .actions import variables_read
from .stages import OF_ONES_OWN, OF_REFRACTORINESS, UnreadableNetworkError


def check_membership(reading):
    """Everything that the learner knows must run, or be switched off as a whole."""
    learner, running = reading.learner, {id(obj) for obj in reading.objects}
    for synapses in learner.projections:
        if not synapses.active:
            continue
        if id(synapses) not in running:
            raise UnreadableNetworkError(
                f"'{synapses.name}' belongs to the learner of '{learner.readout.name}', but is "
                "not in the Network that runs: add it to the Network, or switch it off with "
                f"{synapses.name}.active = False"
            )
        if id(synapses.acts) not in running:
            raise UnreadableNetworkError(
                f"'{synapses.acts.name}' is not active, so that nothing arrives, but the "
                f"synapses themselves are: set '{synapses.name}'.active = False"
            )
    for group, population in learner.populations.items():
        if population.learns and group.active and id(group) not in running:
            message = f"group '{group.name}' learns, but is not in the Network that runs: add it"
            raise UnreadableNetworkError(message)


def check_readout(reading):
    """Nothing but spikes may act on the readout, between its leak and its error."""
    readout = reading.learner.readout
    outputs = {readout.variables[n]: n for n in ("y", "error", "loss") if n in readout.variables}
    leak = reading.position[readout.state_updater.name]
    for action in reading.actions:
        effects = action.effects_on(outputs)
        written = [outputs[effect.variable] for effect in effects]
        if not written or action.runner is readout.state_updater:
            continue
        if action.kind != "synapses" or "y" not in written:
            raise UnreadableNetworkError(
                f"{action} changes '{written[0]}' of readout '{readout.name}', whose error "
                "would be another than the one that is differentiated: only spikes act on a "
                "readout"
            )
        for effect in effects:
            adds = effect.operation in ("+=", "-=") and effect.variable not in effect.reads
            if not adds and action.name not in reading.projections:
                raise UnreadableNetworkError(
                    f"{action} does not merely add to 'y' of readout '{readout.name}', which "
                    "changes what earlier spikes have left there: write y_post += …"
                )
        if not leak < reading.position[action.name] < reading.end:
            raise UnreadableNetworkError(
                f"{action} acts on readout '{readout.name}' before its leak, or after its "
                "error of the step: let its spikes arrive between the two, in the slot "
                "'synapses' of Brian2's default schedule"
            )


def check_order(reading, group):
    """The stages of a group must be where their coefficients are recorded."""
    stages = reading.stages[group]
    place = stages.places(reading.position)
    if place["reset"] < place["threshold"]:
        raise UnreadableNetworkError(
            f"{stages.actions['reset']} of group '{group.name}' runs before its threshold: the "
            "spikes of a step would act in the next; move it behind the threshold"
        )
    check_stored(reading, group)
    for name, action in stages.actions.items():
        if place[name] > reading.end:
            raise UnreadableNetworkError(
                f"{action} of group '{group.name}' changes its state at the end of a step, "
                "when the learner has looked at it already: choose an earlier slot, such as "
                "when='resets'"
            )


def check_refractoriness(reading, group):
    """Nothing but Brian2 may set what tells whether a neuron is refractory."""
    flags = {group.variables[n]: n for n in OF_REFRACTORINESS if n in group.variables}
    for action in reading.actions:
        for effect in action.effects_on(flags):
            raise UnreadableNetworkError(
                f"{action} changes '{flags[effect.variable]}' of group '{group.name}', which "
                "Brian2 sets at each spike and in each step, and which tells when its neurons are "
                f"refractory: {OF_ONES_OWN}"
            )


def check_stored(reading, group):
    """A '(constant over dt)' expression must see the state that the update sees."""
    stored = reading.position.get(getattr(group.subexpression_updater, "name", None))
    if stored is None:
        return
    states, updated = reading.states(group), reading.position[group.state_updater.name]
    for action in reading.user_actions:
        between = stored < reading.position[action.name] < updated
        if between and action.effects_on(states):
            raise UnreadableNetworkError(
                f"{action} changes the state of group '{group.name}' after its '(constant over "
                "dt)' expressions of the step have been stored: remove the flag, or choose "
                "another slot"
            )


def check_weight(reading, synapses):
    """A weight is one number for the whole trial: only the optimizer changes it."""
    action = reading.written.get(synapses.variables[synapses.weight])
    if action is not None:
        raise UnreadableNetworkError(
            f"{action} changes the weight '{synapses.weight}' of '{synapses.name}', besides "
            "the optimizer: the gradient is that of a weight that stays as it is for a trial. "
            "Change it between two runs, or in a network operation in the slot 'start' of the "
            "first step of a trial"
        )


def check_arrivals(reading, synapses):
    """Spikes must arrive at the moment for which their credit was derived."""
    target, source = parent_group(synapses.target), parent_group(synapses.source)
    place, timing = reading.position[synapses.pre.name], synapses.timing
    thresholder = fires_by(source)
    if thresholder.name not in reading.position:
        return
    fired = reading.position[thresholder.name] < place
    if timing.lag != int(not fired):
        raise UnreadableNetworkError(
            f"the spikes of '{source.name}' reach '{synapses.name}' in the "
            f"{'same' if fired else 'next'} step, by the order in which this network runs its "
            f"objects, but its traces are made for the {'same' if timing.lag == 0 else 'next'} "
            "one: say where spikes arrive by TrainableSynapses(..., arrival=...), and set the slot "
            "of the thresholder, if need be, before creating the synapses"
        )
    if target in reading.stages:
        before = place < reading.stages[target].places(reading.position)["threshold"]
        if before != timing.early:
            raise UnreadableNetworkError(
                f"the spikes of '{synapses.name}' arrive "
                f"{'before' if before else 'after'} the threshold of '{target.name}' in this "
                f"network, but its traces are made for arrival='{synapses.arrival}': use "
                "Brian2's default schedule, or another arrival"
            )


def check_sum(reading, name, total):
    """A sum must see its two ends as they are at the start of a step."""
    place, at = reading.position, reading.position[name]
    action = next(action for action in reading.actions if action.name == name)
    for group, side in ((total.source, "pre"), (total.target, "post")):
        updater = getattr(group, "state_updater", None)
        if group.clock.dt_ != action.runner.clock.dt_:
            raise UnreadableNetworkError(
                f"{action} sums up what group '{group.name}' has, which runs with dt = "
                f"{group.clock.dt!s}, every {action.runner.clock.dt!s}: give both ends one dt"
            )
        if updater is not None and place.get(updater.name, at) < at:
            raise UnreadableNetworkError(
                f"{action} runs after the state update of group '{group.name}': credit goes back "
                "to the start of a step; leave it in the slot 'groups', with an order below that "
                "of the groups"
            )
        if group not in reading.stages:
            continue
        read = {group.variables[n] for n in total.read(group, side)}
        for other in reading.stages[group].actions.values():
            if place[other.name] < at and (effects := other.effects_on(read)):
                raise UnreadableNetworkError(
                    f"{other} changes '{effects[0].name}' of group '{group.name}' before "
                    f"{action} sums it up in the same step: credit goes back to the start of a "
                    "step; let it run later, or let the sum depend on another variable"
                )


def check_rule(reading):
    """Raise an error for what the rule names and no group of the network has."""
    rule, populations = reading.learner.rule, reading.learner.populations
    learning = [group for group, p in populations.items() if p.learns]
    for name in rule.reset_path:
        if not any(name in {*rule.paths_of(g), *g.events} - {"spike"} for g in learning):
            groups = ", ".join(f"'{group.name}'" for group in learning) or "none"
            raise UnreadableNetworkError(
                f"EProp.reset_path names '{name}', which the reset of no group that learns "
                f"({groups}) changes, and which is no event of theirs; remove or rename it"
            )
    trained = [obj for obj in reading.objects if hasattr(obj, "user_on_pre")]
    known = {parent_group(end) for s in trained for end in (s.source, s.target)}
    for group in rule.surrogate if isinstance(rule.surrogate, Mapping) else ():
        if group not in {*known, *learning}:
            where = "" if group in reading.objects else " and is not in the Network that runs"
            raise UnreadableNetworkError(
                f"EProp.surrogate names group '{group.name}', which has no trained synapses"
                f"{where}, so that its ψ would have no effect: leave it out, or name the group "
                "that you mean"
            )


def check_names(reading, namespace):
    """Raise an error for a constant of the user with the name of a public variable of learning.

    Parameters
    ----------
    namespace : dict
        Of the run.
    """
    readout = reading.learner.readout
    for action in reading.user_actions:
        owner = action.owner
        if owner in (None, readout):
            continue
        equations = getattr(owner, "equations", None) or ()
        of_model = getattr(owner, "model_names", frozenset(equations))
        known = {**namespace, **(getattr(owner, "namespace", None) or {})}
        trained = reading.projections.get(action.name)
        code = trained.user_on_pre if trained is not None else action.code
        if action.kind == "state update":
            code = " ".join(owner.equations.identifiers)
            if isinstance(refractoriness(owner), str):
                code += f" {refractoriness(owner)}"
        for name in sorted(get_identifiers(code) & known.keys() - of_model):
            variable = owner.variables.get(name)
            of_readout = getattr(getattr(variable, "owner", None), "name", "") == readout.name
            if of_readout or getattr(variable, "of_learning", False):
                raise UnreadableNetworkError(
                    f"{action} uses the constant '{name}', but '{owner.name}' has a variable "
                    "of this name, which learning has added, and which would be used instead: "
                    "rename the constant"
                )


def check_code(network):
    """Raise an error for code with the values of another function, or that is left out of the run.

    Of two functions that call their values the same, such as two `TimedArray`s of one name, a C++
    program of Brian2 keeps the values of one for both, and Cython compiles no code with both. Code
    that Cython does not compile is not run.

    Parameters
    ----------
    network : Network
        Prepared for a run.
    """
    kept = {}
    for code in generated_code(network):
        known = kept if is_standalone() else {}
        for function, name, values in arrays_of_functions(code):
            other, there, of_other = known.setdefault(name, (function, code, values))
            if function is other or (is_standalone() and np.array_equal(values, of_other, True)):
                continue
            both = " and ".join(f"that in the code '{each.name}'" for each in (there, code))
            raise UnreadableNetworkError(
                f"two {type(function).__name__}s call their values '{name}', {both}, of which "
                "compiled code knows one only: give each a name of its own, TimedArray(..., "
                "name=...)"
            )
        if not_compiled(code):
            raise UnreadableNetworkError(
                f"Cython does not compile the code '{code.name}', without which Brian2 would run "
                "on: its message is above; correct the code, or the implementations of the "
                "functions that it calls"
            )


def check_parameters(reading, action):
    """What plain synapses do, or sum up, must not depend on a trained parameter.

    One of the source counts as given at order 1; above, credit comes back to it with that of the
    spikes, but to sums that depend on nothing else of the source no path leads.
    """
    followed = action.name in reading.projections or action.name in reading.learner.engine.summed
    if action.kind not in ("synapses", "summed") or followed:
        return
    ends = {"_post": action.target}
    if action.kind == "summed" and reading.learner.rule.order > 1:
        ends["_pre"] = action.source
    for suffix, group in ends.items():
        population = reading.learner.populations.get(group)
        names = get_identifiers(action.code)
        of_end = {n.removesuffix(suffix) for n in names if n.endswith(suffix)}
        of_end |= {n for n in names if suffix == "_post" and not n.endswith("_pre")}
        read = variables_read(group, " ".join(of_end)) if population is not None else ()
        for parameter in getattr(population, "parameters", ()):
            if group.variables[parameter] in read:
                raise UnreadableNetworkError(
                    f"the parameter '{parameter}' of group '{group.name}' is trained, and {action} "
                    "acts by an amount that depends on it; make it TrainableSynapses(..., "
                    "fixed=True)"
                )
