"""A user's own network, run again and again from one state with all spikes clamped."""

import math
import re
from contextlib import ExitStack
from functools import partial
from itertools import count

import numpy as np
from brian2 import NetworkOperation, NeuronGroup

from ..brian import schedule
from ..brian.code import of_learning
from ..brian.internals import (
    MONITORS,
    Resetter,
    SummedVariableUpdater,
    SynapticPathway,
    Thresholder,
    keep_state,
    refractoriness,
    repeatable,
    return_to_state,
    steps_of,
    whole_group,
)
from .deliveries import Delivery, FoundAtSource
from .given_sums import GivenSum
from .linear_spikes import Given, NotCheckable, Population, draws_numbers
from .split_spikes import SplitSpikes

#: When runs what of learning the loss is computed by.
SCORES = (
    schedule.OUTPUT_BEFORE_ARRIVALS,
    schedule.OUTPUT_AFTER_ARRIVALS,
    schedule.SOFTMAX,
    schedule.ERROR,
    schedule.LOSS_AT_END,
    schedule.LOSS_BEFORE_THRESHOLD,
)
#: Under which name the network keeps the state in which each run begins.
START = "start of a run with clamped spikes"


class ClampedNetwork:
    """A network that learns, and that repeats a recorded run.

    It is a context: afterwards the network, its random numbers and its objects are as they
    were found.

    Parameters
    ----------
    network : Network
    learner : Learner
    duration : Quantity
    namespace : dict
        Of the frame in which the user would run the network.

    Attributes
    ----------
    populations : dict of NeuronGroup to Population
        All groups that have a threshold; at order 1, those that learn.
    unreadable : dict of NeuronGroup to NotCheckable
        Groups without a distance to a threshold, whose spikes count as given.
    onto_readout, onto_others : list of Delivery
        Where spikes that vary arrive.
    splits : dict of TrainableSynapses to SplitSpikes
        Those whose delays learn.
    loss : float
        Of the run that ended last.
    idles : bool
        What only learns, and monitors, do not run when the run is repeated.
    """

    def __init__(self, network, learner, duration, namespace):
        self.network, self.learner, self.readout = network, learner, learner.readout
        self.duration, self.namespace = duration, namespace
        self.steps = round(float(duration) / self.readout.clock.dt_)
        self.populations, self.unreadable, self.events = {}, {}, {}
        self.onto_readout, self.onto_others, self.sums, self.found = [], [], {}, {}
        self.splits = {}
        self.recording, self.idles, self.delivers = False, True, set()
        self.deviations, self.live, self.passes_on = {}, False, False

    def __enter__(self):
        with ExitStack() as stack:
            self.objects = self.network.sorted_objects
            stack.enter_context(repeatable(self.network, self.duration, self.namespace))
            stack.callback(self._remove_variables)
            self._prepare()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.close()

    def _remove_variables(self):
        for added in (*self.populations.values(), *self.deliveries, *self.sums.values()):
            added.remove()
        for split in self.splits.values():
            split.remove()

    def _prepare(self):
        self.active = [obj for obj in self.objects if obj.active and not _is_optimizer(obj)]
        self._find_populations()
        self._find_deliveries()
        self._find_sums()
        for projection in self.projections:
            if projection.trained_delay is not None:
                self.splits[projection] = SplitSpikes(projection, self.learner)
                self.splits[projection].prepare(self.namespace)
                projection.variables["grad_delay"].set_value(0)
            projection.variables["grad"].set_value(0)
        for group, names in self.parameters.items():
            for name in names:
                group.variables[f"grad_{name}"].set_value(0)
        for group in self.losing:
            group.variables["loss"].set_value(0)
        keep_state(self.network, START)

    @property
    def losing(self):
        """The groups with a loss, whose sum is E: the readout, and those with losses on them."""
        return [self.readout, *self.learner.loss_code]

    @property
    def deliveries(self):
        """All pathways along which spikes that vary arrive."""
        return [*self.onto_readout, *self.onto_others]

    @property
    def projections(self):
        """The trainable synapses of the learner that are in the network."""
        return [
            obj
            for obj in self.objects
            if getattr(obj, "learner", None) is self.learner
            and "grad" in getattr(obj, "variables", ())
        ]

    @property
    def parameters(self):
        """{group: names of its trained parameters}."""
        names = self.learner.trainable
        groups = [obj for obj in self.objects if isinstance(obj, NeuronGroup)]
        trained = {g: [n for n in names if f"grad_{n}" in g.variables] for g in groups}
        return {group: names for group, names in trained.items() if names}

    def _find_populations(self):
        learning = {whole_group(s.target) for s in self.projections} | set(self.parameters)
        rule = self.learner.rule
        for obj in self.objects:
            if not isinstance(obj, NeuronGroup) or "spike" not in obj.events:
                continue
            model = getattr(obj, "neuron_model", None)
            surrogate = rule.surrogate_of(obj) or getattr(model, "surrogate", None)
            if obj not in learning:
                if rule.order == 1 or draws_numbers(obj, obj.events["spike"]):
                    continue
                surrogate = surrogate or Given()
            paths = {**getattr(model, "reset_path", {}), **rule.reset_path}
            population = Population(obj, surrogate, paths)
            try:
                population.prepare(self.namespace)
            except (NotCheckable, KeyError) as why:
                population.remove()
                if obj in learning:
                    raise
                self.unreadable[obj] = NotCheckable(str(why))
                continue
            self.populations[obj] = population

    def _find_deliveries(self):
        """The pathways along which spikes that vary count."""
        for obj in self.active:
            if not isinstance(obj, SynapticPathway) or obj.event != "spike":
                continue
            source = self.populations.get(whole_group(obj.source))
            if source is None:
                continue
            if whole_group(obj.target) in self.unreadable:
                raise self.unreadable[whole_group(obj.target)]
            if whole_group(obj.target) is self.readout:
                code = self._along_feedback(obj)
                if code is not None:
                    self.onto_readout.append(Delivery(obj, source, code))
            else:
                found = FoundAtSource(obj, source.group)
                if found.variables and obj.prepost == "pre":
                    self.found[id(obj)] = found
                if self.learner.rule.order > 1:
                    self.onto_others.append(Delivery(obj, source))
        for delivery in self.deliveries:
            delivery.prepare(self.namespace)

    def _find_sums(self):
        """The sums over synapses that neurons see; what the sources have counts as a spike does."""
        for obj in self.active:
            if isinstance(obj, SummedVariableUpdater) and not of_learning(obj):
                self.sums[obj] = GivenSum(obj)
                self.sums[obj].prepare(self.namespace)

    def _along_feedback(self, pathway):
        """Code of what a spike adds to the readout, with feedback weights; None if nothing."""
        if not self.learner.feedback_is("adaptive"):
            return pathway.code
        synapses = pathway.synapses
        if getattr(synapses, "error_along", None) != "B":
            return None
        return re.sub(rf"\b{synapses.weight}\b", "B", pathway.code)

    def _plan(self):
        """The objects of a step and what they run: list of (object, callable)."""
        by_pathway = {id(delivery.pathway): delivery for delivery in self.deliveries}
        by_split = {id(split.pathway): split for split in self.splits.values()}
        plan = []
        observes = any(isinstance(obj, NetworkOperation) for obj in self.active)
        for obj in self.active:
            idle = _learns(obj) or (isinstance(obj, MONITORS) and not observes)
            if idle and self.idles and not self.recording:
                continue
            run = obj.run
            if isinstance(obj, Thresholder):
                run = self._thresholder(obj)
            elif isinstance(obj, Resetter) and obj.event == "spike" and not self.recording:
                run = self._resetter(obj)
            elif id(obj) in by_pathway:
                delivery = by_pathway[id(obj)]
                if self.recording:
                    run = delivery.record
                elif delivery in self.delivers:
                    run = delivery.run
            elif obj in self.sums:
                run = self._summation(obj)
            if id(obj) in by_split:
                run = partial(by_split[id(obj)].deliver, run)
            if id(obj) in self.found and not self.live:
                run = partial(self.found[id(obj)].run, run)
            plan.append((obj, run))
        return plan

    def _thresholder(self, obj):
        """Spikes: recorded in the first run, then those that were recorded."""
        group = whole_group(obj.group)
        population = self.populations.get(group) if obj.event == "spike" else None
        events = group.variables[f"_{obj.event}space"].get_value()
        recorded = self.events.setdefault(obj, [])
        step, flags = count(), []
        if obj.event == "spike" and refractoriness(group) is not False:
            names = ("lastspike", "not_refractory")
            flags = [group.variables[name].get_value() for name in names]
        if self.recording:
            recorded.clear()

        def run():
            k = next(step)
            if population is not None:
                self._observe(population, k)
            if self.recording:
                obj.run()
                recorded.append(events.copy())
                return
            before = [flag.copy() for flag in flags]
            obj.run()
            for flag, values in zip(flags, before, strict=True):
                flag[:] = values
            events[:] = recorded[k]
            fired = events[: events[-1]]
            if flags:
                flags[0][fired] = group.clock.t_
                flags[1][fired] = False

        return run

    def _summation(self, obj):
        """A sum: of the sources themselves, or of what they had in the recorded run."""
        total, deviation = self.sums[obj], self.deviations.get(obj)
        if self.live:
            return obj.run
        if not self.recording:
            return partial(total.run, deviation if self.passes_on else None)

        def run():
            total.observe()
            obj.run()

        return run

    def _observe(self, population, k):
        distance, psi = population.observe()
        for name, values in population.states.items():
            values.append(population.group.variables[name].get_value().copy())
        population.distances.append(distance)
        if self.recording:
            population.psi.append(psi)
            return
        # Where ψ is 0 the distance may well be no number
        moved = np.where(population.psi[k] == 0, 0, distance - population.distance[k])
        population.own = population.psi[k] * moved
        if self.live:
            population.outgoing = population.own
        elif population.group in self.deviations:
            population.outgoing = self.deviations[population.group][k]

    def _resetter(self, obj):
        population = self.populations.get(whole_group(obj.group))
        if population is None:
            return obj.run
        explicit = self.live or self.passes_on

        def run():
            population.reset(obj.run, population.own, population.outgoing if explicit else None)

        return run

    @property
    def has_moved(self):
        """Whether, in the last run, spikes found something else at their neurons on arrival."""
        return any(found.has_moved for found in self.found.values())

    def record(self, before_end, at_end):
        """Record a run: spikes, distances, ψ, errors, and what spikes do to the readout.

        Parameters
        ----------
        before_end, at_end : callable
            Called in each step, before and after the objects of the slot ``end``.
        """
        self.recording = True
        for population in self.populations.values():
            population.psi = []
        self.errors = []
        self._run(before_end, at_end)
        self.recording = False
        for population in self.populations.values():
            population.distance = np.array(population.distances)
            population.psi = np.array(population.psi)
        for total in self.sums.values():
            total.recorded = np.array(total.seen)
        self.errors = np.array(self.errors)

    def repeat(self, changes=(), *, deviations=None, live=False, onto_readout=False):
        """Run again with all spikes clamped.

        Parameters
        ----------
        changes : iterable of (variable, index, change)
            What is moved before the run.
        deviations : dict of NeuronGroup to (T, n) array, optional
            Deviations of spikes that are delivered: to the readout, or to everything else; and of
            what is summed up, by the objects that compute the sums.
        live : bool
            Deviations are those of the run itself.
        onto_readout : bool
            They are delivered to the readout: only, if they are given; too, if they are live.

        Returns
        -------
        dict of NeuronGroup to (T, n) array
            Distances to the threshold.
        """
        self.deviations, self.live = deviations or {}, live
        self.passes_on = bool(deviations) and not onto_readout
        others = self.onto_others if live or self.passes_on else ()
        self.delivers = {*others, *(self.onto_readout if onto_readout else ())}
        return_to_state(self.network, START)
        for variable, index, change in changes:
            variable.get_value()[index] += change
        self._run()
        return {group: np.array(p.distances) for group, p in self.populations.items()}

    def _run(self, before_end=None, at_end=None):
        for population in self.populations.values():
            population.distances = []
            population.own = population.outgoing = None
            population.states = {name: [] for name in population.states}
        for started in (*self.deliveries, *self.sums.values(), *self.splits.values()):
            started.start()
        for found in self.found.values():
            found.start(recording=self.recording, follows=self.passes_on)
        plan = self._plan()
        if self.recording:
            slots = self.network.schedule
            last = {w for slot in slots[slots.index("end") :] for w in (slot, f"after_{slot}")}
            first = next((k for k, (obj, _) in enumerate(plan) if obj.when in last), len(plan))
            plan.insert(first, (self.readout, before_end))
            plan += [(self.readout, self._record_error), (self.readout, at_end)]
        for due in steps_of(self.network):
            for obj, run in plan:
                if obj.clock in due:
                    run()
        losses = (group.variables["loss"].get_value() for group in self.losing)
        self.loss = math.fsum(value for of_group in losses for value in of_group)

    def _record_error(self):
        self.errors.append(self.readout.variables["error"].get_value().copy())

    def check_repeats(self):
        """Raise NotCheckable unless the run without a change repeats the recorded one."""
        loss = self.loss
        why = self._differs(loss)
        if why:
            # What only learns is left out; but it may have drawn some of the random numbers.
            self.idles = False
            why = self._differs(loss)
        if why:
            raise NotCheckable(
                f"the run does not repeat itself: {why} from the same state, with the same random "
                "numbers and spikes. Something keeps a state outside Brian2, such as a "
                "NetworkOperation with variables of its own"
            )

    def _differs(self, loss):
        """What differs between a run without a change and the recorded one; empty if nothing."""
        for group, distance in self.repeat().items():
            if not _same(distance, self.populations[group].distance):
                return f"group '{group.name}' takes another course"
        return "" if _same(np.array(self.loss), np.array(loss)) else "the loss is another"


def _same(values, expected):
    """Whether arrays agree to the last bits."""
    if values.shape != expected.shape:
        return False
    with np.errstate(all="ignore"):
        largest = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    return np.allclose(values, expected, rtol=1e-12, atol=1e-12 * largest, equal_nan=True)


def _learns(obj):
    """Whether an object only computes what is learned, and not what is lost."""
    ours = of_learning(obj) and not isinstance(obj, SynapticPathway)
    return ours and obj.when != schedule.TRIAL_START.when and (obj.when, obj.order) not in SCORES


def _is_optimizer(obj):
    return of_learning(obj) and (obj.when, obj.order) == tuple(schedule.OPTIMIZER)
