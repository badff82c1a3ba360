"""Saved networks: description, weights, parameters and optimizer's state in one file (.npz).

The file holds arrays and JSON. Nothing in it is executed when it is read.
"""

import json
import os
import zipfile
import zlib
from dataclasses import replace

import numpy as np
from brian2 import Quantity, get_dimensions, second

from .. import serialization
from ..atomic_write import replacing
from .constraining import check_wiring
from .parameters import checked_parameters, start_values
from .update import TrainingState
from .validation import checked_matrices, checked_optimizer

__all__ = ["read", "write"]

FORMAT = "brian_eprop network 1"


def write(path, description, optimizer, state):
    """Write a network; the file appears under its name only when it is complete.

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
        "description": serialization.encode(description, without=("connectivity", "delays")),
        "optimizer": serialization.encode(optimizer),
        "updates": state.updates,
    }
    arrays = {f"connectivity/{name}": mask for name, mask in description.connectivity.items()}
    arrays |= {f"delays/{name}": np.asarray(values) for name, values in description.delays.items()}
    arrays |= {f"weights/{name}": values for name, values in state.weights.items()}
    arrays |= {f"parameters/{name}": np.asarray(v) for name, v in state.parameters.items()}
    for group, matrices in (("moments", state.moments), ("wiring", state.wiring)):
        for matrix, entries in matrices.items():
            arrays |= {f"{group}/{matrix}/{name}": values for name, values in entries.items()}
    with replacing(path, "the network") as file:
        np.savez(file, config=json.dumps(config), **arrays)


def read(path):
    """Read what :func:`write` has written.

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
        config = json.loads(str(arrays.pop("config")))
        if config["format"] != FORMAT:
            raise ValueError(f"its format is '{config['format']}', not '{FORMAT}'")
        kinds = ("connectivity", "delays", "weights", "parameters", "moments", "wiring")
        groups = {kind: {} for kind in kinds}
        for name, values in arrays.items():
            group, matrix, *entry = name.split("/")
            where = groups[group].setdefault(matrix, {}) if entry else groups[group]
            where[entry[0] if entry else matrix] = values
        description = serialization.decode(config["description"])
        delays = {name: values * second for name, values in groups["delays"].items()}
        description = replace(description, connectivity=groups["connectivity"], delays=delays)
        weights = checked_matrices(description, groups["weights"])
        start = start_values(description)
        parameters = {
            name: Quantity(values, dim=get_dimensions(start[name]))
            for name, values in groups["parameters"].items()
        }
        parameters = checked_parameters(description, parameters)
        optimizer = checked_optimizer(serialization.decode(config["optimizer"]))
        check_wiring(description, weights, groups["wiring"])
        trained = (weights, parameters, groups["moments"], int(config["updates"]))
        state = TrainingState(*trained, groups["wiring"])
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no file '{path}'; give one that RecurrentNetwork.save has written"
        ) from None
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        # of a file that pretends to hold more than there can be
        ArithmeticError,
        MemoryError,
        RecursionError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(
            f"'{path}' is damaged or is not a network written by RecurrentNetwork.save ({error}); "
            "use an older checkpoint"
        ) from error
    return description, optimizer, state
