"""Synapses of a configured network: which there are, and how long they take."""

from brian2 import Quantity, second

from ..connectivity import fixed_degree, layers, random_sparse
from ..constraints import MATRICES
from ..quantities import check_unit, quantity, suggest

__all__ = ["drawn_connectivity", "drawn_delays"]

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
