"""The engine ``traces``: every synapse carries its eligibility trace, advanced every step.

What all synapses onto a group have in common is in ``trace_population``, the synapses' half in
``eligibility``.
"""

from attrs import define

from ..brian import schedule
from ..brian.code import see_new_variables, sum_over_synapses
from ..brian.internals import parent_group
from ..calculus.derivatives import NoDerivativeError
from ..calculus.one_step import one_step, symbol
from ..calculus.sums import Sum, sum_of
from .delay_traces import restart_first_arrivals
from .eligibility import Eligibility, of_neurons, of_readout
from .modulation import Modulation
from .trace_population import TracePopulation


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
        return TracePopulation(group, self.learner.rule, self.learner.errors_of(group))

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
            delays=None if timing.longest is None else (on_pre, timing),
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

    def delays_changed(self, synapses):
        """Let first arrivals of spikes be those of the delays that synapses now have."""
        restart_first_arrivals(synapses)

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
