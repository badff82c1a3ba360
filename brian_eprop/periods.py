"""Periods of learning – trials, updates, windows – and which step of them the present one is."""

from .engines.code import declare
from .readout import steps

#: What may be said instead of a time: as long as an episode of the environment takes.
EPISODE = "episode"


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


def describe_step(learner):
    """Give a learner's readout flags of the present step, as shared variables."""
    readout, trial = learner.readout, learner.trial
    for name in ("episode_ends", "trial_begins", "update_due", "updates", "started"):
        declare(readout, name, shared=True)
    if trial == EPISODE:
        step = "episode_step"
    else:
        step = f"timestep(t, dt) % {trial}" if trial else "timestep(t, dt)"
        if trial and readout.rewarded:
            readout.describe_step(f"truncated = {_last_of(trial)} > 0")
    active = f"int(trial_step >= {trial - learner.window})" if learner.window else "1"
    readout.describe_step(
        f"trial_step = {step}\n"
        f"active = {active}\n"
        f"signal_scale = {1 / learner.scored if readout.average else 1.0!r}\n"
        f"trial_begins = {'int(trial_step == 0)' if trial else '0'}"
    )
    due = learner.interval if learner.optimizer else None
    for period, code in (
        (learner.episode, "episode_ends = {last}"),
        (due, "update_due = {last}\nupdates = updates + update_due"),
    ):
        # That an episode ends is known when the environment has acted, at the end of the step.
        describe = readout.describe_outcome if period == EPISODE else readout.describe_step
        describe(code.format(last="episode_over" if period == EPISODE else _last_of(period)))


def _last_of(period):
    return f"int((timestep(t, dt) + 1) % {period} == 0)" if period else "0"
