"""Values of a configuration as TOML has them, and the synapses of a configured network.

Quantities are text, objects are tables.
"""

import tomllib
from pathlib import Path

import numpy as np
from brian2 import Quantity, second
from brian2.units.fundamentalunits import DIMENSIONLESS, get_dimensions, get_unit

from ..checks import check_unit, fields_of, is_described, quantity, suggest
from ..network.connectivity import fixed_degree, layers, random_sparse
from ..network.constraints import MATRICES


def read_toml(path):
    """The content of a TOML file : dict; ValueError, naming the file, if it is none."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"'{path}' is not TOML: {error}") from None


def subtable(key, value, example):
    """A table within a table as a new dict; ValueError for anything else."""
    if not isinstance(value, dict):
        raise ValueError(f"{key} = {value!r} is not a table, such as {example}")
    return dict(value)


def sequence(key, value, example):
    """A list in a table; ValueError for anything else."""
    if not isinstance(value, list):
        raise ValueError(f"{key} = {value!r} is not a list, such as {example}")
    return value


def differences(old, new):
    """Where two tables differ : dict of dotted key to (old, new), None for what is not there."""
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


def from_text(value):
    """Text that is a quantity becomes one; other text stays."""
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
    kind = value.get("kind")
    if kind not in classes:
        raise ValueError(
            f"{where}: kind = {kind!r} is not known{suggest(kind, classes)}; choose one of "
            f"{', '.join(classes)}"
        )
    given = {key: from_text(entry) for key, entry in value.items() if key != "kind"}
    check_keys(given, [field.name for field in fields_of(classes[kind])], f"{where}.")
    try:
        return classes[kind](**given)
    except TypeError as error:
        raise ValueError(f"{where}: {kind}: {error}") from None


def to_toml(value):
    """What a TOML file can hold; quantities as text that reads back to the same bits.

    Entries of tables that are None are left out.
    """
    if is_described(type(value)):
        content = {field.name: getattr(value, field.name) for field in fields_of(type(value))}
        return to_toml({"kind": type(value).__name__} | content)
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


KINDS = {"fixed_degree": fixed_degree, "random_sparse": random_sparse}


def drawn_connectivity(table, sizes, n_in, n_out, seed):
    """The argument ``connectivity`` of a network.

    Parameters
    ----------
    table : dict
        ``{"layers": True}`` makes each population a layer, ``"recurrent": True`` with synapses
        within; or by matrix a table, ``{"w_rec": {"kind": "fixed_degree", "degree": 20}}`` or
        ``{"w_in": {"kind": "random_sparse", "density": 0.1}}``.
    sizes : list of int
        Neurons of each population.
    n_in, n_out : int
    seed : int

    Returns
    -------
    dict of str to bool ndarray

    Raises
    ------
    ValueError
        Naming the key and its value.
    """
    if table.get("layers"):
        return layers(sizes, n_in, n_out, recurrent=bool(table.get("recurrent", False)))
    n_rec = sum(sizes)
    shapes = {"w_in": (n_in, n_rec), "w_rec": (n_rec, n_rec), "w_out": (n_rec, n_out)}
    masks = {}
    for number, (name, entry) in enumerate(table.items()):
        known = ("layers", "recurrent", *MATRICES)
        if name not in MATRICES:
            raise ValueError(
                f"setup.connectivity.{name} is not known{suggest(name, known)}; the keys are "
                f"{', '.join(known)}"
            )
        kind = entry.get("kind") if isinstance(entry, dict) else entry
        if kind not in KINDS:
            raise ValueError(
                f"setup.connectivity.{name}: kind = {kind!r} is not known{suggest(kind, KINDS)}; "
                f"write {name} = {{ kind = 'fixed_degree', degree = 20 }}, or 'random_sparse' with "
                "a density"
            )
        given = {key: value for key, value in entry.items() if key != "kind"}
        try:
            masks[name] = KINDS[kind](
                *shapes[name], **given, seed=seed + number, autapses=name != "w_rec"
            )
        except TypeError:
            raise ValueError(
                f"setup.connectivity.{name}: {kind} takes "
                f"{'a degree' if kind == 'fixed_degree' else 'a density'} and nothing else, but "
                f"has {', '.join(given) or 'nothing'}"
            ) from None
    return masks


def drawn_delays(table, shapes, dt, rng):
    """The argument ``delays`` of a network.

    Parameters
    ----------
    table : dict of str to time, or to pair of times
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
    delays = {}
    for name, entry in table.items():
        if not isinstance(entry, list | tuple):
            delays[name] = entry
            continue
        if name not in MATRICES or len(entry) != 2:
            raise ValueError(
                f"setup.delays.{name} = {entry!r}: by w_in, w_rec or w_out give one time or the "
                "smallest and the largest, as in w_rec = ['1*ms', '10*ms']"
            )
        ends = [quantity(end) for end in entry]
        for end in ends:
            check_unit(f"setup.delays.{name}", end, second, "['1*ms', '10*ms']")
        low, high = (float(end / dt) for end in ends)
        if not 0 <= low <= high or max(abs(low - round(low)), abs(high - round(high))) > 1e-6:
            raise ValueError(
                f"setup.delays.{name} = {entry!r} must be two multiples of dt = {dt!s} from 0 on, "
                "the smaller first"
            )
        steps = rng.integers(round(low), round(high), size=shapes[name], endpoint=True)
        delays[name] = Quantity(steps * float(dt), dim=second.dim)
    return delays
