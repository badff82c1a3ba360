"""The synapses between two groups as values of a weight matrix, which is dense or sparse."""

from typing import Any

import numpy as np
from attrs import field, frozen

from .structures import rows_of


@frozen
class MaskedPart:
    """The synapses between two groups, as entries of a dense matrix.

    Attributes
    ----------
    place : (slice, slice)
        Its rows and columns of the matrix.
    mask : (n_pre, n_post) bool array
        Which synapses there are, within the part; they are created row by row.
    wiring : {"all", "no autapses", "some"}
        What the mask is.
    """

    place: tuple
    mask: np.ndarray
    wiring: str = field(init=False)

    @wiring.default
    def _wiring(self):
        n_pre, n_post = self.mask.shape
        if self.mask.all():
            return "all"
        without = n_pre == n_post and np.array_equal(self.mask, ~np.eye(n_pre, dtype=bool))
        return "no autapses" if without else "some"

    @property
    def count(self):
        """The number of synapses."""
        return int(np.count_nonzero(self.mask))

    def take(self, values):
        """Entries of the matrix in the order of the synapses, of any shape; see `Block.take`."""
        entries = self._view(values)
        return values[self.place][self.mask] if entries is None else entries

    @property
    def size(self):
        """How many values of the matrix `put` writes."""
        return self.mask.size

    def put(self, values, entries, scale):
        """Set the part to the entries of the synapses, times a number; to 0 where there is none."""
        view = self._view(values)
        if view is None:
            values[self.place] = 0
            values[self.place][self.mask] = entries * scale
            return
        if scale == 1:
            np.copyto(view, entries.reshape(view.shape))
        else:
            np.multiply(entries.reshape(view.shape), scale, out=view)
        if self.wiring == "no autapses":
            np.fill_diagonal(values[self.place], 0)

    def _view(self, matrix):
        """The part as an array in the order of the synapses; None if it is in another order."""
        part = matrix[self.place]
        if self.wiring == "no autapses" and part.flags.c_contiguous:
            # From one entry of the diagonal to the next there are n others.
            n = len(part)
            return part.reshape(-1)[1:].reshape(n - 1, n + 1)[:, :-1]
        return part if self.wiring == "all" else None

    @property
    def connectivity(self):
        """Keywords of ``Synapses.connect``; no indices, which take long to read, if possible."""
        if self.wiring == "all":
            return {}
        if self.wiring == "no autapses":
            return {"condition": "i != j"}
        i, j = np.nonzero(self.mask)
        return {"i": i, "j": j}

    @property
    def rows(self):
        """Row of each synapse in the matrix : (n_synapses,) int array."""
        return np.nonzero(self.mask)[0] + self.place[0].start

    @property
    def columns(self):
        """Column of each synapse in the matrix : (n_synapses,) int array."""
        return np.nonzero(self.mask)[1] + self.place[1].start


@frozen
class SparsePart:
    """The synapses between two groups, as values of a sparse matrix.

    Attributes
    ----------
    place : (slice, slice)
        Its rows and columns of the matrix.
    structure : csr_array of bool
        All synapses of the matrix.
    entries : slice or int array
        Those of the part, in the order in which they are created: row by row.
    """

    place: tuple
    structure: Any
    entries: Any = field(init=False)

    @entries.default
    def _entries(self):
        n_pre, n_post = self.structure.shape
        start, stop, _ = self.place[0].indices(n_pre)
        left, right, _ = self.place[1].indices(n_post)
        first, last = self.structure.indptr[[start, stop]].tolist()
        columns = self.structure.indices[first:last]
        within = (columns >= left) & (columns < right)
        return slice(first, last) if within.all() else first + np.flatnonzero(within)

    @property
    def count(self):
        """The number of synapses."""
        return len(self.columns)

    @property
    def size(self):
        """How many values of the matrix `put` writes."""
        return self.count

    def take(self, values):
        """Values in the order of the synapses; see `Block.take`."""
        return values[self.entries]

    def put(self, values, entries, scale):
        """Set values to those of the synapses, times a number."""
        values[self.entries] = entries if scale == 1 else entries * scale

    @property
    def connectivity(self):
        """Keywords of ``Synapses.connect``."""
        rows, columns = self.place
        return {"i": self.rows - rows.start, "j": self.columns - columns.start}

    @property
    def rows(self):
        """Row of each synapse in the matrix : (n_synapses,) int array."""
        return rows_of(self.structure)[self.entries]

    @property
    def columns(self):
        """Column of each synapse in the matrix : (n_synapses,) int array."""
        return self.structure.indices[self.entries]
