"""Checks of what users give to a network: converted, or refused by name, value and remedy."""

import os

import numpy as np
from brian2.units import DimensionMismatchError
from brian2.units.fundamentalunits import DIMENSIONLESS, get_dimensions
from scipy.sparse import issparse

from ..brian.internals import is_standalone
from ..checks import as_array, entries, is_whole, numbers, suggest, unit_name, whole_number
from ..learning.losses import LOSSES
from ..learning.optimizers import Optimizer, start_of
from ..quantities import quantity
from .structures import first_place, fitted

#: Of numbers that are not.
FINITE = "; it must be finite"
FINITE_TARGETS = (
    "; each must be finite: where no error is to count, at the begin of trials, give 0 and the "
    "number of last steps that count, learning_window. Tasks whose steps that count differ from "
    "trial to trial are for brian_eprop.rule_study.train"
)


def entries_of(name, values, kind, noun, example):
    """A list of objects of one kind as a tuple; TypeError for anything else."""
    if isinstance(values, kind):
        raise TypeError(f"{name} is one {noun}; give a list, [{values!r}]")
    values = entries(name, values, f"[{example}]")
    for value in values:
        if not isinstance(value, kind):
            raise TypeError(f"{name} holds {value!r}, which is no {noun}; give {example}")
    return values


def check_key(table, name, known):
    """Raise ValueError for a key of a dict that is not among the known ones."""
    if name not in known:
        raise ValueError(
            f"{table}['{name}'] is not one of {', '.join(known)}{suggest(name, known)}"
        )


def check_entries(name, values, wrong, problem):
    """Raise ValueError for the first wrong entry of an array, by its place and value.

    Parameters
    ----------
    name : str
    values : ndarray or Quantity
    wrong : bool ndarray
        Which entries are wrong.
    problem : str
        How the message goes on.
    """
    if np.any(wrong):
        place = np.argwhere(wrong)[0].tolist()
        raise ValueError(f"{name}{place or ''} = {values[tuple(place)]!s}{problem}")


def check_synapses(name, matrix, values, wrong, problem):
    """The same of values of a matrix, which may be sparse; see :mod:`.connectivity`."""
    if not issparse(matrix):
        check_entries(name, values, wrong, problem)
    elif (place := first_place(matrix, wrong)) is not None:
        value = values[np.argmax(wrong)]
        raise ValueError(f"{name}{list(place)} = {value!s}{problem}")


def check_finite(name, values, matrix=None):
    """Raise ValueError for the first entry of an array that is not finite."""
    # A sum is not finite if a number is not, and takes less time than asking each.
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum()
    if not np.isfinite(total):
        check_synapses(name, matrix, values, ~np.isfinite(values), FINITE)


def checked_quantity(name, value, dimensions, must, shapes, remedy):
    """A copy of a quantity with given dimensions and one of the given shapes."""
    try:
        values = quantity(value)
    except ValueError as error:
        raise ValueError(f"{name} = {value!r}: {error}") from None
    if get_dimensions(values) is not dimensions:
        raise DimensionMismatchError(
            f"{name} has the unit {unit_name(get_dimensions(values))}; it must be {must}"
        )
    if values.shape not in shapes:
        raise ValueError(f"{name} has the shape {values.shape}; {remedy}")
    return values


