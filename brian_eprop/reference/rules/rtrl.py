"""Real-time recurrent learning: exact, as OSTL, and with a sparse influence (SnAp)."""

from collections import defaultdict, deque

import numpy as np
from attrs import evolve

from ...checks import whole_number
from ..influence import MaskedInfluence
from ..rule import Recursion, Rule


@Rule(
    name="rtrl",
    source="Williams & Zipser 1989, Neural Computation 1(2)",
    facing="past",
    exact=True,
    parameters=True,
    memory=(3, 0),
    time=(4, 0),
    parent="bptt",
    change="the same sum from front to back",
)
class RTRL(Recursion):
    """Forward accumulation of the influence of every weight on every unit::

        G_k^t = D_k^t G_k^{t−1} + Σ_lag Σ_l R_lk^t (q_l^{t−lag} · G_l^{t−lag}) + δ_kj F_ij^t
        dE/dW_ij = Σ_t Σ_k ∂E^t/∂c_k^t · G_k^t

    with G_k^t = dc_k^t/dW_ij of shape (S, batch, n_rec, gates, n_pre, n_rec).
    """

    def start(self, batch):
        self.influence = {}
        longest = max(self.network.recurrent_lags)
        self.observed = defaultdict(lambda: deque(maxlen=longest))

    def step(self, step, signal):
        gradient, credit = {}, signal.credit(step)
        units = np.arange(self.network.n_rec)
        for name in step.trained:
            immediate, observed = step.immediate(name), self.observed[name]
            if observed:
                influence = step.through_implicit(self.influence[name])
                influence = influence + step.through_explicit(observed)
            else:
                influence = np.zeros((*immediate.shape[:2], len(units), *immediate.shape[2:]))
            influence[:, :, units, ..., units] += immediate.transpose(4, 0, 1, 2, 3)
            self.influence[name] = influence
            observed.append(step.observe(influence))
            gradient[name] = np.einsum("sbk,sbkgij->gij", credit, influence)
        return gradient


@Rule(
    name="ostl",
    source="Bohnstingl et al. 2020, arXiv 2007.12723",
    facing="past",
    memory=(3, 0),
    time=(4, 0),
    parent="rtrl",
    change="error of the same step only",
)
class OSTL(RTRL):
    """The influence of a weight on its layer, and the error of the same step::

        dE/dW_ij ≈ Σ_t Σ_k (gain L_k^t + ∂E_reg/∂h_k) q_k^t · G_k^t

    G is the influence of :class:`~brian_eprop.reference.rules.rtrl.RTRL`: for a recurrent layer
    the temporal part of OSTL contains its recurrent weights. Layers are coupled in space only: the
    learning signal passes back through the readout within the step, and the mixed terms R of the
    paper are left out. Here the readout is the only other layer, and has a state of its own where
    it is leaky; R is then what an earlier h_k still does to the loss through κ. With κ = 0 there
    is no R, and the gradient is exact.

    Stored: G, (n_in + n) n² numbers for each hidden state.
    """

    def step(self, step, signal):
        gain = self.network.readout_gain
        return super().step(evolve(step, readout=gain * step.observation), signal)


def _beyond_the_unit(n):
    """SnAp-1 is as local as e-prop."""
    return {} if n == 1 else {"facing": "past", "memory": (3, 0), "time": (4, 0)}


@Rule(
    name="snap",
    source="Menick et al. 2020, arXiv 2006.07232",
    facing="local",
    delays="single",
    parent="rtrl",
    change="only influences within n steps",
    examples=({"n": 1}, {"n": 2}, {"n": 3}),
    varies=_beyond_the_unit,
)
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

    def __init__(self, network, rng, n):
        super().__init__(network, rng, whole_number("rule 'snap': 'n'", n) - 1)
