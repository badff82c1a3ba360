"""Recorded examples: divided into parts class by class, and drawn."""

import numpy as np


def stratified(labels, shares, seed=0):
    """
    Divide examples so that every class has its share in every part.

    Parameters
    ----------
    labels : (n,) array of int
        Class of each example.
    shares : sequence of float
        Share of each part but the last one, which has the rest.
    seed : int
        Of the order in which the examples of a class are dealt out.

    Returns
    -------
    list of (…,) ndarray of int
        Indices of the examples of each part, increasing.
    """
    rng = np.random.default_rng(seed)
    parts = [[] for _ in range(len(shares) + 1)]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        ends = np.round(np.cumsum(shares) * len(members)).astype(int)
        for part, chosen in zip(parts, np.split(members, ends), strict=True):
            part.extend(chosen)
    return [np.sort(part) for part in parts]


def drawn(rng, n, batch):
    """Indices of a batch of n examples, of each at most once if there are enough."""
    return rng.choice(n, size=batch, replace=batch > n)
