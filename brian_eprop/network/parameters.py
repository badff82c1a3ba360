"""Trained parameters of a described network: start, checks, updates.

Everywhere they are a dict of names to (n_rec,) quantities, nan where a neuron's model has no such
parameter; with trained delays as in :mod:`.trained_delays`.
"""

import re

import numpy as np
from brian2 import Quantity, get_dimensions, second
from brian2.units import DimensionMismatchError

from ..checks import unit_name
from ..learning.parameters import bounds_of, check_known, check_refractoriness, scale_of
from .projections import trained
from .structures import values_of
from .trained_delays import (
    NAMES,
    as_delays,
    checked_delays,
    matrices_of,
    scale_of_delays,
    start_delays,
    updated_delays,
)
from .validation import check_entries, checked_optimizer, checked_quantity


def check_trainable(description):
    """Raise an error unless the parameters that are named can be trained.

    Raises
    ------
    ValueError, DimensionMismatchError
        Naming the parameter and the model.
    """
    d = description
    if d.trainable:
        d.rule.check_parameters("RecurrentNetwork.trainable", d.trainable)
    check_known(d.trainable, {name for p in d.populations for name in p.model.parameters})
    for parameter in trained(d):
        _check_use(d, parameter)
    for name, training in d.trainable.items():
        dimensions = _dimensions(d, name)
        if training.bounds is not None:
            low, _ = bounds_of(dimensions, name, training)
            if dimensions is second.dim and low <= 0:
                raise ValueError(
                    f"trainable['{name}'].bounds = {training.bounds!r}: a time constant must stay "
                    "positive; begin above 0"
                )


def _check_use(description, parameter):
    """Raise an error if a model uses a parameter where there is no derivative for it."""
    model, owner = parameter.description.model, parameter.owner
    check_refractoriness(parameter.name, model.refractory or "", owner)
    for variable, code in model.initial.items():
        if re.search(rf"\b{parameter.name}\b", code):
            raise ValueError(
                f"trainable names '{parameter.name}', which {owner} uses for the initial value "
                f"'{variable} = {code}': that has no derivative"
            )
    masks = description.connectivity
    if not any(masks[name][:, parameter.columns].sum() for name in ("w_in", "w_rec")):
        raise ValueError(
            f"trainable names '{parameter.name}', but {owner} has no synapses onto it, and what "
            "nothing arrives at does not learn; give the connectivity of 'w_in' or 'w_rec' "
            "some there"
        )


def check_optimizers(description, optimizer):
    """Raise an error unless each trained parameter has an optimizer that fits, and a scale.

    Parameters
    ----------
    description : NetworkDescription
    optimizer : GradientDescent, Adam or None
        Of the weights; without it nothing is trained.
    """
    for name, training in description.trainable.items():
        checked_optimizer(training.optimizer, f"trainable['{name}'].optimizer")
        if optimizer is not None:
            _scales(description, name)
    where = "RecurrentNetwork.trainable_delays"
    for name, training in description.trainable_delays.items():
        checked_optimizer(training.optimizer, f"{where}['{name}'].optimizer")
        scale_of_delays(name, training)


def _dimensions(description, name):
    """The unit of a parameter, which must be that of all models that have it."""
    units = {
        p.model.name: get_dimensions(p.model.parameters[name])
        for p in description.populations
        if name in p.model.parameters
    }
    if len(set(units.values())) > 1:
        shown = ", ".join(f"{unit_name(unit)} in '{model}'" for model, unit in units.items())
        raise DimensionMismatchError(
            f"trainable names '{name}', whose unit is {shown}; name parameters apart that are "
            "different things"
        )
    return next(iter(units.values()))


def start_values(description):
    """Trained parameters before the first update : dict of str to Quantity or csr_array."""
    values = {name: np.full(description.n_rec, np.nan) for name in description.trainable}
    for parameter in trained(description):
        values[parameter.name][parameter.columns] = np.asarray(parameter.start)
    of_neurons = {n: Quantity(v, dim=_dimensions(description, n)) for n, v in values.items()}
    return of_neurons | start_delays(description)


