"""Real-time recurrent learning with the best sum of Kronecker products."""

import numpy as np

from ...checks import whole_number
from ..rule import Recursion, Rule, require_single_delays
from .kronecker import carried, drive_jacobian, gradient_of_products, n_sources, presynaptic, signs


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

    def __init__(self, network, rng, *, rank):
        super().__init__(network, rng)
        require_single_delays("ok", network)
        # no matrix of so many rows has a higher rank
        self.rank = min(whole_number("rule 'ok': 'rank'", rank), n_sources(network))

    def start(self, batch):
        network = self.network
        n_rec, gates = network.n_rec, network.cell.gates
        self.before = None
        self.u = np.zeros((batch, 0, n_sources(network)))
        self.a = np.zeros((network.n_states, batch, n_rec, 0, gates, n_rec))

    def step(self, step, signal):
        sent = presynaptic(step)[:, np.newaxis]
        driven = drive_jacobian(step)[:, :, :, np.newaxis]
        u = np.concatenate([self.u, sent], axis=1)
        a = np.concatenate([carried(step, self.before, self.a), driven], axis=3)
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


RULE = Rule(
    name="ok",
    recursion=OK,
    source="Benzing, Gauy, Mujika, Martinsson & Steger 2019, arXiv 1902.03993",
    facing="past",
    memory=(2, 0),
    time=(3, 0),
    stochastic=True,
    unbiased=True,
    parent="kf_rtrl",
    change="sum of products with the least variance",
    examples=({"rank": 1}, {"rank": 4}),
)
