"""Training state: what an update changes, and files that hold it with the description (.npz).

The file holds arrays and JSON: of descriptions, only what they can consist of, numbers, text,
arrays, quantities and the classes in `SAVED`. Nothing in it is executed when it is read.
"""

import json
import os
import zipfile

import numpy as np
from attrs import field, frozen
from brian2 import Quantity, get_dimensions, second
from brian2.units.fundamentalunits import DIMENSIONLESS, get_or_create_dimension
from scipy.sparse import csr_array, issparse

from ..checks import fields_of, is_described, shown
from ..files import replacing
from ..learning.losses import FiringRateRegularizer
from ..learning.optimizers import OPTIMIZERS, SCHEDULES, GradientDescent
from ..learning.parameters import ParameterTraining
from ..learning.rule import EProp, Rule
from ..learning.rules import RULES
from ..neurons.neuron_model import NeuronModel
from ..neurons.surrogates import SURROGATES
from ..reference import Gradients
from .constraining import check_wiring, checked_matrices, of_kind, within_limits
from .constraints import CONSTRAINTS, MATRICES, DeepR, WeightDecay
from .description import NetworkDescription
from .parameters import arrays_of, checked_parameters, from_arrays, update
from .population import PopulationDescription
from .structures import fitted, values_of, with_values
from .validation import checked_optimizer


@frozen(eq=False)
class TrainingState:
    """All that training changes; a new one replaces it as a whole.

    Attributes
    ----------
    weights : dict of str to ndarray or csr_array
    parameters : dict of str to Quantity or csr_array
        Those that are trained, (n_rec,), nan where a neuron has no such parameter; and trained
        delays, see :mod:`.trained_delays`.
    moments : dict of str to dict of str to ndarray
        The optimizer's own variables, by weight matrix or ``"parameters.<name>"``, and name; of
        sparse matrices (n_synapses,).
    updates : int
        How many updates there have been.
    wiring : dict of str to dict of str to ndarray
        ``active`` and ``signs`` of the synapses of each matrix that is rewired; see
        :class:`~brian_eprop.network.constraints.DeepR`.
    """

    weights: dict
    parameters: dict = field(factory=dict)
    moments: dict = field(factory=dict)
    updates: int = 0
    wiring: dict = field(factory=dict)


def check_present(optimizer):
    """Raise an error if there is no optimizer."""
    if optimizer is None:
        raise ValueError(
            "RecurrentNetwork.optimizer is missing; create the network with one, for example "
            "optimizer=Adam(5e-3)"
        )


def updated(state, optimizer, gradients, description):
    """The state after one step of the optimizer, with which all constraints hold.

    These follow in the order of :mod:`.constraining`. With adaptive feedback B receives the same
    update as w_out, transposed, and both shrink by the fraction ``feedback_decay`` (Kolen &
    Pollack 1994; Bellec et al. 2020, Nat. Commun. 11:3625, Methods).

    Parameters
    ----------
    state : TrainingState
        It is not changed.
    optimizer : GradientDescent or Adam
    gradients : Gradients
    description : NetworkDescription

    Returns
    -------
    TrainingState

    Raises
    ------
    FloatingPointError
        If a weight would not be finite, or a parameter out of its range.
    ValueError
        If there is no optimizer, no gradient of a trained parameter, or a weight where DeepR
        has no active synapse.
    """
    check_present(optimizer)
    if not isinstance(gradients, Gradients):
        raise TypeError(
            f"gradients = {shown(gradients)}: give what RecurrentNetwork.gradients returns"
        )
    for name in MATRICES:
        if np.shape(getattr(gradients, name)) != state.weights[name].shape:
            raise ValueError(
                f"gradients.{name} has the shape {np.shape(getattr(gradients, name))}; it must be "
                f"{state.weights[name].shape}: give gradients of this network"
            )
    weights, moments = _aligned(description, state.weights), {}
    check_wiring(description, weights, state.wiring)
    for name in MATRICES:
        moments[name], mask = dict(state.moments.get(name, {})), description.connectivity[name]
        gradient = _of_synapses(f"gradients.{name}", getattr(gradients, name), mask)
        step = optimizer.step(gradient, moments[name], state.updates + 1)
        step[~values_of(mask)] = 0.0
        decay = of_kind(description, name, WeightDecay)
        kept = 1.0 if decay is None else 1.0 - decay.rate
        if name == "w_out" and description.feedback == "adaptive":
            kept *= 1 - description.feedback_decay
            weights["feedback"] = kept * weights["feedback"] - step.T
        values = values_of(weights[name])
        np.subtract(values if kept == 1.0 else kept * values, step, out=step)
        weights[name] = with_values(mask, step)
    for name, matrix in weights.items():
        if not np.isfinite(values_of(matrix)).all():
            raise FloatingPointError(
                f"'{name}' is no longer finite after update {state.updates + 1}: training has "
                "diverged; use a smaller learning rate"
            )
    parameters = _updated_parameters(state, optimizer, gradients, description, moments)
    wiring = _rewire(state, optimizer, description, weights, moments)
    weights = within_limits(description, weights)
    return TrainingState(weights, parameters, moments, state.updates + 1, wiring)


