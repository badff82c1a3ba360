"""The adjoint of a group that learns: what it records, and how its credit is swept."""

from attrs import evolve

from ..brian import schedule
from ..brian.code import declare, internal
from ..brian.internals import Variables
from ..calculus.adjoint import END, Adjoint
from ..calculus.linearize import linearize_neuron
from ..calculus.one_step import STANDARD, state_names
from ..calculus.printing import printed
from .backward_pass import Sweep, row_variable
from .feedback_sums import FeedbackSums
from .history import Recorder
from .postsynaptic import Receiver

#: What people record of the engine ``traces``, besides eps_<state>.
TRACES = ("e_trace", "e_bar", "L", "psi")


class NotComputedError(KeyError):
    """A variable that only the engine ``traces`` computes."""

    def __str__(self):
        return self.args[0]


class _VariablesWithoutTraces(Variables):
    def __getitem__(self, item):
        try:
            return super().__getitem__(item)
        except KeyError:
            if item in TRACES or item.startswith("eps_"):
                raise NotComputedError(
                    f"'{self.owner.name}' has no variable '{item}': the engine 'credit' computes "
                    "gradients without traces and learning signals. To record them, choose "
                    "EProp(engine='traces')"
                ) from None
            raise


def explain_missing_traces(group):
    """Let a group raise NotComputedError for traces that it is asked for."""
    # Groups create their variables themselves, in the middle of their constructor.
    group.variables.__class__ = _VariablesWithoutTraces


