"""Sparse n-step approximation of real-time recurrent learning."""

from ..options import positive_whole, require_single_delays
from ..propagation.influence import MaskedInfluence
from ..rule import Rule


class SnAp(MaskedInfluence):
    """Real-time recurrent learning with the influences that are not 0 within n steps::

        G^t = ((D^t + R^t q^{t−1}) G^{t−1} + F^t) ∘ Mask_n
        dE/dW_ij ≈ Σ_t Σ_k ∂E^t/∂c_k^t · G_k^t

    Mask_n has unit k for the weights onto j where at most n − 1 recurrent connections lead from j
    to k. It depends on which connections exist, not on values: the authors' code for n = 1 keeps
    the entries of F that are not 0 in the present step, and so forgets wherever nothing arrives,
    which in a spiking network is nearly everywhere.

    Inside the mask all paths are kept, however often they take the explicit self-edges of a unit.
    With n = 1 that is e-prop with these edges substituted into D, and e-prop itself where there
    are none. Once n − 1 connections lead everywhere they can, it is exact: for n = 2 already in a
    dense network.

    Only what the mask has is stored and computed. With a fraction d of the connections, which put
    m weights onto each unit, n = 2 stores about S d n_rec² m numbers instead of S n_rec² m.

    Parameters
    ----------
    n : int
        1 or more.
    """

    def __init__(self, network, rng, *, n):
        hops = positive_whole("snap", "n", n) - 1
        require_single_delays("snap", network)
        super().__init__(network, rng, hops)


def _beyond_the_unit(n):
    """SnAp-1 is as local as e-prop."""
    return {} if n == 1 else {"facing": "past", "local": False, "memory": (3, 0), "time": (4, 0)}


RULE = Rule(
    name="snap",
    recursion=SnAp,
    source="Menick et al. 2020, arXiv 2006.07232",
    facing="local",
    local=True,
    memory=(2, 0),
    time=(2, 0),
    parent="rtrl",
    change="only influences within n steps",
    examples=({"n": 1}, {"n": 2}, {"n": 3}),
    varies=_beyond_the_unit,
)
