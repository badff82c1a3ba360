"""Which synapses exist, for ``RecurrentNetwork(connectivity=...)``: row = pre, column = post.

A mask (n_pre, n_post) of booleans, or a sparse array of SciPy, whose entries are the synapses. What
is computed for each synapse is an array of the mask's shape, or of a sparse one a vector: its
synapses row by row, as in a csr_array.

>>> connectivity = {
...     "w_in": random_sparse(20, 100, density=0.2, seed=1),
...     "w_rec": fixed_degree(100, 100, degree=10, seed=2, autapses=False),
... }
"""

from collections.abc import Sequence
from typing import get_args

import numpy as np
from scipy.sparse import csr_array, get_index_dtype, issparse

from ..checks import ABOVE_0, Bools, Matrix, flag, number, numbers, whole_number

__all__ = [
    "fixed_degree",
    "layers",
    "random_sparse",
]


def fixed_degree(
    n_pre: int,
    n_post: int,
    degree: int,
    seed: int,
    *,
    autapses: bool = True,
    sparse: bool = False,
) -> Bools | csr_array:
    """Each neuron receives from exactly so many others, all equally likely.

    Parameters
    ----------
    n_pre, n_post : int
    degree : int
        Synapses onto each neuron.
    seed : int
    autapses : bool
        Whether a neuron may be connected to itself; for ``w_rec`` say False.
    sparse : bool
        Whether to make a sparse array, of the same synapses, in memory for them alone.

    Returns
    -------
    (n_pre, n_post) bool ndarray or csr_array

    Raises
    ------
    ValueError
        For numbers that are out of range.
    """
    _check("fixed_degree", n_pre, n_post, seed, autapses, sparse)
    whole_number("fixed_degree.degree", degree)
    most = n_pre if autapses else n_pre - 1
    if degree > most:
        raise ValueError(
            f"fixed_degree.degree = {degree} is more than the {most} neurons that a neuron can "
            "receive from; choose a smaller one"
        )
    # The largest of random numbers: a choice without replacement, for all neurons at once. They
    # are sought among those above a level, which most probably are enough.
    candidates, enough = degree, False
    while not enough:
        candidates += 8 * np.sqrt(candidates) + 8
        level = max(0.0, 1 - candidates / n_pre)
        chosen = [
            (rows[i], j, drawn[i, j])
            for rows, drawn in _draws(seed, n_pre, n_post, autapses)
            for i, j in [np.nonzero(drawn >= level)]
        ]
        sources, targets, drawn = (np.concatenate(part) for part in zip(*chosen, strict=True))
        counts = np.bincount(targets, minlength=n_post)
        enough = counts.min() >= degree
    order = np.lexsort((drawn, targets))
    largest = order[(np.cumsum(counts)[:, np.newaxis] - 1 - np.arange(degree)).ravel()]
    return _connected(sources[largest], targets[largest], (n_pre, n_post), sparse)


def random_sparse(
    n_pre: int,
    n_post: int,
    density: float,
    seed: int,
    *,
    autapses: bool = True,
    sparse: bool = False,
) -> Bools | csr_array:
    """Each synapse exists with the same probability, whatever the others do.

    Parameters
    ----------
    n_pre, n_post : int
    density : float
        The probability, above 0 and at most 1.
    seed : int
    autapses : bool
        Whether a neuron may be connected to itself; for ``w_rec`` say False.
    sparse : bool
        Whether to make a sparse array, of the same synapses, in memory for them alone.

    Returns
    -------
    (n_pre, n_post) bool ndarray or csr_array

    Raises
    ------
    ValueError
        For numbers that are out of range.
    """
    _check("random_sparse", n_pre, n_post, seed, autapses, sparse)
    must = "be a number above 0 and at most 1"
    density = number("random_sparse.density", density, must, ABOVE_0, 1.0)
    parts = []
    for rows, drawn in _draws(seed, n_pre, n_post, autapses):
        i, j = np.nonzero(drawn < density)
        parts.append((rows[i], j))
    sources, targets = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _connected(sources, targets, (n_pre, n_post), sparse)


