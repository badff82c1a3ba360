"""The computation graph of a network: which objects change which variables, and in what order."""

from __future__ import annotations

from collections import Counter

from brian2 import NeuronGroup, Synapses

from ..brian.internals import ArrayVariable, fires_by, is_standalone, parent_group
from ..brian.schedule import Moment
from ..calculus.arrivals import remedy
from ..calculus.one_step import state_names, stored_names
from ..engines.trials import Timing
from .actions import action_of, of_learning, reads_time, running_objects, variables_read
from .paths import as_text, paths_to, spikes_of
from .refusals import (
    check_arrivals,
    check_membership,
    check_order,
    check_parameters,
    check_readout,
    check_refractoriness,
    check_sum,
    check_weight,
)
from .stages import Stages, UnreadableNetworkError, stages_of


class NetworkReading:
    """The computation graph of a network, and the part of it that a learner differentiates.

    ``print`` shows it; `brian_eprop.plotting.plot_network` draws it.

    Parameters
    ----------
    network : Network
    learner : Learner
    namespace : dict
        External names.

    Attributes
    ----------
    actions : list of Action
        Everything that computes, in the order in which it runs.
    stages : dict of NeuronGroup to Stages
        The step of each learning group.
    paths : list of Path
        Ways from learning groups back to learning groups, or to the readout, which are not
        followed.

    Raises
    ------
    UnreadableNetworkError
        Naming the object, the variable, what happens to it and the remedy.
    """

    def __init__(self, network, learner, namespace):
        self.learner = learner
        self.objects, self.slots = running_objects(network), network.schedule
        self.actions = [a for a in map(action_of, self.objects) if a is not None]
        self.position = {obj.name: place for place, obj in enumerate(self.objects)}
        self.projections = {s.acts.name: s for s in learner.projections}
        self.namespace = namespace
        self.user_actions = [action for action in self.actions if action.kind != "learning"]
        self.written = {e.variable: action for action in self.user_actions for e in action.effects}
        self.python = [action for action in self.user_actions if action.kind == "Python"]
        check_membership(self)
        check_readout(self)
        self.read_paths()

    def read_paths(self):
        """Read the step of each learning group, and the paths between them."""
        learner, namespace = self.learner, self.namespace
        learning = [group for group, p in learner.populations.items() if p.learns]
        self.stages: dict[object, Stages] = {
            group: stages_of(
                group,
                self.actions,
                learner.rule,
                self.projections,
                namespace,
                {name for errors in learner.errors_of(group).values() for name in errors}
                | learner.engine.heard(group),
                self.thresholds,
                learner.engine.summed,
            )
            for group in learning
            if group.active
        }
        for group in self.stages:
            check_order(self, group)
            check_refractoriness(self, group)
        for synapses in learner.projections:
            if synapses.active:
                if synapses.acts.name not in learner.engine.summed:
                    check_arrivals(self, synapses)
                check_weight(self, synapses)
        for name, total in learner.engine.summed.items():
            if name in self.position:
                check_sum(self, name, total)
        self.paths = self._paths()

    @property
    def end(self):
        """The position of the slot ``end``, in which the learner computes errors."""
        names = [obj.name for obj in self.objects if obj.when == "end"]
        return min((self.position[n] for n in names), default=len(self.objects))

    @property
    def thresholds(self):
        """Where thresholds are: between what runs before the slot of this name and the rest."""
        slots = self.slots
        later = {when for s in slots[slots.index("thresholds") :] for when in (s, f"after_{s}")}
        later |= {f"before_{s}" for s in slots[slots.index("thresholds") + 1 :]}
        return sum(obj.when not in later for obj in self.objects) - 0.5

    def just_before(self, runner, part=0.5):
        """A moment between an object and what runs before it in its slot.

        Parameters
        ----------
        runner : BrianObject
        part : float
            Of the way back.
        """
        earlier = [order for order in self._orders(runner.when) if order < runner.order]
        way = runner.order - max(earlier, default=runner.order - 1)
        return Moment(runner.when, runner.order - part * way)

    def just_after(self, runner):
        """The moment between an object and what runs after it in its slot."""
        later = [order for order in self._orders(runner.when) if order > runner.order]
        return Moment(runner.when, (runner.order + min(later, default=runner.order + 1)) / 2)

    def _orders(self, slot):
        """Orders of the objects of the user in a slot."""
        return [obj.order for obj in self.objects if obj.when == slot and not of_learning(obj)]

    def shared_moments(self):
        """Moments of several objects whose names decide which state a stage, or Python, sees.

        Returns
        -------
        set of Moment
        """
        user = self.user_actions
        moment = {id(a): Moment(a.runner.when, a.runner.order) for a in user}
        times = Counter(moment.values())
        shared = {moment[id(a)] for a in self.python if times[moment[id(a)]] > 1}
        for group, stages in self.stages.items():
            # Linked variables are those of another group
            seen = {*group.variables.values(), *variables_read(group, " ".join(group.variables))}
            ours = stages.actions.values()
            for action in user:
                at_once = any(moment[id(o)] == moment[id(action)] for o in ours if o is not action)
                if at_once and action.effects_on(seen):
                    shared.add(moment[id(action)])
        return shared

    def changed_between(self, group, code, first, last):
        """The action that changes a variable between a recorder's reading of it and its use.

        Parameters
        ----------
        group : NeuronGroup
        code : str
            In names of the group.
        first, last : str
            Names of the objects that read it and use it.

        Returns
        -------
        (Action, Effect) or None
        """
        seen, place = variables_read(group, code), self.position
        for action in self.user_actions:
            if place[first] < place[action.name] < place[last]:
                for effect in action.effects_on(seen):
                    return action, effect
        return None

    def timing_of(self, synapses, learner):
        """When the spikes of plain synapses act, in this network."""
        place = self.position[synapses.pre.name]
        source, target = parent_group(synapses.source), parent_group(synapses.target)
        thresholder = fires_by(source)
        lag = int(place < self.position[thresholder.name])
        early = target is not learner.readout and place < self._threshold_of(target)
        delay = synapses.pre.variables["delay"]
        # A program knows the delays that were stated only when it runs
        known = bool(delay.scalar) and not is_standalone()
        without_delay = known and float(delay.get_value()[0]) == 0
        return Timing(early, lag, without_delay, False)

    def _threshold_of(self, group):
        if "spike" not in group.events:
            return self.thresholds
        return self.position[group.thresholder["spike"].name]

    def changing(self, group):
        """Names of a group's variables that something in the network may change in a run."""
        return frozenset(
            name
            for name, variable in group.variables.items()
            if variable in self.written or (self.python and isinstance(variable, ArrayVariable))
        )

    def read_by(self, group, name):
        """The variables behind one of a group: itself, or those of the expression it stands for."""
        return variables_read(group, name)

    def changes_with_time(self, group, name):
        """Whether a variable of a group stands for an expression in t."""
        return reads_time(group, name)

    def check_constant(self, synapses, name):
        """Raise an error if what a spike does depends on a variable that is changed elsewhere.

        Parameters
        ----------
        synapses : Synapses
        name : str
            Of the variable, in names of the synapses.
        """
        action = self.written.get(synapses.variables[name])
        if action is not None:
            raise UnreadableNetworkError(
                f"{action} changes '{name}', on which the effect of the spikes of "
                f"'{synapses.name}' depends: the learner reads it at another moment; "
                f"{remedy(self.learner, synapses)}"
            )

    def states(self, group):
        """The variables of a learning group's state, and their names."""
        stages, known = self.stages[group], self.learner.populations[group].step.states
        # What the other stages of this network make depend on it, too
        names = dict.fromkeys((*known, *state_names(group, stages.pieces)))
        names |= dict.fromkeys(stored_names(group, names))
        return {group.variables[n]: n for n in names if n in group.variables}

    def _paths(self):
        """Ways out of the learning groups and back that the learner does not follow."""
        learner, readout = self.learner, self.learner.readout
        states = {group: self.states(group).keys() for group in self.stages}
        starts = ends = {readout.variables["y"]: readout}
        for group in states:
            ends = ends | dict.fromkeys(states[group], group)
            starts = starts | dict.fromkeys(states[group], group) | {spikes_of(group): group}
            for event, condition in group.events.items():
                # As for code at such an event, see stages.py
                given = learner.rule.reset_path.get(event) == "detached"
                if variables_read(group, condition) & states[group] and not given:
                    starts[id(group), event] = group
        spikes = {spikes_of(group) for group in states}
        along = {*learner.projections, *learner.engine.followed_synapses}
        summed = learner.engine.summed

        def followed(action, effect, start):
            if action.kind == "learning":
                return True
            for group, stages in self.stages.items():
                # Synapses that scale a state
                if action in stages.actions.values() and start in states[group]:
                    return effect is None or effect.variable in states[group]
            if action.name in summed:
                total = summed[action.name]
                return start in {*total.source.variables.values(), *total.target.variables.values()}
            if action.owner in states:
                # Within a learning group: a stage of its step, or its own event
                inside = start in states[action.owner] or isinstance(start, tuple)
                return inside and (effect is None or effect.variable in states[action.owner])
            if action.kind == "synapses" and action.owner in along:
                known = start in spikes or start in learner.engine.hears(action.owner)
                return known and effect is not None and effect.variable in ends
            return action.runner is readout.state_updater

        learns = learner.projections or self.stages
        return paths_to(ends, starts, self.actions, followed) if learns else []

    def check_paths(self, *, crosses):
        """Raise an error for paths that belong to the gradient and are not followed.

        Parameters
        ----------
        crosses : bool
            Credit crosses synapses: the order is above 1. Of order 1 are paths within a neuron,
            and the synapses onto the readout along which the error comes back.

        Raises
        ------
        UnreadableNetworkError
        """
        learner, readout = self.learner, self.learner.readout
        rule = f"EProp(order={learner.rule.order})"
        for path in self.paths:
            first = path.actions[0]
            names = ", ".join(f"'{action.name}'" for action in path.actions)
            if path.start is readout:
                raise UnreadableNetworkError(
                    f"{first} brings the output of readout '{readout.name}' back into the network, "
                    f"along {path} ({names}), past the learner. If what comes back is to count as "
                    "given, let a network operation carry it: Learner(given=[operation])"
                )
            if path.end is readout and not learner.feedback_is("symmetric") and path.crosses_spikes:
                continue
            at_spikes = first.trigger is not None and first.trigger[1] == "spike"
            alone = path.end is readout and len(path.actions) == 1 and path.crosses_spikes
            if alone and at_spikes:
                raise UnreadableNetworkError(
                    f"{first} brings spikes of group '{path.start.name}' to readout "
                    f"'{readout.name}', past the learner: make it TrainableSynapses(..., "
                    "fixed=True), whose weights stay as they are"
                )
            elif not path.crosses_spikes:
                raise UnreadableNetworkError(
                    f"{first} lets the state of group '{path.start.name}' act on that of "
                    f"'{path.end.name}' past its spikes, along {path} ({names}), which the learner "
                    "does not follow: let spikes change a variable of the target, as in "
                    "on_pre='s_post += w', or write the term into the equations of one group"
                )
            elif crosses or alone or all(a.owner is path.start for a in path.actions):
                raise UnreadableNetworkError(
                    f"{rule}: credit flows backwards along {path}, through {names}, which the "
                    f"learner does not know: {_instead_of(path)}; or choose order=1"
                )
        for action in self.actions:
            check_parameters(self, action)

    def role(self, action):
        """The role of an action in the gradient.

        Returns
        -------
        {"differentiated", "factor", "trained", "fixed", "followed", "given", "learning"}
            A threshold of a learning group is differentiated with ψ; a factor is recorded per
            neuron and step; what is given happens, as if it were an input.
        """
        synapses = self.projections.get(action.name)
        if synapses is not None:
            return "fixed" if synapses.fixed else "trained"
        if action.kind == "learning":
            return "learning"
        if any(action is scaling for s in self.stages.values() for scaling, *_ in s.scaled):
            return "factor"
        along_synapses = action.kind == "synapses" or action.name in self.learner.engine.summed
        if along_synapses and action.owner in self.learner.engine.followed_synapses:
            return "followed"
        differentiated = [a for s in self.stages.values() for a in s.actions.values()]
        leak = action.runner is self.learner.readout.state_updater
        return "differentiated" if leak or action in differentiated else "given"

    def step_of(self, group):
        """The actions that change the state of a learning group, in the order of a step.

        Parameters
        ----------
        group : NeuronGroup

        Returns
        -------
        list of Action
            Synapses included: trained, followed and given.
        """
        stages, states = self.stages[group], self.states(group)
        arriving = [a for a in self.actions if a.kind == "synapses" and a.effects_on(states)]
        actions = {a.name: a for a in (*stages.actions.values(), *stages.given, *arriving)}
        return sorted(actions.values(), key=lambda action: self.position[action.name])

    def __str__(self):
        return as_text(self)


