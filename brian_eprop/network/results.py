"""Results of a network: gradients and simulations, put together from what Brian2 has computed.

A batch is computed in parts of a few trials, which are independent, given the weights. Their sums
are added in the order of the trials, so that the result is the same to the last bit wherever the
parts are computed, and by how many at once.
"""

from itertools import pairwise

import numpy as np
from attrs import frozen
from scipy.sparse import issparse

from ..checks import Bools, Floats
from ..learning.losses import LOSSES
from ..reference import Gradients
from .constraints import MATRICES
from .structures import values_of, with_values

#: Trials in a part of a batch at most: what a part costs besides its trials then hardly counts.
TRIALS_IN_A_PART = 8


def parts(batch):
    """How a batch is cut: as few slices of at most 8 trials as there can be, about equal.

    Parameters
    ----------
    batch : int

    Returns
    -------
    list of slice
    """
    number = -(-batch // TRIALS_IN_A_PART)
    edges = [batch * k // number for k in range(number + 1)]
    return [slice(*edge) for edge in pairwise(edges)]


def room(batch):
    """For how many trials there is room in what computes the parts of a batch : int.

    The parts of a batch that is cut have 4 trials or more. So one program serves all of them, and
    all batches that are not smaller.
    """
    return batch if 2 * batch < TRIALS_IN_A_PART else TRIALS_IN_A_PART


class Joined:
    """The results of a batch, to which those of its parts are added in their order."""

    def __init__(self):
        self._sums, self._trials = {}, {"spikes": [], "readout": []}

    def add(self, part):
        """Add the results of the next part; see :func:`~.projections.results`."""
        for name, values in self._trials.items():
            values.append(part[name])
        sums = {name: value for name, value in part.items() if name not in self._trials}
        self._sums = _added(self._sums, sums) if self._sums else sums

    def results(self):
        """The results of all parts : dict, as :func:`~.projections.results` returns."""
        return self._sums | {
            name: values[0] if len(values) == 1 else np.concatenate(values)
            for name, values in self._trials.items()
        }


def _added(one, other):
    """The sum of two parts: of numbers, matrices, or dicts of them."""
    if isinstance(one, dict):
        return {name: _added(value, other[name]) for name, value in one.items()}
    # of the values: SciPy's sums of sparse arrays leave out what is 0
    return with_values(one, values_of(one) + values_of(other))


@frozen(eq=False)
class Simulation:
    """Spikes and outputs of simulated trials.

    Attributes
    ----------
    spikes : (T, n_rec) or (batch, T, n_rec) bool array
    readout : (T, n_out) or (batch, T, n_out) array
    """

    spikes: Bools
    readout: Floats


def as_gradients(computed, learning_signal, batched):
    """The results of a run that has learned, averaged over the batch.

    Parameters
    ----------
    computed : dict
        See :func:`brian_eprop.network.projections.results`.
    learning_signal : callable
        Returns it, with the axis of the trials or without.
    batched : bool
        Whether the trajectory keeps the axis of the trials.

    Returns
    -------
    Gradients
    """
    trajectory = {name: computed[name] for name in ("spikes", "readout")}
    batch = len(computed["readout"])
    if not batched:
        trajectory = {name: values[0] for name, values in trajectory.items()}
    return Gradients(
        **{name: _divided(computed[name], batch) for name in MATRICES},
        **trajectory,
        learning_signal=learning_signal,
        parameters={n: _divided(total, batch) for n, total in computed["parameters"].items()},
        loss=float(computed["loss"]) / batch,
        regularization=float(computed["regularization"]) / batch,
    )


def _divided(matrix, count):
    """A matrix divided by a number, without a copy where that is 1."""
    return matrix if count == 1 else with_values(matrix, values_of(matrix) / count)


def output_error(description, readout, targets, window):
    """The error of the outputs, 0 in steps that do not count : (batch, T, n_out).

    Parameters
    ----------
    description : NetworkDescription
    readout, targets : (batch, T, n_out) ndarray
    window : int or None
        Steps at the end in which errors count.
    """
    steps = readout.shape[1]
    scored = steps if window is None else window
    error = LOSSES[description.loss].error(readout, targets)
    error[:, : steps - scored] = 0
    if description.average:
        error /= scored
    return error


def way_back(description, weights, parameters):
    """Along what errors go back: copies of B, (n_out, n_rec), and of the delays of w_out.

    None for delays where there are none, or the feedback has no part in them. In the order of the
    values of B transposed, which may be sparse.
    """
    d = description
    feedback = weights["w_out"].T if d.feedback == "symmetric" else weights["feedback"]
    delayed = "w_out" in d.delays or "w_out" in d.trainable_delays
    if not (delayed and d.feedback in ("symmetric", "adaptive")):
        return feedback.copy(), None
    return feedback.copy(), d.delay_steps("w_out", parameters).copy()


def learning_signal(error, feedback, delays):
    """L_j^t = Σ_k B_kj error_k^t : (…, T, n_rec).

    The error that a spike of step t makes comes later by the delay of the synapse along which
    it goes back, with symmetric and adaptive feedback: L_j^t = Σ_k B_kj error_k^{t+d_jk}.

    Parameters
    ----------
    error : (…, T, n_out) ndarray
    feedback, delays
        As from :func:`way_back`.
    """
    if delays is None:
        return _sent_back(error, feedback)
    backwards, steps, signal = feedback.T, error.shape[-2], 0.0
    for delay in np.unique(delays):
        heard = np.zeros_like(error)
        heard[..., : steps - delay, :] = error[..., delay:, :]
        late = np.where(delays == delay, values_of(backwards), 0.0)
        signal = signal + _sent_back(heard, with_values(backwards, late).T)
    return signal


def _sent_back(error, feedback):
    """Errors (…, T, n_out) times weights, which may be sparse : (…, T, n_rec)."""
    if not issparse(feedback):
        return error @ feedback
    return (error.reshape(-1, error.shape[-1]) @ feedback).reshape(*error.shape[:-1], -1)
