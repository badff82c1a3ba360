"""The engine ``traces``: every synapse carries its eligibility trace, advanced every step.

Here are the engine and its populations: ψ, the coefficients A, D and c, and the learning signal,
which all synapses onto a group have in common. The synapses' half is ``eligibility``.
"""

from attrs import define

from ..brian import schedule
from ..brian.code import declare, internal, run_code, see_new_variables, sum_over_synapses
from ..brian.internals import Subexpression, parent_group
from ..calculus.arrivals import common_effects
from ..calculus.derivatives import NoDerivativeError
from ..calculus.linearize import linearize_neuron
from ..calculus.one_step import STANDARD, one_step, symbol
from ..calculus.statements import Phase, printed
from ..calculus.sums import Sum, sum_of
from .eligibility import Eligibility, of_neurons, of_readout
from .feedback_sums import FeedbackSums
from .modulation import Modulation


class Traces:
    """The engine that computes gradients by eligibility traces, advanced in every step.

    Parameters
    ----------
    learner : Learner
    """

    #: No past is kept, and errors flow back along no plain synapses.
    window, carries, followed_synapses = None, False, ()

    def __init__(self, learner):
        self.learner = learner
        #: Sums over synapses, by the names of what computes them: trained ones, and given ones
        self.summed: dict[str, Sum] = {}
        self.modulation = Modulation(learner) if learner.rule.hops else None

    def population(self, group):
        """The coefficients and the learning signal of a group."""
        if self.modulation is not None:
            self.modulation.begin(group)
        return Population(group, self.learner.rule, self.learner.errors_of(group))

    def learn_from_losses(self, population):
        """Nothing: what learns by traces are synapses onto the group."""

    def onto_neurons(self, on_pre, names, timing):
        """Plan synapses onto a population."""
        population = self.learner.population(parent_group(on_pre.target))
        linearization, effects = population.linearize(on_pre, names)
        eligibility = of_neurons(
            self.learner,
            linearization,
            effects,
            early=timing.early,
            uniform_delay=timing.unconditional,
            regularized="__rate_pressure" in population.group.variables,
        )
        if self.modulation is not None:
            eligibility.way = self.modulation.way(on_pre, linearization, effects, timing)
        see_new_variables(on_pre.target)
        return eligibility

    def onto_neurons_by_sums(self, total, names):
        """Plan synapses that neurons sum up in every step."""
        if self.modulation is not None:
            raise ValueError(
                f"MDGL: '{total.text}' is summed up in every step, while the hop of the rule is "
                "that of a spike; choose EProp(engine='traces')"
            )
        population = self.learner.population(total.target)
        population.take_sum(total)
        eligibility = of_neurons(
            self.learner,
            *population.linearize(total, names),
            early=True,
            uniform_delay=False,
            regularized="__rate_pressure" in population.group.variables,
        )
        return SummedEligibility(self, total, eligibility)

    def onto_readout(self, on_pre, names, timing):
        """Plan synapses onto the readout."""
        effect = on_pre.effects(one_step(on_pre.target, names))["y"]
        if symbol(on_pre.weight) in effect.free_symbols:
            raise NoDerivativeError(
                f"on_pre = '{on_pre.text}': the output must be proportional to the weight "
                f"'{on_pre.weight}'"
            )
        return of_readout(self.learner, effect, uniform_delay=timing.unconditional)

    def send_back(self, eligibility, population, weight):
        """Let the error flow backwards along synapses onto the readout."""
        population.feedback.along(eligibility.synapses, weight, eligibility.effect)

    def send_back_dense(self, synapses, population):
        """Let the error flow to a population along feedback weights of their own."""
        population.feedback.along_dense(synapses)

    def heard(self, group):
        """Names of variables of a group that its spikes count by when they arrive: none."""
        return frozenset()

    def hears(self, synapses):
        """The variables of the source that arrivals depend on, and that count as given."""
        onto_readout = parent_group(synapses.target) is self.learner.readout
        return set() if onto_readout else set(parent_group(synapses.source).variables.values())

    def used_later(self):
        """Variables of synapses that are read when a window has ended: none."""
        return ()

    def follow(self, reading, reader):
        """Raise an error unless traces follow all that happens in the network that runs.

        Parameters
        ----------
        reading : NetworkReading
        reader : NetworkReader
        """
        if self.modulation is not None:
            self.modulation.check_delays()
        if self._take_given_sums(reading):
            reading.read_paths()
        for group, stages in reading.stages.items():
            self.learner.populations[group].follow(stages, reading.position, reader)
        reading.check_paths(crosses=False)

    def _take_given_sums(self, reading):
        """Let what the sources of plain sums have count as given, as spikes do.

        Returns
        -------
        bool
            Whether there are any.
        """
        known = len(self.summed)
        for action in {a.name: a for path in reading.paths for a in path.actions}.values():
            population = self.learner.populations.get(action.target)
            given = action.kind == "summed" and action.source is not self.learner.readout
            if given and population is not None and population.learns:
                total = sum_of(action)
                if total.sloped:
                    raise NoDerivativeError(
                        f"{action}, '{total.text}', depends on the state of group "
                        f"'{action.target.name}' itself, which eligibility traces do not follow; "
                        "EProp(engine='credit') differentiates it"
                    )
                self.summed[action.name] = total
        return len(self.summed) > known

    def check_delay_onto_readout(self, name, reach):
        """Nothing is left to check: synapses of this engine onto the readout have no delay."""

    def reaches(self, population):
        """Whether errors of the readout, a loss of its own or a modulation act on a population."""
        known = self.learner.populations
        others = () if self.modulation is None else self.modulation.receivers(population.group)
        return any(
            p.feedback.reach or bool(p.errors) for p in (population, *map(known.get, others))
        )


@define(slots=False)
class SummedEligibility:
    """The plan of synapses that neurons sum up: their traces, and the slopes of the sum.

    Attributes
    ----------
    engine : Traces
    sum : Sum
    eligibility : Eligibility
    """

    engine: Traces
    sum: Sum
    eligibility: Eligibility
    on_pre = ()

    @property
    def variables(self):
        """Variables of the synapses, and the state whose unit they have."""
        return self.eligibility.variables

    def install(self, synapses):
        """Add the code to a Synapses object that has the variables."""
        self.engine.summed[f"{synapses.name}_summed_variable_{self.sum.variable}_post"] = self.sum
        for k in self.sum.sloped:
            summand, holder = self.sum.summand(k), self.sum.holder(k)
            sum_over_synapses(synapses, summand, holder, "post", schedule.SLOPES_OF_SUMS)
        self.eligibility.install(synapses)


_MOMENTS = {
    "before_start": schedule.ARRIVAL_EFFECT,
    "before_update": schedule.BEFORE_UPDATE,
    "before_thresholds": schedule.AT_THRESHOLD,
    "before_resets": schedule.BEFORE_RESET,
    "end": schedule.COEFFICIENTS,
}


class Population:
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
                    raise ValueError(
                        f"{action} changes '{variables[effect.variable]}', on which the next step "
                        f"of group '{self.group.name}' depends, after its eligibility traces have "
                        "been moved on with the old value: use EProp(engine='credit'), or write "
                        f"'{variables[effect.variable]}' as a subexpression of the equations"
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