def layers(
    sizes: Sequence[int], n_in: int, n_out: int, *, recurrent: bool = False
) -> dict[str, Bools]:
    """A network in layers: inputs → first layer → … → last layer → readout.

    From one layer to the next spikes take a time step, as all that go along ``w_rec``. Symmetric
    feedback reaches the last layer only: for the others choose ``feedback="random"``, or an order
    that is at least the number of layers.

    Parameters
    ----------
    sizes : sequence of int
        Neurons of each layer, in their order in the network.
    n_in, n_out : int
    recurrent : bool
        Whether there are also synapses within each layer, without autapses.

    Returns
    -------
    dict of str to bool ndarray
        Masks of ``w_in``, ``w_rec`` and ``w_out``, to be given as they are.

    Raises
    ------
    ValueError
        For numbers that are out of range.
    """
    if isinstance(sizes, str) or np.ndim(sizes) != 1 or len(sizes) == 0:
        raise ValueError(f"layers.sizes = {sizes!r} must be a list of numbers, such as [50, 20]")
    counts = {f"sizes[{k}]": size for k, size in enumerate(sizes)} | {"n_in": n_in, "n_out": n_out}
    for name, count in counts.items():
        whole_number(f"layers.{name}", count)
    layer = np.repeat(np.arange(len(sizes)), sizes)
    ahead = layer - layer[:, np.newaxis]
    w_rec = ahead == 1
    if flag("layers.recurrent", recurrent):
        w_rec |= (ahead == 0) & ~np.eye(len(layer), dtype=bool)
    first, last = layer == 0, layer[:, np.newaxis] == len(sizes) - 1
    return {"w_in": np.tile(first, (n_in, 1)), "w_rec": w_rec, "w_out": np.tile(last, n_out)}


def _check(function, n_pre, n_post, seed, autapses, sparse):
    """Raise an error for arguments that do not fit."""
    whole_number(f"{function}.n_pre", n_pre)
    whole_number(f"{function}.n_post", n_post)
    whole_number(f"{function}.seed", seed, 0, most=np.inf)
    flag(f"{function}.sparse", sparse)
    if not flag(f"{function}.autapses", autapses) and n_pre != n_post:
        raise ValueError(
            f"{function}.autapses = False is for synapses among the same neurons, but n_pre = "
            f"{n_pre} and n_post = {n_post}; leave it out"
        )


#: So many random numbers are drawn at once.
AT_ONCE = 2**20


def _draws(seed, n_pre, n_post, autapses):
    """A random number for each pair of neurons, in a few rows at a time: (rows, numbers).

    NaN, which is neither large nor small, where there must be no synapse.
    """
    rng, step = np.random.default_rng(seed), max(1, AT_ONCE // n_post)
    for first in range(0, n_pre, step):
        rows = np.arange(first, min(first + step, n_pre))
        drawn = rng.random((len(rows), n_post))
        if not autapses:
            drawn[rows - first, rows] = np.nan
        yield rows, drawn


def _connected(sources, targets, shape, sparse):
    """Synapses as a mask or a sparse array."""
    if sparse:
        exists = np.ones(len(sources), dtype=bool)
        return csr_array((exists, (sources, targets)), shape=shape)
    mask = np.zeros(shape, dtype=bool)
    mask[sources, targets] = True
    return mask


def values_of(matrix):
    """What is computed with: a dense matrix as it is, of a sparse one the value of each synapse."""
    return matrix.data if issparse(matrix) else matrix


def with_values(matrix, values):
    """The inverse of :func:`values_of`: values as a matrix with the synapses of another one.

    Of sparse matrices all have the same arrays of indices, those of ``connectivity``.
    """
    if not issparse(matrix):
        return values
    made = csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)
    made.has_canonical_format = True  # nobody has to look
    return made


def rows_of(structure):
    """Row of each synapse of a sparse matrix : (n_synapses,) int array."""
    return np.repeat(np.arange(structure.shape[0]), np.diff(structure.indptr))


