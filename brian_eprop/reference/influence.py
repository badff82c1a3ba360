"""The influence tensor of RTRL, sparse: weights on the units that few explicit edges reach."""

from __future__ import annotations

from collections import deque

import numpy as np
from scipy.sparse import csr_array

from .rule import Recursion


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
        connected = [(owners, units)]
        while len(self.within) <= hops:
            ends = csr_array((np.ones(len(units), dtype=np.int64), (owners, units)), mask.shape)
            owners, units = np.nonzero(((ends @ connections).toarray() > 0) & ~reached)
            if not len(units):
                break
            reached[owners, units] = True
            connected.append((owners, units))
            self.within.append(self.within[-1] + len(units))
        self.owners, self.units = np.concatenate(connected, axis=1)

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


#: Numbers of a tensor that are computed together, in what fits into a cache
NUMBERS_AT_ONCE = 2**16


class _Part:
    """A part of the influence tensor in time.

    Parameters
    ----------
    network : Network
    incoming : Incoming
    pairs : Pairs
    hops : int or math.inf
        The pairs that are kept.
    of : int or math.inf, optional
        The pairs of that part whose observed changes arrive here along explicit edges.

    Attributes
    ----------
    values : (pairs, batch, S, slots) ndarray
        G.
    observed : deque of (pairs, batch, slots) ndarrays
        X = q G, what the observables of the last steps changed; the latest last.
    """

    def __init__(self, network, incoming, pairs, hops, of=None):
        self.network, self.incoming = network, incoming
        n_pairs = pairs.number(hops)
        self._units = pairs.units[:n_pairs]
        self._owners = csr_array(
            (np.ones(n_pairs), (pairs.owners[:n_pairs], np.arange(n_pairs))),
            shape=(network.n_rec, n_pairs),
        )
        weights = {}
        if of is not None:
            for lag, mask in network.recurrent_lags.items():
                weights[lag] = pairs.edges(mask, n_pairs, pairs.number(of))
        length = max(1, NUMBERS_AT_ONCE // max(1, network.n_states * incoming.n_slots))
        self._blocks = []
        for start in range(0, n_pairs, length):
            rows = slice(start, start + length)
            edges = {lag: Edges(of_lag[rows]) for lag, of_lag in weights.items()}
            self._blocks.append((rows, edges))

    def start(self, batch):
        """Begin new sequences: no weight has had an influence."""
        shape = (len(self._units), batch, self.network.n_states, self.incoming.n_slots)
        self.values = np.zeros(shape)
        self.observed = deque(maxlen=max(self.network.recurrent_lags))

    def advance(self, step, observed=(), immediate=True):
        """G ← D G + Σ_lag R X^{t−lag} + F.

        Parameters
        ----------
        step : Step
        observed : sequence of (pairs, batch, slots) ndarrays
            X of some part in the steps before this one, the latest last.
        immediate : bool
            Whether F is added.
        """
        drive = step.drive[:, self.network.blocks["w_rec"].gates]
        self_edges = len(observed) and np.any(step.self_edge)
        for rows, edges in self._blocks:
            units = self._units[rows]
            values = _of_units(step.implicit, units) @ self.values[rows]
            for lag, along in edges.items():
                if lag <= len(observed):
                    of_drive = along(step.recurrent[lag], observed[-lag])
                    values += _of_units(drive, units) @ np.moveaxis(of_drive, 0, -2)
            if self_edges:
                # pairs that are kept here only lie behind those that are observed
                change = observed[-1][rows, :, np.newaxis]
                edge = _of_units(step.self_edge, units[: len(change)])
                values[: len(change)] += edge[..., np.newaxis] * change
            self.values[rows] = values
        if immediate:
            self.values[: self.network.n_rec] += self.incoming.immediate(step)

    def observe(self, step):
        """Remember X of this step for those who receive it."""
        change = np.einsum("pbs,pbsm->pbm", _of_units(step.observation, self._units), self.values)
        self.observed.append(np.asarray(change))

    def contracted(self, credit):
        """Σ_batch Σ_s Σ_k credit_s,k G_s,kj, (n_rec, slots)."""
        credited = np.einsum("pbs,pbsm->pm", _of_units(credit, self._units), self.values)
        note(2 * self._owners.nnz * credited.shape[1])
        return self._owners @ np.asarray(credited)


def _of_units(array, units):
    """(…, batch, n_rec) → (units, batch, …)."""
    return np.moveaxis(array[..., units], (-1, -2), (0, 1)).copy()


class Influence(Recursion):
    """The influence of all weights as a sum of parts, and the error of the same step.

    Parameters
    ----------
    network : Network
    rng : numpy.random.Generator
    hops : sequence of int or math.inf
        For each part the pairs that it keeps: those that at most so many explicit edges connect.
    sources : sequence of int or None
        For each part the one whose observed changes arrive in it along explicit edges.
    """

    def __init__(self, network, rng, hops, sources):
        super().__init__(network, rng)
        self.incoming, self.sources = Incoming(network), sources
        pairs = Pairs(network.mask_rec, max(hops))
        self.parts = [
            _Part(network, self.incoming, pairs, kept, None if source is None else hops[source])
            for kept, source in zip(hops, sources, strict=True)
        ]

    def start(self, batch):
        for part in self.parts:
            part.start(batch)

    def step(self, step, signal):
        for part, source in zip(self.parts, self.sources, strict=True):
            observed = () if source is None else self.parts[source].observed
            part.advance(step, observed, immediate=part is self.parts[0])
        for source in self.sources:
            if source is not None:
                self.parts[source].observe(step)
        credit = signal.credit(step)
        of_slots = sum(part.contracted(credit) for part in self.parts)
        return self.incoming.gradient(self.network, of_slots)


class MaskedInfluence(Influence):
    """G ← (H G + F) ∘ Mask, with H = D + R q: all paths that stay inside the mask.

    Parameters
    ----------
    network : Network
    rng : numpy.random.Generator
    hops : int or math.inf
        The mask has the pairs that at most so many explicit edges connect. With math.inf nothing
        is left out, and this is real-time recurrent learning.
    """

    def __init__(self, network, rng, hops):
        super().__init__(network, rng, [hops], [0])


class HopInfluence(Influence):
    """The paths of few explicit edges, whatever implicit ones lie between::

        G_k^{(0),t} = D_k^t G_k^{(0),t−1} + δ_kj F_ij^t
        G_k^{(q),t} = D_k^t G_k^{(q),t−1} + Σ_lag Σ_l R_lk^t (q_l^{t−lag} · G_l^{(q−1),t−lag})
        dE/dW_ij ≈ Σ_t Σ_k ∂E^t/∂c_k^t · Σ_q G_k^{(q),t}

    Parameters
    ----------
    network : Network
    rng : numpy.random.Generator
    hops : int
        The largest number of edges.
    """

    def __init__(self, network, rng, hops):
        super().__init__(network, rng, range(hops + 1), [None, *range(hops)])


#: The lists that are being added to.
_counters: list[list[int]] = []


def note(operations):
    """Add to every count that is running; for products that NumPy does not do itself."""
    for counter in _counters:
        counter.append(int(operations))
