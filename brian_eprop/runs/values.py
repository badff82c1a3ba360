"""Values of a configuration in TOML, and masks and delays of the synapses that it describes.

Quantities are text, objects are tables.
"""

import tomllib
from pathlib import Path

import numpy as np
from brian2 import Quantity, second
from brian2.units.fundamentalunits import DIMENSIONLESS, get_dimensions, get_unit

from ..checks import content_of, fields_of, flag, is_described, one_of, steps, suggest, table
from ..network.connectivity import fixed_degree, layers, random_sparse
from ..network.constraints import MATRICES
from ..quantities import quantity


def read_toml(path):
    """The content of a TOML file : dict.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no TOML; names the file.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise FileNotFoundError(f"there is no file '{path}'; give the path of a .toml") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"'{path}' is not TOML: {error}") from None


def differences(old, new):
    """The entries in which two tables differ : dict of dotted key to (old, new), None: missing."""
    old, new = _flat(old), _flat(new)
    pairs = {key: (old.get(key), new.get(key)) for key in old | new}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _flat(table, prefix=""):
    """The entries of a table and of those within it, by dotted key."""
    flat = {}
    for key, value in table.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat


def check_keys(table, known, prefix):
    """Raise a ValueError for a key that is not known, with the nearest one that is."""
    for key in table:
        if key not in known:
            raise ValueError(
                f"unknown key '{prefix}{key}'{suggest(key, known)}; the keys are {', '.join(known)}"
            )


def require(table, keys, prefix):
    """Raise a ValueError for a key that is missing."""
    for key in keys:
        if key not in table:
            raise ValueError(f"the key '{prefix}{key}' is missing; there is {list(table)}")


def from_text(value):
    """The quantity that a text is; any other value as it is."""
    if isinstance(value, str):
        try:
            return quantity(value)
        except ValueError:
            return value
    return value


def from_table(where, value, classes):
    """An object from a table ``{kind = "Name", …}``; what is no table stays as it is.

    Parameters
    ----------
    where : str
        The key, for error messages.
    value : dict, or anything else
    classes : dict of str to class

    Raises
    ------
    ValueError
        If there is no such kind, or it has no such field.
    """
    if not isinstance(value, dict):
        return value
    require(value, ["kind"], f"{where}.")
    kind = one_of(f"{where}.kind", value["kind"], classes)
    arguments = {key: from_text(entry) for key, entry in value.items() if key != "kind"}
    check_keys(arguments, [field.name for field in fields_of(classes[kind])], f"{where}.")
    try:
        return classes[kind](**arguments)
    except TypeError as error:
        raise ValueError(f"{where}: {kind}: {error}") from None


def to_toml(value):
    """A value as TOML can hold it; quantities are text that reads back to the same bits.

    Entries of tables that are None are left out.
    """
    if is_described(type(value)):
        return to_toml({"kind": type(value).__name__} | content_of(value))
    if isinstance(value, dict):
        return {key: to_toml(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list | tuple):
        return [to_toml(entry) for entry in value]
    if isinstance(value, Quantity) and get_dimensions(value) is not DIMENSIONLESS:
        numbers = np.asarray(value).ravel().tolist()
        texts = [_as_text(number, get_dimensions(value)) for number in numbers]
        return texts if np.ndim(value) else texts[0]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value


def _as_text(number, dimensions):
    """A number in SI units as text: '20*ms' if that reads back to the same bits."""
    exact = Quantity(number, dim=dimensions)
    best = exact.get_best_unit()
    for unit in (str(best), repr(best)):
        text = f"{float(exact / best):.12g}*{unit}"
        try:
            if float(quantity(text)) == number:
                return text
        except ValueError:
            continue  # a symbol such as 's' that Brian2's equations do not have
    return f"{number!r}*{get_unit(dimensions)!r}"


#: Ways to draw synapses, and the one number that each of them takes.
KINDS = {"fixed_degree": (fixed_degree, "degree"), "random_sparse": (random_sparse, "density")}


def drawn_connectivity(entries, sizes, shapes, seed):
    """The masks of a network's synapses, as its argument ``connectivity``.

    Parameters
    ----------
    entries : dict
        ``{"layers": True}`` makes each population a layer, ``"recurrent": True`` with synapses
        within; or by matrix a table, ``{"w_rec": {"kind": "fixed_degree", "degree": 20}}`` or
        ``{"w_in": {"kind": "random_sparse", "density": 0.1}}``.
    sizes : list of int
        Neurons of each population.
    shapes : dict of str to (rows, columns)
        Of the weight matrices.
    seed : int

    Returns
    -------
    dict of str to bool ndarray

    Raises
    ------
    ValueError, TypeError
        Naming the key and its value.
    """
    key = "setup.connectivity"
    in_layers = flag(f"{key}.layers", entries.get("layers", False))
    check_keys(entries, ("layers", *(("recurrent",) if in_layers else MATRICES)), f"{key}.")
    if in_layers:
        recurrent = entries.get("recurrent", False)
        return layers(sizes, shapes["w_in"][0], shapes["w_out"][1], recurrent=recurrent)
    masks = {}
    for number, (name, entry) in enumerate((k, v) for k, v in entries.items() if k != "layers"):
        entry = table(f"{key}.{name}", entry, f'{name} = {{ kind = "fixed_degree", degree = 20 }}')
        require(entry, ["kind"], f"{key}.{name}.")
        draw, amount = KINDS[one_of(f"{key}.{name}.kind", entry.pop("kind"), KINDS)]
        check_keys(entry, [amount], f"{key}.{name}.")
        require(entry, [amount], f"{key}.{name}.")
        masks[name] = draw(*shapes[name], **entry, seed=seed + number, autapses=name != "w_rec")
    return masks


def drawn_delays(entries, shapes, dt, rng):
    """The synaptic delays of a network, as its argument ``delays``.

    Parameters
    ----------
    entries : dict of str to time, or to pair of times
        By matrix one delay for all, or the smallest and the largest of delays that are drawn,
        each multiple of dt between them with the same probability.
    shapes : dict of str to (rows, columns)
    dt : Quantity
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to Quantity

    Raises
    ------
    ValueError, DimensionMismatchError
        Naming the key and its value.
    """
    check_keys(entries, MATRICES, "setup.delays.")
    delays = dict(entries)
    for name, ends in entries.items():
        if not isinstance(ends, list | tuple):
            continue
        key = f"setup.delays.{name}"
        bounds = [steps(key, end, dt, may_be_zero=True) for end in ends]
        if len(bounds) != 2 or bounds[0] > bounds[1]:
            raise ValueError(
                f"{key} = {ends!r} must be one time, or two of which the smaller is first, as in "
                "w_rec = ['1*ms', '10*ms']"
            )
        drawn = rng.integers(*bounds, size=shapes[name], endpoint=True)
        delays[name] = Quantity(drawn * float(dt), dim=second.dim)
    return delays
