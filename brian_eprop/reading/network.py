"""The network that runs, as a learner sees it: who changes what, and what is differentiated."""

from __future__ import annotations

from collections.abc import Mapping

from brian2 import NeuronGroup, Synapses
from brian2.core.variables import ArrayVariable
from brian2.utils.stringtools import get_identifiers

from ..calculus.one_step import parent_group, state_names, stored_names
from ..engines.credit.effects import remedy
from ..engines.trials import Timing
from ..schedule import Moment
from .actions import action_of, of_learning, reads_time, running_objects, variables_read
from .paths import paths_to, spikes_of
from .stages import (
    OF_ONES_OWN,
    OF_REFRACTORINESS,
    Stages,
    UnreadableNetworkError,
    stages_of,
)
from .table import as_text

__all__ = ["NetworkReading", "UnreadableNetworkError"]


class NetworkReading:
    """What computes in a network, and what of it a learner differentiates.

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
        self.objects = running_objects(network)
        self.actions = [a for a in map(action_of, self.objects) if a is not None]
        self.position = {obj.name: place for place, obj in enumerate(self.objects)}
        self.projections = {s.pre.name: s for s in learner.projections}
        self.namespace = namespace
        user = [action for action in self.actions if action.kind != "learning"]
        self.written = {effect.variable: action for action in user for effect in action.effects}
        self.python = [action for action in user if action.kind == "Python"]
        self._check_membership()
        self._check_readout()
        self.read_paths()

    def read_paths(self):
        """Read the step of each learning group, and the paths between them."""
        learner, namespace = self.learner, self.namespace
        learning = [group for group, p in learner.populations.items() if p.learns]
        self.stages: dict[object, Stages] = {
            group: stages_of(group, self.actions, learner.rule, self.projections, namespace)
            for group in learning
            if group.active
        }
        for group in self.stages:
            self._check_order(group)
            self._check_refractoriness(group)
        for synapses in learner.projections:
            if synapses.active:
                self._check_arrivals(synapses)
                self._check_weight(synapses)
        self.paths = self._paths()

    def _check_membership(self):
        """Everything that the learner knows must run, or be switched off as a whole."""
        learner, running = self.learner, {id(obj) for obj in self.objects}
        for synapses in learner.projections:
            if not synapses.active:
                continue
            if id(synapses) not in running:
                raise UnreadableNetworkError(
                    f"'{synapses.name}' belongs to the learner of '{learner.readout.name}', but is "
                    "not in the Network that runs: add it to the Network, or switch it off with "
                    f"{synapses.name}.active = False"
                )
            if id(synapses.pre) not in running:
                raise UnreadableNetworkError(
                    f"'{synapses.name}'.pre is not active, so that no spike arrives, but the "
                    f"synapses themselves are: set '{synapses.name}'.active = False"
                )
        for group, population in learner.populations.items():
            if population.learns and group.active and id(group) not in running:
                raise UnreadableNetworkError(
                    f"group '{group.name}' learns, but is not in the Network that runs: add it"
                )

    def _check_readout(self):
        """Nothing but spikes may act on the readout, between its leak and its error."""
        readout = self.learner.readout
        own = {readout.variables[n]: n for n in ("y", "error", "loss") if n in readout.variables}
        leak = self.position[readout.state_updater.name]
        for action in self.actions:
            written = [own[e.variable] for e in action.effects if e.variable in own]
            if not written or action.runner is readout.state_updater:
                continue
            if action.kind != "synapses" or "y" not in written:
                raise UnreadableNetworkError(
                    f"{action} changes '{written[0]}' of readout '{readout.name}', whose error "
                    "would be another than the one that is differentiated: only spikes act on a "
                    "readout"
                )
            for effect in action.effects:
                adds = effect.operation in ("+=", "-=") and effect.variable not in effect.reads
                trained = action.name in self.projections
                if effect.variable in own and not (adds or trained):
                    raise UnreadableNetworkError(
                        f"{action} does not merely add to 'y' of readout '{readout.name}', which "
                        "changes what earlier spikes have left there: write y_post += …"
                    )
            if not leak < self.position[action.name] < self._end:
                raise UnreadableNetworkError(
                    f"{action} acts on readout '{readout.name}' before its leak, or after its "
                    "error of the step: let its spikes arrive between the two, in the slot "
                    "'synapses' of Brian2's default schedule"
                )

    @property
    def _end(self):
        """The place at which the learner looks at a step."""
        names = [obj.name for obj in self.objects if obj.when == "end"]
        return min((self.position[n] for n in names), default=len(self.objects))

    def _check_order(self, group):
        """The stages of a group must be where their coefficients are recorded."""
        stages = self.stages[group]
        place = {name: self.position[a.name] for name, a in stages.actions.items()}
        if place.get("reset", place["threshold"]) < place["threshold"]:
            raise UnreadableNetworkError(
                f"{stages.actions['reset']} of group '{group.name}' runs before its threshold: the "
                "spikes of a step would act in the next; move it behind the threshold"
            )
        self._check_stored(group, stages)
        for name, action in stages.actions.items():
            if place[name] > self._end:
                raise UnreadableNetworkError(
                    f"{action} of group '{group.name}' changes its state at the end of a step, "
                    "when the learner has looked at it already: choose an earlier slot, such as "
                    "when='resets'"
                )

    def _check_refractoriness(self, group):
        """Nothing but Brian2 may set what tells whether a neuron is refractory."""
        flags = {group.variables[n]: n for n in OF_REFRACTORINESS if n in group.variables}
        for action in self.actions:
            for effect in action.effects:
                if effect.variable in flags:
                    raise UnreadableNetworkError(
                        f"{action} changes '{flags[effect.variable]}' of group '{group.name}', "
                        "which Brian2 sets at each spike and in each step, and which tells when "
                        f"its neurons are refractory: {OF_ONES_OWN}"
                    )

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
        """Of all that runs in a slot, but for what is of learning."""
        return [obj.order for obj in self.objects if obj.when == slot and not of_learning(obj)]

    def shared_moments(self):
        """Moments at which the names of objects say what a stage, or Python, finds there.

        Returns
        -------
        set of Moment
        """
        user = [action for action in self.actions if action.kind != "learning"]
        moments = [Moment(action.runner.when, action.runner.order) for action in user]
        place = dict(zip(map(id, user), moments, strict=True))
        of_python = {place[id(action)] for action in self.python}
        found = {moment for moment in of_python if moments.count(moment) > 1}
        for group, stages in self.stages.items():
            # Linked variables are those of another group
            seen = {*group.variables.values(), *variables_read(group, " ".join(group.variables))}
            ours = stages.actions.values()
            for action in user:
                at_once = any(place[id(o)] == place[id(action)] for o in ours if o is not action)
                if at_once and any(effect.variable in seen for effect in action.effects):
                    found.add(place[id(action)])
        return found

    def changed_between(self, group, code, first, last):
        """What changes a variable after code of learning has read it, and before it is used.

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
        for action in self.actions:
            if action.kind != "learning" and place[first] < place[action.name] < place[last]:
                for effect in action.effects:
                    if effect.variable in seen:
                        return action, effect
        return None

    def _check_stored(self, group, stages):
        """A '(constant over dt)' expression must see the state that the update sees."""
        stored = self.position.get(getattr(group.subexpression_updater, "name", None))
        if stored is None:
            return
        states = self._states(group).keys()
        for action in self.actions:
            between = stored < self.position[action.name] < self.position[group.state_updater.name]
            if between and action.kind != "learning":
                if any(effect.variable in states for effect in action.effects):
                    raise UnreadableNetworkError(
                        f"{action} changes the state of group '{group.name}' after its "
                        "'(constant over dt)' expressions of the step have been stored: remove "
                        "the flag, or choose another slot"
                    )

    def timing_of(self, synapses, learner):
        """When the spikes of plain synapses act, in this network."""
        place = self.position[synapses.pre.name]
        source, target = parent_group(synapses.source), parent_group(synapses.target)
        thresholder = getattr(source, "thresholder", {}).get("spike", source)
        lag = int(place < self.position[thresholder.name])
        early = (
            target is not learner.readout
            and place < self.position[target.thresholder["spike"].name]
        )
        delay = synapses.pre.variables["delay"]
        without_delay = bool(delay.scalar) and float(delay.get_value()[0]) == 0
        return Timing(early, lag, without_delay, False)

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

    def _check_weight(self, synapses):
        """A weight is one number for the whole trial: only the optimizer changes it."""
        action = self.written.get(synapses.variables[synapses.weight])
        if action is not None:
            raise UnreadableNetworkError(
                f"{action} changes the weight '{synapses.weight}' of '{synapses.name}', besides "
                "the optimizer: the gradient is that of a weight that stays as it is for a trial. "
                "Change it between two runs, or in a network operation in the slot 'start' of the "
                "first step of a trial"
            )

    def _check_arrivals(self, synapses):
        """Spikes must arrive at the moment for which their credit was derived."""
        target, source = parent_group(synapses.target), parent_group(synapses.source)
        place, timing = self.position[synapses.pre.name], synapses.timing
        thresholder = getattr(source, "thresholder", {}).get("spike", source)
        if thresholder.name not in self.position:
            return
        fired = self.position[thresholder.name] < place
        if timing.lag != int(not fired):
            raise UnreadableNetworkError(
                f"the spikes of '{source.name}' reach '{synapses.name}' in the "
                f"{'same' if fired else 'next'} step, by the order in which this network runs its "
                f"objects, but its traces are made for the {'same' if timing.lag == 0 else 'next'} "
                "one: use Brian2's default schedule, or set the slots before creating the synapses"
            )
        if target in self.stages:
            before = place < self.position[self.stages[target].actions["threshold"].name]
            if before != timing.early:
                raise UnreadableNetworkError(
                    f"the spikes of '{synapses.name}' arrive "
                    f"{'before' if before else 'after'} the threshold of '{target.name}' in this "
                    f"network, but its traces are made for arrival='{synapses.arrival}': use "
                    "Brian2's default schedule, or another arrival"
                )

    def _states(self, group):
        """The variables of a learning group's state, and their names."""
        stages, known = self.stages[group], self.learner.populations[group].step.states
        # What the other stages of this network make depend on it, too
        names = dict.fromkeys((*known, *state_names(group, stages.pieces)))
        names |= dict.fromkeys(stored_names(group, names))
        return {group.variables[n]: n for n in names if n in group.variables}

    def _paths(self):
        """Ways out of the learning groups and back that the learner does not follow."""
        learner, readout = self.learner, self.learner.readout
        starts = ends = {readout.variables["y"]: readout}
        for group in self.stages:
            states = self._states(group)
            starts = starts | dict.fromkeys(states, group) | {spikes_of(group): group}
            for event, condition in group.events.items():
                # As for code at such an event, see stages.py
                given = learner.rule.reset_path.get(event) == "detached"
                if variables_read(group, condition) & states.keys() and not given:
                    starts[id(group), event] = group
            ends = ends | dict.fromkeys(states, group)
        known = {spikes_of(group) for group in self.stages}
        along = {*learner.projections, *learner.engine.followed_synapses}
        of_group = {group: self._states(group).keys() for group in self.stages}

        stages = {group: list(found.actions.values()) for group, found in self.stages.items()}

        def followed(action, effect, start):
            if action.kind == "learning":
                return True
            for group, known_actions in stages.items():
                # Synapses that scale a state
                if action in known_actions and start in of_group[group]:
                    return effect is None or effect.variable in of_group[group]
            if action.owner in of_group:
                # Within a learning group: a stage of its step, or its own event
                inside = start in of_group[action.owner] or isinstance(start, tuple)
                return inside and (effect is None or effect.variable in of_group[action.owner])
            if action.kind == "synapses" and action.owner in along:
                reached = effect is not None and effect.variable in ends
                return start in known and isinstance(start, tuple) and reached
            return action.runner is readout.state_updater

        return paths_to(ends, starts, self.actions, followed) if learner.projections else []

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
            self._check_parameters(action)

    def check_rule(self):
        """Raise an error for what the rule names and no group of the network has.

        Raises
        ------
        UnreadableNetworkError
        """
        rule, populations = self.learner.rule, self.learner.populations
        learning = [group for group, p in populations.items() if p.learns]
        for name in rule.reset_path:
            if not any(name in {*rule.paths_of(g), *g.events} - {"spike"} for g in learning):
                groups = ", ".join(f"'{group.name}'" for group in learning) or "none"
                raise UnreadableNetworkError(
                    f"EProp.reset_path names '{name}', which the reset of no group that learns "
                    f"({groups}) changes, and which is no event of theirs; remove or rename it"
                )
        trained = [obj for obj in self.objects if hasattr(obj, "user_on_pre")]
        known = {parent_group(end) for s in trained for end in (s.source, s.target)}
        for group in rule.surrogate if isinstance(rule.surrogate, Mapping) else ():
            if group not in {*known, *learning}:
                where = "" if group in self.objects else " and is not in the Network that runs"
                raise UnreadableNetworkError(
                    f"EProp.surrogate names group '{group.name}', which has no trained synapses"
                    f"{where}, so that its ψ would have no effect: leave it out, or name the group "
                    "that you mean"
                )

    def check_names(self, namespace):
        """Raise an error for a constant of the user with the name of a public variable of learning.

        Parameters
        ----------
        namespace : dict
            Of the run.
        """
        readout = self.learner.readout
        for action in self.actions:
            owner = action.owner
            if action.kind == "learning" or owner in (None, readout):
                continue
            own = getattr(owner, "model_names", None)
            if own is None:
                own = frozenset(getattr(owner, "equations", None) or ())
            known = {**namespace, **(getattr(owner, "namespace", None) or {})}
            trained = self.projections.get(action.name)
            code = trained.user_on_pre if trained is not None else action.code
            if action.kind == "state update":
                code = " ".join(owner.equations.identifiers)
                if isinstance(getattr(owner, "_refractory", None), str):
                    code += f" {owner._refractory}"
            for name in sorted(get_identifiers(code) & known.keys() - own):
                variable = owner.variables.get(name)
                of_readout = getattr(getattr(variable, "owner", None), "name", "") == readout.name
                if of_readout or getattr(variable, "of_learning", False):
                    raise UnreadableNetworkError(
                        f"{action} uses the constant '{name}', but '{owner.name}' has a variable "
                        "of this name, which learning has added, and which would be used instead: "
                        "rename the constant"
                    )

    def _check_parameters(self, action):
        """What spikes of plain synapses do must not depend on a trained parameter."""
        if action.kind != "synapses" or action.name in self.projections:
            return
        population = self.learner.populations.get(action.target)
        used = {name.removesuffix("_post") for name in get_identifiers(action.code)}
        for parameter in getattr(population, "parameters", ()) if population else ():
            if parameter in used:
                raise UnreadableNetworkError(
                    f"the parameter '{parameter}' is trained, and {action} acts by an amount that "
                    "depends on it; make it TrainableSynapses(..., fixed=True)"
                )

    def role(self, action):
        """What an action is for the gradient, in a few words.

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
        if action.kind == "synapses" and action.owner in self.learner.engine.followed_synapses:
            return "followed"
        differentiated = [a for s in self.stages.values() for a in s.actions.values()]
        own = action.runner is self.learner.readout.state_updater
        return "differentiated" if own or action in differentiated else "given"

    def step_of(self, group):
        """What changes the state of a learning group, as it runs in a step.

        Parameters
        ----------
        group : NeuronGroup

        Returns
        -------
        list of Action
            Synapses included: trained, followed and given.
        """
        stages, states = self.stages[group], self._states(group)
        found = [*stages.actions.values(), *stages.given]
        for action in self.actions:
            if action.kind == "synapses" and any(e.variable in states for e in action.effects):
                found.append(action)
        return sorted(
            {a.name: a for a in found}.values(), key=lambda action: self.position[action.name]
        )

    def __str__(self):
        return as_text(self)


def _instead_of(path):
    """What to write in place of a path that credit cannot go."""
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
