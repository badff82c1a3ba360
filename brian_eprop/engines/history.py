"""Ring buffers of one row per time step: the record of a window that the backward pass reads.

Row t mod R holds what was recorded in step t. Credit that arrivals will be given is kept
likewise, each row twice, R rows apart, so that the credit of the next R steps always is one
contiguous piece: a synapse with a delay finds its own at a fixed distance. A `DelayLine` keeps what
a variable was some steps ago.
"""

import numpy as np

from ..brian import schedule
from ..brian.code import LearningCode, declare, internal
from ..brian.internals import add_to, runs_in_python
from ..memory import check_memory
from .trials import at_trial_start

#: So close to a whole number of steps a delay is one.
WHOLE_STEP = 1e-6


def resize_rows(variable, size):
    """Give a variable its size, as zeros if that is a new one."""
    if variable.size != size:
        variable.resize(size)


def steps_of(delay, dt):
    """Delays in whole steps, rounded as Brian2's spike queue does."""
    return np.floor(np.asarray(delay, dtype=float) / dt + 0.5).astype(int)


def steps_before(delay, dt):
    """Whole steps ⌊d⌋ of delays; a multiple of dt is not one less by its round-off."""
    return np.floor(np.asarray(delay, dtype=float) / dt + WHOLE_STEP).astype(int)


class Recorder(LearningCode):
    """A recorder of variables of a group, computed by its code in every step.

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
        super().__init__(group, code, moment, name, template="record")
        self.engine = engine
        self.change(code, recorded, moment)

    def change(self, code, recorded, moment):
        """Run other code at another moment, and keep other variables."""
        self.abstract_code, self.recorded = code, recorded
        self.when, self.order = moment
        self.needed_variables = [*recorded, *recorded.values()]

    def before_run(self, run_namespace):
        """Size the ring buffers before the code that writes them is generated."""
        self.engine.prepare()
        variables = self.group.variables
        self.template_kwds = {
            "rows": self.engine.rows,
            "recorded": [(variables[n], variables[row]) for n, row in self.recorded.items()],
        }
        super().before_run(run_namespace)


class SpikeRecorder(LearningCode):
    """A recorder of spikes: in each row the neurons that fired, and at its end their number."""

    def __init__(self, engine, group):
        self.kept = internal(engine.name, "spikes")
        group.variables.add_dynamic_array(self.kept, size=0, dtype=np.int32)
        super().__init__(
            group,
            "",
            schedule.RECORD_SPIKES,
            f"{group.name}_{engine.name}_spikes_recorder",
            template="record_spikes",
            needed_variables=["_spikespace", self.kept],
        )
        self.engine = engine

    def prepare(self, rows):
        """Size the ring buffers for so many steps."""
        resize_rows(self.group.variables[self.kept], rows * (len(self.group) + 1))

    def before_run(self, run_namespace):
        """Size the ring buffers before the code that writes them is generated."""
        self.engine.prepare()
        variables = self.group.variables
        self.template_kwds = {
            "rows": self.engine.rows,
            "spikespace": variables["_spikespace"],
            "kept": variables[self.kept],
        }
        super().before_run(run_namespace)


class DelayLine(LearningCode):
    """A ring buffer of the last steps of a variable: x^{t−d}, and 0 before a trial began.

    At the end of step t it keeps x^t, and puts x^{t+1−d} where step t + 1 reads it.

    Parameters
    ----------
    learner : Learner
        Whose trials count.
    group : NeuronGroup or Synapses
    variable : str
        x; of synapses no subexpression.
    late : str
        The variable that receives x^{t−d}.
    steps : int
        d ≥ 1.
    moment : Moment
        When x^t is known, and x^{t−d} has been read.
    """

    def __init__(self, learner, group, variable, late, steps, moment):
        into, kept = internal("into", late), internal("kept", late)
        declare(group, into)
        group.variables.add_dynamic_array(kept, size=0)
        learner.share(group, "trial_step")
        name = f"{group.name}_{late}"
        super().__init__(group, f"{into} = {variable}", moment, name, template="delay_line")
        self.needed_variables = [into, kept, late]
        self.kept, self.steps = kept, steps
        variables = group.variables
        self.template_kwds = {
            "steps": steps,
            "into": variables[into],
            "kept": variables[kept],
            "late": variables[late],
        }
        if learner.trial is not None:
            at_trial_start(group, f"{late} = 0", f"{name}_trial_start")
        add_to(group, self)

    def before_run(self, run_namespace):
        """Size the ring buffer; an error if there is no memory for it."""
        if runs_in_python():
            size = self.steps * len(self.group)
            kept = self.group.variables[self.kept]
            needed = size * np.dtype(kept.dtype).itemsize
            if kept.size != size:
                check_memory(
                    needed,
                    f"a delay of {self.steps} steps of '{self.group.name}' takes",
                    f"choose a shorter delay, a longer dt or a smaller '{self.group.name}'",
                )
            resize_rows(kept, size)
        super().before_run(run_namespace)
