"""What the way back will want to know is kept, step by step, in rows of memory.py."""

import numpy as np
from brian2.devices.device import get_device

from ... import schedule
from ...names import internal
from ..code import LearningCode
from ..gated import with_own_templates
from .memory import resize_rows


class Recorder(LearningCode):
    """Runs code for a group in every step, and keeps some of its variables.

    Parameters
    ----------
    engine : Credit
    group : Group
    code : str
        Abstract code.
    moment : Moment
    name : str
    recorded : dict of str to str
        Name of the rows by variable.
    """

    def __init__(self, engine, group, code, moment, name, recorded):
        super().__init__(
            group,
            "record",
            code=code,
            clock=group.clock,
            when=moment.when,
            order=moment.order,
            name=name,
            check_units=False,
            needed_variables=[*recorded, *recorded.values()],
        )
        self.engine, self.recorded = engine, recorded

    def change(self, code, recorded, moment):
        """Run other code at another moment, and keep other variables."""
        self.abstract_code, self.recorded = code, recorded
        self.when, self.order = moment
        self.needed_variables = [*recorded, *recorded.values()]

    def before_run(self, run_namespace):
        """Make room before the code that writes there is made."""
        self.engine.prepare()
        self.codeobj_class = with_own_templates(get_device().code_object_class())
        variables = self.group.variables
        self.template_kwds = {
            "rows": self.engine.rows,
            "recorded": [(variables[n], variables[row]) for n, row in self.recorded.items()],
        }
        super().before_run(run_namespace)


class SpikeRecorder(LearningCode):
    """Keeps the spikes of a group: in each row their neurons, and at its end their number."""

    def __init__(self, engine, group):
        self.kept = internal(engine.name, "spikes")
        group.variables.add_dynamic_array(self.kept, size=0, dtype=np.int32)
        super().__init__(
            group,
            "record_spikes",
            clock=group.clock,
            when=schedule.RECORD_SPIKES.when,
            order=schedule.RECORD_SPIKES.order,
            name=f"{group.name}_{engine.name}_spikes_recorder",
            needed_variables=["_spikespace", self.kept],
        )
        self.engine = engine

    def prepare(self, rows):
        """Make room for so many steps of the past."""
        resize_rows(self.group.variables[self.kept], rows * (len(self.group) + 1))

    def before_run(self, run_namespace):
        """Make room before the code that writes there is made."""
        self.engine.prepare()
        self.codeobj_class = with_own_templates(get_device().code_object_class())
        variables = self.group.variables
        self.template_kwds = {
            "rows": self.engine.rows,
            "spikespace": variables["_spikespace"],
            "kept": variables[self.kept],
        }
        super().before_run(run_namespace)
