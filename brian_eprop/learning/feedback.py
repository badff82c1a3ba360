"""Feedback weights: how the error of the readout becomes the learning signal of a neuron."""

import math

import numpy as np
from brian2 import NeuronGroup, Synapses

from ..brian.internals import add_to
from ..checks import not_finite, numbers

FEEDBACKS = ("symmetric", "random", "adaptive")


def checked_feedback(feedback, readout):
    """The feedback of a learner: a name, an array, or a dict {group: array}.

    Raises
    ------
    TypeError, ValueError
        For a name that is not known, a wrong shape, or an entry that is not finite.
    """
    if isinstance(feedback, str):
        if feedback not in FEEDBACKS:
            raise ValueError(
                f"Learner.feedback = '{feedback}' is not known; choose one of "
                f"{', '.join(repr(known) for known in FEEDBACKS)}, or give an array"
            )
        return feedback
    if not isinstance(feedback, dict):
        return _checked_weights(feedback, len(readout), None, "")
    for group in feedback:
        if not isinstance(group, NeuronGroup):
            raise TypeError(
                f"Learner.feedback has the key {group!r}; the keys are the NeuronGroups that learn"
            )
    return {
        group: _checked_weights(weights, len(readout), len(group), f" for group '{group.name}'")
        for group, weights in feedback.items()
    }


def random_feedback(n_out, n, seed):
    """Feedback weights B ~ N(0, 1/n) : (n_out, n)."""
    return np.random.default_rng(seed).standard_normal((n_out, n)) / math.sqrt(n)


def _checked_weights(weights, n_out, n, of_group):
    weights = numbers(f"Learner.feedback{of_group}", weights)
    wrong = weights.ndim != 2 or weights.shape[0] != n_out
    if wrong or (n is not None and weights.shape[1] != n):
        raise ValueError(
            f"Learner.feedback{of_group} has the shape {weights.shape}; it must be (n_out, n) = "
            f"({n_out}, {'n' if n is None else n})"
        )
    wrong = not_finite(f"Learner.feedback{of_group}", weights)
    if wrong:
        raise ValueError(f"{wrong}; feedback weights are finite")
    return weights


def dense_feedback(learner, group):
    """Feedback weights of a group : (n_out, n); None where errors go back along its own synapses.

    Symmetric and adaptive feedback goes backwards along the synapses onto the readout. What has no
    spikes has none onto it.
    """
    feedback, n_out = learner.feedback, len(learner.readout)
    if learner.feedback_is("symmetric", "adaptive") or "spike" not in group.events:
        return None
    if learner.feedback_is("random"):
        return random_feedback(n_out, len(group), learner.next_seed())
    if isinstance(feedback, dict):
        if group not in feedback:
            raise ValueError(
                f"Learner.feedback has no weights for group '{group.name}', which learns; add "
                "them to the dict"
            )
        return feedback[group]
    if learner.populations:
        raise ValueError(
            f"Learner.feedback is one array, but a second group, '{group.name}', learns too; "
            "give a dict {group: array}"
        )
    return _checked_weights(feedback, n_out, len(group), f" for group '{group.name}'")


class FeedbackWeights(Synapses):
    """Feedback synapses from the readout to a learning group, with weights B that are not trained.

    ::

        L_j = Σ_k B_kj error_k

    (broadcast alignment, Bellec et al. 2020, Nat. Commun. 11:3625, Eq. 4 with random B).

    Parameters
    ----------
    readout : LeakyReadout
    group : NeuronGroup
        The group that learns.
    weights : (n_out, n) ndarray
    """

    def __init__(self, readout, group, weights):
        super().__init__(
            readout,
            group,
            "B : 1 (constant)",
            name=f"{group.name}_feedback",
            namespace={},
        )
        pre, post = np.indices(weights.shape)
        self.connect(i=pre.ravel(), j=post.ravel())
        self.B = weights.ravel()
        add_to(readout, self)
