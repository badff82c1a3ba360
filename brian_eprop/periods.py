"""Periods of learning – trials, updates, windows, phases – and which step of them it is now."""

from brian2 import Quantity, TimedArray
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_FUNCTIONS, DEFAULT_UNITS
from brian2.parsing.expressions import is_boolean_expression, parse_expression_dimensions
from brian2.utils.stringtools import get_identifiers, word_substitute

from .arguments import shown, text
from .engines.code import declare
from .readout import steps

#: What may be said instead of a time: as long as an episode of the environment takes.
EPISODE = "episode"
#: No step of a simulation, and none before or after one.
NEVER = -(2**31)


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
            own[used] = f"learn_{used}"
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
    for name in ("episode_begins", "episode_ends", "trial_begins", "update_due", "updates"):
        declare(readout, name, shared=True)
    for name in ("started", "updates_on", "learns"):
        declare(readout, name, shared=True)
    for name in ("first_step", "last_step", "goes_on", "counted"):
        declare(readout, name, shared=True, dtype=int)
    readout.variables["last_step"].set_value(NEVER)
    if trial == EPISODE:
        step = "episode_step"
    else:
        step = (
            f"(timestep(t, dt) - first_step) % {trial}" if trial else "timestep(t, dt) - first_step"
        )
        if trial and readout.rewarded:
            readout.describe_step(f"truncated = {_last_of(trial)} > 0")
    scored = f"int(trial_step >= {trial - learner.window})" if learner.window else "1"
    episode = learner.episode
    begins = f"(timestep(t, dt) - first_step) % {episode} == 0"
    if episode in (None, EPISODE):
        begins = "episode_step == 0" if episode else "False"
    readout.describe_step(
        "goes_on = int(timestep(t, dt) >= last_step and timestep(t, dt) <= last_step + 1)\n"
        "first_step = goes_on*first_step + (1 - goes_on)*timestep(t, dt)\n"
        "last_step = timestep(t, dt)\n"
        f"trial_step = {step}\n"
        f"learns = int(learning and ({condition}))\n"
        f"scored = {scored}\n"
        "counts = learns*scored\n"
        "counted = int(trial_step > 0)*counted + int(counts > 0)\n"
        f"signal_scale = {1 / learner.scored if readout.average else 1.0!r}\n"
        f"trial_begins = {'int(trial_step == 0)' if trial else '0'}\n"
        f"episode_begins = int({begins})"
    )
    for period, code in (
        (learner.episode, "episode_ends = {last}"),
        (learner.interval, "update_due = {last}*updates_on*learns\nupdates = updates + update_due"),
    ):
        # That an episode ends is known when the environment has acted, at the end of the step.
        describe = readout.describe_outcome if period == EPISODE else readout.describe_step
        describe(code.format(last="episode_over" if period == EPISODE else _last_of(period)))


#: No flag stays up when the learner is taken out of the network.
LOWER_FLAGS = "started = 1\ntrial_begins = 0\nepisode_begins = 0\nepisode_ends = 0\nupdate_due = 0"


def _last_of(period):
    return f"int((timestep(t, dt) + 1 - first_step) % {period} == 0)" if period else "0"