def _of_synapses(name, matrix, mask):
    """What is computed with of a weight matrix or its gradient; see :mod:`.connectivity`."""
    if issparse(mask):
        return fitted(name, matrix, mask).data
    if issparse(matrix):
        raise ValueError(
            f"{name} is sparse, but the network's matrix is a dense array; give matrix.toarray()"
        )
    return matrix


def _aligned(description, weights):
    """The weights, which users may have changed, with the synapses of connectivity."""
    masks = description.connectivity
    return {
        name: with_values(masks.get(name), _of_synapses(f"weights['{name}']", m, masks.get(name)))
        for name, m in weights.items()
    }


def _rewire(state, optimizer, description, weights, moments):
    """The wiring after the update; weights and moments of rewired matrices are replaced."""
    wiring, updates = {}, state.updates + 1
    for name, before in state.wiring.items():
        deep_r = of_kind(description, name, DeepR)
        # of this update, whatever the schedule
        rate = float(GradientDescent(optimizer.learning_rate).step(np.ones(()), {}, updates))
        mask = description.connectivity[name]
        values, wiring[name], kept = deep_r.rewired(
            name, values_of(weights[name]), values_of(mask), before, rate, updates
        )
        weights[name] = with_values(mask, values)
        moments[name] = {n: np.where(kept, values, 0.0) for n, values in moments[name].items()}
    return wiring


def _updated_parameters(state, optimizer, gradients, description, moments):
    """The parameters after the update; what the optimizer remembers of them joins the moments."""
    parameters = {}
    for name, values in checked_parameters(description, state.parameters).items():
        if name not in gradients.parameters:
            raise ValueError(
                f"the gradients have none of the parameter '{name}', which is trained; take them "
                "from RecurrentNetwork.gradients"
            )
        key, gradient = f"parameters.{name}", gradients.parameters[name]
        moments[key] = dict(state.moments.get(key, {}))
        parameters[name] = update(
            description, name, values, gradient, optimizer, moments[key], state.updates + 1
        )
    try:
        return checked_parameters(description, parameters)
    except ValueError as error:
        raise FloatingPointError(
            f"after update {state.updates + 1} {error}; use a smaller learning rate, or bounds as "
            "in trainable={'tau_m': (5*ms, 50*ms)}"
        ) from error


def encode(value, without=()):
    """A description as numbers, text, lists and dicts, which :mod:`json` can write, without loss.

    Parameters
    ----------
    value : description, Quantity, array, mapping, sequence, number, str or None
    without : sequence of str
        Fields of ``value`` to leave out.

    Raises
    ------
    TypeError
        For anything else, also inside of ``value``.
    """
    if is_described(type(value)):
        if isinstance(value, Rule) and SAVED.get(type(value).__name__) is not type(value):
            raise TypeError(
                f"{value!r} of the class '{type(value).__name__}' cannot be saved: a file has "
                "the rules of brian_eprop only; give the network that is read your rule again"
            )
        names = [f.name for f in fields_of(type(value)) if f.name not in without]
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


#: name -> class of every description that a file may hold.
SAVED: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        *(NetworkDescription, PopulationDescription, NeuronModel),
        *(EProp, *RULES.values(), FiringRateRegularizer, ParameterTraining),
        *(SURROGATES | OPTIMIZERS | SCHEDULES | CONSTRAINTS).values(),
    )
}


