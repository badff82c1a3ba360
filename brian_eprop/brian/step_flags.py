"""Periods of learning – trials, updates, windows, phases – and which step of them it is now."""

from brian2 import DEFAULT_CONSTANTS, DEFAULT_FUNCTIONS, DEFAULT_UNITS, Quantity, TimedArray

from ..checks import shown, steps, text
from .code import declare, internal
from .internals import (
    get_identifiers,
    is_boolean_expression,
    parse_expression_dimensions,
    runs_in_python,
    word_substitute,
)

#: What may be said instead of a time: as long as an episode of the environment takes.
EPISODE = "episode"
#: No step of a simulation, and none before or after one.
NEVER = -(2**31)
#: Flags of the present step, and the number of updates: shared variables of a learner's readout.
FLAGS = (
    "__started",
    "__learns",
    "__trial_begins",
    "__episode_begins",
    "__episode_ends",
    "__updates_on",
    "__update_due",
    "__updates",
)


def checked_period(name, duration, readout):
    """A period as a number of steps, `EPISODE`, or None for none.

    Parameters
    ----------
    name : str
        Of the learner's argument.
    duration : Quantity, str or None
    readout : LeakyReadout

    Raises
    ------
    ValueError, DimensionMismatchError
        For what is not a multiple of the time step.
    """
    if duration is None:
        return None
    if not isinstance(duration, str):
        return steps(f"Learner.{name}", duration, readout.clock.dt)
    if name == "learning_window" or duration != EPISODE or not readout.rewarded:
        raise ValueError(
            f"Learner.{name} = {duration!r} is not a time, such as 1*second; reset_every and "
            "update_every may also be 'episode', for a learner with an ActorCriticReadout"
        )
    return EPISODE


def check_multiples(trial, interval):
    """Raise an error unless trials and updates, where both have a length, end together."""
    lengths = [n for n in (trial, interval) if n and n != EPISODE]
    if len(lengths) == 2 and max(lengths) % min(lengths):
        raise ValueError(
            f"Learner.update_every ({interval} steps) and reset_every ({trial} steps) must be "
            "multiples of each other"
        )


def checked_condition(learn, readout, namespace):
    """The condition of learning in names that the readout knows; "True" for none.

    Parameters
    ----------
    learn : str or None
    readout : LeakyReadout
        Its namespace receives the constants that the condition uses.
    namespace : dict
        Of whoever wrote it.

    Raises
    ------
    TypeError, ValueError
        For what is not a boolean expression of the time.
    """
    if learn is None:
        return "True"
    name, example = f"Learner.learn = {shown(learn)}", "'t < 60*second'"
    text("Learner.learn", learn, "t < 60*second")
    own = {}
    for used in sorted(get_identifiers(learn) - {"t", "dt", "and", "or", "not", "True", "False"}):
        if used in namespace and isinstance(namespace[used], int | float | Quantity | TimedArray):
            own[used] = internal("learn", used)
            readout.namespace[own[used]] = namespace[used]
        elif used not in {**DEFAULT_FUNCTIONS, **DEFAULT_UNITS, **DEFAULT_CONSTANTS}:
            raise ValueError(
                f"{name} uses '{used}', which is no number here; it says when to learn by the "
                f"time t and constants, as in {example}"
            )
    condition = word_substitute(learn, own)
    try:
        known = readout.resolve_all(get_identifiers(condition), run_namespace={})
        parse_expression_dimensions(condition, known)
        fits = is_boolean_expression(condition, known)
    except Exception as error:
        raise ValueError(
            f"{name} cannot be read ({' '.join(str(error).split())}); write for example {example}"
        ) from None
    if not fits:
        raise ValueError(f"{name} is neither true nor false; write for example {example}")
    return condition


def describe_step(learner, condition):
    """Give a learner's readout flags of the present step, as shared variables.

    Steps are counted from the one in which the learner enters the network, and anew when it
    was out of it for a while. A step that an error has interrupted is run again.
    """
    readout, trial = learner.readout, learner.trial
    for name in FLAGS:
        declare(readout, name, shared=True)
    for name in ("__first_step", "__last_step", "__goes_on", "__counted"):
        declare(readout, name, shared=True, dtype=int)
    readout.variables["__last_step"].set_value(NEVER)
    if trial == EPISODE:
        step = "episode_step"
    else:
        step = (
            f"(timestep(t, dt) - __first_step) % {trial}"
            if trial
            else "timestep(t, dt) - __first_step"
        )
        if trial and readout.rewarded:
            readout.describe_step(f"truncated = {_last_of(trial)} > 0")
    scored = f"int(trial_step >= {trial - learner.window})" if learner.window else "1"
    episode = learner.episode
    begins = f"(timestep(t, dt) - __first_step) % {episode} == 0"
    if episode in (None, EPISODE):
        begins = "episode_step == 0" if episode else "False"
    readout.describe_step(
        "__goes_on = int(timestep(t, dt) >= __last_step and timestep(t, dt) <= __last_step + 1)\n"
        "__first_step = __goes_on*__first_step + (1 - __goes_on)*timestep(t, dt)\n"
        "__last_step = timestep(t, dt)\n"
        f"trial_step = {step}\n"
        f"__learns = int(learning and ({condition}))\n"
        f"__scored = {scored}\n"
        "__counts = __learns*__scored\n"
        "__counted = int(trial_step > 0)*__counted + int(__counts > 0)\n"
        f"__signal_scale = {1 / learner.scored if readout.average else 1.0!r}\n"
        f"__trial_begins = {'int(trial_step == 0)' if trial else '0'}\n"
        f"__episode_begins = int({begins})"
    )
    for period, code in (
        (learner.episode, "__episode_ends = {last}"),
        (
            learner.interval,
            "__update_due = {last}*__updates_on*__learns\n__updates = __updates + __update_due",
        ),
    ):
        # That an episode ends is known when the environment has acted, at the end of the step.
        describe = readout.describe_outcome if period == EPISODE else readout.describe_step
        describe(code.format(last="__episode_over" if period == EPISODE else _last_of(period)))


#: No flag stays up when the learner is taken out of the network.
LOWER_FLAGS = (
    "__started = 1\n__trial_begins = 0\n__episode_begins = 0\n__episode_ends = 0\n__update_due = 0"
)


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
        runs = runs_in_python()
        if not runs or self.now() != self.flag("__last_step") + 1:
            return False
        if self.trial not in (None, EPISODE) and not self.elapsed():
            return False
        return bool(self.flag("__counted"))

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
        if self.trial == EPISODE:
            under_way = self.elapsed()
        else:
            under_way = self.now() > self.flag("__first_step") and self.elapsed() > 0
        if under_way and self.flag("__counted"):
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
