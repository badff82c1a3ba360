"""Masks for ``RecurrentNetwork(connectivity=...)``: which synapses exist, row = pre, column = post.

>>> connectivity = {
...     "w_in": random_sparse(20, 100, density=0.2, seed=1),
...     "w_rec": fixed_degree(100, 100, degree=10, seed=2, autapses=False),
... }
"""

from collections.abc import Sequence

import numpy as np

from ..checks import ABOVE_0, Bools, flag, number, whole_number

__all__ = [
    "fixed_degree",
    "layers",
    "random_sparse",
]


def fixed_degree(
    n_pre: int, n_post: int, degree: int, seed: int, *, autapses: bool = True
) -> Bools:
    """Each neuron receives from exactly so many others, all equally likely.

    Parameters
    ----------
    n_pre, n_post : int
    degree : int
        Synapses onto each neuron.
    seed : int
    autapses : bool
        Whether a neuron may be connected to itself; for ``w_rec`` say False.

    Returns
    -------
    (n_pre, n_post) bool ndarray

    Raises
    ------
    ValueError
        For numbers that are out of range.
    """
    rng, possible = _start("fixed_degree", n_pre, n_post, seed, autapses)
    whole_number("fixed_degree.degree", degree)
    most = possible.sum(axis=0).min()
    if degree > most:
        raise ValueError(
            f"fixed_degree.degree = {degree} is more than the {most} neurons that a neuron can "
            "receive from; choose a smaller one"
        )
    # The largest of random numbers: a choice without replacement, for all neurons at once
    rank = np.argsort(np.where(possible, rng.random((n_pre, n_post)), -1.0), axis=0)
    mask = np.zeros((n_pre, n_post), dtype=bool)
    np.put_along_axis(mask, rank[n_pre - degree :], True, axis=0)
    return mask


def random_sparse(
    n_pre: int, n_post: int, density: float, seed: int, *, autapses: bool = True
) -> Bools:
    """Each synapse exists with the same probability, whatever the others do.

    Parameters
    ----------
    n_pre, n_post : int
    density : float
        The probability, above 0 and at most 1.
    seed : int
    autapses : bool
        Whether a neuron may be connected to itself; for ``w_rec`` say False.

    Returns
    -------
    (n_pre, n_post) bool ndarray

    Raises
    ------
    ValueError
        For numbers that are out of range.
    """
    rng, possible = _start("random_sparse", n_pre, n_post, seed, autapses)
    must = "be a number above 0 and at most 1"
    density = number("random_sparse.density", density, must, ABOVE_0, 1.0)
    return possible & (rng.random((n_pre, n_post)) < density)


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


def _start(function, n_pre, n_post, seed, autapses):
    """A generator of random numbers, and the mask of the synapses that may exist."""
    whole_number(f"{function}.n_pre", n_pre)
    whole_number(f"{function}.n_post", n_post)
    whole_number(f"{function}.seed", seed, 0, most=np.inf)
    possible = np.ones((n_pre, n_post), dtype=bool)
    if not flag(f"{function}.autapses", autapses):
        if n_pre != n_post:
            raise ValueError(
                f"{function}.autapses = False is for synapses among the same neurons, but n_pre = "
                f"{n_pre} and n_post = {n_post}; leave it out"
            )
        np.fill_diagonal(possible, False)
    return np.random.default_rng(seed), possible
