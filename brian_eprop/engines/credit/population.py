"""A group of neurons on the way back: what it records, and how its credit is swept."""

from ... import schedule
from ...calculus.adjoint import Adjoint
from ...calculus.linearization import linearize, linearize_to_threshold
from ...calculus.statements import printed
from ..code import declare
from . import sweep
from .missing import explain_missing_traces
from .receiver import Receiver
from .recording import Recorder

_MOMENTS = {
    "before_groups": schedule.BEFORE_UPDATE,
    "before_thresholds": schedule.AT_THRESHOLD,
    "before_resets": schedule.BEFORE_RESET,
    "end": schedule.COEFFICIENTS,
}


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
        about = (self.group, rule.surrogate, rule.reset_path, on_pre, weight, namespace)
        projection = linearize(*about, synaptic)
        if not self.learns:
            self._derive(linearize_to_threshold(*about))
        return projection

    def _derive(self, linearization):
        trained = self.engine.learner.train_parameters(self.group)
        self.step, self.adjoint = linearization.step, Adjoint.of(linearization, trained)
        self.rows = self.engine.rows_of(self.adjoint.states)
        self.receiver = Receiver(self.group, self.engine, self.adjoint.recorded)
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
        for slot, phase in self.adjoint.phases.items():
            kept = {n: f"kept_{n}" for n, s in self.adjoint.recorded.items() if s == slot}
            name = f"{self.group.name}_recorder_{slot}"
            recorder = Recorder(self.engine, self.group, phase.code, _MOMENTS[slot], name, kept)
            self.group.contained_objects.append(recorder)

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
        """Code of one step of the way back: before, and after, credit comes from elsewhere.

        Returns
        -------
        list of Player, Player
        """
        clamped, adjoint, rows = self.step.clamped, self.adjoint, self.rows
        outputs = self.receiver.outputs.values()
        late, early = ([o for o in outputs if o.early is kind] for kind in (False, True))
        arrived = sweep.arrived(adjoint, rows)
        before, after = sweep.outputs(late, clamped), sweep.outputs(early, clamped)
        own, of_parameters = sweep.parameters(adjoint, self.credit_rows)
        advance = [
            f"credit_signal = {' + '.join(self.signals) or '0'}",
            *(
                f"_inflow_{row} = {' + '.join(self.inflow.get(row, ())) or '0'}"
                for row in self.engine.rows_with_inflow
            ),
            *arrived,
            *own,
            *sweep.advance(adjoint, rows),
            *of_parameters,
        ]
        if not self.engine.crosses_synapses:
            return [], self.receiver.player("sweep", [*advance, *before, *after], list(outputs))
        first = [self.receiver.player("arrivals", [*arrived, *before], late)] if late else []
        return first, self.receiver.player("sweep", [*advance, *after], early)
