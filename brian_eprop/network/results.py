"""Results of a network: gradients and simulations, put together from what Brian2 has computed."""

import numpy as np
from attrs import frozen
from scipy.sparse import issparse

from ..checks import Bools, Floats
from ..learning.losses import LOSSES
from ..reference import Gradients
from .connectivity import values_of, with_values
from .constraints import MATRICES


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
    learning_signal : (batch, T, n_rec) ndarray or None
    batched : bool
        Whether the trajectory keeps the axis of the trials.

    Returns
    -------
    Gradients
    """
    trajectory = {name: computed[name] for name in ("spikes", "readout")}
    trajectory["learning_signal"] = learning_signal
    batch = len(computed["readout"])
    if not batched:
        trajectory = {name: values[0] for name, values in trajectory.items()}
    return Gradients(
        **{name: _mean([computed[name]], batch) for name in MATRICES},
        **trajectory,
        parameters={name: total / batch for name, total in computed["parameters"].items()},
        loss=float(computed["loss"]) / batch,
        regularization=float(computed["regularization"]) / batch,
    )


def joined_gradients(parts):
    """The gradients of a batch from those of its parts, of equal numbers of trials.

    Added in the order of the parts: to the last bit the same, wherever they were computed. Without
    learning signals.

    Parameters
    ----------
    parts : list of Gradients

    Returns
    -------
    Gradients
    """
    count = len(parts)
    if count == 1:
        return parts[0]
    numbers, trajectory = ("loss", "regularization"), ("spikes", "readout")
    return Gradients(
        **{name: _mean([getattr(part, name) for part in parts], count) for name in MATRICES},
        **{name: sum(getattr(part, name) for part in parts) / count for name in numbers},
        **{name: np.concatenate([getattr(p, name) for p in parts]) for name in trajectory},
        learning_signal=None,
        parameters={
            name: sum(part.parameters[name] for part in parts) / count
            for name in parts[0].parameters
        },
    )


def _mean(matrices, count):
    """The sum of matrices of the same synapses, divided by a number.

    Of their values: SciPy's sums of sparse arrays leave out what is 0.
    """
    if count == 1:
        return matrices[0]
    return with_values(matrices[0], sum(map(values_of, matrices)) / count)


def joined_simulations(parts):
    """Simulations of the parts of a batch as one of all its trials."""
    spikes, readout = ([getattr(p, name) for p in parts] for name in ("spikes", "readout"))
    return Simulation(np.concatenate(spikes), np.concatenate(readout))


def learning_signal(description, weights, readout, targets, window):
    """L_j^t = Σ_k B_kj error_k^t : (batch, T, n_rec).

    The error that a spike of step t makes comes later by the delay of the synapse along which
    it goes back, with symmetric and adaptive feedback: L_j^t = Σ_k B_kj error_k^{t+d_jk}.

    Parameters
    ----------
    description : NetworkDescription
    weights : dict of str to ndarray or csr_array
    readout, targets : (batch, T, n_out) ndarray
    window : int or None
        Steps at the end in which errors count.
    """
    d = description
    steps = readout.shape[1]
    scored = steps if window is None else window
    error = LOSSES[d.loss].error(readout, targets)
    error[:, : steps - scored] = 0
    if d.average:
        error /= scored
    feedback = weights["w_out"].T if d.feedback == "symmetric" else weights["feedback"]
    if d.feedback not in ("symmetric", "adaptive") or "w_out" not in d.delays:
        return _sent_back(error, feedback)
    delays, signal = d.delay_steps("w_out"), 0.0
    backwards = feedback.T
    for delay in np.unique(delays):
        heard = np.zeros_like(error)
        heard[:, : steps - delay] = error[:, delay:]
        late = np.where(delays == delay, values_of(backwards), 0.0)
        signal = signal + _sent_back(heard, with_values(backwards, late).T)
    return signal


def _sent_back(error, feedback):
    """Errors (batch, T, n_out) times weights, which may be sparse : (batch, T, n_rec)."""
    if not issparse(feedback):
        return error @ feedback
    return (error.reshape(-1, error.shape[-1]) @ feedback).reshape(*error.shape[:-1], -1)
