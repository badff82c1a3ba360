"""The engine ``credit``: the past is recorded per neuron, and its adjoint is played backwards.

Σ_t L^t F_κ(e_ji)^t is linear in the arrivals that the trace is driven by, so that it equals the
sum, over all arrivals, of b·λ, with λ the adjoint of the trace's recursion: one number per
state and neuron, swept backwards in time at the end of each window. Per step a few numbers per
neuron are kept, and nothing is done per synapse; afterwards every arrival is given its credit.
Letting credit flow on, backwards across recurrent synapses, gives e-prop of higher order, and
back-propagation through time.
"""

import math
from functools import partial

import numpy as np
from brian2 import prefs

from ..brian.code import see_new_variables
from ..brian.internals import ArrayVariable, add_to, is_standalone, parent_group
from ..brian.step_flags import declare_flags
from ..calculus.arrivals import WITHOUT_DELAY, changing_at_source
from ..calculus.derivatives import NoDerivativeError
from ..calculus.one_step import one_step
from .backward_pass import Replay, Row, collector
from .continuous import SummedPathway
from .credit_readout import CreditReadout
from .crossing import cross, hear, hear_parameters
from .feedback_sums import constant_effect
from .history import SpikeRecorder
from .in_turn import ArrivalsInTurn, own_jumps
from .populations import CreditPopulation
from .presynaptic import Pathway
from .windows import SHORT_TRIALS, check_room, window_of


