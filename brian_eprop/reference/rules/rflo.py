"""Local rules of rate units: RFLO, and ES-D-RTRL with its exponentially smoothed factors."""

import numpy as np
from attrs import evolve

from ...checks import whole_number
from ..backward import EligibilityVectors
from ..rule import Recursion, Rule, refusal, require_single_delays

LEAKY = ("leaky_rate", "elman", "jordan")


class RFLO(Recursion):
    """A trace of each weight that decays with the unit, and the error through random feedback::

        B_ij^t = (1 − a) B_ij^{t−1} + a φ'(u_j^t) û_i^t
        dE/dW_ij ≈ Σ_t L_j^t F_κ(B_ij)^t

    for units h^t = (1 − a) h^{t−1} + a φ(u^t); û are the inputs of the step and the h of the step
    before. This is e-prop for such units: the trace has the implicit recurrence, and leaves out
    all of w_rec, its diagonal too. With a = 1 (elman, jordan) the trace has no memory.

    Departure: the paper's readout is instantaneous; the filter F_κ, with the gain of the readout,
    is that of a leaky one.

    Stored: B and F_κ(B), each of the size of the weights.
    """

    def __init__(self, network, rng):
        super().__init__(network, rng)
        if network.cell.name not in LEAKY:
            known = ", ".join(f"'{name}'" for name in LEAKY)
            raise refusal(
                "rflo",
                network,
                f"its trace decays with the constant leak of a rate unit ({known}); 'eprop' is "
                "the same for other units",
            )

    def start(self, batch):
        # with one state of constant leak the eligibility vector is B
        self.traces = EligibilityVectors()

    def step(self, step, signal):
        self.traces.advance(step)
        return self.traces.gradient(signal.credit(step))


RFLO_RULE = Rule(
    name="rflo",
    recursion=RFLO,
    source="Murray 2019, eLife 8:e43299",
    facing="local",
    local=True,
    memory=(2, 0),
    time=(2, 0),
    uses_feedback=True,
    parent="eprop",
    change="leaky rate units",
)


class ESDRTRL(Recursion):
    """One trace of each presynaptic value and one of each unit, instead of one of each weight::

        ε_x,i^t = α ε_x,i^{t−1} + û_i^t
        ε_f,j^t = α D_j^t ε_f,j^{t−1} + (1 − α) K_j^t           for each state and gate
        dE/dW_ij ≈ Σ_t (∂E^t/∂c_j^t · ε_f,j^t)/(1 − α^t) ε_x,i^t,   t = 1, 2, …

    with α = (rank − 1)/(rank + 1). D is the implicit recurrence, as in e-prop, whose eligibility
    vector Σ_s (D … D) K^s û^s the product replaces; L goes through the true w_out. The authors'
    library calls the rule pp_prop.

    Biased by construction, for a single unit too: the product of two sums also pairs the
    presynaptic values of one step with the K of another, and α shortens the memory that D has. The
    factor 1/(1 − α^t) makes ε_f a weighted mean from the first step on. With rank 1
    (α = 0) only the immediate derivatives are left.

    Stored: ε_x and ε_f, O(n) numbers.

    Parameters
    ----------
    rank : int
        The smoothing covers 1/(1 − α) = (rank + 1)/2 steps.
    """

    def __init__(self, network, rng, *, rank=19):
        super().__init__(network, rng)
        require_single_delays("es_d_rtrl", network)
        rank = whole_number("rule 'es_d_rtrl': 'rank'", rank)
        self.decay = (rank - 1) / (rank + 1)

    def start(self, batch):
        self.pre, self.post, self.n_steps = {}, None, 0

    def step(self, step, signal):
        decay = self.decay
        self.pre = {
            name: decay * self.pre.get(name, 0.0) + arrival
            for name, arrival in step.arrivals.items()
        }
        post = (1 - decay) * step.drive
        if self.post is not None:
            post += decay * np.einsum("srbj,rgbj->sgbj", step.implicit, self.post)
        self.post = post
        self.n_steps += 1
        mean = post / (1 - decay**self.n_steps)
        return evolve(step, arrivals=self.pre, drive=mean).gradient(signal.credit(step))


ES_D_RTRL_RULE = Rule(
    name="es_d_rtrl",
    recursion=ESDRTRL,
    source="Wang et al. 2026, Nat. Commun. 17:1745, ES-D-RTRL; bioRxiv 2024.09.24.614728",
    facing="local",
    local=True,
    memory=(1, 0),
    time=(2, 0),
    parent="eprop",
    change="trace as a product of two filters",
)
