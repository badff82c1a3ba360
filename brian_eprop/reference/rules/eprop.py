"""e-prop: forward eligibility traces, higher orders, and the same numbers as a reverse sweep."""

import math

from ...checks import one_of, whole_number
from ..backward import HorizonSignal, LocalTraces, gradient_of, sweep_hops
from ..influence import HopInfluence, MaskedInfluence
from ..rule import Recursion, Rule, option
from .bptt import BPTT


def _order(name, value):
    return value if value == math.inf else whole_number(name, value)


def _beyond_the_unit(order=1, truncation="hops"):
    if order == 1:
        return {}
    if truncation == "horizon" and order != math.inf:
        return {"facing": "future", "causal": False}
    time = (3, 0) if order == 2 else (4, 0)
    costs = {"memory": (3, 0), "time": time}
    return {"facing": "past", "parameters": False} | costs


@Rule(
    name="eprop",
    source="Bellec et al. 2020, Nat. Commun. 11:3625, Methods Eqs 13–14 and 28; "
    "orders: Martín-Sánchez, Bohté & Otte 2022, arXiv 2207.11439",
    facing="local",
    parameters=True,
    uses_feedback=True,
    parent="factorized",
    change="no paths over other units",
    examples=(
        {},
        {"order": 2},
        {"order": 3},
        {"order": 2, "truncation": "horizon"},
        {"order": 3, "truncation": "horizon"},
    ),
    varies=_beyond_the_unit,
)
class EProp(Recursion):
    """dE/dW_ij ≈ Σ_t L_j^t ē_ij^t + c_j (f_j − f*_j)/T Σ_t e_ij^t, and orders between it and BPTT.

    A taxonomy of the rules (Martín-Sánchez, Bohté & Otte 2022) ends with m-order e-prop, of which
    this one is the first order and back-propagation the last. Two truncations have these ends; the
    definitions are ours:

    hops
        All paths from a weight to the loss with at most m − 1 explicit edges. Causal, but not
        local: a synapse needs the units within m − 1 connections of its own
        (:class:`~brian_eprop.reference.influence.HopInfluence`). Dense networks need n³
        numbers for m ≥ 2; n³ operations per step for m = 2 and (m − 2) n⁴ more above, so that from
        the fourth order on it costs more than the exact sum. Offline, ``eprop_reverse`` has the
        same number from m n² operations per step.
    horizon
        Local traces, and a learning signal that knows the losses read out in the next m − 1 steps
        (:class:`~brian_eprop.reference.backward.HorizonSignal`). m n² operations per
        step, after the end of the sequence.

    Each path that the horizon has is among the hops; these hold long ones of few edges too.

    Parameters
    ----------
    order : int or math.inf
        m; math.inf is the exact sum, by real-time recurrent learning. With feedback weights other
        than w_out.T no order is the gradient: the signal reaches every unit through B.
    truncation : {"hops", "horizon"}
        What an order between 1 and math.inf counts.
    """

    order: float = option(_order, default=1)
    truncation: str = option(one_of, ("hops", "horizon"), default="hops")

    def __attrs_post_init__(self):
        if self.order == 1:
            self.paths = LocalTraces(self.network, self.rng)
        elif self.order == math.inf:
            self.paths = MaskedInfluence(self.network, self.rng, math.inf)
        elif self.truncation == "hops":
            self.paths = HopInfluence(self.network, self.rng, self.order - 1)
        else:
            self.paths = HorizonSignal(self.network, self.rng, self.order)

    def start(self, batch):
        self.paths.start(batch)

    def step(self, step, signal):
        return self.paths.step(step, signal)

    def finish(self):
        return self.paths.finish()


@Rule(
    name="eprop_reverse",
    source="adjoint of Bellec et al. 2020, Methods Eqs 13–14 and 28",
    facing="future",
    parameters=True,
    causal=False,
    memory=(1, 1),
    uses_feedback=True,
    parent="eprop",
    change="the same numbers by a sweep backwards",
    examples=({}, {"order": 2}),
)
class EPropReverse(BPTT):
    """Back-propagation through time along paths of few explicit edges.

    Σ_t L^t F_κ(e)^t is linear in the immediate derivatives F, so it equals Σ_t λ^t · F^t with λ
    the adjoint of the traces' recursion. So does e-prop of order m, which needs n³ numbers and n⁴
    operations forwards, and O(m n²) operations backwards: see
    :func:`~brian_eprop.reference.backward.sweep_hops`.

    Parameters
    ----------
    order : int
        m, as ``eprop`` has it with the truncation "hops".
    """

    order: int = option(whole_number, default=1)

    def finish(self):
        return gradient_of(self.steps, sweep_hops(self.steps, self.credits, self.order - 1))
