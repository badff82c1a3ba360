"""Checks of the arguments of TrainableSynapses, and of its synapses before and after a run."""

from __future__ import annotations

import inspect

import numpy as np
from brian2 import (
    Equations,
    Group,
    NeuronGroup,
    Quantity,
    SpikeSource,
    Synapses,
)
from brian2.units import second

from ..brian.internals import (
    PARAMETER,
    EquationError,
    Subexpression,
    get_identifiers,
    known_values,
    parent_group,
)
from ..calculus.derivatives import NoDerivativeError
from ..checks import check_options, check_time, not_finite, one_of, shown, text
from ..engines.contract import Learning
from ..neurons.model_checks import check_method
from .readout import LeakyReadout

#: Slots in which spikes may arrive: after the threshold (they act on the next step), or
#: between state update and threshold (they act on this one).
ARRIVALS = ("synapses", "after_groups")


def checked_learner(learner: Learning | None) -> Learning:
    """The argument ``learner``: a Learner; an error for anything else."""
    if learner is None:
        raise TypeError(
            "TrainableSynapses.learner is missing; give the Learner that trains them, or use "
            "brian2.Synapses for fixed weights"
        )
    if not hasattr(learner, "populations"):
        raise TypeError(f"TrainableSynapses.learner = {learner!r} is not a Learner")
    return learner


def check_arguments(source, target, on_pre, learner, arrival, delay, kind, as_synapses):
    """Raise an error unless the arguments of TrainableSynapses fit each other."""
    for name, group in (("source", source), ("target", target)):
        if not isinstance(group, Group | SpikeSource):
            raise TypeError(
                f"TrainableSynapses.{name} = {shown(group)} is not a group of neurons, such as a "
                "NeuronGroup"
            )
        _check_names_itself(parent_group(group))
    if on_pre is not None and not isinstance(on_pre, str):
        raise TypeError(
            f"TrainableSynapses.on_pre = {on_pre!r} must be text: one pathway carries the weight"
        )
    if isinstance(delay, dict):
        raise TypeError(
            f"TrainableSynapses.delay = {delay!r}: there is one pathway; give its delay alone"
        )
    if delay is not None:
        check_time("TrainableSynapses.delay", delay, may_be_zero=True)
    one_of("TrainableSynapses.arrival", arrival, ARRIVALS)
    check_options(kind, as_synapses, inspect.signature(Synapses).parameters)
    check_method(as_synapses.get("method", "exact"), "TrainableSynapses: ")
    if "on_event" in as_synapses:
        raise ValueError(
            f"TrainableSynapses.on_event = {as_synapses['on_event']!r}: the gradient is that of "
            "spikes; leave it out"
        )
    group = parent_group(target)
    if isinstance(group, LeakyReadout):
        _check_readout(group, learner, arrival)
    elif not isinstance(group, NeuronGroup):
        raise TypeError(
            f"TrainableSynapses.target = '{group.name}' is a {type(group).__name__}; trainable "
            "synapses end on a NeuronGroup or on the learner's readout"
        )


def _check_names_itself(group):
    """Raise an error for an expression of a group that uses its own name, as Brian2 has it."""
    for name, variable in getattr(group, "variables", {}).items():
        if isinstance(variable, Subexpression) and name in get_identifiers(variable.expr):
            raise ValueError(
                f"'{group.name}' has a variable '{name}' = '{variable.expr}', in which the name is "
                f"this variable itself: give the TimedArray or the constant '{name}' another name, "
                "such as 'given_rates'"
            )


def _check_readout(readout, learner, arrival):
    if readout is not learner.readout:
        raise ValueError(
            f"TrainableSynapses.target = '{readout.name}' is not the readout of the learner, "
            f"which is '{learner.readout.name}'; one learner reduces the error of one readout: "
            "use one LeakyReadout with more outputs, or for other outputs a NeuronGroup with a Loss"
        )
    if arrival != "synapses":
        raise ValueError(
            f"TrainableSynapses.arrival = '{arrival}' onto readout '{readout.name}': it takes "
            "spikes after the threshold, in the slot 'synapses'"
        )


def checked_equations(model):
    """The equations of the synapses; an error that names the argument if they are none."""
    if isinstance(model, Equations):
        return model
    try:
        return Equations(text("TrainableSynapses.model", model, "w : 1"))
    except EquationError as error:
        raise ValueError(
            f"TrainableSynapses.model = {model!r} cannot be read as equations "
            f"({' '.join(str(error).split())}); write for example 'w : 1'"
        ) from None


def check_weight(equations, weight):
    """Raise an error unless the weight is a parameter that acts through spikes alone."""
    text("TrainableSynapses.weight", weight, "w")
    if weight not in equations.names or equations[weight].type != PARAMETER:
        raise ValueError(
            f"TrainableSynapses.weight = '{weight}' is not a parameter of the model; the model "
            f"must have a line '{weight} : 1'"
        )
    flags = {"shared", "constant"}.intersection(equations[weight].flags)
    if flags:
        raise ValueError(
            f"the weight '{weight}' is flagged {', '.join(sorted(flags))}; a trained weight "
            "changes and is one per synapse: remove the flag"
        )
    for equation in equations.values():
        sums_up = "summed" in equation.flags
        if equation.expr is not None and weight in equation.identifiers and not sums_up:
            raise NoDerivativeError(
                f"the equation of '{equation.varname}' uses the weight '{weight}', which would "
                "act between spikes; a trainable weight acts through on_pre, or through a sum "
                f"over synapses, such as 's_post = {weight}*r_pre : 1 (summed)'"
            )


