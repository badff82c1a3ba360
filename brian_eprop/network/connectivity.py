"""Which synapses exist, for ``RecurrentNetwork(connectivity=...)``: row = pre, column = post.

A mask (n_pre, n_post) of booleans, or a sparse array of SciPy, whose entries are the synapses.

>>> connectivity = {
...     "w_in": random_sparse(20, 100, density=0.2, seed=1),
...     "w_rec": fixed_degree(100, 100, degree=10, seed=2, autapses=False),
... }
"""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from ..checks import ABOVE_0, Bools, flag, number, whole_number

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
