"""Periods of learning – trials, updates, windows, phases – and which step of them it is now."""

from brian2 import Quantity, TimedArray
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_FUNCTIONS, DEFAULT_UNITS
from brian2.parsing.expressions import is_boolean_expression, parse_expression_dimensions
from brian2.utils.stringtools import get_identifiers, word_substitute

from .arguments import shown, text
from .engines.code import declare
from .names import internal
from .readout import steps

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
