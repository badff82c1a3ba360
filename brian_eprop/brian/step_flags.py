"""Which step of trials, updates and windows the present one is, as flags that all of its code sees.

The flags are shared variables of a learner's readout, written once in the text of `describe_step`.
"""

from typing import NamedTuple

import numpy as np

from . import schedule
from .code import declare, run_code
from .internals import runs_in_python

#: What may be said instead of a time: as long as an episode of the environment takes.
EPISODE = "episode"
#: No step of a simulation, and none before or after one.
NEVER = -(2**31)


class Flag(NamedTuple):
    """What a shared variable of a readout says of the present step.

    Attributes
    ----------
    of : str
        Whose it is: every "readout" has it, one with a "learner", with "rewards", or with an
        engine that replays a "window" of the past.
    says, read, written : str
        Its meaning, and by what it is read and written.
    dtype : type
        Default: Brian2's for floating-point numbers; what counts has more digits.
    """

    of: str
    says: str
    read: str
    written: str = "the step"
    dtype: type | None = None


#: All of them but those with public names, which equations of the readout declare: ``learning``,
#: ``trial_step`` (in the trial, or in the simulation without one) and, with rewards,
#: ``episode_step``, ``reward``, ``decides``, ``terminal`` and ``truncated``.
FLAGS = {
    "__kappa": Flag("readout", "κ of the output", "traces, backward pass"),
    "__gain": Flag("readout", "g of the output's inputs", "the readout, traces, backward pass"),
    "__scored": Flag("readout", "1 in the learning window", "the loss"),
    "__counts": Flag("readout", "1 if the error counts", "the error"),
    "__signal_scale": Flag("readout", "1/steps of an average", "the loss, learning signals"),
    "__first_step": Flag("learner", "the first step of trials", "Progress", dtype=int),
    "__last_step": Flag("learner", "the step that was described last", "Progress", dtype=int),
    "__goes_on": Flag("learner", "1 unless steps were missed", "the step", dtype=int),
    "__counted": Flag("learner", "steps of the trial that count", "Progress", dtype=int),
    "__started": Flag("learner", "0 in the first step", "trials", "Progress, the step's end"),
    "__learns": Flag("learner", "1 while learning is on", "regularizers"),
    "__trial_begins": Flag("learner", "1 in the first step of a trial", "trials, traces"),
    "__episode_begins": Flag("learner", "1 where a count of spikes begins", "regularizers"),
    "__episode_ends": Flag("learner", "1 where it ends", "regularizers, traces, windows"),
    "__updates_on": Flag("learner", "1 with an optimizer", "the step", "Learner.optimizer"),
    "__update_due": Flag("learner", "1 where weights change", "updates, windows"),
    "__updates": Flag("learner", "updates so far", "optimizers", "the step, Learner", float),
    "__episode_over": Flag("rewards", "1 after an episode's end", "the step, Progress", "rewards"),
    "__credit_decay": Flag("rewards", "γλ, 0 at an episode's end", "traces, windows", "rewards"),
    "__window_start": Flag("window", "its first step", "replay", "the step, replay", np.int64),
    "__window_ends": Flag("window", "1 where it is replayed", "replay", dtype=np.int64),
    "__replayed_step": Flag("window", "the past step", "backward pass", "replay", np.int64),
    "__run_end": Flag("window", "the step after the run", "the step", "replay", np.int64),
}


def declare_flags(readout, of):
    """Give a readout the flags of a kind."""
    for name, flag in FLAGS.items():
        if flag.of == of:
            declare(readout, name, shared=True, dtype=flag.dtype)