def _instead_of(path):
    """The remedy for a path along which credit cannot flow, for a message."""
    events = {action.trigger[1] for action in path.actions if action.trigger is not None}
    if events - {"spike"}:
        event = min(events - {"spike"})
        return (
            f"the event '{event}' has no ψ: let spikes do what it does, or say "
            f"EProp(reset_path={{'{event}': 'detached'}}) if its times are to count as given"
        )
    owners = [action.owner for action in path.actions]
    for action in path.actions:
        if isinstance(action.owner, Synapses) and owners.count(action.owner) > 1:
            return (
                f"what a spike does through '{action.owner.name}' depends on what earlier spikes "
                "have left there: keep it constant"
            )
        if action.kind == "synapses" and action.runner.prepost == "post":
            return (
                f"'{action.name}' acts at the spikes of its target: write what a spike does to its "
                "own neuron into the reset, and what it does to others into the on_pre of synapses "
                "in the other direction"
            )
        if action.kind == "synapses" and action.runner.objname != "pre":
            return (
                f"'{action.owner.name}' has several pathways: make one Synapses object of each, "
                "with one on_pre"
            )
        target = action.target
        if isinstance(target, NeuronGroup) and "spike" not in target.events:
            return (
                f"group '{target.name}' has no threshold, and passes on what spikes do by other "
                f"ways than spikes: write its equations into those of '{path.end.name}'"
            )
    return (
        f"let the spikes of '{path.start.name}' act on a state of '{path.end.name}' directly, by "
        "TrainableSynapses(..., fixed=True), whose weights stay as they are"
    )
