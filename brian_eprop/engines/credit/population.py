"""A group of neurons on the way back: what it records, and how its credit is swept."""

from ... import schedule
from ...calculus.adjoint import END, Adjoint
from ...calculus.linearization import linearize, linearize_neuron
from ...calculus.statements import printed
from ..code import declare
from .missing import explain_missing_traces
from .receiver import Receiver
from .recording import Recorder
from .sweep import Sweep


class CreditPopulation:
    """A group whose incoming synapses learn, or which has synapses onto the readout.

    Parameters
    ----------
    group : NeuronGroup
        The whole group, not a sub-group of it.
    engine : Credit
    """

    #: Arrivals after the threshold change nothing before the next step.
    acts_at_once = False

    def __init__(self, group, engine):
        self.group, self.engine = group, engine
        explain_missing_traces(group)
        self.adjoint = self.receiver = None
        self.credit_rows = engine.credit_rows
        self.signals, self.inflow = [], {}

    @property
    def traces(self):
        """What synapses carry along besides the eligibility vector, and its row."""
        summed = {"e_sum": "carrysum"} if self.engine.learner.regularizers else {}
        return {"e_bar": "carrybar"} | summed

    @property
    def parameters(self):
        """Names of the parameters that are trained."""
        return tuple(self.adjoint.parameters)

    @property
    def learns(self):
        return self.adjoint is not None

    def linearize(self, on_pre, weight, namespace, synaptic):
        """Linearize the group for a projection; derive, at the first one, what is recorded.

        Returns
        -------
        Linearization
            Of the states between weight and threshold.
        """
        rule = self.engine.learner.rule
        about = (self.group, rule.surrogate, rule.reset_path)
        projection = linearize(*about, on_pre, weight, namespace, synaptic)
        if not self.learns:
            self._derive(linearize_neuron(*about, namespace))
        return projection

    def _derive(self, linearization):
        trained = self.engine.learner.train_parameters(self.group)
        self.step, self.adjoint = linearization.step, Adjoint.of(linearization, trained)
        self.rows = self.engine.rows_of(self.adjoint.states)
        self.receiver = Receiver(
            self.group,
            self.engine,
            self.adjoint.recorded,
            lambda early: self.adjoint.place(early=early),
        )
        self._declare()
        self._record()

    def _declare(self):
        group, adjoint = self.group, self.adjoint
        declare(group, "credit_signal")
        for row in self.rows:
            for state in adjoint.states:
                declare(group, f"{row.name}_{state}")
        for phase in adjoint.phases.values():
            for name in {*phase.text, *phase.neuron}:
                if not name.startswith("_"):
                    declare(group, name)
        for name, value in adjoint.constants.items():
            uniform = not {s.name for s in value.free_symbols} & self.step.per_neuron
            declare(group, name.name, shared=uniform)

    def _record(self):
        adjoint = self.adjoint
        for stage in {**adjoint.phases, **dict.fromkeys(adjoint.recorded.values())}:
            kept = {n: f"kept_{n}" for n, s in adjoint.recorded.items() if s == stage}
            code = adjoint.phases[stage].code if stage in adjoint.phases else ""
            name = f"{self.group.name}_recorder_{stage}"
            recorder = Recorder(self.engine, self.group, code, self._moment(stage), name, kept)
            self.group.contained_objects.append(recorder)

    def _moment(self, stage):
        """Just before a stage."""
        if stage == END:
            return schedule.COEFFICIENTS
        stages = {
            "update": self.group.state_updater,
            "threshold": self.group.thresholder["spike"],
            "reset": self.group.resetter.get("spike", self.group.thresholder["spike"]),
        }
        return schedule.just_before(stages[stage])

    def add_signal(self):
        """A new variable that is one summand of dE/dz, through the readout."""
        name = f"credit_signal_{len(self.signals)}"
        declare(self.group, name)
        self.signals.append(name)
        return name

    def add_inflow(self, row):
        """A new variable that is one summand of dE/dz, through other neurons."""
        names = self.inflow.setdefault(row, [])
        name = f"{row}_inflow_{len(names)}"
        declare(self.group, name)
        names.append(name)
        return name

    def begin(self):
        """Code that runs before the way back begins."""
        constants = self.adjoint.constants.items()
        code = [f"{name} = {printed(value)}" for name, value in sorted(constants, key=self._shared)]
        for row in self.rows:
            for state in self.adjoint.states:
                code.append(f"{row.name}_{state} = {int(row.name == f'carry_{state}')}")
        return self.receiver.begin(code)

    def _shared(self, item):
        """Brian2 wants shared variables written before any other."""
        return not self.group.variables[item[0].name].scalar

    def players(self):
        """Code of one step of the backward pass: before, and after, credit comes from elsewhere.

        Returns
        -------
        list of Player, Player
        """
        outputs = list(self.receiver.outputs.values())
        sweep = Sweep(self.adjoint, self.rows, self.credit_rows, outputs, self.step.clamped)
        advance = [
            f"credit_signal = {' + '.join(self.signals) or '0'}",
            *(
                f"_inflow_{row} = {' + '.join(self.inflow.get(row, ())) or '0'}"
                for row in self.engine.rows_with_inflow
            ),
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
