"""Delays of a described network that are trained: what fits, where they start, their updates.

A delay is a real number for each synapse, which the simulation rounds to steps. Among the trained
parameters of a network they are called ``delay_in``, ``delay_rec`` and ``delay_out``, as in the
reference: matrices of seconds of the shape of the weights, of sparse weights csr_arrays of seconds.
"""

from types import MappingProxyType

import numpy as np
from brian2 import Quantity, second
from scipy.sparse import issparse

from ..engines.history import steps_of
from ..engines.windows import WHOLE
from ..learning.delays import SCALE
from ..learning.parameters import bounds_of, checked_trainable, scale_of
from .constraints import MATRICES
from .structures import fitted, values_of, with_values
from .validation import check_key, check_synapses, checked_quantity

#: How the trained delays of a matrix are called among the parameters.
NAMES = {name: f"delay_{name.removeprefix('w_')}" for name in MATRICES}
#: Steps that a trial has more than the longest delay: a split spike must arrive in it.
SPARE = 3
EXAMPLE = "{'w_rec': (0*ms, 20*ms)}"


def checked_training(given):
    """The argument ``trainable_delays`` as {matrix: ParameterTraining}.

    Raises
    ------
    TypeError, ValueError, DimensionMismatchError
        For a matrix that does not exist, and bounds that are missing or below 0.
    """
    where = "RecurrentNetwork.trainable_delays"
    trainings = checked_trainable(given, where)
    for name, training in trainings.items():
        check_key(where, name, MATRICES)
        if training.bounds is None:
            raise ValueError(
                f"{where} names '{name}' without bounds, but spikes of a delay that grows over a "
                f"trial would be lost; give the shortest and the longest, as in {EXAMPLE}"
            )
        low, high = limits(name, training)
        if not (low >= 0 and high < np.inf):
            raise ValueError(
                f"{where}['{name}'].bounds = {training.bounds!r} must be finite, and from 0*ms or "
                "more: no spike arrives before it was sent"
            )
    return MappingProxyType(trainings)


def limits(name, training):
    """The shortest and the longest delay in seconds."""
    return bounds_of(second.dim, name, training, "RecurrentNetwork.trainable_delays")


def matrices_of(description):
    """The matrices whose delays are trained, by the names of these among the parameters."""
    return {NAMES[matrix]: matrix for matrix in description.trainable_delays}


def check_trained_delays(description):
    """Raise an error for a rule without their gradient, and for a parameter of their name."""
    d, where = description, "RecurrentNetwork.trainable_delays"
    if d.trainable_delays:
        d.rule.check_parameters(where, d.trainable_delays, "delays")
    for name, matrix in matrices_of(d).items():
        if name in d.trainable:
            raise ValueError(
                f"trainable names '{name}', as the trained delays of '{matrix}' are called; call "
                "the parameter of the neurons something else"
            )


def check_bounds_within(description, trials):
    """Raise an error for delays that may come to be longer than trials, or for those of windows."""
    d = description
    for name, training in d.trainable_delays.items():
        high, most = limits(name, training)[1], (trials.steps - SPARE) * float(d.dt)
        where = f"RecurrentNetwork.trainable_delays['{name}']"
        if high > most * (1 + 1e-9):
            raise ValueError(
                f"{where}.bounds = {training.bounds!r}, but a trial has {trials.steps} steps of "
                f"{d.dt!s}; give at most {Quantity(max(most, 0.0), dim=second.dim)!s}, or make "
                "trials longer"
            )
        if trials.learning and trials.steps > WHOLE and d.rule.order == 1 and not d.trainable:
            raise ValueError(
                f"{where}: the gradient of a delay is that of whole trials, which are kept up to "
                f"{WHOLE} steps, but a trial has {trials.steps}; make trials shorter, or choose "
                "rule=EProp(order=2), which keeps longer ones"
            )


def start_delays(description):
    """Trained delays before the first update, by their names among the parameters."""
    d = description
    return {
        name: _spread(d, matrix, d.delays.get(matrix, 0 * second))
        for name, matrix in matrices_of(d).items()
    }


def _spread(description, name, delays):
    """One delay for each synapse, 0 where there is none: a Quantity, or a csr_array of seconds."""
    exists = values_of(description.connectivity[name])
    seconds = np.where(exists, np.asarray(values_of(delays), dtype=float), 0.0)
    return as_delays(description, name, seconds)


def as_delays(description, name, seconds):
    """Numbers of seconds as the delays of a matrix: a Quantity, or a csr_array of seconds."""
    mask = description.connectivity[name]
    if issparse(mask):
        return with_values(mask, seconds)
    return Quantity(seconds, dim=second.dim)


def check_within(description, name, where, matrix):
    """Raise an error for delays of synapses outside of the bounds of their training."""
    low, high = limits(name, description.trainable_delays[name])
    mask, slack = description.connectivity[name], 1e-6 * float(description.dt)
    seconds = np.broadcast_to(values_of(matrix), values_of(mask).shape)
    wrong = values_of(mask) & ~((seconds >= low - slack) & (seconds <= high + slack))
    ends = " to ".join(str(Quantity(end, dim=second.dim)) for end in (low, high))
    check_synapses(
        where, mask, Quantity(seconds, dim=second.dim), wrong, f", but its bounds are {ends}"
    )


def checked_delays(description, name, values):
    """A copy of the trained delays of a matrix, as their users may have changed them.

    Raises
    ------
    ValueError, DimensionMismatchError
        For another unit or shape, or a delay out of its bounds.
    """
    where, mask = f"parameters['{NAMES[name]}']", description.connectivity[name]
    if issparse(mask):
        values = fitted(where, values, mask)
    else:
        shape = description.shapes[name]
        remedy = f"it must be {shape} (row = pre, column = post)"
        values = checked_quantity(where, values, second.dim, "a time", (shape,), remedy)
    check_within(description, name, where, values)
    return _spread(description, name, values)


def rounded_delays(description, parameters):
    """The delays of the network, the trained ones as the simulation has them : dict."""
    dt, present = float(description.dt), dict(description.delays)
    for name, matrix in matrices_of(description).items():
        if name in parameters:
            seconds = steps_of(values_of(parameters[name]), dt) * dt
            present[matrix] = as_delays(description, matrix, seconds)
    return present


def updated_delays(description, name, values, gradient, optimizer, moments, updates):
    """The trained delays of a matrix after one update; see :func:`.parameters.update`."""
    training = description.trainable_delays[name]
    scale = scale_of_delays(name, training)
    step = (training.optimizer or optimizer).step(scale * values_of(gradient), moments, updates)
    changed = np.clip(np.asarray(values_of(values)) - scale * step, *limits(name, training))
    return _spread(description, name, changed)


def scale_of_delays(name, training):
    """The scale of delays in seconds: what the optimizer takes for 1."""
    if training.scale is None:
        return float(SCALE)
    return scale_of(SCALE, name, training, f"'{name}'", "RecurrentNetwork.trainable_delays")
