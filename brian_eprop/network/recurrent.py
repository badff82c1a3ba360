"""Recurrent networks from arrays: inputs → recurrent neurons → readout, run by Brian2."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import cloudpickle
import numpy as np
from brian2 import Quantity, ms, prefs
from numpy.typing import ArrayLike

from ..brian.internals import is_standalone
from ..checks import (
    Entry,
    Feedback,
    FilePath,
    Floats,
    Matrix,
    as_array,
    check_seed,
    flag,
    missing,
    table,
    whole_number,
)
from ..learning.losses import FiringRateRegularizer, LossName
from ..learning.optimizers import Optimizer
from ..learning.parameters import Trainable
from ..learning.rule import EProp, Rule
from ..recording import Recording
from ..reference import Gradients, SpikingNetwork
from . import training
from . import training_state as checkpoint
from .compiled import CompiledNetwork
from .constraining import checked_matrices, initial_matrices
from .constraints import Constraint
from .description import NetworkDescription
from .parameters import check_optimizers, checked_parameters, start_values
from .population import Neurons, populations
from .projections import Backend, BatchShape
from .reference_conversion import reference_network, with_trained_delays
from .results import Simulation, as_gradients, learning_signal, output_error, room, way_back
from .runtime import RuntimeNetwork, record_trial
from .structures import with_structures
from .training import Judge, TrialSource
from .training_state import TrainingState, updated
from .validation import (
    checked_answers,
    checked_inputs,
    checked_optimizer,
    checked_path,
    checked_recording,
    checked_threads,
    checked_trials,
    checked_window,
)
from .workers import Workers

if TYPE_CHECKING:
    from .torch_module import NetworkModule


class RecurrentNetwork:
    r"""A recurrent spiking network with a leaky readout, and its gradients.

    Parameters
    ----------
    neurons : str, Path, NeuronModel or list of (model, count, overrides)
        One model for all recurrent neurons, or several populations; overrides are those of
        :meth:`NeuronModel.group`.
    n_in, n_rec, n_out : int
    dt : Quantity
    tau_out : Quantity
        Time constant of the readout.
    loss : {"mse", "cross_entropy", "linear"}
        ½ Σ (y − y*)², −Σ y* log softmax(y), or Σ y* y, whose y* is any ∂E/∂y from elsewhere.
    normalize, average : bool
        See :class:`LeakyReadout`.
    feedback : {"symmetric", "random", "adaptive"} or (n_out, n_rec) array
        Weights B of the learning signal L_j = Σ_k B_kj error_k; ``"adaptive"`` starts random
        and follows the updates of w_out.
    feedback_decay : float
        Adaptive feedback: the fraction by which w_out and B shrink at each update, to align.
    weights : dict of str to ndarray, optional
        ``w_in`` (n_in, n_rec), ``w_rec`` (n_rec, n_rec), ``w_out`` (n_rec, n_out), ``feedback``
        (n_out, n_rec; not used by symmetric feedback): row = pre, column = post, in the
        model's ``weight_unit``. What is missing is drawn from N(0, 1/n_pre) (feedback: N(0,
        1/n_rec)), a scale for models without units; others need weights that make them fire.
        All but feedback may be sparse; see the notes.
    connectivity : dict of str to bool ndarray or sparse array, optional
        Which synapses exist; default all, without autapses, or the entries of sparse weights.
    delays : dict of str to Quantity, optional
        Delays of the synapses of ``w_in``, ``w_rec`` and ``w_out``, one time or a matrix of them,
        in multiples of dt; default none. Recurrent spikes take a step besides. Spikes that would
        arrive after the end of their trial are lost. Symmetric and adaptive feedback comes back
        with the delays of w_out, other feedback at once.
    rule : Rule
    optimizer : GradientDescent or Adam, optional
        For :meth:`fit`. Its learning rate is a number, as the weights are.
    regularizers : sequence of FiringRateRegularizer
    trainable : list of str, or dict of str to (low, high) or ParameterTraining
        Parameters of the neurons that are trained as well, in all populations whose model has
        them: one value per neuron, which starts as given in ``neurons``. For rules of the engine
        ``"credit"``.
    trainable_delays : dict of str to (low, high) or ParameterTraining, optional
        Bounds, or more, of the delays of ``w_in``, ``w_rec`` and ``w_out`` that are trained: a real
        number for each synapse, which starts as in ``delays``, or at 0, and which the simulation
        rounds to steps. Their gradients are those of split spikes, see :class:`TrainableSynapses`.
        The optimizer works on delay/scale, with a scale of 1 ms by default.
    constraints : sequence of DaleLaw, Bounds, WeightDecay and DeepR
        What the weights obey from the start and after every update: WeightDecay acts with the
        optimizer's step, then DeepR, then DaleLaw and Bounds.
    seed : int, optional
        Of the initial weights.

    Attributes
    ----------
    weights : dict of str to ndarray or csr_array
        Present weights; assign arrays to its entries to change them.
    parameters : dict of str to (n_rec,) Quantity
        Present values of the trained parameters, to be changed likewise; nan where a neuron's
        model has no such parameter. Of trained delays ``delay_in``, ``delay_rec`` and
        ``delay_out`` in seconds, of the shape of the weights. No value is compiled in.
    updates : int
        How often :meth:`apply` has changed them.

    Raises
    ------
    ValueError, TypeError, DimensionMismatchError
        Naming the argument, its value and what it should be.

    Notes
    -----
    The device is the one that is set in Brian2 when a method is called: runtime (numpy or
    cython target), or ``cpp_standalone``, where one compiled program serves all calls with
    the same shape of inputs, in this process and later ones.

    Weights and connectivity may be sparse arrays of SciPy (csr, csc, coo), each matrix for itself;
    delays of such a matrix are one time, or a sparse array of seconds, as ``array * ms`` is. The
    entries are the synapses, explicit zeros and the diagonal included. Nothing of the size of the
    matrix is then made: weights, gradients and what is kept in files have a value for each synapse,
    as a ``csr_array`` of these entries. Of weights that are assigned later, entries may be missing,
    as where SciPy leaves out the zeros of a sum: they are 0. Initial weights and DeepR draw other
    numbers than for a mask of the same synapses. ``feedback="adaptive"`` needs a dense w_out;
    :mod:`brian_eprop.reference` and figures have dense matrices, which must fit into memory.

    Examples
    --------
    >>> net = RecurrentNetwork("alif", n_in=20, n_rec=50, n_out=2, seed=1)
    >>> g = net.gradients(inputs, targets)                      # doctest: +SKIP
    >>> net.weights["w_rec"] -= 1e-3 * g.w_rec                  # doctest: +SKIP
    """

    def __init__(
        self,
        neurons: Neurons,
        n_in: int,
        n_rec: int,
        n_out: int,
        *,
        dt: Quantity = 1 * ms,
        tau_out: Quantity = 20 * ms,
        loss: LossName = "mse",
        normalize: bool = False,
        average: bool = False,
        feedback: Feedback | ArrayLike = "symmetric",
        feedback_decay: float = 0.0,
        weights: Mapping[str, ArrayLike] | None = None,
        connectivity: Mapping[Matrix, ArrayLike] | None = None,
        delays: Mapping[Matrix, Quantity] | None = None,
        rule: Rule | None = None,
        optimizer: Optimizer | None = None,
        regularizers: Sequence[FiringRateRegularizer] = (),
        trainable: Trainable = (),
        trainable_delays: Trainable = (),
        constraints: Sequence[Constraint] = (),
        seed: int | None = None,
    ) -> None:
        weights = table("RecurrentNetwork.weights", weights, "{'w_in': array}")
        connectivity = table("RecurrentNetwork.connectivity", connectivity, "{'w_rec': array}")
        check_seed("RecurrentNetwork.seed", seed)
        connectivity = with_structures(connectivity, weights)
        if not isinstance(feedback, str):
            feedback = as_array("RecurrentNetwork.feedback", feedback)
            weights["feedback"], feedback = feedback, "given"
        description = NetworkDescription(
            n_in=n_in,
            n_out=n_out,
            populations=populations(neurons, n_rec),
            dt=dt,
            tau_out=tau_out,
            loss=loss,
            normalize=normalize,
            average=average,
            feedback=feedback,
            feedback_decay=feedback_decay,
            connectivity=connectivity,
            delays=table("RecurrentNetwork.delays", delays, "{'w_rec': 2*ms}"),
            rule=EProp() if rule is None else rule,
            regularizers=regularizers,
            trainable=trainable,
            trainable_delays=trainable_delays,
            constraints=constraints,
        )
        rng = np.random.default_rng(seed)
        weights, wiring = initial_matrices(description, weights, rng)
        state = TrainingState(weights, start_values(description), wiring=wiring)
        self._set_up(description, optimizer, state)

    def _set_up(self, description, optimizer, state):
        self.description, self.state = description, state
        self.optimizer = checked_optimizer(optimizer)
        check_optimizers(description, self.optimizer)
        self._networks: dict[tuple[Any, ...], Backend] = {}

    def __repr__(self):
        d = self.description
        neurons = " + ".join(f"{p.count} {p.model.name}" for p in d.populations)
        return f"<RecurrentNetwork: {d.n_in} inputs, {neurons}, {d.n_out} outputs>"

    def __reduce__(self):
        """A copy, or what is read from a pickle, has Brian2 objects and programs of its own."""
        # of frozen dicts and classes of scripts pickle knows nothing
        parts = cloudpickle.dumps((self.description, self.optimizer, self.state))
        return _restored, (type(self), parts)

    @property
    def weights(self) -> dict[str, Floats]:
        """Present weights, by name."""
        return self.state.weights

    @property
    def parameters(self) -> dict[str, Quantity]:
        """Present values of the trained parameters, by name."""
        return self.state.parameters

    @property
    def updates(self) -> int:
        """Number of updates so far."""
        return self.state.updates

    def gradients(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        learning_window: int | None = None,
        threads: int = 1,
    ) -> Gradients:
        """The loss and its gradients.

        Parameters
        ----------
        inputs : (T, n_in) or (batch, T, n_in) bool array
            ``inputs[t]`` acts on the membranes in step t.
        targets : (T, n_out) or (batch, T, n_out) array
        learning_window : int, optional
            Only the last so many steps count.
        threads : int
            Compiled programs that compute at once, each a part of the batch of up to 8 trials.
            The result is the same to the last bit for any number.

        Returns
        -------
        Gradients
            Summed over time, averaged over the batch; those of trained parameters and delays, by
            name, in ``parameters``, in SI units and 0 where there is no such parameter.

        Raises
        ------
        ValueError
            For shapes that do not fit, values that are not finite, a window that is longer
            than the trial, several threads without a compiled program.
        """
        d = self.description
        computed, present, targets, window = self._learn(inputs, targets, learning_window, threads)
        error, batched = output_error(d, computed["readout"], targets, window), np.ndim(inputs) == 3
        error = error if batched else error[0]
        signal = partial(learning_signal, error, *way_back(d, *present))
        return as_gradients(computed, signal, batched)

    def simulate(self, inputs: ArrayLike, threads: int = 1) -> Simulation:
        """Run the network without learning.

        Parameters
        ----------
        inputs : (T, n_in) or (batch, T, n_in) bool array
        threads : int
            See :meth:`gradients`.

        Returns
        -------
        Simulation
        """
        found = Simulation(**self._courses(inputs, threads))
        single = np.ndim(inputs) == 2
        return Simulation(found.spikes[0], found.readout[0]) if single else found

    def record(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        learning_window: int | None = None,
        *,
        neurons: int | Sequence[int] = 4,
        synapses_per_neuron: int = 2,
    ) -> Recording:
        """One trial with membranes and eligibility traces, by Brian2's numpy target with float64.

        Parameters
        ----------
        inputs : (T, n_in) bool array
        targets : (T, n_out) array
        learning_window : int, optional
        neurons : int or sequence of int
            Which neurons to record, or how many at most: then those that fire most.
        synapses_per_neuron : int
            For each recorded neuron, so many synapses from the most active inputs and
            neurons, in turn.

        Returns
        -------
        Recording
        """
        trial = checked_recording(
            self.description, inputs, targets, learning_window, neurons, synapses_per_neuron
        )
        weights, parameters = self._present()
        return record_trial(self.description.with_parameters(parameters), weights, *trial)

    def apply(self, gradients: Gradients) -> None:
        """One step of the optimizer; see :func:`~brian_eprop.network.training_state.updated`.

        Weights, trained parameters and the optimizer change together or, if that fails, not at all.
        """
        self.state = updated(self.state, self.optimizer, gradients, self.description)

    def fit(
        self,
        task: TrialSource,
        iterations: int,
        batch_size: int = 1,
        callbacks: Sequence[Callable[[Entry], object]] = (),
        seed: int | None = None,
        **options: Any,
    ) -> list[Entry]:
        """Train on a task; see :func:`brian_eprop.network.training.fit`."""
        return training.fit(self, task, iterations, batch_size, callbacks, seed, **options)

    def evaluate(
        self,
        task: Judge,
        inputs: ArrayLike,
        targets: ArrayLike,
        workers: int = 1,
        threads: int = 1,
    ) -> float:
        """The task's metric of trials, without learning : float.

        Parameters
        ----------
        task : object
            With ``metric(outputs, targets)``.
        inputs : (trials, T, n_in) bool array
        targets : (trials, T, n_out) array
        workers, threads : int
            See :func:`brian_eprop.network.training.fit`.
        """
        training.check_task(task, "metric")
        inputs = checked_answers(self.description, inputs, targets)
        with Workers(self, workers, threads) as pool:
            return training.evaluate(pool, task, inputs, targets)

    def prepare(
        self, trials: int, steps: int, learning_window: int | None = None, learning: bool = True
    ) -> None:
        """Compile now what the first call would compile; for the device cpp_standalone.

        Parameters
        ----------
        trials, steps : int
            Shape of the inputs of the calls to come; one program serves all batches of 4 trials
            and more.
        learning_window : int, optional
        learning : bool
            Whether for :meth:`gradients` or for :meth:`simulate`.
        """
        whole_number("prepare.trials", trials)
        whole_number("prepare.steps", steps)
        window = checked_window(learning_window, steps)
        learning = flag("prepare.learning", learning)
        self.description.check_trials(BatchShape(room(trials), steps, window, learning))
        if is_standalone():
            self._network(trials, steps, window, learning)

    def save(self, path: FilePath) -> None:
        """Write the network, all that is trained, and the optimizer's state to one file (.npz).

        Raises
        ------
        OSError
            If the file cannot be written; one that was there before is not changed.
        """
        path = checked_path("RecurrentNetwork.save.path", path)
        checkpoint.write(path, self.description, self.optimizer, self.state)

    @classmethod
    def load(cls, path: FilePath) -> Self:
        """Read a network that :meth:`save` has written; its training can go on.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, or is not a saved network.
        """
        checked_path("RecurrentNetwork.load.path", path)
        network = cls.__new__(cls)
        network._set_up(*checkpoint.read(path))
        return network

    @classmethod
    def from_description(cls, description: NetworkDescription) -> Self:
        """A network without optimizer, of which only the weights are still to be given."""
        network = cls.__new__(cls)
        network._set_up(description, None, TrainingState({}, start_values(description)))
        return network

    def reference_network(self) -> SpikingNetwork:
        """The same network for :mod:`brian_eprop.reference`; for lif and alif only."""
        d = self.description
        parameters = checked_parameters(d, self.parameters)
        network = reference_network(d.with_parameters(parameters), self.weights)
        return with_trained_delays(network, d, parameters)

    def as_torch(self, threads: int = 1) -> NetworkModule:
        """A module of PyTorch; see ``brian_eprop.network.torch_module.NetworkModule``."""
        try:
            from .torch_module import NetworkModule
        except ImportError as error:
            raise missing("RecurrentNetwork.as_torch", "torch") from error
        return NetworkModule(self, threads)

    def _some_targets(self, *shape):
        """Targets that every loss accepts, without memory of their own."""
        n_out = self.description.n_out
        return np.broadcast_to(1 / n_out, (*shape, n_out))

    def _courses(self, inputs, threads=1):
        """Spikes and outputs of a batch; see :func:`.projections.results`."""
        threads = checked_threads(threads)
        inputs, _ = checked_inputs(inputs, self.description.n_in)
        targets = self._some_targets(*inputs.shape[:2])
        courses, _ = self._run(inputs, targets, None, threads, learning=False)
        return courses

    def _sums(self, *arguments):
        """What an update needs of a batch; see :func:`.projections.results`."""
        computed, *_ = self._learn(*arguments)
        return computed

    def _learn(self, inputs, targets, learning_window, threads=1):
        d, threads = self.description, checked_threads(threads)
        inputs, targets, window, _ = checked_trials(d, inputs, targets, learning_window)
        return *self._run(inputs, targets, window, threads), targets, window

    def _run(self, inputs, targets, window, threads, learning=True):
        """Results of a batch, see :func:`.projections.results`, weights and parameters it had."""
        present = weights, parameters = self._present()
        network = self._network(*inputs.shape[:2], window, learning)
        return network.run(weights, inputs, targets, parameters, threads), present

    def _present(self):
        """Weights and trained parameters, checked again, as users may have changed them."""
        d = self.description
        return checked_matrices(d, self.weights), checked_parameters(d, self.parameters)

    def _network(self, batch, steps, window, learning):
        """What runs batches of a shape, with room for one part of them."""
        kind = CompiledNetwork if is_standalone() else RuntimeNetwork
        trials = BatchShape(room(batch), steps, window, learning)
        # prefs.core.default_float_dtype takes 50 µs
        key = kind, trials, prefs["core.default_float_dtype"]
        if key not in self._networks:
            inputs = np.broadcast_to(False, (trials.total, self.description.n_in))
            targets = self._some_targets(trials.total)
            self._networks[key] = kind(self.description, trials, inputs, targets)
        return self._networks[key]


def _restored(kind, parts):
    """A network of the parts that were pickled."""
    network = kind.__new__(kind)
    network._set_up(*pickle.loads(parts))
    return network
