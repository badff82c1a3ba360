"""What the stochastic approximations of real-time recurrent learning have in common.

They replace the influence G^t = H^t G^{t−1} + F^t of the weights on the states (Williams & Zipser
1989) by sums of few products, of which H^t G^{t−1} and F^t are one each at least::

    F^t = û^t ⊗ D^t,   dc_k,s/dw[g,i,j] = û_i D[s,k,g,j]

The I sources i of all blocks of weights, inputs, observables and the constant of the bias, stand
in one vector û, so that the weights are an array (G, I, n_rec). Some of its entries are no weights,
for want of a connection or of a block that leads from the source to the gate. They do not act on
the others, and are dropped in the end.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "balanced",
    "by_block",
    "carried",
    "drive_jacobian",
    "existing",
    "gradient_of_products",
    "n_sources",
    "presynaptic",
    "signs",
]


def signs(rng, shape):
    """Independent random signs, ±1."""
    return rng.choice((-1.0, 1.0), size=shape)


def n_sources(network):
    """I, the number of sources of all blocks."""
    return sum(len(block.mask) for block in network.blocks.values())


def presynaptic(step):
    """û, what the sources send; (batch, I). 0 for those without connections."""
    sent = []
    for name, block in step.network.blocks.items():
        arrivals = np.broadcast_to(step.arrivals[name], (step.batch, *block.mask.shape))
        # with single delays the same arrives over all connections that a source has
        sources, connected = np.arange(len(block.mask)), block.mask.argmax(axis=1)
        sent.append(arrivals[:, sources, connected] * block.mask.any(axis=1))
    return np.concatenate(sent, axis=1)


def drive_jacobian(step):
    """D = ∂c/∂u; (S, batch, n_rec, G, n_rec), diagonal in the units."""
    units = np.arange(step.network.n_rec)
    gates, batch = step.drive.shape[1:3]
    jacobian = np.zeros((len(step.drive), batch, len(units), gates, len(units)))
    jacobian[:, :, units, :, units] = step.drive.transpose(3, 0, 2, 1)
    return jacobian


def carried(step, before, tangent):
    """H·X: a change of all states of the step before, (S, batch, n_rec, …), as of this step."""
    if before is None:
        return np.zeros_like(tangent)
    return step.through_implicit(tangent) + step.through_explicit([before.observe(tangent)])


def balanced(left, left_axes, right, right_axes):
    """Factors of products x ⊗ y, scaled such that both have the norm √(‖x‖·‖y‖).

    A sum of products into which every factor enters with a random sign has the least variance when
    the factors of each product are of the same norm (Tallec & Ollivier 2017, arXiv 1702.05043).
    Where one factor is 0, and so the product, both become 0: the limit of both norms going to 0,
    which adds nothing to the noise. The papers' programs add a small constant to every norm.

    Parameters
    ----------
    left, right : ndarray
    left_axes, right_axes : tuple of int
        The axes of the factor; what is left are those of the different products, in the same order.
    """
    # roots of the norms, since their quotient may be too large for a float
    root_left = np.sum(left**2, axis=left_axes) ** 0.25
    root_right = np.sum(right**2, axis=right_axes) ** 0.25
    both = (root_left > 0) & (root_right > 0)
    ratio = np.divide(root_right, root_left, out=np.zeros_like(root_left), where=both)
    inverse = np.divide(root_left, root_right, out=np.zeros_like(root_left), where=both)
    return np.expand_dims(ratio, left_axes) * left, np.expand_dims(inverse, right_axes) * right


def existing(network):
    """Which entries of a (G, I, n_rec) array are weights."""
    exists = np.zeros((network.cell.gates, n_sources(network), network.n_rec), dtype=bool)
    for _, block, rows in _rows(network):
        exists[block.gates, rows] = block.mask
    return exists


def by_block(network, weights):
    """{name: (gates, n_pre, n_rec)} from an array (G, I, n_rec)."""
    return {name: weights[block.gates, rows] for name, block, rows in _rows(network)}


def gradient_of_products(network, credit, left, right):
    """Σ_batch Σ_r u_r ⊗ (credit · A_r) for every block.

    Parameters
    ----------
    credit : (S, batch, n_rec) ndarray
    left : (batch, R, I) ndarray
        u.
    right : (S, batch, n_rec, R, G, n_rec) ndarray
        A.
    """
    signal = np.einsum("sbk,sbkrgj->brgj", credit, right)
    return by_block(network, np.einsum("bri,brgj->gij", left, signal))


def _rows(network):
    """Name and block with the places of its sources among all."""
    first = 0
    for name, block in network.blocks.items():
        last = first + len(block.mask)
        yield name, block, slice(first, last)
        first = last