class Credit:
    """The engine that computes gradients by the adjoint, swept backwards over each window.

    Parameters
    ----------
    learner : Learner

    Attributes
    ----------
    crosses_synapses : bool
        Credit flows on across recurrent synapses: the order is above 1.
    carries : bool
        Windows may begin within a trial; what earlier arrivals have left behind is carried
        along per synapse.
    window : int
        Longest window, in steps.
    rows : int
        Steps of the past that are kept.
    tail : int
        Steps before a window from which spikes arrive in it.
    """

    def __init__(self, learner):
        self.learner, self.name = learner, learner.readout.name
        self.crosses_synapses = learner.rule.order > 1
        self.unlimited = math.isinf(learner.rule.order)
        self.window, self.carries = window_of(learner)
        self.rows, self.tail, self.standalone = self.window, 0, False
        self.sources, self.pathways, self.dense, self.running = {}, [], [], set()
        self.sums: list[SummedPathway] = []
        declare_flags(learner.readout, "window")
        self.readout = CreditReadout(learner.readout, self)
        add_to(learner.readout, Replay(self))

    @property
    def credit_rows(self):
        """The rows whose sum is the credit of a weight."""
        hops = 0 if self.unlimited else self.learner.rule.order - 1
        return ("credit", *(f"credit{q}" for q in range(1, hops + 1)))

    @property
    def feedback_rows(self):
        """The rows of the readout that neurons receive: those of the filter, or of the step."""
        return ("credit",) if self.learner.rule.filtered else ("instant",)

    @property
    def rows_with_inflow(self):
        """Rows that credit flows into from other neurons: {row: the row that it comes from}."""
        if self.unlimited:
            return {"credit": "credit"}
        return dict(zip(self.credit_rows[1:], self.credit_rows, strict=False))

    def rows_of(self, states, group):
        """The adjoints of a group: see backward_pass.py."""
        inflow, rows = self.rows_with_inflow, []
        regularized = "__rate_pressure" in group.variables
        for name in self.credit_rows:
            terms = [f"_inflow_{name}"] if name in inflow else []
            if name == "credit":
                terms.append("__credit_signal")
                if regularized and not self.carries:
                    terms.append("__rate_pressure")
            rows.append(Row(name, " + ".join(terms), inflow.get(name, "")))
        if self.carries:
            rows += [Row(f"carry_{state}", "") for state in states]
            if self.learner.rule.filtered:
                rows.append(Row("carrybar", "__credit_filter"))
            if regularized:
                rows.append(Row("carrysum", "1"))
        return rows

    def population(self, group):
        """The adjoint of a group, and the recorders of what it is replayed from."""
        self.learner.share(group, "__replayed_step", "__window_start")
        if self.carries:
            self.learner.share(group, "__credit_filter", "__kappa")
        return CreditPopulation(group, self)

    def record_spikes(self, source, attach=None):
        """The name of the ring buffer of a group's spikes, recorded from now on."""
        group = parent_group(source)
        if group not in self.sources:
            self.sources[group] = SpikeRecorder(self, group)
            (attach or partial(add_to, group))(self.sources[group])
        return self.sources[group].kept

    def learn_from_losses(self, population):
        """Derive a group with losses that may learn without trained synapses onto it.

        Its own parameters are trained, or errors go on to where its spikes come from.
        """
        trained = self.learner.train_parameters(population.group)
        if trained or self.crosses_synapses:
            population.derive(trained)

    def onto_neurons(self, on_pre, names, timing):
        """Plan synapses onto a population."""
        population = self.learner.population(parent_group(on_pre.target))
        linearization = population.linearize(on_pre, names)
        see_new_variables(on_pre.target)
        step, known = population.step, population.adjoint.states
        changed = on_pre.effects(step)
        effects = {s: e for s, e in changed.items() if s in known}
        whole = self.crosses_synapses or population.parameters or timing.longest is not None
        jump = on_pre.jumps(step, known if whole else effects)
        if not (whole or own_jumps(jump)):
            jump = {}
        pathway = self.pathway(on_pre, population, effects, jump, linearization.states, timing)
        pathway.left_out = frozenset(changed.keys() - effects.keys())
        if whole:
            pathway.jumps_later(on_pre, on_pre.changed(step) - {*known})
        return pathway

    def onto_neurons_by_sums(self, total, names):
        """Plan synapses that neurons sum up in every step."""
        population = self.learner.population(total.target)
        total = population.take_sum(total)
        states = population.linearize(total, names).states
        population.derive_again()
        return SummedPathway(self, population, total, states)

    @property
    def summed(self):
        """The sums that credit goes through, by the names of the objects that compute them."""
        return {s.updater.name: s.sum for s in self.sums}

    def multiply(self, steps):
        """Multiply what was kept of a window, for the weights in sums."""
        for pathway in self._active_sums:
            if pathway.trained:
                pathway.multiply(steps)

    def pathway(self, on_pre, owner, effects, jumps, states, timing):
        """A projection in the backward pass; in turn where an arrival depends on what is there."""
        parts = owner, effects, jumps, states, timing
        used = [*effects.values(), *jumps.values()]
        seen = changing_at_source(used, on_pre.source, {*on_pre.synaptic, on_pre.weight})
        if not (seen or own_jumps(jumps)):
            return Pathway(self, *parts)
        on = f"'{seen[0]}_pre'" if seen else f"'{next(iter(own_jumps(jumps)))}_post'"
        if timing.longest is not None:
            raise NoDerivativeError(
                f"on_pre = '{on_pre.text}': what a spike does depends on {on} at its arrival, so "
                "that a delay has no derivative by the credit of its spikes alone; "
                f"{WITHOUT_DELAY}, or these synapses out of RecurrentNetwork.trainable_delays"
            )
        if self.carries:
            raise NoDerivativeError(
                f"on_pre = '{on_pre.text}': what a spike does depends on {on}, which changes with "
                "time; the engine 'credit' goes through such arrivals in whole trials only: "
                f"{SHORT_TRIALS}"
            )
        return ArrivalsInTurn(self, *parts, seen)

    def onto_readout(self, on_pre, names, timing):
        """Plan synapses onto the readout."""
        step = one_step(on_pre.target, names)
        effects, jumps = on_pre.effects(step), on_pre.jumps(step)
        return self.pathway(on_pre, self.readout, effects, jumps, ("y",), timing)

    def send_back(self, pathway, population, weight):
        """Let the error flow backwards along synapses onto the readout."""
        if population.feedback is not None:
            population.feedback.along(pathway.synapses, weight, constant_effect(pathway))
            return
        signal = population.add_summand()
        name = f"{pathway.synapses.name}_feedback"
        pathway.send_back(population, signal, name, weight, self.feedback_rows)

    def send_back_dense(self, synapses, population):
        """Let the error flow to a population along feedback weights of their own."""
        if population.feedback is not None:
            population.feedback.along_dense(synapses)
            return
        signal = population.add_summand()
        self.learner.share(synapses, "__replayed_step", "__window_start")
        synapses.variables.add_reference(
            "__sum_0", population.group, signal, index="_postsynaptic_idx"
        )
        self.dense.append((synapses, population))

    def reaches(self, population):
        """Whether the error of the readout, or a loss of its own, has an effect on a population."""
        self._join()
        summed_up = any(s.source is population and s.inflows for s in self.sums)
        in_time = population.feedback is not None and population.feedback.reach
        return bool(population.summands or population.errors or summed_up or in_time)

    def check_delay_onto_readout(self, name, reach):
        """Raise an error for delays along which an error would come back to an earlier window."""
        if self.carries and reach:
            raise ValueError(
                f"'{name}' delays spikes on their way to the readout by up to {reach} steps, and "
                f"its trials are learned from in windows of {self.window} steps: errors would come "
                f"back to spikes of the window before: {SHORT_TRIALS}; or choose order=2, which "
                "keeps whole trials; or no delay here"
            )

    def prepare(self):
        """Size the ring buffers for one window; called by whatever runs first."""
        self.standalone = is_standalone()
        for pathway in self.pathways:
            if pathway.owner is self.readout and pathway.backwards:
                self.check_delay_onto_readout(pathway.synapses.name, pathway.reach)
            if not self.carries and (pathway.reach or 0) >= self.window:
                raise ValueError(
                    f"the delay of '{pathway.synapses.name}' reaches over {pathway.reach} steps, "
                    f"but a trial has {self.window}: its spikes would never arrive; make delays "
                    "shorter or trials longer"
                )
        self.tail = max(map(self._reach, self.pathways), default=0) if self.carries else 0
        self.rows = self.window + self.tail
        receivers = self.receivers()
        kept = self.bytes_kept(receivers)
        check_room(self.learner, self.window, kept, self.bytes_of_matrices)
        for recording in (*receivers, *self.sources.values(), *self.sums):
            recording.prepare(self.rows)
        for pathway in self._in_turn:
            pathway.prepare_recording(self.rows)

    def receivers(self):
        """The targets of trained synapses, the readout first."""
        learning = [p for p in self.learner.populations.values() if p.learns]
        return [self.readout.receiver, *(p.receiver for p in learning)]

    def follow(self, reading, reader):
        """Take the step of each population, and the way credit goes, from the network that runs.

        Parameters
        ----------
        reading : NetworkReading
        reader : NetworkReader
            What runs further recorders.

        Raises
        ------
        UnreadableNetworkError
            For a path that credit would have to go and cannot.
        """
        while cross(self, reading, reader):
            reading.read_paths()
        self._join_sums()
        self.running = {id(obj) for obj in reading.objects}
        for pathway in self._in_turn:
            if id(pathway.synapses) in self.running:
                pathway.follow(reading)
        for group, stages in reading.stages.items():
            population = self.learner.populations[group]
            population.follow(stages, reading.position, reader)
            if self.carries:
                for pathway in population._projections():
                    reached = population.adjoint.reached_from(pathway.effects)
                    # What is set to a sum in each step needs not be carried along
                    reached = set(reached) - set(population.sums)
                    if reached - set(pathway.states):
                        raise ValueError(
                            f"other code lets arrivals of '{pathway.synapses.name}' reach "
                            f"'{(reached - set(pathway.states)).pop()}' of group "
                            f"'{group.name}', which windows within a trial do not carry along: "
                            f"{SHORT_TRIALS}"
                        )
        hear(self, self._in_turn, reading)
        hear_parameters(self, self._active)
        reading.check_paths(crosses=self.crosses_synapses)
        # All variables are there when the network is stored, or restored before its first run
        self._join()
        for pathway in self._active_sums:
            pathway.follow(reading, reader)
        for synapses, name in self.used_later():
            reading.check_constant(synapses, name)

    def heard(self, group):
        """Names of variables of a group that its spikes count by when they arrive."""
        return frozenset(
            name
            for pathway in self._in_turn
            if parent_group(pathway.synapses.source) is group
            and (self.crosses_synapses or pathway.owner is self.readout)
            for name in pathway.seen
        )

    def hears(self, synapses):
        """The variables of the source that arrivals depend on, and that are followed."""
        variables = parent_group(synapses.source).variables
        of_these = [pathway for pathway in self._in_turn if pathway.synapses is synapses]
        return {variables[name] for pathway in of_these for name in pathway.seen}

    def delays_changed(self, synapses):
        """Let arrivals find their credit where the delays of synapses now are."""
        for pathway in self.pathways:
            if pathway.synapses is synapses:
                pathway.sort()

    def used_later(self):
        """Variables of synapses that are read when a window has ended, and the synapses."""
        for pathway in self._active:
            used = list(pathway.effects.values())
            whole = pathway.backwards or pathway.in_turn or pathway.delay_learns
            used += pathway.jumps.values() if whole else ()
            names = {s.name for expression in used for s in expression.free_symbols}
            for name in sorted(names - pathway.recorded):
                if isinstance(pathway.synapses.variables.get(name), ArrayVariable):
                    yield pathway.synapses, name
        for pathway in self._active_sums:
            names = {s.name for term in pathway.sum.terms for s in term.weight.free_symbols}
            for name in sorted(names):
                if isinstance(pathway.synapses.variables.get(name), ArrayVariable):
                    yield pathway.synapses, name

    @property
    def _active(self):
        """The projections whose spikes arrive."""
        return [p for p in self.pathways if p.synapses.active and id(p.synapses) in self.running]

    @property
    def _active_sums(self):
        """The sums that are computed."""
        return [p for p in self.sums if p.synapses.active and id(p.synapses) in self.running]

    @property
    def _in_turn(self):
        return [pathway for pathway in self.pathways if pathway.in_turn]

    @property
    def followed_synapses(self):
        """The synapses along which credit flows."""
        return [pathway.synapses for pathway in (*self.pathways, *self.sums)]

    def _reach(self, pathway):
        """The largest delay of a pathway, in steps; that of a window where it is not known."""
        known = pathway.reach
        return self.window if known is None else known

    def bytes_kept(self, receivers):
        """Bytes of the ring buffers of a window."""
        size = np.dtype(prefs.core.default_float_dtype).itemsize
        per_step = sum(size * len(r.recorded) * len(r.group) for r in receivers)
        per_step += sum(size * len(r.whole) * len(r.group) for r in receivers)
        per_step += sum(size * pathway.numbers_per_step for pathway in self.sums)
        per_step += sum(4 * (len(group) + 1) for group in self.sources)
        per_step += sum(size * pathway.numbers_kept for pathway in self._in_turn)
        return per_step * self.rows

    @property
    def bytes_of_matrices(self):
        """Bytes of weights that programs have once more, as matrices of all pairs."""
        size = np.dtype(prefs.core.default_float_dtype).itemsize
        return size * sum(pathway.numbers_of_matrices for pathway in self.pathways)

    def players(self):
        """Code of the backward pass: before it, and in each of its steps, in order."""
        populations = [p for p in self.learner.populations.values() if p.learns]
        self._join()
        active = self._active
        for pathway in active:
            pathway.prepare(self._reach(pathway))
        for receiver in self.receivers():
            receiver.prepare_outputs()
        begin = [self.readout.begin(), *(p.begin() for p in populations)]
        begin += [place for pathway in active for place in pathway.begin()]
        first, sweeps = [], []
        for population in populations:
            before, sweep = population.players()
            first += before
            sweeps.append(sweep)
        collectors = [c for pathway in active for c in pathway.collectors()]
        collectors += [self._dense_collector(*d) for d in self.dense if d[1].learns]
        credits = [code for pathway in active for code in pathway.players()]
        # What is summed up before the updates of a step goes back to the start of the step
        sums = [c for p in self._active_sums for c in p.collectors()]
        sums += [c for p in self._active_sums for c in p.taking_in()]
        finish = [pathway.player() for pathway in self._active_sums if pathway.trained]
        step = [self.readout.player(), *first, *collectors, *sweeps, *credits, *sums]
        return begin, step, finish

    def _join(self):
        """Connect what has been created: credit flows from each population into its sources."""
        for pathway in self.pathways:
            source = self.learner.populations.get(parent_group(pathway.synapses.source))
            onto_neurons = pathway.owner is not self.readout
            if pathway.backwards or not (onto_neurons and source is not None and source.learns):
                continue
            if pathway.early and not pathway.later:
                raise ValueError(
                    f"'{source.group.name}' fires before the thresholds of a step and its spikes "
                    f"act through '{pathway.synapses.name}' in the same step; credit of order "
                    "above 1 needs its thresholds in the slot 'thresholds'"
                )
            if pathway.early and pathway.in_turn:
                raise ValueError(
                    f"spikes of '{pathway.synapses.name}' act before the thresholds of a step, and "
                    "depend on the state of a neuron at this moment: credit of order above 1 needs "
                    "them in the slot 'synapses'"
                )
            for row, origin in self.rows_with_inflow.items():
                variable = source.add_summand(f"_inflow_{row}")
                name = f"{pathway.synapses.name}_{row}_inflow"
                weight = pathway.synapses.weight if pathway.effects else None
                pathway.send_back(source, variable, name, weight, (origin,))
        self._join_sums()

    def _join_sums(self):
        """Let credit flow from each sum to its sources."""
        learning = {g: p for g, p in self.learner.populations.items() if p.learns}
        for summed in self.sums if self.crosses_synapses else ():
            if summed.sum.source in learning:
                summed.send_back(learning[summed.sum.source])

    def _dense_collector(self, synapses, population):
        output = self.readout.receiver.output({"y": 1}, True, self.feedback_rows)
        local = "__passed_error"
        if local not in synapses.variables:
            synapses.variables.add_reference(
                local, self.readout.group, output, index="_presynaptic_idx"
            )
        name = f"{population.group.name}_feedback"
        return collector(synapses, f"B*{local}", "__sum_0", "_synaptic_post", name)
