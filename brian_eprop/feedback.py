"""Feedback weights: how the error of the readout becomes the learning signal of a neuron."""

import numpy as np
from brian2 import Synapses

from . import schedule
from .engines.population import sum_over_synapses


class FeedbackWeights(Synapses):
    """Dense weights B of their own, from the readout to a learning group.

        L_j = Σ_k B_kj error_k

    (broadcast alignment, Bellec et al. 2020, Nat. Commun. 11:3625, Eq. 4 with random B).

    Parameters
    ----------
    learner : Learner
    population : Population
        The group that learns.
    """

    def __init__(self, learner, population):
        readout, group = learner.readout, population.group
        signal = population.add_signal(f"L_{readout.name}")
        super().__init__(
            readout,
            group,
            "B : 1 (constant)",
            name=f"{group.name}_feedback",
            namespace={},
        )
        weights = self._weights(learner, len(readout), group)
        pre, post = np.indices(weights.shape)
        self.connect(i=pre.ravel(), j=post.ravel())
        self.B = weights.ravel()
        sum_over_synapses(self, "B*error_pre", signal, "post", schedule.FEEDBACK)
        readout.contained_objects.append(self)

    @staticmethod
    def _weights(learner, n_out, group):
        given = learner.feedback
        if isinstance(given, str):
            return learner.random_feedback(n_out, len(group))
        if isinstance(given, dict):
            if group not in given:
                raise ValueError(f"Learner.feedback has no weights for group '{group.name}'")
            given = given[group]
        elif len(learner.populations) > 1:
            raise ValueError(
                f"Learner.feedback is one array, but a second group, '{group.name}', learns too; "
                "give a dict {group: array}"
            )
        weights = np.asarray(given, dtype=float)
        if weights.shape != (n_out, len(group)):
            raise ValueError(
                f"Learner.feedback for group '{group.name}' has the shape {weights.shape}; it "
                f"must be (n_out, n) = ({n_out}, {len(group)})"
            )
        if not np.isfinite(weights).all():
            raise ValueError(f"Learner.feedback for group '{group.name}' has entries that are not finite")
        return weights
