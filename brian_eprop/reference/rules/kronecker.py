"""Stochastic approximations of RTRL by Kronecker products: KF-RTRL, its reverse, UORO, OK.

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

from ...checks import one_of, whole_number
from ..rule import Recursion, Rule, option


def signs(rng, shape):
    """Independent random signs, ±1."""
    return rng.choice((-1.0, 1.0), size=shape)


def n_sources(network):
    """I, the number of sources of all blocks."""
    return sum(len(block.mask) for block in network.blocks.values())


def presynaptic(step):
    """û, what the sources send; (batch, I). 0 for those without connections."""
    values = []
    for name, block in step.network.blocks.items():
        arrivals = np.broadcast_to(step.arrivals[name], (step.batch, *block.mask.shape))
        # with single delays the same arrives over all connections that a source has
        sources, connected = np.arange(len(block.mask)), block.mask.argmax(axis=1)
        values.append(arrivals[:, sources, connected] * block.mask.any(axis=1))
    return np.concatenate(values, axis=1)


def drive_jacobian(step):
    """D = ∂c/∂u; (S, batch, n_rec, G, n_rec), diagonal in the units."""
    units = np.arange(step.network.n_rec)
    gates, batch = step.drive.shape[1:3]
    jacobian = np.zeros((len(step.drive), batch, len(units), gates, len(units)))
    jacobian[:, :, units, :, units] = step.drive.transpose(3, 0, 2, 1)
    return jacobian


def immediate_product(step):
    """The one product û ⊗ D of a step; (batch, 1, I) and (S, batch, n_rec, 1, G, n_rec)."""
    return presynaptic(step)[:, np.newaxis], drive_jacobian(step)[:, :, :, np.newaxis]


def no_products(network, batch, number):
    """Products u ⊗ A that are 0, `number` of them in a sequence."""
    shape = (network.n_states, batch, network.n_rec, number, network.cell.gates, network.n_rec)
    return np.zeros((batch, number, n_sources(network))), np.zeros(shape)


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


class RandomProduct(Recursion):
    """One random product x ⊗ y, of which y has the states and is carried from step to step::

        x^t ⊗ y^t = (x^{t−1} ⊗ H^t y^{t−1}, balanced) + (the product of the present step, balanced)

    Attributes
    ----------
    axes : (tuple of int, tuple of int)
        Those of x and y over which norms are taken.
    left, right : ndarrays
        x and y.
    """

    def start(self, batch):
        self.before, (self.left, self.right) = None, self.nothing(batch)

    def step(self, step, signal):
        of_left, of_right = self.axes
        old = balanced(self.left, of_left, carried(step, self.before, self.right), of_right)
        left, right = self.immediate(step)
        new = balanced(left, of_left, right, of_right)
        self.before, self.left, self.right = step, old[0] + new[0], old[1] + new[1]
        return self.gradient(signal.credit(step))

    def nothing(self, batch):
        """A product that is 0."""

    def immediate(self, step):
        """A random product whose mean is F of the step."""

    def gradient(self, credit):
        """The gradient that the credit pays to the weights."""


@Rule(
    name="kf_rtrl",
    source="Mujika, Meier & Steger 2018, arXiv 1805.10842",
    facing="past",
    delays="single",
    time=(3, 0),
    stochastic=True,
    unbiased=True,
    parent="rtrl",
    change="one random Kronecker product",
    examples=({}, {"average": 4}),
)
class KFRTRL(RandomProduct):
    """One product u ⊗ A, u of a value for each source and A of one for each state and drive::

        u^t = p_1 u^{t−1} + σ p_2 û^t
        A^t = H^t A^{t−1} / p_1 + σ D^t / p_2
        p_1 = √(‖H A‖ / ‖u‖),  p_2 = √(‖D‖ / ‖û‖)
        dE/dW_ij ≈ Σ_t u_i^t (∂E^t/∂c^t · A_j^t)

    with a random sign σ in every step. The paper draws a sign for either summand of u; the
    product depends on whether they are equal only. Where û or D is 0 nothing is added: see
    :func:`~brian_eprop.reference.rules.kronecker.balanced`.

    Stored are u, (batch, copies, I), and A, (S, batch, n_rec, copies, G, n_rec).

    Parameters
    ----------
    average : int
        The number of independent copies of which the mean is taken (k-KF-RTRL-AVG).
    """

    average: int = option(whole_number, default=1)

    # u and A, without the axes of the batch and of the copies
    axes = (2,), (0, 2, 4, 5)

    def nothing(self, batch):
        return no_products(self.network, batch, self.average)

    def immediate(self, step):
        presynaptic_values, jacobian = immediate_product(step)
        sign = signs(self.rng, (step.batch, self.average, 1))
        return sign * presynaptic_values, sign[:, np.newaxis, :, :, np.newaxis] * jacobian

    def gradient(self, credit):
        return gradient_of_products(self.network, credit / self.average, self.left, self.right)


@Rule(
    name="r_kf_rtrl",
    source="Marschall, Cho & Savin 2020, J. Mach. Learn. Res. 21(135), R-KF-RTRL",
    facing="past",
    delays="single",
    time=(3, 0),
    stochastic=True,
    unbiased=True,
    parent="kf_rtrl",
    change="the other index in the vector",
)
class ReverseKFRTRL(RandomProduct):
    """One product A ⊗ B, A of a value for each drive and B of one for each state and source::

        A^t = p_0 A^{t−1} + p_1 ν^t
        B^t = H^t B^{t−1} / p_0 + (D^t ν^t) ⊗ û^t / p_1
        p_0 = √(‖H B‖ / ‖A‖),  p_1 = √(‖(D ν) ⊗ û‖ / ‖ν‖)
        dE/dW_ij ≈ Σ_t A_j^t (∂E^t/∂c^t · B_i^t)

    with fresh random signs ν in every step, one for each drive of each unit. Where û is 0 nothing
    is added, ν neither: see :func:`~brian_eprop.reference.rules.kronecker.balanced`.

    Stored are A, (batch, G, n_rec), and B, (S, batch, n_rec, I).
    """

    # A and B, without the axis of the batch
    axes = (1, 2), (0, 2, 3)

    def nothing(self, batch):
        network = self.network
        sources = np.zeros((network.n_states, batch, network.n_rec, n_sources(network)))
        return np.zeros((batch, network.cell.gates, network.n_rec)), sources

    def immediate(self, step):
        noise = signs(self.rng, self.left.shape)
        of_states = np.einsum("sgbk,bgk->sbk", step.drive, noise)
        return noise, np.einsum("sbk,bi->sbki", of_states, presynaptic(step))

    def gradient(self, credit):
        of_sources = np.einsum("sbk,sbki->bi", credit, self.right)
        return by_block(self.network, np.einsum("bgj,bi->gij", self.left, of_sources))


@Rule(
    name="uoro",
    source="Tallec & Ollivier 2017, arXiv 1702.05043, Algorithm 1",
    facing="past",
    delays="single",
    stochastic=True,
    unbiased=True,
    parent="rtrl",
    change="one random product",
    examples=({}, {"noise": "driven"}),
)
class UORO(RandomProduct):
    """One random product s̃ ⊗ θ̃ of a change of all states and one of all weights::

        s̃^t = ρ_0 H^t s̃^{t−1} + ρ_1 ν^t
        θ̃^t = θ̃^{t−1} / ρ_0 + ν^tᵀ F^t / ρ_1
        ρ_0 = √(‖θ̃^{t−1}‖ / ‖H^t s̃^{t−1}‖),  ρ_1 = √(‖νᵀF‖ / ‖ν‖)
        dE/dW_ij ≈ Σ_t (∂E^t/∂c^t · s̃^t) θ̃_ij^t

    with fresh random signs ν in every step, one for each state of each unit. Norms are those of
    one sequence and of existing weights. The published small constant in the norms is not needed:
    see :func:`~brian_eprop.reference.rules.kronecker.balanced`.

    Stored are s̃, (S, batch, n_rec), and θ̃, (batch, G, n_pre of all blocks, n_rec).

    Parameters
    ----------
    noise : {"all", "driven"}
        The states that get noise: all, as published, or only those on which a weight acts in the
        step, K ≠ 0. The noise of the others does not bear on the mean; for an ALIF neuron it is
        that on the adaptation, whose F is 0. Not in the paper.
    """

    noise: str = option(one_of, ("all", "driven"), default="all")

    def __attrs_post_init__(self):
        self.exists = existing(self.network)

    # θ̃ and s̃, without the axis of the batch
    axes = (1, 2, 3), (0, 2)

    def nothing(self, batch):
        states = np.zeros((self.network.n_states, batch, self.network.n_rec))
        return np.zeros((batch, *self.exists.shape)), states

    def immediate(self, step):
        noise = signs(self.rng, step.state.shape)
        if self.noise == "driven":
            noise *= np.any(step.drive != 0, axis=1)
        of_drive = np.einsum("sgbj,sbj->bgj", step.drive, noise)
        return np.einsum("bi,bgj->bgij", presynaptic(step), of_drive) * self.exists, noise

    def gradient(self, credit):
        projection = np.einsum("sbk,sbk->b", credit, self.right)
        return by_block(self.network, np.einsum("b,bgij->gij", projection, self.left))


@Rule(
    name="ok",
    source="Benzing, Gauy, Mujika, Martinsson & Steger 2019, arXiv 1902.03993",
    facing="past",
    delays="single",
    time=(3, 0),
    stochastic=True,
    unbiased=True,
    parent="kf_rtrl",
    change="sum of products with the least variance",
    examples=({"rank": 1}, {"rank": 4}),
)
class OK(Recursion):
    """A sum of r products u_l ⊗ A_l, made r again in every step with the least variance::

        Σ_{l≤r} u_l^{t−1} ⊗ H^t A_l^{t−1} + û^t ⊗ D^t = Σ_{i≤r+1} d_i x_i ⊗ y_i
        u_l^t = Σ_i M_il x_i,   A_l^t = Σ_i M_il y_i
        dE/dW_ij ≈ Σ_t Σ_l u_l,i^t (∂E^t/∂c^t · A_l,j^t)

    The second sum is the singular value decomposition, d the singular values. The random matrix M,
    (r + 1, r), has the mean E[M Mᵀ] = diag(d): see :func:`mixing`. As long as there are no more
    than r products, by the number of steps or by the rank of the influence, nothing is random and
    the gradient exact.

    Stored are u, (batch, r, I), and A, (S, batch, n_rec, r, G, n_rec).

    Parameters
    ----------
    rank : int
        r; from the number of sources on the rule is exact.
    """

    rank: int = option(whole_number)

    def __attrs_post_init__(self):
        # no matrix of so many rows has a higher rank
        self.rank = min(self.rank, n_sources(self.network))

    def start(self, batch):
        self.before = None
        self.u, self.a = no_products(self.network, batch, 0)

    def step(self, step, signal):
        presynaptic_values, jacobian = immediate_product(step)
        u = np.concatenate([self.u, presynaptic_values], axis=1)
        a = np.concatenate([carried(step, self.before, self.a), jacobian], axis=3)
        if u.shape[1] > self.rank:
            u, a = compressed(u, a, self.rank, self.rng)
        self.before, self.u, self.a = step, u, a
        return gradient_of_products(self.network, signal.credit(step), u, a)


def compressed(u, a, rank, rng):
    """A sum of at most `rank` products whose mean is the sum of rank + 1 that is given.

    Parameters
    ----------
    u : (batch, rank + 1, I) ndarray
    a : (S, batch, n_rec, rank + 1, G, n_rec) ndarray

    Returns
    -------
    u : (batch, r, I) ndarray
        r is less than the rank only where arrays are too small for it.
    a : (S, batch, n_rec, r, G, n_rec) ndarray
    """
    of_products = a.transpose(1, 0, 2, 4, 5, 3)
    batch, *shape, products = of_products.shape
    x, x_inner = np.linalg.qr(u.swapaxes(1, 2))
    y, y_inner = np.linalg.qr(of_products.reshape(batch, -1, products))
    inner = x_inner @ y_inner.swapaxes(1, 2)
    if not np.all(np.isfinite(inner)):
        # there is no decomposition; the gradient shows that the recursion diverged
        return u[:, :rank], np.full_like(a[:, :, :, :rank], np.nan)
    left, d, right = np.linalg.svd(inner, full_matrices=False)
    # what is round-off is not to enter by its root
    d[d <= products * np.finfo(float).eps * d[:, :1]] = 0
    if d.shape[1] <= rank:
        mixed = np.sqrt(d)[:, np.newaxis] * np.eye(d.shape[1])
    else:
        mixed = mixing(d, rng)
    u = x @ (left @ mixed)
    a = (y @ (right.swapaxes(1, 2) @ mixed)).reshape(batch, *shape, -1)
    return u.swapaxes(1, 2), a.transpose(1, 0, 2, 5, 3, 4)


def mixing(d, rng):
    """A random matrix M with one column less than rows, and E[M Mᵀ] = diag(d).

    It leaves the m largest products as they are and mixes the others, m the least number with
    (r − m) d_{m+1} ≤ s, s = Σ_{i>m} d_i. With random signs σ and k = r − m::

        M Mᵀ = diag(d_1 … d_m) ⊕ (s/k) diag(σ) (1 − z zᵀ) diag(σ),   z_i = √(1 − k d_i / s)

    z is a unit vector, because one product is too many; there is such an m < r, for r − 1 is one.
    The variance Σ_ij Var (M Mᵀ)_ij = s²/k − Σ_{i>m} d_i² is the least of all unbiased sums of r
    products (Benzing et al. 2019).

    Parameters
    ----------
    d : (batch, r + 1) ndarray
        Singular values, the largest first.

    Returns
    -------
    (batch, r + 1, r) ndarray
    """
    products = d.shape[1]
    place, rank = np.arange(products), products - 1
    rest = np.cumsum(d[:, ::-1], axis=1)[:, ::-1]
    m = np.argmax((rank - place) * d <= rest, axis=1)[:, np.newaxis]
    k, s = rank - m, np.take_along_axis(rest, m, axis=1)
    mixed = place >= m
    share = np.divide(k * d, s, out=np.ones_like(d), where=mixed & (s > 0))
    z = np.sqrt(np.maximum(1 - share, 0))
    # where the others are all 0, any of them is the one too many
    z[s[:, 0] == 0, -1] = 1
    # the columns of a reflection that takes the last axis to −z are orthogonal to z, but the last
    w = z + np.eye(products)[-1]
    outer = w[:, :, np.newaxis] * w[:, np.newaxis] / w[:, -1:, np.newaxis]
    complement = (np.eye(products) - outer)[:, :, :rank]
    size = np.where(mixed, np.sqrt(s / k) * signs(rng, d.shape), np.sqrt(d))
    return size[:, :, np.newaxis] * complement
