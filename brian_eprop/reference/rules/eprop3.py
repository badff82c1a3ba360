"""e-prop 3: eligibility traces with synthetic gradients."""

from ..options import positive_whole
from ..propagation.backward import sweep
from ..propagation.eligibility import EligibilityVectors
from ..propagation.synthetic_gradient import SyntheticGradient
from ..rule import Recursion, Rule, added


class EProp3(Recursion):
    """Local traces, and learning signals that look ahead of an interval by a prediction.

    A sequence is cut into intervals of `interval` steps. In the one that ends with the step m::

        λ^{m+1} = sg^m
        λ_j^t = (D_j^{t+1})ᵀ λ_j^{t+1} + ∂E^t/∂c_j^t + q_j^t g_j^t
        g_j^t = Σ_k R_jk^{t+1} · λ_k^{t+1}
        dE/dW_ij ≈ Σ_t (∂E^t/∂c_j^t + q_j^t g_j^t) · ε_ij^t

    as in `sweep`. Eligibility vectors ε run on from one interval to the next. The prediction is
    that of the whole derivative, sg^m ≈ dE/dc^{m+1}, from the states of the step m (see
    `SyntheticGradient`). It enters the learning signals g through explicit edges only, and what it
    says of implicit ones only by way of earlier explicit edges: local memory is the traces' part,
    and nothing is counted twice. For an interval of 1 step the learning signal is
    ∂E^t/∂c_j^t + q_j^t Σ_k R_jk^{t+1} · sg_k^t.

    What the sweep of the next interval finds for its first step is the goal of sg^m; the end of a
    sequence has the goal 0. The gradient of an interval is known one step after its end, with the
    Jacobians of that step.

    Stored are the traces, the prediction and an interval of steps. Differences to the
    paper's simulations, as far as their re-implementations show: a linear normalized prediction
    instead of a network trained by Adam, and each interval is run only once.

    Parameters
    ----------
    interval : int
        Steps between two predictions.
    learning_rate : float
        Of the synthetic gradient, from 0 to 2.
    """

    def __init__(self, network, rng, *, interval=5, learning_rate=0.1):
        super().__init__(network, rng)
        self.interval = positive_whole("eprop3", "interval", interval)
        self.predictor = SyntheticGradient("eprop3", network, learning_rate)

    def start(self, batch):
        self.traces = EligibilityVectors()
        self.before, self.steps, self.credits, self.last = None, [], [], None

    def step(self, step, signal):
        gradient = None
        if len(self.steps) == self.interval:
            predicted = self.predictor.predict(*self.last)
            gradient = self._close([step], [predicted])
        self.steps.append(step)
        self.credits.append(signal.credit(step))
        self.last = step, signal
        return gradient

    def finish(self):
        gradient = self._close([], [])
        self.predictor.learn(*self.last, 0.0)
        return gradient

    def _close(self, following, predicted):
        """End an interval, with the step that follows and its predicted derivative."""
        lam, g = sweep(self.steps + following, self.credits + predicted)
        if self.before is not None:
            self.predictor.learn(*self.before, lam[0])
        gradient = {}
        for step, credit, explicit in zip(self.steps, self.credits, g, strict=False):
            self.traces.advance(step)
            gradient = added(gradient, self.traces.gradient(credit + step.observation * explicit))
        self.before, self.steps, self.credits = self.last, [], []
        return gradient


RULE = Rule(
    name="eprop3",
    recursion=EProp3,
    source="Bellec et al. 2019, arXiv 1901.09049, e-prop 3",
    facing="future",
    memory=(2, 0),
    time=(2, 0),
    learned=True,
    parent="factorized",
    change="future predicted after an interval",
    examples=({}, {"interval": 1}),
)
