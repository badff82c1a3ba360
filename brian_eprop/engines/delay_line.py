"""Delay lines: what a variable of neurons or synapses was some steps ago."""

import numpy as np

from ..brian.code import LearningCode, declare, internal
from ..brian.internals import add_to, runs_in_python
from .history import available_memory, resize_rows
from .trials import at_trial_start


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
            if kept.size != size and needed > available_memory():
                raise MemoryError(
                    f"a delay of {self.steps} steps of '{self.group.name}' needs "
                    f"{needed / 1e9:.1f} GB, more than there is: choose a shorter delay, a longer "
                    "dt or fewer synapses"
                )
            resize_rows(kept, size)
        super().before_run(run_namespace)
