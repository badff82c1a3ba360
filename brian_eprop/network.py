"""Recurrent networks from arrays: inputs → recurrent neurons → readout, run by Brian2."""

import json
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from brian2 import Quantity, get_device, ms
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice

from . import serialization
from .devices.blocks import Trials, spans
from .devices.compiled import CompiledNetwork
from .devices.recorder import numpy_runtime, record_trial
from .devices.runtime import RuntimeNetwork
from .learner import EProp
from .neuron_model import NeuronModel, load_model
from .optimizers import Adam, GradientDescent
from .readout import LOSSES, check_time
from .reference import Gradients, SpikingNetwork

serialization.register(EProp)

FEEDBACKS = ("symmetric", "random", "adaptive")
MATRICES = ("w_in", "w_rec", "w_out")


@serialization.register
@dataclass(frozen=True)
class PopulationDescription:
    """Neurons of one model: how many, and which parameters are overridden."""

    model: NeuronModel
    count: int
    overrides: dict


@serialization.register
@dataclass(frozen=True)
class NetworkDescription:
    """A network without its weights: all that its Brian2 objects are made from."""

    n_in: int
    n_out: int
    populations: tuple
    dt: Quantity
    tau_out: Quantity
    loss: str
    normalize: bool
    average: bool
    feedback: str
    connectivity: dict
    rule: EProp
    regularizers: tuple

    @property
    def n_rec(self):
        return sum(p.count for p in self.populations)


