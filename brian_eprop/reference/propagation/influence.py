"""The influence of weights on units, kept for the units that few explicit edges reach."""

from __future__ import annotations

from collections import deque

import numpy as np
from scipy.sparse import csr_array

from ..operations import note
from ..rule import Recursion
from .connectivity import Edges, Incoming, Pairs

__all__ = ["HopInfluence", "MaskedInfluence"]

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
                own = observed[-1][rows, :, np.newaxis]
                edge = _of_units(step.self_edge, units[: len(own)])
                values[: len(own)] += edge[..., np.newaxis] * own
            self.values[rows] = values
        if immediate:
            self.values[: self.network.n_rec] += self.incoming.immediate(step)

    def observe(self, step):
        """Remember X of this step for those who receive it."""
        change = np.einsum("pbs,pbsm->pbm", _of_units(step.observation, self._units), self.values)
        self.observed.append(np.asarray(change))

    def contracted(self, credit):
        """Σ_batch Σ_s Σ_k credit_s,k G_s,kj, (n_rec, slots)."""
        paid = np.einsum("pbs,pbsm->pm", _of_units(credit, self._units), self.values)
        note(2 * self._owners.nnz * paid.shape[1])
        return self._owners @ np.asarray(paid)


def _of_units(array, units):
    """(…, batch, n_rec) → (units, batch, …)."""
    return np.moveaxis(array[..., units], (-1, -2), (0, 1)).copy()


class MaskedInfluence(Recursion):
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
        super().__init__(network, rng)
        self.incoming = Incoming(network)
        pairs = Pairs(network.mask_rec, hops)
        self.part = _Part(network, self.incoming, pairs, hops, of=hops)

    def start(self, batch):
        self.part.start(batch)

    def step(self, step, signal):
        self.part.advance(step, self.part.observed)
        self.part.observe(step)
        paid = self.part.contracted(signal.credit(step))
        return self.incoming.gradient(self.network, paid)


class HopInfluence(Recursion):
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
        super().__init__(network, rng)
        self.incoming = Incoming(network)
        pairs = Pairs(network.mask_rec, hops)
        self.parts = [
            _Part(network, self.incoming, pairs, q, of=q - 1 if q else None)
            for q in range(hops + 1)
        ]

    def start(self, batch):
        for part in self.parts:
            part.start(batch)

    def step(self, step, signal):
        for q, part in enumerate(self.parts):
            observed = self.parts[q - 1].observed if q else ()
            part.advance(step, observed, immediate=q == 0)
        for part in self.parts[:-1]:
            part.observe(step)
        credit = signal.credit(step)
        paid = sum(part.contracted(credit) for part in self.parts)
        return self.incoming.gradient(self.network, paid)