def describe_step(readout, learner=None, condition="True"):
    """Write the code that sets the flags of a readout, before anything else of a step.

    Steps are counted from the one in which the learner enters the network, and anew when it
    was out of it for a while. A step that an error has interrupted is run again.

    Parameters
    ----------
    readout : LeakyReadout
    learner : Learner, optional
    condition : str
        Of learning, in names of the readout.
    """
    # For trials of 100 steps, an update after each second one and the engine 'credit':
    #
    # __kappa = exp(-dt/tau_out)
    # __gain = 1
    # __goes_on = int(timestep(t, dt) >= __last_step and timestep(t, dt) <= __last_step + 1)
    # __first_step = __goes_on*__first_step + (1 - __goes_on)*timestep(t, dt)
    # __last_step = timestep(t, dt)
    # trial_step = (timestep(t, dt) - __first_step) % 100
    # __learns = int(learning and (True))
    # __scored = 1
    # __counts = __learns*__scored
    # __counted = int(trial_step > 0)*__counted + int(__counts > 0)
    # __signal_scale = 1.0
    # __trial_begins = int(trial_step == 0)
    # __episode_begins = int((timestep(t, dt) - __first_step) % 100 == 0)
    # __episode_ends = int((timestep(t, dt) + 1 - __first_step) % 100 == 0)
    # __update_due = int((timestep(t, dt) + 1 - __first_step) % 200 == 0)*__updates_on*__learns
    # __updates = __updates + __update_due
    # __window_start = int(__started > 0)*__window_start + int(__started == 0)*timestep(t, dt)
    # __window_ends = int(__episode_ends > 0 or __update_due > 0)
    code = ["__kappa = exp(-dt/tau_out)", f"__gain = {'1 - __kappa' if readout.normalize else '1'}"]
    if readout.rewarded:
        code.append("episode_step = int(__episode_over == 0)*(episode_step + 1)")
        code += [f"{name} = False" for name in ("decides", "terminal", "truncated")]
        code.append("reward = 0")
    if learner is None:
        code += ["__scored = 1", "__counts = 1", "__signal_scale = 1"]
        code.append("trial_step = timestep(t, dt)")
    else:
        code += [*_of_trial(readout, learner, condition)]
        at_once, outcome = _of_periods(learner)
        code += [*at_once, *_of_window(learner.engine)]
        if outcome:
            # That an episode ends is known when the environment has acted.
            run_code(readout, "\n".join(outcome), schedule.EPISODE, f"{readout.name}_episode")
        # No flag stays up when the learner is taken out of the network.
        flags = ("trial_begins", "episode_begins", "episode_ends", "update_due")
        lowered = ["__started = 1", *(f"__{name} = 0" for name in flags)]
        run_code(readout, "\n".join(lowered), schedule.STARTED, f"{readout.name}_started")
    readout.step_clock.abstract_code = "\n".join(code)


def _of_trial(readout, learner, condition):
    """The step's place in the trial, and whether its error counts."""
    trial, episode, since = learner.trial, learner.episode, "timestep(t, dt) - __first_step"
    if trial == EPISODE:
        step = "episode_step"
    else:
        step = f"({since}) % {trial}" if trial else since
        if trial and readout.rewarded:
            yield f"truncated = {_last_of(trial)} > 0"
    begins = f"({since}) % {episode} == 0"
    if episode in (None, EPISODE):
        begins = "episode_step == 0" if episode else "False"
    scored = f"int(trial_step >= {trial - learner.window})" if learner.window else "1"
    yield ("__goes_on = int(timestep(t, dt) >= __last_step and timestep(t, dt) <= __last_step + 1)")
    yield "__first_step = __goes_on*__first_step + (1 - __goes_on)*timestep(t, dt)"
    yield "__last_step = timestep(t, dt)"
    yield f"trial_step = {step}"
    yield f"__learns = int(learning and ({condition}))"
    yield f"__scored = {scored}"
    yield "__counts = __learns*__scored"
    yield "__counted = int(trial_step > 0)*__counted + int(__counts > 0)"
    yield f"__signal_scale = {1 / learner.scored if readout.average else 1.0!r}"
    yield f"__trial_begins = {'int(trial_step == 0)' if trial else '0'}"
    yield f"__episode_begins = int({begins})"


