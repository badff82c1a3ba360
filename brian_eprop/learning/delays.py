"""Delays that learn: real numbers, one per synapse, of which the simulation rounds to steps.

A spike of step s that is split linearly between the steps n = ⌊d⌋ and n + 1 after it has

    dE/dd = w Σ_s (λ^{s+n+1} − λ^{s+n})

with λ what an arrival of unit weight adds to the loss. Brian2 delivers all of a spike after the
rounded delay, so that this is the slope of the split spike along the trajectory of the rounded
one. Brian2's queues of spikes are made anew where delays have been updated.
"""

from __future__ import annotations

import numpy as np
from brian2 import Quantity, ms, second
from brian2.units.fundamentalunits import DIMENSIONLESS

from ..brian.internals import is_standalone, itself, known_values, restart_queue
from ..brian.step_flags import EPISODE
from ..checks import entries, shown
from ..engines.windows import SHORT_TRIALS, WHOLE_TRIALS
from .parameters import ParameterTraining, bounds_of, checked_trainable, scale_of
from .updates import Trained, Update

#: One step of the optimizer, if no other scale is given.
SCALE = 1 * ms
#: Steps that a trial has more than the longest delay: a split spike must arrive in it.
SPARE = 3


def checked_trained(trainable, weight, fixed):
    """Whether the weight learns, and how delays do: the argument ``trainable`` of synapses.

    Returns
    -------
    fixed : bool
    training : ParameterTraining or None

    Raises
    ------
    TypeError, ValueError
        For what is neither the weight nor "delay"; names what is wrong.
    """
    if trainable is None:
        return fixed, None
    name = "TrainableSynapses.trainable"
    if fixed:
        raise ValueError(
            f"{name} = {shown(trainable)} with fixed=True: leave fixed out, and the weight "
            f"'{weight}' out of trainable if it is to stay as it is"
        )
    if not isinstance(trainable, dict):
        trainable = entries(name, trainable, f"('{weight}', 'delay')")
    trainings = checked_trainable(trainable)
    for each in trainings:
        if each not in (weight, "delay"):
            raise ValueError(
                f"{name} names '{each}'; synapses train their weight, '{weight}', and 'delay'"
            )
    if trainings.get(weight, ParameterTraining()) != ParameterTraining():
        raise ValueError(
            f"{name}['{weight}'] = {trainings[weight]!r}: bounds of the weight are those of "
            "TrainableSynapses(bounds=...), and its optimizer is the learner's; give None"
        )
    return weight not in trainings, trainings.get("delay")


def longest_delay(training, learner, delay, summed):
    """Steps of the longest delay that training may come to; None where delays do not learn.

    Raises
    ------
    ValueError
        For an engine, or windows, that cannot have the gradient, and for bounds that do not fit.
    """
    if training is None:
        return None
    where = "TrainableSynapses.trainable names 'delay'"
    learner.rule.check_parameters("TrainableSynapses.trainable", ["delay"], "delays", traced=True)
    if summed is not None:
        raise ValueError(f"{where}, but the sum '{summed.varname}' has no delay")
    if delay is not None:
        raise ValueError(
            f"{where}, but delay = {delay!r} is one number for all synapses: leave the argument "
            "out, and set the delay of each where training starts, synapses.delay = '5*ms'"
        )
    if learner.rule.engine == "traces":
        _check_traces(learner, where)
    if learner.engine.carries:
        raise ValueError(
            f"{where}: the gradient of a delay is that of whole trials; {SHORT_TRIALS}"
        )
    dt, most = learner.readout.clock.dt_, learner.trial - SPARE
    if most < 1:
        raise ValueError(f"{where}, but a trial has {learner.trial} steps; make trials longer")
    low, high = _bounds(training, dt * most)
    if low < 0:
        raise ValueError(
            f"trainable['delay'].bounds = {training.bounds!r}: no spike arrives before it was "
            "sent; the first must be 0*ms or more"
        )
    if high > most * dt * (1 + 1e-9):
        raise ValueError(
            f"trainable['delay'].bounds = {training.bounds!r} reach over a trial of "
            f"{Quantity(learner.trial * dt, dim=second.dim)!s}; give at most "
            f"{Quantity(most * dt, dim=second.dim)!s}"
        )
    return int(np.ceil(high / dt - 1e-6))


def _check_traces(learner, where):
    """Raise an error where traces of delays are not those of the credit in whole trials."""
    trial, interval = learner.trial, learner.interval
    whole = trial is not None and EPISODE not in (trial, interval)
    if not whole or (interval is not None and interval % trial):
        raise ValueError(f"{where}: spikes under way are dropped by an update; {WHOLE_TRIALS}")
    for problem in (
        learner.trace_filter is not None and "Learner.trace_filter",
        learner.signal is not None and "Learner.signal",
        learner.readout.rewarded and "a readout of rewards",
    ):
        if problem:
            raise ValueError(
                f"{where}: traces of delays have not been derived for {problem}; leave 'delay' out"
            )


def _bounds(training, longest):
    if training.bounds is None:
        return 0.0, longest
    return bounds_of(second.dim, "delay", training)


def trained_delay(synapses, training, learner):
    """The delay as an optimizer sees it, in units of its scale."""
    # the pathway has the delays
    synapses.variables.add_reference("delay", synapses.pre, "delay")
    if training.scale is None:
        scale = float(SCALE)
    else:
        scale = scale_of(SCALE, "delay", training, f"'{synapses.name}'")
    return Trained(
        "delay",
        "grad_delay",
        "delay/scale",
        DIMENSIONLESS,
        f"{scale!r}*grad_delay/{learner.trials_per_update}",
        (f"delay = delay - {scale!r}*_step",),
        _bounds(training, synapses.timing.longest * synapses.clock.dt_),
        suffix="_delay",
        optimizer=training.optimizer,
    )


class DelayUpdate(Update):
    """The update of synapses whose delays learn; spikes go on with the new ones."""

    def before_run(self, run_namespace):
        """Raise an error where a program has made its queues before it begins."""
        if is_standalone() and self.learner.optimizer is not None:
            raise ValueError(
                f"delays of '{self.group.name}' are trained in a C++ standalone program, whose "
                "queues of spikes are made when a run begins: choose RecurrentNetwork, or the "
                "targets numpy and cython; or give Learner(optimizer=None) and change delays "
                "between runs by grad_delay"
            )
        super().before_run(run_namespace)

    def run(self):
        """The update of a step; a trial has ended, so that no spike under way would arrive."""
        due = self.group.variables["__update_due"].get_value()[0]
        super().run()
        if due:
            self.values_changed()

    def values_changed(self):
        """Let spikes, and their credit, go on with the present delays, within a run."""
        restart_queue(self.group.pre)
        self.learner.engine.delays_changed(itself(self.group))


def check_delays(synapses):
    """Raise an error for delays, set by the user, that are out of the bounds of their training."""
    delays = known_values(synapses.pre.variables["delay"])
    dt = synapses.clock.dt_
    low, high = _bounds(synapses.trained_delay, synapses.timing.longest * dt)
    slack = 1e-6 * dt
    wrong = ~((delays >= low - slack) & (delays <= high + slack))
    if np.any(wrong):
        raise ValueError(
            f"a delay of '{synapses.name}' is {Quantity(delays[wrong][0], dim=second.dim)!s}; "
            f"give delays from {Quantity(low, dim=second.dim)!s} to "
            f"{Quantity(high, dim=second.dim)!s}, or other bounds, "
            "trainable={'delay': (0*ms, 20*ms)}"
        )