def summed_weight(equations, weight, on_pre, delay, target):
    """The equation of the sum over synapses that the weight is a part of; None for spikes."""
    sums = [e for e in equations.values() if "summed" in e.flags and weight in e.identifiers]
    if not sums:
        return None
    if isinstance(target, LeakyReadout):
        raise ValueError(
            f"the sum '{sums[0].varname}' ends on readout '{target.name}': only spikes act on a "
            "readout; give a Loss on the group that it would read, or let the source fire"
        )
    if len(sums) > 1:
        raise ValueError(
            f"the weight '{weight}' is a part of {len(sums)} sums, '{sums[0].varname}' and "
            f"'{sums[1].varname}': make TrainableSynapses for each"
        )
    if on_pre is not None:
        raise ValueError(
            f"TrainableSynapses.on_pre = {on_pre!r}: the weight '{weight}' acts in every step, "
            f"through the sum '{sums[0].varname}'; leave on_pre out, and let spikes drive a state "
            "of their source"
        )
    if delay is not None:
        raise ValueError(
            f"TrainableSynapses.delay = {delay!r}: the sum '{sums[0].varname}' has no delay; "
            "leave it out"
        )
    return sums[0]


def check_names(equations, added):
    """Raise an error if the user's model has a name that learning adds."""
    clash = added & equations.names
    if clash:
        raise ValueError(
            f"the model of the synapses defines '{min(clash)}', a name that learning adds "
            "itself; rename it"
        )


def check_bounds_are_used(bounds, learner):
    """Raise an error for bounds of weights that no optimizer changes."""
    if bounds is not None and learner.interval is None:
        raise ValueError(
            f"TrainableSynapses.bounds = {bounds!r}: weights are clipped when they are updated, "
            "but the learner has no optimizer"
        )


def errors_in_time(learner):
    """What takes the error of a step for that of its spikes, so that these have no delay; or ""."""
    if learner.rule.engine == "traces":
        return "the engine 'traces'"
    return "Learner.signal" if learner.signal is not None else ""


def check_no_delay_onto_readout(delay, learner):
    """Raise an error for a delay on the way to the readout, as a number or as text."""
    if delay is not None and (isinstance(delay, str) or np.any(np.asarray(delay) != 0)):
        raise ValueError(
            f"delay = {delay!r} of synapses onto readout '{learner.readout.name}': "
            f"{errors_in_time(learner)} pairs the error of a step with the spikes of that step; "
            f"use no delay here, or {_without_errors_in_time(learner)}"
        )


def check_delay_may_be_set(synapses, delay):
    """Raise an error for a delay that is given to synapses which exist, and can have none."""
    learner = synapses.learner
    if parent_group(synapses.target) is learner.readout and errors_in_time(learner):
        check_no_delay_onto_readout(delay, learner)


def _without_errors_in_time(learner):
    return "give no signal" if learner.signal is not None else "choose EProp(engine='credit')"


def check_delay_is_given(learner, training):
    """Raise an error for a delay on the way to the readout that is to learn."""
    if training is not None:
        raise ValueError(
            f"TrainableSynapses.trainable names 'delay' onto readout '{learner.readout.name}': "
            f"{errors_in_time(learner)} pairs the error of a step with the spikes of that step; "
            f"leave 'delay' out, or {_without_errors_in_time(learner)}"
        )


def check_time_step(learner, *groups):
    """Raise an error unless all groups run with the time step of the readout."""
    readout = learner.readout
    for group in groups:
        if group.clock.dt_ != readout.clock.dt_:
            raise ValueError(
                f"'{group.name}' runs with dt = {group.clock.dt!s} but the readout "
                f"'{readout.name}' with {readout.clock.dt!s}; learning needs one time step"
            )


def check_before_run(synapses):
    """Raise an error for what has changed, or was set, since the synapses were created."""
    name, source = synapses.name, synapses.source
    check_time_step(synapses.learner, source, synapses.target, synapses)
    delays = known_values(synapses.pre.variables["delay"]) if synapses.user_on_pre else np.zeros(1)
    wrong = ~(np.isfinite(delays) & (delays >= 0))
    if np.any(wrong):
        raise ValueError(
            f"a delay of '{name}' is {Quantity(delays[wrong][0], dim=second.dim)!s}: no spike "
            "arrives before it was sent; give finite delays from 0*ms, which are rounded to steps"
        )
    if synapses.timing.without_delay and np.any(delays != 0):
        longest = Quantity(delays.max(), dim=second.dim)
        check_delay_may_be_set(synapses, longest)
        raise ValueError(
            f"the delay of '{name}' was set to {longest!s}, but it was created with delay=0*ms; "
            "leave the argument out if its synapses have delays"
        )
    check_finite(synapses, known_values(synapses.variables[synapses.weight]))


def check_finite(synapses, weights):
    """Raise an error for weights that are not finite numbers."""
    weights = np.atleast_1d(np.asarray(weights, dtype=float))
    wrong = not_finite(f"'{synapses.name}'.{synapses.weight}", weights)
    if wrong:
        raise ValueError(f"{wrong}; weights must be finite")


def check_gradient(synapses):
    """Raise an error for gradients that are not finite numbers."""
    wrong = not_finite(f"'{synapses.name}'.grad", known_values(synapses.variables["grad"]))
    if wrong:
        raise FloatingPointError(
            f"{wrong} after the run: weights, inputs or the states of neurons have become too "
            "large; use smaller weights, a smaller surrogate gradient (EProp.surrogate) or "
            "shorter trials"
        )