@dataclass(frozen=True, eq=False)
class Simulation:
    """What a network did.

    Attributes
    ----------
    spikes : (T, n_rec) or (batch, T, n_rec) bool array
    readout : (T, n_out) or (batch, T, n_out) array
    """

    spikes: np.ndarray
    readout: np.ndarray


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
    loss : {"mse", "cross_entropy"}
        ½ Σ (y − y*)², or −Σ y* log softmax(y).
    normalize, average : bool
        See :class:`LeakyReadout`.
    feedback : {"symmetric", "random", "adaptive"} or (n_out, n_rec) array
        Weights B of the learning signal L_j = Σ_k B_kj error_k; ``"adaptive"`` starts random
        and follows the updates of w_out.
    weights : dict of str to ndarray, optional
        ``w_in`` (n_in, n_rec), ``w_rec`` (n_rec, n_rec), ``w_out`` (n_rec, n_out), ``feedback``
        (n_out, n_rec): row = pre, column = post, in the model's ``weight_unit``. What is
        missing is drawn from N(0, 1/n_pre) (feedback: N(0, 1/n_rec)).
    connectivity : dict of str to bool ndarray, optional
        Which synapses exist; default all, without autapses.
    rule : EProp
    optimizer : GradientDescent or Adam, optional
        For :meth:`fit`.
    regularizers : sequence of FiringRateRegularizer
    seed : int, optional
        Of the initial weights.

    Attributes
    ----------
    weights : dict of str to ndarray
        Present weights; assign arrays to change them.

    Notes
    -----
    The device is the one that is set in Brian2 when a method is called: runtime (numpy or
    cython target), or ``cpp_standalone``, where one compiled program serves all calls with
    the same shape of inputs, in this process and later ones.

    Examples
    --------
    >>> net = RecurrentNetwork("alif", n_in=20, n_rec=50, n_out=2, seed=1)
    >>> g = net.gradients(inputs, targets)                      # doctest: +SKIP
    >>> net.weights["w_rec"] -= 1e-3 * g.w_rec                  # doctest: +SKIP
    """

    def __init__(
        self,
        neurons,
        n_in,
        n_rec,
        n_out,
        *,
        dt=None,
        tau_out=None,
        loss="mse",
        normalize=False,
        average=False,
        feedback="symmetric",
        weights=None,
        connectivity=None,
        rule=None,
        optimizer=None,
        regularizers=(),
        seed=None,
    ):
        dt, tau_out = 1 * ms if dt is None else dt, 20 * ms if tau_out is None else tau_out
        check_time("RecurrentNetwork.dt", dt)
        check_time("RecurrentNetwork.tau_out", tau_out)
        for name, value in (("n_in", n_in), ("n_rec", n_rec), ("n_out", n_out)):
            if not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"RecurrentNetwork.{name} = {value!r} must be an integer ≥ 1")
        if loss not in LOSSES:
            raise ValueError(
                f"RecurrentNetwork.loss = '{loss}' is not known; choose one of {', '.join(LOSSES)}"
            )
        given = not isinstance(feedback, str)
        if not given and feedback not in FEEDBACKS:
            raise ValueError(
                f"RecurrentNetwork.feedback = '{feedback}' is not known; choose one of "
                f"{', '.join(FEEDBACKS)}, or give an array of shape (n_out, n_rec)"
            )
        if optimizer is not None and not isinstance(optimizer, Adam | GradientDescent):
            raise TypeError(
                f"RecurrentNetwork.optimizer = {optimizer!r} is not an optimizer; give for "
                "example Adam(5e-3)"
            )
        populations = _populations(neurons, int(n_rec))
        self.shapes = {
            "w_in": (n_in, n_rec),
            "w_rec": (n_rec, n_rec),
            "w_out": (n_rec, n_out),
            "feedback": (n_out, n_rec),
        }
        self.description = NetworkDescription(
            n_in=int(n_in),
            n_out=int(n_out),
            populations=populations,
            dt=Quantity(dt),
            tau_out=Quantity(tau_out),
            loss=loss,
            normalize=bool(normalize),
            average=bool(average),
            feedback="given" if given else feedback,
            connectivity=self._connectivity(connectivity or {}),
            rule=rule or EProp(),
            regularizers=tuple(regularizers),
        )
        weights = dict(weights or {})
        if given:
            weights["feedback"] = feedback
        self.weights = self._initial_weights(weights, np.random.default_rng(seed))
        self.optimizer, self.moments, self.updates = optimizer, {}, 0
        self._networks = {}

    def gradients(self, inputs, targets, learning_window=None):
        """The loss and its gradients.

        Parameters
        ----------
        inputs : (T, n_in) or (batch, T, n_in) bool array
            ``inputs[t]`` acts on the membranes in step t.
        targets : (T, n_out) or (batch, T, n_out) array
        learning_window : int, optional
            Only the last so many steps count.

        Returns
        -------
        Gradients
            Summed over time, averaged over the batch.

        Raises
        ------
        ValueError
            For shapes that do not fit, values that are not finite, a window that is longer
            than the trial.
        """
        inputs, batched = self._trials("inputs", inputs, self.description.n_in)
        targets, _ = self._trials("targets", targets, self.description.n_out)
        if inputs.shape[:2] != targets.shape[:2]:
            raise ValueError(
                f"targets have (batch, steps) = {targets.shape[:2]} but inputs {inputs.shape[:2]}; "
                "give one row of targets per time step of the inputs"
            )
        batch, steps = inputs.shape[:2]
        if learning_window is not None and not 1 <= learning_window <= steps:
            raise ValueError(
                f"learning_window = {learning_window!r} must be between 1 and the {steps} steps "
                "of a trial"
            )
        trials = Trials(batch, steps, learning_window)
        found = self._run(trials, inputs, targets)

        def shaped(name):
            values = found[name].reshape(batch, steps, -1)
            return values if batched else values[0]

        return Gradients(
            **{name: found[name] / batch for name in MATRICES},
            loss=float(found["loss"]) / batch,
            spikes=shaped("spikes"),
            readout=shaped("readout"),
            learning_signal=shaped("learning_signal"),
            regularization=self._regularization(found["spikes"].reshape(batch, steps, -1), trials),
        )

    def simulate(self, inputs):
        """Run the network without learning.

        Parameters
        ----------
        inputs : (T, n_in) or (batch, T, n_in) bool array

        Returns
        -------
        Simulation
        """
        inputs, batched = self._trials("inputs", inputs, self.description.n_in)
        batch, steps = inputs.shape[:2]
        targets = np.zeros((batch, steps, self.description.n_out))
        found = self._run(Trials(batch, steps, learning=False), inputs, targets)
        spikes, readout = (found[n].reshape(batch, steps, -1) for n in ("spikes", "readout"))
        return Simulation(spikes, readout) if batched else Simulation(spikes[0], readout[0])

    def record(self, inputs, targets, learning_window=None, *, neurons=4, synapses_per_neuron=2):
        """One trial with membranes and traces, run by Brian2's numpy target.

        Parameters
        ----------
        inputs : (T, n_in) bool array
        targets : (T, n_out) array
        learning_window : int, optional
        neurons : int or sequence of int
            Which neurons to record, or how many: then those that fire most.
        synapses_per_neuron : int
            For each recorded neuron, so many synapses from the most active inputs and
            neurons, in turn.

        Returns
        -------
        Recording
        """
        inputs, _ = self._trials("inputs", inputs, self.description.n_in)
        targets, _ = self._trials("targets", targets, self.description.n_out)
        with numpy_runtime():
            rates = self.simulate(inputs[0]).spikes.sum(axis=0)
        if isinstance(neurons, int):
            neurons = np.argsort(-rates, kind="stable")[:neurons]
        synapses = []
        for j in neurons:
            for k in range(synapses_per_neuron):
                name = ("w_in", "w_rec")[k % 2]
                activity = inputs[0].sum(axis=0) if name == "w_in" else rates
                exists = np.flatnonzero(self.description.connectivity[name][:, j])
                if len(exists) > k // 2:
                    busiest = exists[np.argsort(-activity[exists], kind="stable")]
                    synapses.append((name, int(busiest[k // 2]), int(j)))
        return record_trial(
            self.description,
            self.weights,
            inputs[0],
            targets[0],
            learning_window,
            [int(j) for j in neurons],
            synapses,
        )

    def apply(self, gradients):
        """Let the optimizer change the weights once.

        Adaptive feedback receives the same update as w_out, transposed (Bellec et al. 2020,
        Methods).
        """
        if self.optimizer is None:
            raise ValueError(
                "RecurrentNetwork.optimizer is missing; create the network with one, for example "
                "optimizer=Adam(5e-3)"
            )
        self.updates += 1
        for name in MATRICES:
            state = self.moments.setdefault(name, {})
            before = self.weights[name]
            after = self.optimizer.advance(before, getattr(gradients, name), state, self.updates)
            after = np.where(self.description.connectivity[name], after, before)
            if name == "w_out" and self.description.feedback == "adaptive":
                self.weights["feedback"] = self.weights["feedback"] + (after - before).T
            self.weights[name] = after

    def fit(self, task, iterations, batch_size=1, callbacks=(), seed=None):
        """Train on a task; see :func:`brian_eprop.training.fit`."""
        from .training import fit

        return fit(self, task, iterations, batch_size, callbacks, seed)

    def save(self, path):
        """Write the network, its weights and the optimizer's state to one file (.npz)."""
        path = Path(path)
        config = {
            "description": serialization.encode(self.description),
            "optimizer": serialization.encode(self.optimizer),
            "updates": self.updates,
        }
        arrays = {f"weights/{name}": values for name, values in self.weights.items()}
        for matrix, state in self.moments.items():
            arrays |= {f"moments/{matrix}/{name}": values for name, values in state.items()}
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".npz")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, config=json.dumps(config), **arrays)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    @classmethod
    def load(cls, path):
        """Read a network that :meth:`save` has written.

        Raises
        ------
        ValueError
            If the file is damaged, or is not a saved network.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            config = json.loads(str(arrays.pop("config")))
            d = serialization.decode(config["description"])
            optimizer = serialization.decode(config["optimizer"])
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"'{path}' is damaged or is not a network written by RecurrentNetwork.save "
                f"({error}); use an older checkpoint"
            ) from error
        weights = {n.removeprefix("weights/"): v for n, v in arrays.items() if "weights/" in n}
        network = cls(
            [(p.model, p.count, p.overrides) for p in d.populations],
            d.n_in,
            d.n_rec,
            d.n_out,
            dt=d.dt,
            tau_out=d.tau_out,
            loss=d.loss,
            normalize=d.normalize,
            average=d.average,
            feedback=weights["feedback"] if d.feedback == "given" else d.feedback,
            weights=weights,
            connectivity={name: np.array(mask) for name, mask in d.connectivity.items()},
            rule=d.rule,
            optimizer=optimizer,
            regularizers=d.regularizers,
        )
        network.updates = config["updates"]
        for name, values in arrays.items():
            if name.startswith("moments/"):
                _, matrix, moment = name.split("/")
                network.moments.setdefault(matrix, {})[moment] = values
        return network

    def reference_network(self):
        """The same network for :mod:`brian_eprop.reference`; for lif and alif only."""
        d = self.description
        columns = {name: np.zeros(d.n_rec) for name in ("alpha", "rho", "beta", "v_th", "n_ref")}
        surrogates, heights, widths = [], np.zeros(d.n_rec), np.zeros(d.n_rec)
        for own, p in zip(spans(d), d.populations, strict=True):
            if p.model.name not in ("lif", "alif"):
                raise ValueError(
                    f"the reference knows the models lif and alif, not '{p.model.name}'; use "
                    "'brian-eprop check' for it"
                )
            parameters = dict(p.model.parameters) | p.overrides
            surrogate = parameters.pop("surrogate", p.model.surrogate)
            surrogate = d.rule.surrogate or surrogate
            columns["alpha"][own] = np.exp(-float(d.dt) / np.asarray(parameters["tau_m"]))
            columns["v_th"][own] = np.asarray(parameters["v_th"])
            columns["n_ref"][own] = np.rint(np.asarray(parameters["t_ref"]) / float(d.dt))
            if p.model.name == "alif":
                columns["rho"][own] = np.exp(-float(d.dt) / np.asarray(parameters["tau_a"]))
                columns["beta"][own] = np.asarray(parameters["beta"])
            kind = "".join(f"_{c.lower()}" if c.isupper() else c for c in type(surrogate).__name__)
            surrogates += [kind.lstrip("_")] * p.count
            heights[own] = _evaluated(surrogate.height, parameters)
            widths[own] = _evaluated(surrogate.width, parameters)
        kappa = float(np.exp(-float(d.dt) / float(d.tau_out)))
        regularizer = {}
        if d.regularizers:
            (one,) = d.regularizers
            regularizer["rate_target"] = float(one.target) * float(d.dt)
            regularizer["rate_strength"] = one.strength
        return SpikingNetwork(
            **{name: self.weights[name] for name in MATRICES},
            **columns,
            kappa=kappa,
            feedback=None if d.feedback == "symmetric" else self.weights["feedback"],
            mask_in=d.connectivity["w_in"],
            mask_rec=d.connectivity["w_rec"],
            mask_out=d.connectivity["w_out"],
            readout_gain=1 - kappa if d.normalize else 1.0,
            loss=d.loss,
            average=d.average,
            surrogate=surrogates,
            surrogate_height=heights,
            surrogate_width=widths,
            reset_path={"v": "explicit", "a": "implicit"} | d.rule.reset_path,
            **regularizer,
        )

    def _run(self, trials, inputs, targets):
        for name, shape in self.shapes.items():
            self.weights[name] = _checked_weights(name, self.weights[name], shape)
        flat = inputs.reshape(trials.total, -1), targets.reshape(trials.total, -1)
        device = get_device()
        kind = CompiledNetwork if isinstance(device, CPPStandaloneDevice) else RuntimeNetwork
        if (kind, trials) not in self._networks:
            self._networks[kind, trials] = kind(self.description, trials, *flat)
        return self._networks[kind, trials].run(self.weights, *flat)

    def _scored(self, trials):
        return (trials.window or trials.steps) if self.description.average else 1

    def _regularization(self, spikes, trials):
        rate = spikes.mean(axis=1)  # spikes per step : (batch, n_rec)
        dt = float(self.description.dt)
        total = sum(
            0.5 * r.strength * ((rate - float(r.target) * dt) ** 2).sum(axis=1).mean()
            for r in self.description.regularizers
        )
        return float(total) / self._scored(trials)

    def _trials(self, name, values, columns):
        """Inputs or targets as (batch, steps, columns), and whether they had a batch."""
        values = np.asarray(values)
        if values.ndim not in (2, 3) or values.shape[-1] != columns or 0 in values.shape:
            raise ValueError(
                f"{name} have the shape {values.shape}; give (T, {columns}) or (batch, T, {columns})"
            )
        if name == "inputs":
            if not np.isin(values, (0, 1)).all():
                raise ValueError("inputs must be booleans: a spike, or none, per step and channel")
            values = values.astype(bool)
        else:
            values = values.astype(float)
            if not np.isfinite(values).all():
                where = tuple(int(k) for k in np.argwhere(~np.isfinite(values))[0])
                raise ValueError(f"targets[{where}] = {values[where]}; targets must be finite")
        return (values, True) if values.ndim == 3 else (values[np.newaxis], False)

    def _connectivity(self, given):
        masks = {name: np.ones(self.shapes[name], dtype=bool) for name in MATRICES}
        np.fill_diagonal(masks["w_rec"], False)
        for name, mask in given.items():
            if name not in MATRICES:
                raise ValueError(f"connectivity['{name}'] is not one of {', '.join(MATRICES)}")
            mask = np.asarray(mask)
            if mask.dtype != bool or mask.shape != self.shapes[name]:
                raise ValueError(
                    f"connectivity['{name}'] is a {mask.dtype} array of shape {mask.shape}; it "
                    f"must be bool, of shape {self.shapes[name]}"
                )
            masks[name] = mask
        return MappingProxyType(masks)

    def _initial_weights(self, given, rng):
        for name in given:
            if name not in self.shapes:
                raise ValueError(f"weights['{name}'] is not one of {', '.join(self.shapes)}")
        weights = {}
        for name, shape in self.shapes.items():
            n_pre = self.shapes["w_rec"][0] if name == "feedback" else shape[0]
            drawn = rng.standard_normal(shape) / np.sqrt(n_pre)
            values = _checked_weights(name, given.get(name, drawn), shape)
            if name in self.description.connectivity:
                values = np.where(self.description.connectivity[name], values, 0.0)
            weights[name] = values
        return weights


def _checked_weights(name, values, shape):
    values = np.array(values, dtype=float)
    if values.shape != shape:
        raise ValueError(f"weights['{name}'] has the shape {values.shape}; it must be {shape}")
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(
            f"weights['{name}'][{row}, {column}] = {values[row, column]}; weights must be finite"
        )
    return values


def _populations(neurons, n_rec):
    if isinstance(neurons, str | Path | NeuronModel):
        neurons = [(neurons, n_rec, {})]
    populations = []
    for entry in neurons:
        try:
            model, count, overrides = entry
        except (TypeError, ValueError):
            raise ValueError(
                f"RecurrentNetwork.neurons: {entry!r} is not (model, count, overrides)"
            ) from None
        model = model if isinstance(model, NeuronModel) else load_model(model)
        populations.append(PopulationDescription(model, int(count), dict(overrides)))
    total = sum(p.count for p in populations)
    if total != n_rec:
        raise ValueError(
            f"RecurrentNetwork.neurons has {total} neurons in all, but n_rec = {n_rec}; make them "
            "agree"
        )
    return tuple(populations)


def _evaluated(expression, parameters):
    """A surrogate's height or width as a number or one per neuron."""
    if not isinstance(expression, str):
        return np.asarray(expression)
    names = {name: np.asarray(value) for name, value in parameters.items()}
    return eval(expression, {"__builtins__": {}}, names)
