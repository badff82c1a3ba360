"""e-prop with forward eligibility traces, and its higher orders."""

import math

from ..options import positive_whole
from ..propagation.eligibility import EligibilityVectors
from ..propagation.horizon import HorizonSignal
from ..propagation.influence import HopInfluence, MaskedInfluence
from ..rule import Recursion, Rule

TRUNCATIONS = ("hops", "horizon")


class EProp(Recursion):
    """dE/dW_ij ≈ Σ_t L_j^t ē_ij^t + c_j (f_j − f*_j)/T Σ_t e_ij^t, and orders between it and BPTT.

    A taxonomy of the rules (Martín-Sánchez, Bohté & Otte 2022) ends with m-order e-prop, of which
    this one is the first order and back-propagation the last. Two truncations have these ends; the
    definitions are ours:

    hops
        All paths from a weight to the loss with at most m − 1 explicit edges. Causal, but not
        local: a synapse needs the units within m − 1 connections of its own
        (:class:`~brian_eprop.reference.propagation.influence.HopInfluence`). Dense networks need n³
        numbers for m ≥ 2; n³ operations per step for m = 2 and (m − 2) n⁴ more above, so that from
        the fourth order on it costs more than the exact sum. Offline, ``eprop_reverse`` has the
        same number from m n² operations per step.
    horizon
        Local traces, and a learning signal that knows the losses read out in the next m − 1 steps
        (:class:`~brian_eprop.reference.propagation.horizon.HorizonSignal`). m n² operations per
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

    def __init__(self, network, rng, *, order=1, truncation="hops"):
        super().__init__(network, rng)
        if order != math.inf:
            order = positive_whole("eprop", "order", order)
        if truncation not in TRUNCATIONS:
            known = " or ".join(f"'{known}'" for known in TRUNCATIONS)
            raise ValueError(f"rule 'eprop': 'truncation' is {truncation!r}; give {known}")
        if order == 1:
            self.paths = _LocalTraces(network, rng)
        elif order == math.inf:
            self.paths = MaskedInfluence(network, rng, math.inf)
        elif truncation == "hops":
            self.paths = HopInfluence(network, rng, order - 1)
        else:
            self.paths = HorizonSignal(network, rng, order)

    def start(self, batch):
        self.paths.start(batch)

    def step(self, step, signal):
        return self.paths.step(step, signal)

    def finish(self):
        return self.paths.finish()


class _LocalTraces(Recursion):
    """The paths without explicit edges."""

    def start(self, batch):
        self.traces = EligibilityVectors()

    def step(self, step, signal):
        self.traces.advance(step)
        return self.traces.gradient(signal.credit(step))


def _beyond_the_unit(order=1, truncation="hops"):
    if order == 1:
        return {}
    if truncation == "horizon" and order != math.inf:
        return {"facing": "future", "causal": False, "local": False}
    time = (3, 0) if order == 2 else (4, 0)
    costs = {"memory": (3, 0), "time": time}
    return {"facing": "past", "local": False, "parameters": False} | costs


RULE = Rule(
    name="eprop",
    recursion=EProp,
    source="Bellec et al. 2020, Nat. Commun. 11:3625, Methods Eqs 13–14 and 28; "
    "orders: Martín-Sánchez, Bohté & Otte 2022, arXiv 2207.11439",
    facing="local",
    parameters=True,
    local=True,
    memory=(2, 0),
    time=(2, 0),
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
