"""Decoupled neural interfaces: a learned prediction of the effect on the future loss."""

from copy import copy

from ..options import positive_whole
from ..propagation.synthetic_gradient import SyntheticGradient
from ..rule import Recursion, Rule


class DNI(Recursion):
    """Credit with a synthetic gradient sg^t ≈ dE^{>t}/dc^t in place of the future::

        λ^t = ∂E^t/∂c^t + sg^t
        dE/dW_ij ≈ Σ_t λ_j^t · F_ij^t

    The synthetic gradient (see `SyntheticGradient`) approaches what the next step makes of its
    own, one step late; in the last step of a sequence there is no future::

        goal^{t−1} = (H^t)ᵀ (∂E^t/∂c^t + sg_slow^t),   goal^T = 0

    where sg_slow is a copy that is renewed every `refresh` steps. The weights get the credit of
    the prediction that has just learned. What is learned stays from one sequence to the next.

    Stored are the prediction, its copy and the step before. Differences to Marschall et al.: there
    sg includes the direct effect on the loss of the present step, which is known and here left
    to the rule; Φ begins with 0 instead of noise; the regression is normalized. The transition H
    is exact and not learned too (their variant DNI(b)).

    Parameters
    ----------
    learning_rate : float
        Of the synthetic gradient, from 0 to 2.
    refresh : int
        Steps after which the copy is renewed.
    """

    def __init__(self, network, rng, *, learning_rate=0.1, refresh=5):
        super().__init__(network, rng)
        self.refresh = positive_whole("dni", "refresh", refresh)
        self.predictor = SyntheticGradient("dni", network, learning_rate)
        self.slow, self.age = copy(self.predictor), 0

    def start(self, batch):
        self.before = None

    def step(self, step, signal):
        direct = signal.credit(step)
        if self.before is not None:
            of_present = direct + self.slow.predict(step, signal)
            last = self.before[0].observation
            goal = step.back_through_implicit(of_present)
            goal = goal + last * step.back_through_explicit(of_present)[1]
            self._learn(goal)
        self.before = step, signal
        return step.gradient(direct + self.predictor.predict(step, signal))

    def finish(self):
        self._learn(0.0)

    def _learn(self, goal):
        self.predictor.learn(*self.before, goal)
        self.age += 1
        if self.age % self.refresh == 0:
            self.slow = copy(self.predictor)


RULE = Rule(
    name="dni",
    recursion=DNI,
    source="Jaderberg et al. 2017, ICML; Marschall, Cho & Savin 2020, JMLR 21(135)",
    facing="future",
    memory=(2, 0),
    time=(2, 0),
    learned=True,
    parent="bptt",
    change="future predicted in each step",
)
