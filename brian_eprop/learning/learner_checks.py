"""Checks of the arguments of Learner, and of what it has to learn with before a run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from brian2 import (
    Function,
    NeuronGroup,
    Quantity,
    TimedArray,
)

from ..brian.internals import (
    KNOWN_EVERYWHERE,
    PARAMETER,
    add_to,
    get_identifiers,
    is_boolean_expression,
    networks_of,
    parse_expression_dimensions,
    word_substitute,
)
from ..brian.step_flags import EPISODE
from ..checks import entries, shown, steps, text
from .parameters import check_known
from .readout import LeakyReadout
from .rules import check_rule


def checked_objects(name, objects, example, *kinds):
    """A list of Brian2 objects of some classes as a tuple; an error for anything else."""
    objects = entries(name, objects, example)
    for obj in objects:
        if not isinstance(obj, kinds):
            names = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(f"{name} = […, {shown(obj)}, …]: give objects of the class {names}")
    return objects


def checked_readout(readout, losses, signal):
    """The readout of a learner; without one, one that listens to nothing, beside losses.

    It has the flags and the clock of the learner, and its error is 0.
    """
    if readout is None and losses:
        group = losses[0].group
        readout = LeakyReadout(1, group.clock.dt, clock=group.clock, name=f"{group.name}_learner*")
        add_to(group, readout)
        return readout
    if readout is None:
        raise ValueError(
            "Learner.readout is missing: give a LeakyReadout with a target, or losses on the "
            "neurons themselves, Learner(losses=[Loss(group, '(v - 10*mV)**2/mV**2')])"
        )
    if not isinstance(readout, LeakyReadout):
        raise TypeError(
            f"Learner.readout = {readout!r} is not a LeakyReadout; give one, and losses=[Loss("
            "output, '(y - y_data(t, i))**2')] on a group of leaky integrators for a further one"
        )
    if readout.learner is not None:
        raise ValueError(
            f"readout '{readout.name}' already has a learner; give all its synapses the same"
        )
    if readout.rewarded and losses:
        raise ValueError(
            f"readout '{readout.name}' has rewards, which weigh what led to them, and losses "
            "count by themselves: give the losses a Learner of their own"
        )
    needless = readout.rewarded or losses or not getattr(signal, "reads_errors", True)
    if readout.target is None and not needless:
        raise ValueError(
            f"readout '{readout.name}' has no target and therefore no error to learn from; create "
            "it with LeakyReadout(..., target=...)"
        )
    return readout


def check_types(rule, regularizers):
    """Raise an error unless these are a learning rule and regularizers."""
    if rule is not None:
        check_rule("Learner.rule", rule)
    name, example = "Learner.regularizers", "[FiringRateRegularizer(10*Hz, 0.1)]"
    if not all(hasattr(r, "pressure") for r in entries(name, regularizers, example)):
        raise TypeError(
            f"{name} = {shown(regularizers)} is not a list of regularizers, such as {example}"
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
    renamed = {}
    for used in sorted(get_identifiers(learn) - {"t", "dt", "and", "or", "not", "True", "False"}):
        if used in namespace and isinstance(namespace[used], int | float | Quantity | TimedArray):
            # Brian2 refuses a monitor of the readout if a name in its namespace begins with "_"
            renamed[used] = f"learn_{used}"
            readout.namespace[renamed[used]] = namespace[used]
        elif used not in KNOWN_EVERYWHERE:
            raise ValueError(
                f"{name} uses '{used}', which is no number here; it says when to learn by the "
                f"time t and constants, as in {example}"
            )
    condition = word_substitute(learn, renamed)
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


def constants_among(namespace):
    """The names of a caller that equations may use: those of numbers and functions."""
    kinds = (int, float, np.number, np.ndarray, Function)
    return {name: value for name, value in namespace.items() if isinstance(value, kinds)}


def check_durations(learner):
    """Raise an error unless trial, window and interval fit each other, and what is measured."""
    if learner.window is not None and (
        learner.trial in (None, EPISODE) or learner.window > learner.trial
    ):
        trial = f"of {learner.trial} steps" if isinstance(learner.trial, int) else "without length"
        raise ValueError(
            f"Learner.learning_window ({learner.window} steps) is the last part of a trial, here "
            f"{trial}: it needs reset_every, and cannot be longer"
        )
    lengths = [n for n in (learner.trial, learner.interval) if n and n != EPISODE]
    if len(lengths) == 2 and max(lengths) % min(lengths):
        raise ValueError(
            f"Learner.update_every ({learner.interval} steps) and reset_every ({learner.trial} "
            "steps) must be multiples of each other"
        )
    if learner.regularizers and learner.episode is None:
        raise ValueError(
            "Learner.regularizers: the rate of a neuron is measured over a trial; give "
            "reset_every or update_every"
        )
    if learner.readout.average and learner.scored is None:
        raise ValueError(
            "LeakyReadout.average divides by the length of the learning window; give the "
            "learner reset_every or learning_window"
        )


def check_complete(learner):
    """Raise an error if something that learning needs is missing, switched off or unknown."""
    networks = networks_of(learner.readout)
    for loss in learner.losses:
        if not any(network in networks for network in networks_of(loss.group)):
            raise ValueError(
                f"{loss!r}: group '{loss.group.name}' and readout '{learner.readout.name}' are not "
                "in one network: add them, or give a Learner without this loss"
            )
    for group in learner.signal if isinstance(learner.signal, Mapping) else ():
        if group not in learner.signals:
            raise ValueError(
                f"Learner.signal names group '{group.name}', which does not learn: connect "
                "TrainableSynapses onto it, or leave it out"
            )
    for group in (learner.readout, *learner.populations):
        if not group.active:
            raise ValueError(
                f"'{group.name}'.active is False, but synapses that it is needed for learn: "
                "switch learning off instead (Learner.learning = False), or these synapses too"
            )
    learning = {group: p for group, p in learner.populations.items() if p.learns}
    known = {name for group in learning for name in _parameters_of(group)}
    objects = [obj for n in networks for obj in n.sorted_objects] if learner.trainable else []
    others = [obj for obj in objects if isinstance(obj, NeuronGroup)]
    check_known(learner.trainable, known, {n: g.name for g in others for n in _parameters_of(g)})
    for group, population in learning.items():
        if not learner.engine.reaches(population):
            raise ValueError(
                f"group '{group.name}' learns, but no feedback reaches it: symmetric and "
                "adaptive feedback go backwards along a trainable projection onto the "
                "readout; connect one, choose feedback='random', or give a loss on the group"
            )


def _parameters_of(group):
    """Names of the parameters of a group."""
    return {e.varname for e in group.equations.values() if e.type == PARAMETER}
