"""Ring buffers of one row per time step: the record of a window that the backward pass reads.

Row t mod R holds what was recorded in step t. Credit that arrivals will be given is kept
likewise, each row twice, R rows apart, so that the credit of the next R steps always is one
contiguous piece: a synapse with a delay finds its own at a fixed distance. A `DelayLine` keeps what
a variable was some steps ago.
"""

import os
from pathlib import Path

import numpy as np

from ..brian import schedule
from ..brian.code import LearningCode, declare, internal
from ..brian.internals import add_to, runs_in_python
from .trials import at_trial_start

#: Where Linux tells about processes and their control groups.
PROCESSES, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")


#: So close to a whole number of steps a delay is one.
WHOLE_STEP = 1e-6


def resize_rows(variable, size):
    """Give a variable its size, as zeros if that is a new one."""
    if variable.size != size:
        variable.resize(size)


def available_memory():
    """Bytes that can be had without swapping, by this machine and by a container around us."""
    return max(0, min([_free_on_machine(), *_free_in_containers()]))


def _free_on_machine():
    try:
        lines = dict(line.split(":") for line in (PROCESSES / "meminfo").read_text().splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _free_in_containers():
    """What each control group of Linux (version 1 or 2) that limits this process leaves free."""
    try:
        groups = (PROCESSES / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if controllers == "":
            root, limit, used = GROUPS, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            root, limit, used = GROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # Limits of the groups around it count too; inside a container only the root can be seen.
        for folder in (root / path.lstrip("/"), *(root / path.lstrip("/")).parents):
            if folder.is_relative_to(root):
                yield from _free_in(folder, limit, used)


def _free_in(folder, limit, used):
    try:
        # "max" if there is no limit
        free = int((folder / limit).read_text()) - int((folder / used).read_text())
        lines = (folder / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):
        return
    # Files that were read once are given up first.
    of_files = [int(line.split()[1]) for line in lines if line.startswith("inactive_file ")]
    yield free + sum(of_files)


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
            if kept.size != size and needed > available_memory():
                raise MemoryError(
                    f"a delay of {self.steps} steps of '{self.group.name}' needs "
                    f"{needed / 1e9:.1f} GB, more than there is: choose a shorter delay, a longer "
                    "dt or fewer synapses"
                )
            resize_rows(kept, size)
        super().before_run(run_namespace)