def sources(matrix, target):
    """The neurons that have a synapse onto one : int ndarray."""
    if issparse(matrix):
        return rows_of(matrix)[matrix.indices == target]
    return np.flatnonzero(matrix[:, target])


def spread(matrix, column):
    """Values of the rows of a matrix, (n_pre, 1), as those of its synapses."""
    return column[rows_of(matrix), 0] if issparse(matrix) else column


def first_place(matrix, chosen):
    """(row, column) of the first of some chosen values; None if there are none."""
    if not np.any(chosen):
        return None
    if not issparse(matrix):
        return tuple(np.argwhere(chosen)[0].tolist())
    k = int(np.argmax(chosen))
    return int(np.searchsorted(matrix.indptr, k, side="right")) - 1, int(matrix.indices[k])


def structure_of(name, matrix):
    """The synapses of a sparse matrix that a user has given, and what it has there.

    Parameters
    ----------
    name : str
        As errors call it.
    matrix : sparse array or matrix
        In the format csr, csc or coo. Explicit zeros are synapses.

    Returns
    -------
    structure : csr_array of bool
        Row by row, True for every entry; its arrays cannot be changed.
    values : ndarray
        In the same order.

    Raises
    ------
    TypeError
        For another format.
    ValueError
        For two entries at one place, or one outside of the shape.
    """
    if matrix.format not in FORMATS or matrix.ndim != 2:
        raise TypeError(
            f"{name} is a sparse array of {matrix.ndim} dimensions in the format "
            f"'{matrix.format}'; give a matrix as {', '.join(FORMATS)}, such as matrix.tocsr()"
        )
    rows, columns = _indices(name, matrix)
    n_pre, n_post = matrix.shape
    wrong = (rows < 0) | (rows >= n_pre) | (columns < 0) | (columns >= n_post)
    if wrong.any():
        k = np.argmax(wrong)
        raise ValueError(
            f"{name} has an entry at [{rows[k]}, {columns[k]}], outside of its shape "
            f"{matrix.shape}; row = pre and column = post begin at 0"
        )
    values = matrix.data[: len(rows)]
    places = rows.astype(np.int64) * n_post + columns
    if (places[1:] <= places[:-1]).any():
        order = np.argsort(places, kind="stable")
        rows, columns, values, places = (a[order] for a in (rows, columns, values, places))
        twice = places[1:] == places[:-1]
        if twice.any():
            k = np.argmax(twice)
            raise ValueError(
                f"{name} has two entries at [{rows[k]}, {columns[k]}], but there is one synapse; "
                "add them up, as in matrix.sum_duplicates(), or leave one out"
            )
    first = np.searchsorted(rows, np.arange(n_pre + 1))
    # SciPy would keep eight bytes an entry
    small = get_index_dtype(maxval=max(len(rows), n_post))
    structure = csr_array(
        (np.ones(len(rows), dtype=bool), columns.astype(small), first.astype(small)),
        shape=matrix.shape,
    )
    structure.has_canonical_format = True
    for array in (structure.data, structure.indices, structure.indptr):
        array.setflags(write=False)
    return structure, values


#: Formats of sparse matrices that say where each entry is.
FORMATS = ("csr", "csc", "coo")


def _indices(name, matrix):
    """Row and column of each entry, as they are."""
    if matrix.format == "coo":
        return matrix.row, matrix.col
    counts = np.diff(matrix.indptr)
    if (counts < 0).any():
        raise ValueError(
            f"{name}.indptr decreases at {np.argmax(counts < 0)}; it counts the entries of the "
            f"{'rows' if matrix.format == 'csr' else 'columns'} before"
        )
    major = np.repeat(np.arange(len(counts)), counts)
    minor = matrix.indices[: len(major)]
    return (major, minor) if matrix.format == "csr" else (minor, major)


def same_structure(matrix, other):
    """Whether two csr_arrays have the same entries, in the same order."""
    return matrix.shape == other.shape and all(
        a is b or np.array_equal(a, b)
        for a, b in ((matrix.indptr, other.indptr), (matrix.indices, other.indices))
    )