def decode(value):
    """The inverse of :func:`encode`, but for arrays and tuples, which become lists."""
    if isinstance(value, list):
        return [decode(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if "class" in value:
        content = {name: decode(entry) for name, entry in value["fields"].items()}
        return SAVED[value["class"]](**content)
    if "dimensions" in value:
        dimensions = get_or_create_dimension(value["dimensions"])
        return Quantity(np.array(value["value"], dtype=float), dim=dimensions)
    return {key: decode(entry) for key, entry in value["mapping"].items()}


FORMAT = "brian_eprop network 1"


def write(path, description, optimizer, state):
    """Write a network to a file, which has its name only once it is complete.

    Parameters
    ----------
    path : path-like
    description : NetworkDescription
    optimizer : GradientDescent, Adam or None
    state : TrainingState

    Raises
    ------
    OSError
        If the file cannot be written; one that was there before is not changed.
    """
    config = {
        "format": FORMAT,
        # Masks and delays go among the arrays.
        "description": encode(description, without=("connectivity", "delays")),
        "optimizer": encode(optimizer),
        "updates": state.updates,
    }
    arrays, weights = {}, _aligned(description, state.weights)
    for name, mask in description.connectivity.items():
        if issparse(mask):
            parts = {"shape": mask.shape, "indptr": mask.indptr, "indices": mask.indices}
            arrays |= {f"connectivity/{name}/{part}": array for part, array in parts.items()}
        else:
            arrays[f"connectivity/{name}"] = mask
    # of sparse matrices their values, as connectivity has their indices
    for kind, matrices in (("delays", description.delays), ("weights", weights)):
        arrays |= {f"{kind}/{name}": np.asarray(values_of(m)) for name, m in matrices.items()}
    arrays |= {f"parameters/{n}": array for n, array in arrays_of(state.parameters).items()}
    for group, matrices in (("moments", state.moments), ("wiring", state.wiring)):
        for matrix, entries in matrices.items():
            arrays |= {f"{group}/{matrix}/{name}": values for name, values in entries.items()}
    with replacing(path, "the network") as file:
        np.savez(file, config=json.dumps(config), **arrays)


def _structure(shape, indptr, indices):
    """The synapses of a sparse matrix, from the arrays of a file."""
    return csr_array((np.ones(len(indices), dtype=bool), indices, indptr), shape=shape.tolist())


def read(path):
    """The network in a file that :func:`write` has written.

    Returns
    -------
    description, optimizer, state

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or is not a saved network.
    """
    try:
        if os.path.exists(path) and not zipfile.is_zipfile(path):
            raise ValueError("it is no archive of arrays")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if "config" not in arrays:
            raise ValueError(f"it holds {', '.join(arrays) or 'nothing'}, but no 'config'")
        config = json.loads(str(arrays.pop("config")))
        if config["format"] != FORMAT:
            raise ValueError(f"its format is '{config['format']}', not '{FORMAT}'")
        kinds = ("connectivity", "delays", "weights", "parameters", "moments", "wiring")
        groups = {kind: {} for kind in kinds}
        for name, values in arrays.items():
            group, matrix, *entry = name.split("/")
            where = groups[group].setdefault(matrix, {}) if entry else groups[group]
            where[entry[0] if entry else matrix] = values
        masks = {
            name: _structure(**mask) if isinstance(mask, dict) else mask
            for name, mask in groups["connectivity"].items()
        }
        delays = {
            name: with_values(masks[name], values) if values.ndim == 1 else values * second
            for name, values in groups["delays"].items()
        }
        # at once: a network without connectivity has all synapses
        described = config["description"]
        fields = {name: decode(value) for name, value in described["fields"].items()}
        kind = SAVED[described["class"]]
        description = kind(connectivity=masks, delays=delays, **fields)
        weights = checked_matrices(
            description, {n: with_values(masks.get(n), v) for n, v in groups["weights"].items()}
        )
        parameters = from_arrays(description, groups["parameters"])
        parameters = checked_parameters(description, parameters)
        optimizer = checked_optimizer(decode(config["optimizer"]))
        moments, wiring, updates = groups["moments"], groups["wiring"], int(config["updates"])
        check_wiring(description, weights, wiring)
        state = TrainingState(weights, parameters, moments, updates, wiring)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no file '{path}'; give one that RecurrentNetwork.save has written"
        ) from None
    except Exception as error:  # of a damaged file, whatever its parts lead to
        raise ValueError(
            f"'{path}' is damaged or is not a network written by RecurrentNetwork.save ({error}); "
            "give a file that it has written, such as an older checkpoint"
        ) from error
    return description, optimizer, state
