"""Matrices with a value for each synapse: dense, or sparse, whose entries are the synapses.

What is computed for each synapse is an array of the mask's shape, or of a sparse one a vector: its
synapses row by row, as in a csr_array.
"""

from typing import get_args

import numpy as np
from scipy.sparse import csr_array, get_index_dtype, issparse

from ..checks import Matrix, numbers

#: Formats of sparse matrices that say where each entry is.
FORMATS = ("csr", "csc", "coo")


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
