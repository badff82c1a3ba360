"""Which weights act on a unit, and which units they reach through how many connections."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from ..operations import note

__all__ = ["Edges", "Incoming", "Pairs"]


class Incoming:
    """The existing weights onto each unit, side by side in numbered slots.

    A weight acts at once on its postsynaptic unit only, its owner. So the influence of all weights
    on a unit k is one vector over slots for each owner j. Units with fewer weights than others
    have slots that stay 0.

    Attributes
    ----------
    n_slots : int
    blocks : dict of str to tuple of int ndarrays
        pre (weights,), post (weights,) and slot (gates, weights) of the connections of a block.
    """

    def __init__(self, network):
        filled = np.zeros(network.n_rec, dtype=int)
        self.blocks = {}
        for name, block in network.blocks.items():
            post, pre = np.nonzero(block.mask.T)
            degree = block.mask.sum(axis=0)
            number = np.arange(len(post)) - np.repeat(np.cumsum(degree) - degree, degree)
            gates = np.arange(len(block.gates))[:, np.newaxis]
            self.blocks[name] = pre, post, filled[post] + gates * degree[post] + number
            filled = filled + len(block.gates) * degree
        self.n_slots = int(filled.max(initial=0))

    def immediate(self, step):
        """F_j = ∂c_j/∂W at fixed c^{t−1} and h, (n_rec, batch, S, slots)."""
        states, _, batch, n_rec = step.drive.shape
        slots = np.zeros((n_rec, batch, states, self.n_slots))
        for name, (pre, post, slot) in self.blocks.items():
            arrival = step.arrivals[name]
            arrival = arrival[:, pre, 0] if arrival.shape[2] == 1 else arrival[:, pre, post]
            gain = step.drive[:, step.network.blocks[name].gates][..., post]
            slots[post, :, :, slot] = np.transpose(gain * arrival, (1, 3, 2, 0))
        return slots

    def gradient(self, network, slots):
        """{block: (gates, n_pre, n_rec) ndarray} from one number for each slot, (n_rec, slots)."""
        gradient = {}
        for name, (pre, post, slot) in self.blocks.items():
            gradient[name] = np.zeros((len(slot), *network.blocks[name].mask.shape))
            gradient[name][:, pre, post] = slots[post, slot]
        return gradient


class Pairs:
    """Pairs of an affected unit k and an owner j from which explicit edges lead to k.

    Those of fewer edges come first, and k = j first of all. So the pairs within some number of
    edges are a beginning of the list.

    Parameters
    ----------
    mask : (n_rec, n_rec) bool ndarray
        Recurrent connections. Explicit self-edges add no pair, k = j being one already.
    hops : int or math.inf
        How many edges to follow.

    Attributes
    ----------
    units, owners : (pairs,) int ndarrays
    within : list of int
        How many pairs are connected by 0, 1, … edges or fewer; its last entry also says how many
        by more edges.
    """

    def __init__(self, mask, hops):
        connections = csr_array(mask.astype(np.int64))
        reached = np.eye(len(mask), dtype=bool)
        units = owners = np.arange(len(mask))
        self.within = [len(mask)]
        found = [(owners, units)]
        while len(self.within) <= hops:
            ends = csr_array((np.ones(len(units), dtype=np.int64), (owners, units)), mask.shape)
            owners, units = np.nonzero(((ends @ connections).toarray() > 0) & ~reached)
            if not len(units):
                break
            reached[owners, units] = True
            found.append((owners, units))
            self.within.append(self.within[-1] + len(units))
        self.owners, self.units = np.concatenate(found, axis=1)

    def number(self, hops):
        """How many pairs at most so many edges connect."""
        return self.within[min(hops, len(self.within) - 1)]

    def edges(self, mask, onto, of):
        """Explicit edges l → k, for every owner j of which both pairs are kept.

        Parameters
        ----------
        mask : (n_rec, n_rec) bool ndarray
            Connections of one lag.
        onto, of : int
            How many pairs are kept of the influence that is changed, and of that which changes it.

        Returns
        -------
        (onto, of) csr_array of int
            Which weight leads from pair to pair: its index in the flat matrix (n_rec, n_rec).
        """
        n_rec = len(mask)
        position = np.full((n_rec, n_rec), -1)
        position[self.owners[:onto], self.units[:onto]] = np.arange(onto)
        connections = csr_array(mask)
        degree, first = np.diff(connections.indptr), connections.indptr[:-1]
        units = self.units[:of]
        source = np.repeat(np.arange(of), degree[units])
        before = np.cumsum(degree[units]) - degree[units]
        number = np.arange(len(source)) - np.repeat(before - first[units], degree[units])
        post = connections.indices[number]
        target = position[self.owners[source], post]
        kept = np.nonzero(target >= 0)[0]
        kept = kept[np.argsort(target[kept], kind="stable")]
        rows = np.concatenate([[0], np.cumsum(np.bincount(target[kept], minlength=onto))])
        weights = units[source[kept]] * n_rec + post[kept]
        return csr_array((weights, source[kept], rows), shape=(onto, of))


class Edges:
    """Products with the weights of explicit edges, which may be others in each step.

    Parameters
    ----------
    weights : (onto, of) csr_array of int
        As :meth:`Pairs.edges` returns it.
    """

    def __init__(self, weights):
        self._weights = weights.data
        self._matrix = weights.astype(float)

    def __call__(self, weights, changes):
        """Σ_l w_lk X_lj for each gate.

        Parameters
        ----------
        weights : (gates, n_rec, n_rec) ndarray
        changes : (of, batch, slots) ndarray

        Returns
        -------
        (gates, onto, batch, slots) ndarray
        """
        columns, products = changes.reshape(len(changes), -1), []
        for of_gate in np.asarray(weights):
            self._matrix.data = of_gate.ravel()[self._weights]
            products.append(self._matrix @ columns)
            # NumPy does not see this product
            note(2 * self._matrix.nnz * columns.shape[1])
        return np.stack(products).reshape(len(weights), -1, *changes.shape[1:])