def _of_periods(learner):
    """What ends with this step: known before it, and when the environment has acted."""
    code = {False: [], True: []}
    for name, period, where in (
        ("__episode_ends", learner.episode, ""),
        ("__update_due", learner.interval, "*__updates_on*__learns"),
    ):
        last = "__episode_over" if period == EPISODE else _last_of(period)
        code[period == EPISODE].append(f"{name} = {last}{where}")
    code[learner.interval == EPISODE].append("__updates = __updates + __update_due")
    return code[False], code[True]


def _of_window(engine):
    """When an engine that keeps the past replays it."""
    if engine.window is None:
        return
    yield (
        "__window_start = int(__started > 0)*__window_start + int(__started == 0)*timestep(t, dt)"
    )
    ends = ["__episode_ends > 0", "__update_due > 0"]
    if engine.carries:
        ends.append(f"timestep(t, dt) + 1 - __window_start >= {engine.window}")
        ends.append("timestep(t, dt) + 1 == __run_end")
    yield f"__window_ends = int({' or '.join(ends)})"


def _last_of(period):
    return f"int((timestep(t, dt) + 1 - __first_step) % {period} == 0)" if period else "0"


class Progress:
    """How far the trials of a learner have come, read from the step flags of its readout.

    Parameters
    ----------
    readout : LeakyReadout
    trial : int, "episode" or None
        Steps of a trial.
    """

    def __init__(self, readout, trial):
        self.readout, self.trial = readout, trial

    def flag(self, name):
        """The present value of a step flag."""
        return int(self.readout.variables[name].get_value()[0])

    def now(self):
        """The next step of the simulation."""
        return int(self.readout.clock.variables["timestep"].get_value()[0])

    def entered(self):
        """Whether the learner has been in a network that ran."""
        return self.flag("__last_step") > NEVER

    @property
    def first_step(self):
        """The step from which trials are counted: the learner's first, or the next one."""
        if not runs_in_python():
            return 0
        return self.flag("__first_step") if self.entered() else self.now()

    def elapsed(self, shift=0):
        """Steps of the trial that are over; of an episode, whether it is under way."""
        if self.trial == EPISODE:
            return self.flag("__episode_over") == 0
        return (self.now() + shift - self.flag("__first_step")) % self.trial

    @property
    def within_trial(self):
        """Whether steps of a trial that goes on have been learned from."""
        if not runs_in_python() or self.now() != self.flag("__last_step") + 1:
            return False
        ended = self.trial not in (None, EPISODE) and not self.elapsed()
        return bool(not ended and self.flag("__counted"))

    def start_trial(self):
        """Let a trial begin with the next step; see :meth:`.Learner.start_trial`."""
        if self.trial is None:
            raise ValueError("Learner.start_trial: there are no trials; give Learner reset_every")
        if not runs_in_python():
            raise ValueError(
                "Learner.start_trial: how far a trial has come is not known before the C++ "
                "standalone program runs. Leave the readout and the trained synapses out of the "
                "network until the first trial is to begin, or use a runtime device"
            )
        begun = self.trial == EPISODE or self.now() > self.flag("__first_step")
        if begun and self.elapsed() and self.flag("__counted"):
            raise ValueError(
                f"Learner.start_trial: {self.flag('__counted')} steps of the present trial have "
                "been learned from. Run to its end first, or switch learning off "
                "(Learner.learning = False) for trials that are cut short"
            )
        variables = self.readout.variables
        if self.trial == EPISODE:
            variables["__episode_over"].set_value(1)
        elif self.entered():
            variables["__first_step"].set_value(self.flag("__first_step") + self.elapsed())
        variables["__started"].set_value(0)

    def check_continues(self):
        """Raise an error if the learner was out of the network while it was learning."""
        if not runs_in_python() or not self.entered():
            return
        missed = self.now() - self.flag("__last_step") - 1
        if missed <= 0:
            return
        if self.trial is None or (self.elapsed(-missed) and self.flag("__counted")):
            raise ValueError(
                f"readout '{self.readout.name}' was out of the network for {missed} steps"
                + (
                    ", and the trial before had not ended: take it out at the end of a trial"
                    if self.trial
                    else ": what its traces hold is not of this moment. Switch learning off "
                    "instead (Learner.learning = False), or give Learner reset_every"
                )
            )
