"""Local rules of rate units: RFLO, and ES-D-RTRL with its exponentially smoothed factors."""

import numpy as np
from attrs import evolve

from ...checks import whole_number
from ..backward import LocalTraces
from ..rule import Recursion, Rule, filtered, option


@Rule(
    name="rflo",
    source="Murray 2019, eLife 8:e43299",
    facing="local",
    cells=("leaky_rate", "elman", "jordan"),
    reason="its trace decays with the constant leak of a rate unit; 'eprop' is the same for others",
    uses_feedback=True,
    parent="eprop",
    change="leaky rate units",
)
class RFLO(LocalTraces):
    """A trace of each weight that decays with the unit, and the error through random feedback::

        B_ij^t = (1 − a) B_ij^{t−1} + a φ'(u_j^t) û_i^t
        dE/dW_ij ≈ Σ_t L_j^t F_κ(B_ij)^t

    for units h^t = (1 − a) h^{t−1} + a φ(u^t); û are the inputs of the step and the h of the step
    before. This is e-prop for such units: the trace has the implicit recurrence, and leaves out
    all of w_rec, its diagonal too. With a = 1 (elman, jordan) the trace has no memory.

    Departure: the paper's readout is instantaneous; the filter F_κ, with the gain of the readout,
    is that of a leaky one.

    Stored: B and F_κ(B), each of the size of the weights; with one state of constant leak the
    eligibility vector is B.
    """


@Rule(
    name="es_d_rtrl",
    source="Wang et al. 2026, Nat. Commun. 17:1745, ES-D-RTRL; bioRxiv 2024.09.24.614728",
    facing="local",
    delays="single",
    memory=(1, 0),
    parent="eprop",
    change="trace as a product of two filters",
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

    rank: int = option(whole_number, default=19)

    def start(self, batch):
        self.pre, self.post, self.n_steps = {}, None, 0

    def step(self, step, signal):
        decay = (self.rank - 1) / (self.rank + 1)
        self.pre = filtered(self.pre, decay, step.arrivals)
        post = (1 - decay) * step.drive
        if self.post is not None:
            post += decay * np.einsum("srbj,rgbj->sgbj", step.implicit, self.post)
        self.post = post
        self.n_steps += 1
        mean = post / (1 - decay**self.n_steps)
        return evolve(step, arrivals=self.pre, drive=mean).gradient(signal.credit(step))
