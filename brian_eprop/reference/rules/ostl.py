"""Online spatio-temporal learning."""

from dataclasses import replace

from ..rule import Rule
from .rtrl import RTRL


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
        return super().step(replace(step, readout=gain * step.observation), signal)


RULE = Rule(
    name="ostl",
    recursion=OSTL,
    source="Bohnstingl et al. 2020, arXiv 2007.12723",
    facing="past",
    memory=(3, 0),
    time=(4, 0),
    parent="rtrl",
    change="error of the same step only",
)
