"""A group that learns by traces: what its synapses share, and whether its step is theirs."""

from ..brian import schedule
from ..brian.code import declare, internal, run_code
from ..brian.internals import Subexpression, get_identifiers, parent_group
from ..calculus.arrivals import common_effects
from ..calculus.linearize import linearize_neuron
from ..calculus.one_step import STANDARD, symbol
from ..calculus.printing import printed
from ..calculus.statements import Phase
from .feedback_sums import FeedbackSums

#: Where in a step the code of each slot runs.
_MOMENTS = {
    "before_start": schedule.ARRIVAL_EFFECT,
    "before_update": schedule.BEFORE_UPDATE,
    "before_thresholds": schedule.AT_THRESHOLD,
    "before_resets": schedule.BEFORE_RESET,
    "end": schedule.COEFFICIENTS,
}


class TracePopulation:
    """A group of neurons whose incoming synapses learn.

    Holds ψ, the coefficients A, D and c and the learning signal L as variables of the
    group, each computed once per neuron and step.

    Parameters
    ----------
    group : NeuronGroup
        The whole group, not a sub-group of it.
    rule : EProp
    errors : mapping
        Of the losses on the group: see `Linearization`.
    """

    def __init__(self, group, rule, errors):
        self.group = group
        self.rule = rule
        self.errors = errors
        self.driven = set()
        self.phases = {}
        self.effects = {}
        self.runners = {}
        self.step, self.watched, self.multiplied = None, (), set()
        #: Sums over synapses that are states, and what the synapses do that were created so far
        self.sums, self.projections = {}, []
        self.feedback = FeedbackSums(group)

    def linearize(self, on_pre, namespace):
        """Linearize the group for synapses with this ``on_pre``; add what they need.

        Returns
        -------
        linearization : Linearization
        effects : dict of str to sympy.Expr
            Its b as numbers and variables of the group, where all synapses have the same.
        """
        surrogate, paths = self.rule.surrogate_of(self.group), self.rule.paths_of(self.group)
        pieces = [total.piece for total in self.sums.values()]
        order = (*(piece.name for piece in pieces), *STANDARD)
        neuron = linearize_neuron(
            self.group,
            surrogate,
            paths,
            namespace,
            pieces,
            order,
            errors=self.errors,
            rule=self.rule,
        )
        linearization = neuron.driven_by(on_pre)
        self.driven.update(linearization.states)
        self.step = linearization.step
        self.watched = tuple(dict.fromkeys((*self.watched, *linearization.states)))
        self.projections.append(on_pre.text)
        if not self.sums:
            values = (linearization.integrator_jacobian, *linearization.definitions.values())
            self.multiplied.update(s.name for value in values for s in value.free_symbols)
            self.multiplied |= get_identifiers(self.step.next_not_refractory)
        coefficients = linearization.coefficients
        common = common_effects(linearization.arrivals, linearization.synaptic)
        for slot, phase in coefficients.phases.items():
            if slot != "before_start":
                self._merge(slot, phase)
        effects = {name: self._effect(name, common[name]) for name in coefficients.b}
        return linearization, effects

    def take_sum(self, total):
        """Take a variable for a state that is set in each step to a sum over synapses."""
        if total.sloped and self.projections:
            raise ValueError(
                f"'{total.text}' depends on the state of group '{self.group.name}' itself, and so "
                f"do the traces of '{self.projections[0]}', which was created before: create the "
                "synapses with the sum first, or choose EProp(engine='credit')"
            )
        for k in total.sloped:
            declare(self.group, total.holder(k))
        self.sums[total.variable] = total

    def follow(self, stages, position, reader):
        """Raise an error unless the step of the network that runs is that of the traces.

        Parameters
        ----------
        stages : Stages
        position : dict of str to int
            Of the objects of the network, as they run.
        reader : NetworkReader

        Raises
        ------
        ValueError
            Naming what else changes the state, or a parameter between two steps.
        """
        group, actions = self.group, stages.actions
        credit = "EProp(engine='credit') differentiates it"

        def refuse(problem):
            raise ValueError(
                f"{problem}: eligibility traces are those of Brian2's default schedule; {credit}"
            )

        sums = {piece.name: piece for piece in stages.pieces if piece.sets}
        for piece in (p for p in stages.pieces if p.name not in sums):
            raise ValueError(
                f"{actions[piece.name]} changes the state of group '{group.name}' besides its "
                f"update, threshold and reset, which eligibility traces do not follow; {credit}"
            )
        self._check_sums(stages, position, reader.reading)
        order = tuple(name for name in stages.places(position) if name not in sums)
        if order != STANDARD:
            refuse(
                f"the step of group '{group.name}' is {', '.join(order)} in this network, not "
                f"{', '.join(STANDARD)}"
            )
        seen, threshold = self.runners.get("before_thresholds"), actions.get("threshold")
        if seen is not None and threshold is not None:
            place = position[seen.name]
            if not position[actions["update"].name] < place < position[threshold.name]:
                refuse(
                    f"{threshold} of group '{group.name}' does not run in the slot 'thresholds', "
                    "after the state update"
                )
        reset = actions.get("reset")
        for name, synapses in reader.reading.projections.items():
            arrives = synapses.active and parent_group(synapses.target) is group
            if reset is None or not arrives:
                continue
            if position[name] > position[reset.name] or reset.runner.when != "resets":
                refuse(
                    f"{reset} of group '{group.name}' does not run in the slot 'resets', after "
                    f"the spikes of '{synapses.name}' have arrived"
                )
        self._check_within_step(reader.reading, actions)
        self._check_between_steps(reader.reading, position)
        for effect in self.effects:
            for name in sorted(s.name for s in effect.free_symbols):
                action = reader.reading.written.get(group.variables.get(name))
                if action is not None:
                    raise ValueError(
                        f"{action} changes '{name}' of group '{group.name}', on which the effect "
                        "of spikes depends: let it be a variable of the synapses"
                    )

    def _check_sums(self, stages, position, reading):
        """Traces are moved on between the sums and the state updates."""
        late = self.runners.get("before_update")
        for piece in stages.pieces if late is not None else ():
            summed = stages.actions[piece.name]
            updated = min(
                position.get(getattr(end.state_updater, "name", ""), len(position))
                for end in (summed.source, self.group)
                if hasattr(end, "state_updater")
            )
            if not position[summed.name] < position[late.name] < updated:
                raise ValueError(
                    f"{summed} does not run just before the state updates of its two ends, where "
                    "eligibility traces look at it: leave orders of groups as they are, or choose "
                    "EProp(engine='credit')"
                )

    def _check_within_step(self, reading, actions):
        """What ψ and the reset are computed from must not change before they are used."""
        for slot, stage in (
            ("before_update", "update"),
            ("before_thresholds", "threshold"),
            ("before_resets", "reset"),
        ):
            if slot not in self.runners or stage not in actions:
                continue
            runner, used = self.runners[slot], actions[stage]
            changed = reading.changed_between(
                self.group, runner.abstract_code, runner.name, used.name
            )
            if changed is not None:
                raise ValueError(
                    f"{changed[0]} changes '{changed[1].name}' of group '{self.group.name}' "
                    f"between the slot '{slot}', in which eligibility traces read it, and the "
                    f"{stage}: choose an earlier slot, or EProp(engine='credit')"
                )

    def _check_between_steps(self, reading, position):
        """What the update multiplies must not change after traces have been moved on with it."""
        of_group = self.group.variables
        variables = {of_group[name]: name for name in self.between_steps}
        # Variables that stand for expressions of other groups are multiplied likewise
        for name in sorted(self.multiplied & of_group.keys()):
            if not isinstance(of_group[name], Subexpression):
                continue
            behind = reading.read_by(self.group, name)
            variables |= dict.fromkeys(behind, name)
            by_python = bool(reading.python) and not all(v.constant for v in behind)
            if by_python or reading.changes_with_time(self.group, name):
                raise ValueError(
                    f"'{name}', on which the next step of group '{self.group.name}' depends, is "
                    "linked to an expression of another group that may change between two steps, "
                    "and eligibility traces are moved on with its old value: use "
                    f"EProp(engine='credit'), or write '{name}' as a subexpression of the equations"
                )
        update = position[self.group.state_updater.name]
        moved_on = position[self.runners["end"].name] if "end" in self.runners else update
        for action in reading.actions:
            place = position[action.name]
            within = place < update or place > moved_on
            of_step = action.owner is self.group and action.kind in ("state update", "reset")
            if not within or of_step or action.kind in ("learning", "Python"):
                continue
            for effect in action.effects:
                if effect.variable in variables:
                    name = variables[effect.variable]
                    # Where a sum is known, traces are moved on after it
                    other = f"write '{name}' as a subexpression of the equations"
                    if name in self.sums:
                        other = "create the synapses with the sum before the others that learn"
                    raise ValueError(
                        f"{action} changes '{name}', on which the next step of group "
                        f"'{self.group.name}' depends, after its eligibility traces have been "
                        f"moved on with the old value: use EProp(engine='credit'), or {other}"
                    )

    @property
    def between_steps(self):
        """Variables of the group that the next update multiplies the traces by."""
        variables = self.group.variables
        return sorted(n for n in self.multiplied & variables.keys() if not variables[n].read_only)

    def _effect(self, state, effect):
        """b of a state: a number, or the symbol of a variable; each on_pre has its own."""
        if effect.is_number:
            return effect
        if effect not in self.effects:
            name = internal("b", state, str(len(self.effects)))
            declare(self.group, name, shared=True)
            self.effects[effect] = symbol(name)
            code = "\n".join(f"{held} = {printed(value)}" for value, held in self.effects.items())
            self._run("before_start", code)
        return self.effects[effect]

    def _merge(self, slot, phase):
        known = set().union(*(p.variables for p in self.phases.values()))
        for name in sorted(phase.variables - known):
            declare(self.group, name, shared=name in phase.uniform)
        self.phases[slot] = self.phases.get(slot, Phase()).merge(phase)
        self._run(slot, self.phases[slot].code)

    def _run(self, slot, code):
        if slot not in self.runners:
            name = f"{self.group.name}_coefficients_{slot}"
            self.runners[slot] = run_code(self.group, "", _MOMENTS[slot], name)
        self.runners[slot].abstract_code = code

    def weigh_errors(self, variable, needed):
        """Put the errors that feedback brings into a variable of the group, and not into L."""
        self.feedback.weigh(variable, needed)

    @property
    def learns(self):
        """Whether trained synapses end on the group."""
        return bool(self.runners)