def checked_path(name, path):
    """The path of a file; TypeError for what is none, such as a number."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{name} = {path!r} must be the path of a file, such as 'network.npz'")
    return path


def checked_mask(name, mask, shape):
    """A copy of a boolean mask of the given shape."""
    mask = as_array(f"connectivity['{name}']", mask)
    if mask.dtype != bool or mask.shape != shape:
        raise ValueError(
            f"connectivity['{name}'] is a {mask.dtype} array of shape {mask.shape}; it must be "
            f"bool, of shape {shape} (row = pre, column = post)"
        )
    return mask


def checked_weights(name, weights, shape, mask=None):
    """A weight matrix of the given shape, as finite float numbers; a copy unless it is one.

    A sparse one has the synapses of a sparse mask.
    """
    if issparse(mask):
        weights = fitted(f"weights['{name}']", weights, mask)
        check_finite(f"weights['{name}']", weights.data, weights)
        return weights
    if issparse(weights):
        raise ValueError(
            f"weights['{name}'] is sparse, but that of the network is a dense array; give "
            "matrix.toarray(), or make the network with sparse weights"
            + ("; 'feedback' is always dense" if name == "feedback" else "")
        )
    if type(weights) is not np.ndarray or weights.dtype != np.float64:
        weights = numbers(f"weights['{name}']", weights)
    if weights.shape != shape:
        raise ValueError(
            f"weights['{name}'] has the shape {weights.shape}; it must be {shape} (row = pre, "
            "column = post)"
        )
    check_finite(f"weights['{name}']", weights)
    return weights


def checked_optimizer(optimizer, name="RecurrentNetwork.optimizer"):
    """The optimizer; an error unless it is one whose learning rate is a number."""
    if optimizer is None:
        return None
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{name} = {optimizer!r} is not an optimizer; give for example Adam(5e-3)")
    if get_dimensions(start_of(optimizer.learning_rate)) is not DIMENSIONLESS:
        raise DimensionMismatchError(
            f"{name} = {optimizer!r}: give the learning rate without unit, as weights are numbers "
            "in the model's weight_unit and parameters are trained relative to their scale"
        )
    return optimizer


def checked_inputs(inputs, n_in):
    """Spikes as a bool array (batch, T, n_in), and whether they had the first axis."""
    inputs = as_array("inputs", inputs)
    _check_trials("inputs", inputs, n_in)
    wrong = inputs[~np.isin(inputs, (0, 1))] if inputs.dtype != bool else ()
    if len(wrong):
        raise ValueError(
            f"inputs must be booleans, a spike or none per step and channel, but hold "
            f"{wrong[0].item()!r}; draw spikes from rates, as in rng.random(rates.shape) < rates"
        )
    inputs = inputs.astype(bool, copy=False)
    return (inputs, True) if inputs.ndim == 3 else (inputs[np.newaxis], False)


def checked_trials(description, inputs, targets, window):
    """Inputs and targets with the axis ``batch``, and the learning window.

    Returns
    -------
    inputs : (batch, T, n_in) bool ndarray
    targets : (batch, T, n_out) float ndarray
    window : int or None
        None if it is the whole trial.
    batched : bool
        Whether the inputs had the axis.
    """
    inputs, batched = checked_inputs(inputs, description.n_in)
    window = checked_window(window, inputs.shape[1])
    targets = _checked_targets(targets, description, inputs.shape[:2], window)
    return inputs, targets, window, batched


def checked_answers(description, inputs, targets):
    """Inputs as a bool array (trials, T, n_in); an error for targets of another shape."""
    inputs, _ = checked_inputs(inputs, description.n_in)
    expected = (*inputs.shape[:2], description.n_out)
    if numbers("targets", targets).shape != expected:
        raise ValueError(f"targets have the shape {np.shape(targets)}; give {expected}")
    return inputs


def _checked_targets(targets, description, shape, window):
    targets = numbers("targets", targets)
    _check_trials("targets", targets, description.n_out)
    check_entries("targets", targets, ~np.isfinite(targets), FINITE_TARGETS)
    targets = targets if targets.ndim == 3 else targets[np.newaxis]
    if targets.shape[:2] != shape:
        raise ValueError(
            f"targets have (batch, steps) = {targets.shape[:2]} but inputs {shape}; give one row "
            "of targets per time step of the inputs"
        )
    loss, counted = LOSSES[description.loss], targets[:, -(window or shape[1]) :]
    wrong = loss.wrong(counted)
    if wrong.any():
        trial, step = np.argwhere(wrong)[0]
        raise ValueError(
            f"targets of trial {trial}, step {step + shape[1] - counted.shape[1]} are "
            f"{counted[trial, step]}; the loss '{description.loss}' needs {loss.needs} in every "
            "step that counts"
        )
    return targets


def checked_recording(description, inputs, targets, window, neurons, synapses_per_neuron):
    """What is to be recorded: arrays of one trial, its learning window, neurons and synapses."""
    d = description
    inputs, targets, window, _ = checked_trials(d, inputs, targets, window)
    if len(inputs) > 1:
        raise ValueError(
            f"inputs have {len(inputs)} trials, but one is recorded; give (T, {d.n_in})"
        )
    neurons = checked_recorded(neurons, d.n_rec)
    each = whole_number("record.synapses_per_neuron", synapses_per_neuron, least=0)
    return inputs[0], targets[0], window, neurons, each


def checked_recorded(neurons, n_rec):
    """Which neurons to record, as a list of int, or how many."""
    if is_whole(neurons):
        return whole_number("record.neurons", neurons)
    chosen = np.asarray(neurons)
    known = chosen.dtype.kind in "iu" and set(chosen.ravel().tolist()) <= set(range(n_rec))
    if chosen.ndim != 1 or not (known or chosen.size == 0):
        raise ValueError(
            f"record.neurons = {neurons!r} must be between 0 and {n_rec - 1}, each of a list of "
            "indices; or give the number of neurons"
        )
    return chosen.tolist()


def checked_threads(threads):
    """How many compiled programs compute at once; ValueError for several without one."""
    threads = whole_number("threads", threads)
    if threads > 1 and not is_standalone():
        raise ValueError(
            f"threads = {threads} needs compiled programs, but Brian2's device is 'runtime'; call "
            "set_device('cpp_standalone', build_on_run=False), or leave threads = 1"
        )
    return threads


def checked_window(window, steps):
    """A learning window within so many steps; None if it is all of them."""
    if window is None:
        return None
    if not is_whole(window) or not 1 <= window <= steps:
        raise ValueError(
            f"learning_window = {window!r} must be an integer between 1 and the {steps} steps of "
            "a trial"
        )
    return None if window == steps else int(window)


def _check_trials(name, values, columns):
    if values.ndim == 3 and len(values) == 0:
        raise ValueError(f"{name} have the shape {values.shape}, which is no trial; give one")
    if values.ndim not in (2, 3) or values.shape[-1] != columns or 0 in values.shape:
        raise ValueError(
            f"{name} have the shape {values.shape}; give (T, {columns}) or (batch, T, {columns})"
        )
