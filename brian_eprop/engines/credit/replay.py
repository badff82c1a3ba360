"""At the end of a window: the steps of the past are run through again, from last to first."""

import weakref

from brian2.devices.device import get_device
from brian2.groups.group import CodeRunner

from ... import schedule
from ..code import LearningCode
from ..gated import with_own_templates


class Replay(LearningCode):
    """Runs the code of the way back for every step of a window, and of its tail.

    Parameters
    ----------
    engine : Credit
    """

    def __init__(self, engine):
        readout = engine.learner.readout
        super().__init__(
            readout,
            "replay",
            clock=readout.clock,
            when=schedule.REPLAY.when,
            order=schedule.REPLAY.order,
            name=f"{readout.name}_replay",
        )
        self.engine = engine

    def before_run(self, run_namespace):
        """Generate the code of the way back."""
        engine, variables = self.engine, self.group.variables
        engine.prepare()
        variables["__run_end"].set_value(self.group.clock._i_end)
        begin, step = ([p.code_object(run_namespace) for p in group] for group in engine.players())
        self.begin, self.step = begin, step
        self.flags = [variables[n] for n in ("__window_ends", "__window_start", "__replayed_step")]
        if engine.standalone:
            self.codeobj_class = with_own_templates(get_device().code_object_class())
            self.template_kwds = {"begin": begin, "step": step, "tail": engine.tail}
            super().before_run(run_namespace)
        else:
            self.code_objects[:] = [weakref.proxy(code) for code in (*begin, *step)]
            super(CodeRunner, self).before_run(run_namespace)

    def run(self):
        """Brian2's runtime device calls this in every step; compiled programs have replay.cpp."""
        ends, start, replayed = self.flags
        if not ends.get_value()[0]:
            return
        now = int(self.group.variables["t_in_timesteps"].get_value()[0])
        trial_start = now - int(self.group.variables["trial_step"].get_value()[0])
        first = max(int(start.get_value()[0]) - self.engine.tail, trial_start)
        for code in self.begin:
            code()
        for step in range(now, first - 1, -1):
            replayed.set_value(step)
            for code in self.step:
                code()
        start.set_value(now + 1)
