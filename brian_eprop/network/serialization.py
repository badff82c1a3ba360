"""The package's descriptions as JSON: for saved networks and for the hash of a compiled one.

Only what a description can consist of is understood: numbers, text, arrays, quantities and
the package's own dataclasses. Nothing that is loaded is executed.
"""

from dataclasses import fields, is_dataclass

import numpy as np
from brian2 import Quantity, get_dimensions
from brian2.units.fundamentalunits import DIMENSIONLESS, get_or_create_dimension

from ..learning.optimizers import SCHEDULES, Adam, GradientDescent
from ..learning.rule import FiringRateRegularizer
from ..neurons.neuron_model import NeuronModel
from ..neurons.surrogates import SURROGATES

_CLASSES = {
    cls.__name__: cls
    for cls in (
        Adam,
        FiringRateRegularizer,
        GradientDescent,
        NeuronModel,
        *SCHEDULES.values(),
        *SURROGATES.values(),
    )
}


def register(cls):
    """Let instances of a dataclass be decoded again."""
    _CLASSES[cls.__name__] = cls
    return cls


def encode(value, without=()):
    """Turn a description into what :mod:`json` can write, without loss.

    Parameters
    ----------
    value : dataclass, Quantity, array, mapping, sequence, number, str or None
    without : sequence of str
        Fields of ``value`` to leave out.

    Raises
    ------
    TypeError
        For anything else, also inside of ``value``.
    """
    if is_dataclass(value):
        names = [f.name for f in fields(value) if f.name not in without]
        content = {name: encode(getattr(value, name)) for name in names}
        return {"class": type(value).__name__, "fields": content}
    if isinstance(value, Quantity) and get_dimensions(value) is not DIMENSIONLESS:
        exponents = [float(exponent) for exponent in get_dimensions(value)._dims]
        return {"value": encode(np.asarray(value)), "dimensions": exponents}
    if isinstance(value, np.ndarray | np.generic):
        return encode(value.tolist())
    if hasattr(value, "items"):
        return {"mapping": {str(key): encode(entry) for key, entry in value.items()}}
    if isinstance(value, list | tuple):
        return [encode(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{value!r} of type '{type(value).__name__}' cannot be saved")


def decode(value):
    """The inverse of :func:`encode`, but for arrays and tuples, which become lists."""
    if isinstance(value, list):
        return [decode(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if "class" in value:
        content = {name: decode(entry) for name, entry in value["fields"].items()}
        return _CLASSES[value["class"]](**content)
    if "dimensions" in value:
        dimensions = get_or_create_dimension(value["dimensions"])
        return Quantity(np.array(value["value"], dtype=float), dim=dimensions)
    return {key: decode(entry) for key, entry in value["mapping"].items()}