class CreditPopulation:
    """A group whose incoming synapses learn, or which has synapses onto the readout.

    Parameters
    ----------
    group : NeuronGroup
        The whole group, not a sub-group of it.
    engine : Credit
    attach : callable
        What lets a recorder run with the network.
    """

    #: Arrivals after the threshold change nothing before the next step.
    acts_at_once = False

    def __init__(self, group, engine, attach):
        self.group, self.engine, self.attach = group, engine, attach
        explain_missing_traces(group)
        self.adjoint = self.receiver = None
        self.credit_rows = engine.credit_rows
        self.declared, self.recorders, self.summands = set(), {}, {}
        self.followed, self.sums = (STANDARD, [], frozenset(), frozenset()), {}
        self.errors, self.driven = engine.learner.errors_of(group), set()
        self.read_at = {}
        #: Errors in time, where a signal is made of them and recorded; None if they come backwards
        self.feedback = None

    def weigh_errors(self, variable, needed):
        """Record the learning signal L, which is made of the errors that feedback brings."""
        self.feedback = FeedbackSums(self.group)
        self.feedback.weigh(variable, needed)
        self.engine.learner.share(self.group, "__kappa", "__gain")

    @property
    def recorded(self):
        """The variables that are recorded, and the stages of the step before which they are."""
        return self.adjoint.recorded | ({} if self.feedback is None else {"L": END})

    @property
    def traces(self):
        """Variables that synapses carry from window to window besides s, and their rows."""
        summed = {"__e_sum": "carrysum"} if "__rate_pressure" in self.group.variables else {}
        filtered = {"e_bar": "carrybar"} if self.engine.learner.rule.filtered else {}
        return filtered | summed

    @property
    def parameters(self):
        """Names of the parameters that are trained."""
        return self.adjoint.parameters

    @property
    def learns(self):
        return self.adjoint is not None

    def linearize(self, on_pre, namespace):
        """The linearization for a projection; the first one derives what the group records.

        Returns
        -------
        Linearization
            Of the states between weight and threshold.
        """
        projection = self._linearized(namespace).driven_by(on_pre)
        self.driven.update(projection.states)
        if not self.learns:
            self.derive(self.engine.learner.train_parameters(self.group))
        return projection

    def derive(self, trained):
        """Derive the group on its own, with the parameters that it trains."""
        self._take(self._linearized(self.engine.learner.namespace), trained, self.attach)

    def derive_again(self):
        """Derive the group once more, now that it is known what is summed up there."""
        if self.sums.keys() - {*self.adjoint.states}:
            self.derive(self.adjoint.parameters)

    def _linearized(self, namespace, *in_network):
        rule = self.engine.learner.rule
        surrogate, paths = rule.surrogate_of(self.group), rule.paths_of(self.group)
        if not in_network and self.sums:
            pieces = [total.piece for total in self.sums.values()]
            in_network = pieces, (*(piece.name for piece in pieces), *STANDARD)
        return linearize_neuron(
            self.group,
            surrogate,
            paths,
            namespace,
            *in_network,
            errors=self.errors,
            read_elsewhere=self._read_elsewhere,
            rule=rule,
        )

    @property
    def _read_elsewhere(self):
        """States that other neurons sum up, or that arrivals of this group's spikes depend on.

        Of rate units, all that may be.
        """
        heard = frozenset(self.engine.heard(self.group))
        if not self.engine.crosses_synapses:
            return heard
        if "spike" not in self.group.events:
            return frozenset([*state_names(self.group), *self.sums])
        sums = (s for s in self.engine.sums if s.sum.source is self.group)
        return heard.union(*(s.read_elsewhere for s in sums))

    def take_sum(self, total):
        """Take a variable for a state that is set in each step to a sum over synapses.

        Returns
        -------
        Sum
            With the parameters that are trained.
        """
        total = evolve(total, trained=frozenset(self.engine.learner.trainable))
        for k in total.sloped:
            declare(self.group, total.holder(k))
        self.sums[total.variable] = total
        return total

    def _take(self, linearization, trained, attach):
        """Record, from now on, what the backward pass of this linearization needs."""
        self.step, self.adjoint = linearization.step, Adjoint(linearization, trained)
        self.read_at = {
            "before_thresholds": self.adjoint.place(early=True),
            "end": len(self.step.order),
        }
        self.rows = self.engine.rows_of(self.adjoint.states, self.group)
        if self.receiver is None:
            self.receiver = Receiver(
                self.group, self.engine, lambda early: self.adjoint.place(early=early)
            )
        self.receiver.keep(self.recorded)
        self._declare()
        self._record_step(attach)

    def _record_step(self, attach, just_before=schedule.just_before):
        """Have the coefficients of update, threshold and reset recorded where these run now."""
        group = self.group
        runners = {"update": group.state_updater}
        if "spike" in group.events:
            thresholder = group.thresholder["spike"]
            reset = group.resetter.get("spike", thresholder)
            runners |= {"threshold": thresholder, "reset": reset}
        for stage, runner in runners.items():
            self._record(stage, just_before(runner), attach)
        self._record(END, schedule.COEFFICIENTS, attach)

    def follow(self, stages, position, reader):
        """Derive the step anew if the network that runs has other stages.

        Parameters
        ----------
        stages : Stages
        position : dict of str to int
            Of the objects of the network, as they run.
        reader : NetworkReader
            What runs the recorders of further stages.
        """
        places = stages.places(position)
        order = tuple(places)
        changing = reader.reading.changing(self.group) - self.step.varying
        read = self._read_elsewhere
        if (order, stages.pieces, changing, read) != self.followed:
            changing = reader.reading.changing(self.group)
            linearization = self._linearized(
                self.engine.learner.namespace, stages.pieces, order, changing
            )
            # Brian2 has asked the group already for what it contains
            self._take(linearization, self.adjoint.parameters, reader.keep)
            self.followed = (order, list(stages.pieces), frozenset(), read)
        for pathway in self._projections():
            left_out = pathway.left_out & {*self.adjoint.states}
            if left_out := left_out | pathway.count(self.step, self.adjoint.states):
                raise ValueError(
                    f"'{pathway.synapses.name}' changes '{min(left_out)}' of group "
                    f"'{self.group.name}', which counts since other code, a sum over synapses, or "
                    "spikes on arrival, read it: create the synapses with the sum first, write "
                    "what is read into the equations, or let only the reset change it"
                )
        just_before = reader.reading.just_before
        self._record_step(reader.keep, just_before)
        for piece in stages.pieces:
            runner = stages.actions[piece.name].runner
            self._record(piece.name, just_before(runner), reader.add)
        self.receiver.arrange(places, position, self._projections())
        self.stages = tuple(places.values())
        for moment, losses in self.engine.learner.losses_of(self.group).items():
            after = position[losses.name]
            self.read_at[moment] = sum(stage < after for stage in places.values())

    def check_heard(self, states, synapses, position):
        """Raise an error unless states are at the threshold what arrivals depend on.

        Parameters
        ----------
        states : iterable of str
        synapses : Synapses
        position : dict of str to int
            Of the objects of the network, as they run.
        """
        transitions, place = self.adjoint.transitions, position[synapses.pre.name]
        threshold = self.step.order.index("threshold")
        between = [t for t, at in zip(transitions, self.stages, strict=True) if at < place]
        for pathway in self._projections():
            changed = {*pathway.effects, *pathway.jumps} & {*states}
            if changed and self.stages[threshold] < position[pathway.synapses.pre.name] < place:
                raise ValueError(
                    f"'{pathway.synapses.name}' changes '{min(changed)}' of group "
                    f"'{self.group.name}', on which the spikes of '{synapses.name}' depend, before "
                    "these arrive in the same step: give its .pre a higher order than theirs"
                )
        for state in states:
            if len(between) <= threshold or any(t.moves(state) for t in between[threshold + 1 :]):
                raise ValueError(
                    f"what the spikes of '{synapses.name}' do depends on '{state}_pre', which "
                    f"other code changes between the threshold of group '{self.group.name}' and "
                    "their arrival, or they arrive before it: let them arrive in the slot "
                    "'synapses', before all that changes it"
                )

    def _projections(self):
        """The projections that end on the group."""
        return [p for p in self.engine.pathways if p.owner is self and p.synapses.active]

    @property
    def watched(self):
        """The states that only code which can be differentiated may change."""
        return [name for name in self.adjoint.states if name in self.group.variables]

    @property
    def between_steps(self):
        """Variables that must not change between two steps: none."""
        return ()

    def _declare(self):
        group, adjoint = self.group, self.adjoint
        names = {"__credit_signal"}.union(*(phase.variables for phase in adjoint.phases.values()))
        names |= {row_variable(row.name, state) for row in self.rows for state in adjoint.states}
        of_neurons = self.step.per_neuron
        constants = {
            name.name: not {s.name for s in value.free_symbols} & of_neurons
            for name, value in adjoint.constants.items()
        }
        names |= constants.keys()
        for name in sorted(names - self.declared):
            declare(group, name, shared=constants.get(name, False))
        self.declared |= names

    def _record(self, stage, moment, attach):
        """Have the coefficients of a stage recorded, just before it runs."""
        adjoint = self.adjoint
        kept = {n: internal("kept", n) for n, s in self.recorded.items() if s == stage}
        code = adjoint.phases[stage].code if stage in adjoint.phases else ""
        if stage not in self.recorders:
            if not (kept or code):
                return
            name = f"{self.group.name}_recorder_{stage}"
            self.recorders[stage] = Recorder(self.engine, self.group, code, moment, name, kept)
            attach(self.recorders[stage])
        else:
            self.recorders[stage].change(code, kept, moment)
            if stage not in (*STANDARD, END):
                attach(self.recorders[stage])

    def add_summand(self, total="__credit_signal"):
        """A new variable that is one summand of dE/dz, through the readout or other neurons."""
        names = self.summands.setdefault(total, [])
        name = internal(total.strip("_"), str(len(names)))
        declare(self.group, name)
        names.append(name)
        return name

    def begin(self):
        """Code that runs before the backward pass of a window."""
        constants = self.adjoint.constants.items()
        code = [f"{name} = {printed(value)}" for name, value in sorted(constants, key=self._shared)]
        for row in self.rows:
            for state in self.adjoint.states:
                name = row_variable(row.name, state)
                code.append(f"{name} = {int(row.name == f'carry_{state}')}")
        if self.feedback is not None:
            code.append("__credit_signal = 0")
        return self.receiver.begin(code)

    def _credit_of_signal(self):
        """What a spike of a step is owed by the learning signals from then on."""
        filtered = "__kappa*__credit_signal + " if self.engine.learner.rule.filtered else ""
        return f"__credit_signal = {filtered}__gain*__past_L"

    def _shared(self, item):
        """Brian2 wants shared variables written before any other."""
        return not self.group.variables[item[0].name].scalar

    def players(self):
        """Code of one step of the backward pass: before, and after, credit comes from elsewhere.

        Returns
        -------
        list of callable, callable
            See `backward_pass.player`.
        """
        # For LIF neurons, besides the text that backward_pass.py shows: before each window
        # __constant_F_v_v = exp(-dt/tau_m) and credit_v = 0, and recorded just before the threshold
        # psi = ((0.3/v_th)*clip(1 - abs((v - v_th))/(v_th), 0, 1))*int(not_refractory)
        outputs = list(self.receiver.outputs.values())
        clamped = self.step.clamped
        heard = [
            (row.name, state, total)
            for row in self.rows
            for state in self.adjoint.states
            if (total := f"_heard_{row.name}_{state}") in self.summands
        ]
        sweep = Sweep(
            self.adjoint, self.rows, self.credit_rows, outputs, clamped, self.read_at, heard
        )
        totals = [*(f"_inflow_{r}" for r in self.engine.rows_with_inflow)]
        totals += [total for _, _, total in heard]
        if self.feedback is None:
            totals.insert(0, "__credit_signal")
        advance = [
            *([] if self.feedback is None else [self._credit_of_signal()]),
            *(f"{total} = {' + '.join(self.summands.get(total, ())) or '0'}" for total in totals),
            *sweep.after_threshold,
            *sweep.before_threshold,
        ]
        if not self.engine.crosses_synapses:
            return [], self.receiver.player("sweep", advance, outputs)
        # What neurons of the same step receive back is needed before their thresholds
        late = [output for output in outputs if not output.early]
        early = [output for output in outputs if output.early]
        first = [self.receiver.player("arrivals", sweep.after_threshold, late)] if late else []
        return first, self.receiver.player("sweep", advance, early)