def fitted(name, matrix, structure):
    """Numbers for the synapses of a network, in their order.

    Entries that are missing are 0: SciPy leaves them out where a sum of matrices is 0.

    Parameters
    ----------
    name : str
    matrix : sparse array
    structure : csr_array
        Of ``connectivity``.

    Returns
    -------
    csr_array
        With the indices of the structure.

    Raises
    ------
    ValueError
        For an entry where there is no synapse.
    """
    if not issparse(matrix):
        raise ValueError(
            f"{name} is a dense array, but connectivity is sparse; give the values of its synapses "
            "as a csr_array"
        )
    if matrix.shape != structure.shape:
        raise ValueError(
            f"{name} has the shape {matrix.shape}; it must be {structure.shape} (row = pre, "
            "column = post)"
        )
    if matrix.format == "csr" and same_structure(matrix, structure):
        return with_values(structure, _numbers(name, matrix.data))
    given, values = structure_of(name, matrix)
    values = _numbers(name, values)
    if same_structure(given, structure):
        return with_values(structure, values)
    places, own = (rows_of(s) * s.shape[1] + s.indices for s in (structure, given))
    at = np.searchsorted(places, own)
    outside = places[np.minimum(at, len(places) - 1)] != own if len(places) else own >= 0
    if (place := first_place(given, outside)) is not None:
        raise ValueError(
            f"{name} has an entry at {list(place)}, where connectivity has no synapse; leave it "
            "out, or give the network this synapse when it is made"
        )
    complete = np.zeros(structure.nnz)
    complete[at] = values
    return with_values(structure, complete)


def _numbers(name, values):
    return values if values.dtype == np.float64 else numbers(name, values)


def with_structures(connectivity, weights):
    """The connectivity of a network, in which sparse weights say what synapses there are.

    Parameters
    ----------
    connectivity, weights : dict
        As given to :class:`RecurrentNetwork`.

    Raises
    ------
    ValueError
        If one of the two is sparse and the other is not, or their entries differ.
    """
    connectivity = dict(connectivity)
    for name in get_args(Matrix):
        mask, matrix = connectivity.get(name), weights.get(name)
        if issparse(mask) and matrix is not None and not issparse(matrix):
            fitted(f"weights['{name}']", matrix, mask)
        if not issparse(matrix):
            continue
        structure, _ = structure_of(f"weights['{name}']", matrix)
        if mask is None:
            connectivity[name] = structure
            continue
        if not issparse(mask):
            raise ValueError(
                f"weights['{name}'] is sparse, but connectivity['{name}'] is a dense array; leave "
                "it out, as the entries of the weights are the synapses"
            )
        _check_same(name, structure, checked_structure(name, mask))
    return connectivity


def _check_same(name, structure, other):
    """Raise an error unless weights and connectivity have the same entries."""
    if structure.shape != other.shape:
        raise ValueError(
            f"weights['{name}'] has the shape {structure.shape}, but connectivity['{name}'] "
            f"{other.shape}; give one of them, or two that agree"
        )
    differs = (structure != other).tocoo()
    if differs.nnz:
        i, j = int(differs.row[0]), int(differs.col[0])
        which = ("weights", "connectivity")
        has, lacks = which if structure[i, j] else which[::-1]
        raise ValueError(
            f"{has}['{name}'] has an entry at [{i}, {j}], but {lacks}['{name}'] has none; give "
            "weights to exactly the synapses of connectivity (an explicit 0 is a weight), or leave "
            "connectivity out"
        )


def checked_structure(name, mask):
    """The synapses of a sparse matrix of booleans."""
    structure, values = structure_of(f"connectivity['{name}']", mask)
    if values.dtype != bool:
        raise ValueError(
            f"connectivity['{name}'] is a sparse {values.dtype} array; it must be bool, such as "
            "matrix.astype(bool)"
        )
    if (place := first_place(structure, ~values)) is not None:
        raise ValueError(
            f"connectivity['{name}']{list(place)} is an explicit False, but its entries are the "
            "synapses; leave it out, as in matrix.eliminate_zeros()"
        )
    return structure