def from_arrays(description, arrays):
    """Trained parameters of the arrays of a file, as :func:`arrays_of` returns them."""
    of_delays, found = matrices_of(description), {}
    for name, values in arrays.items():
        if name in of_delays:
            found[name] = as_delays(description, of_delays[name], values)
        else:
            found[name] = Quantity(values, dim=_dimensions(description, name))
    return found


def arrays_of(parameters):
    """Trained parameters as arrays of numbers in SI units, by name."""
    return {name: np.asarray(values_of(values)) for name, values in parameters.items()}


def checked_parameters(description, parameters):
    """Copies of the trained parameters : dict of str to Quantity or csr_array.

    Raises
    ------
    ValueError, DimensionMismatchError
        For a name that is not trained, another unit or shape, a value that is not finite, or not
        positive if it is a time constant, or one where there is no such parameter.
    """
    d, delays = description, matrices_of(description)
    for name in parameters:
        if name not in (*d.trainable, *delays):
            known = ", ".join((*d.trainable, *delays)) or "none"
            remedy = f"trainable=['{name}']"
            for matrix in (matrix for matrix, delays_of in NAMES.items() if delays_of == name):
                remedy = f"trainable_delays={{'{matrix}': (0*ms, 20*ms)}}"
            raise ValueError(
                f"parameters['{name}'] is not trained; create the network with {remedy}; there "
                f"are {known}"
            )
    of_neurons = {name: _checked_values(d, name, parameters[name]) for name in d.trainable}
    of_synapses = {n: checked_delays(d, matrix, parameters[n]) for n, matrix in delays.items()}
    return of_neurons | of_synapses


def _checked_values(description, name, values):
    where, start = f"parameters['{name}']", start_values(description)[name]
    dimensions, exists = get_dimensions(start), ~np.isnan(np.asarray(start))
    remedy = f"it must be ({description.n_rec},), one value a neuron"
    shapes = ((description.n_rec,),)
    values = checked_quantity(where, values, dimensions, unit_name(dimensions), shapes, remedy)
    numbers = np.asarray(values)
    problem = f", but the model of this neuron has no '{name}'; leave nan there"
    check_entries(where, values, ~exists & ~np.isnan(numbers), problem)
    wrong, must = ~np.isfinite(numbers), "finite"
    if dimensions is second.dim:
        wrong, must = wrong | ~(numbers > 0), "finite and, a time constant, positive"
    check_entries(where, values, exists & wrong, f" must be {must}")
    return values


def _scales(description, name):
    """Scale of a parameter of each neuron, in SI units; 1 where it has none : (n_rec,) ndarray.

    Raises
    ------
    ValueError
        If none was given, and all values of a population are 0.
    """
    scales = np.ones(description.n_rec)
    for parameter in trained(description):
        if parameter.name == name:
            training = description.trainable[name]
            scale = scale_of(parameter.start, name, training, parameter.owner)
            scales[parameter.columns] = scale
    return scales


def update(description, name, values, gradient, optimizer, moments, updates):
    """The values of a parameter after one update.

    See :func:`brian_eprop.learning.parameters.install`.

    ::

        p ← clip(p − scale·step(scale·dE/dp), bounds)

    Parameters
    ----------
    description : NetworkDescription
    name : str
    values : (n_rec,) Quantity; of delays as in :mod:`.trained_delays`
    gradient : (n_rec,) ndarray
        In SI units; of delays of the shape of the weights.
    optimizer : GradientDescent or Adam
        Of the weights.
    moments : dict of str to ndarray
        Variables of the optimizer; changed in place.
    updates : int
        1 in the first update.

    Returns
    -------
    (n_rec,) Quantity
    """
    if (matrix := matrices_of(description).get(name)) is not None:
        return updated_delays(description, matrix, values, gradient, optimizer, moments, updates)
    training, scale = description.trainable[name], _scales(description, name)
    step = (training.optimizer or optimizer).step(scale * gradient, moments, updates)
    changed = np.asarray(values) - scale * step
    if training.bounds is not None:
        changed = np.clip(changed, *bounds_of(get_dimensions(values), name, training))
    return Quantity(changed, dim=get_dimensions(values))
