"""The problem of a gradient: sequences that a network has run through, and their loss.

Checks of what the functions of the reference are given, the parameters of spiking neurons that
have a gradient, and what a computation returns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from functools import cached_property, partial, reduce
from typing import Protocol, TypeAlias

import numpy as np
from attrs import evolve, field, frozen

from ..checks import finite_array
from .losses import LOSSES, feedback_of, rate_penalty, step_weights, task_error, task_loss
from .network import Network
from .rule import Signal, added
from .spiking import FiringNetwork, Held, SpikingNetwork, held_by
from .step import run, with_delays


@frozen(eq=False)
class Gradients:
    """Gradients of the loss with the trajectory they belong to.

    Loss and gradients are summed over time and averaged over the batch. The axis ``batch`` is
    absent where the inputs had none.

    Attributes
    ----------
    w_in : (n_in, n_rec) ndarray
    w_rec : (n_rec, n_rec) ndarray
    w_out : (n_rec, n_out) ndarray
        Gradients of loss + regularization, row = pre, column = post; 0 for absent synapses. For
        rate units with gates the first two have these as their first axis. Of networks with sparse
        weights that Brian2 runs: csr_arrays.
    loss : float
        Loss of the task, without the regularization.
    spikes : (batch, T, n_rec) ndarray
        For rate units what they send.
    readout : (batch, T, n_out) ndarray
        Linear readout y, before any softmax.
    learning_signal : (batch, T, n_rec) ndarray
        L_j^t = Σ_k B_kj (∂E/∂y_k)^t. May be given as a function that returns it, which is called
        when it is asked for: of large networks it takes more memory and time than all the rest.
    regularization : float
        Loss added by the regularization.
    bias, bias_out : ndarray or None
        Of rate units and their readout.
    parameters : dict of str to (n_rec,) ndarray
        Gradients of those of alpha, rho, beta and v_th that were asked for. v_th is the threshold
        and the size of the reset; height and width of the surrogate are constants. Those of
        delay_in and delay_rec are (n_pre, n_rec), per step of delay. Of networks that Brian2
        runs: those of trained parameters and delays, delay_out among them, in SI units; delays of
        sparse weights are csr_arrays.
    """

    w_in: np.ndarray
    w_rec: np.ndarray
    w_out: np.ndarray
    loss: float
    spikes: np.ndarray
    readout: np.ndarray
    _learning_signal: np.ndarray | Callable[[], np.ndarray] = field(alias="learning_signal")
    regularization: float = 0.0
    bias: np.ndarray | None = None
    bias_out: np.ndarray | None = None
    parameters: Mapping[str, np.ndarray] = field(factory=dict)

    @cached_property
    def learning_signal(self) -> np.ndarray:
        given = self._learning_signal
        return given() if callable(given) else given


class Convertible(Protocol):
    """A network of another kind that can be described as one of the reference."""

    def reference_network(self) -> Network:
        """The same network here."""


AnyNetwork: TypeAlias = Network | Convertible


def as_network(network, spiking=False):
    """The network itself, or the one that ``network.reference_network()`` returns."""
    if not isinstance(network, Network):
        try:
            convert = network.reference_network
        except AttributeError:
            raise ValueError(
                f"network is {network!r}; give a SpikingNetwork, a RateNetwork or an object with "
                "a method 'reference_network'"
            ) from None
        network = convert()
    if spiking and not isinstance(network, SpikingNetwork):
        raise ValueError(
            f"network is one of '{network.cell.name}' units; this is for a SpikingNetwork"
        )
    return network


def as_sequences(name, value, n_channels):
    """(batch, T, n_channels) float array, and whether a batch axis had to be added."""
    array = finite_array(f"'{name}'", value)
    if array.ndim not in (2, 3) or array.shape[-1] != n_channels or 0 in array.shape:
        raise ValueError(
            f"'{name}' has shape {array.shape}; give (T, {n_channels}) or (batch, T, {n_channels})"
        )
    return (array[np.newaxis], True) if array.ndim == 2 else (array, False)


def as_targets(network, targets, inputs_shape, single, weight):
    """(batch, T, n_out) float array that fits the inputs and the loss.

    Parameters
    ----------
    weight : (batch, T) ndarray
        0 in the steps that do not count.
    """
    array, targets_single = as_sequences("targets", targets, network.n_out)
    if array.shape[:2] != inputs_shape[:2] or single != targets_single:
        expected = inputs_shape[1:2] if single else inputs_shape[:2]
        raise ValueError(
            f"'targets' has shape {np.shape(targets)}; give {(*expected, network.n_out)} "
            "for these inputs"
        )
    loss, counted = LOSSES[network.loss], array[weight > 0]
    wrong = loss.wrong(counted)
    if np.any(wrong):
        raise ValueError(
            f"'targets' has values summing to {counted[wrong][0].sum()} in a step; give "
            f"{loss.needs} in each step of the learning window for the loss '{network.loss}'"
        )
    return array


#: Attributes of a SpikingNetwork, (n_rec,) each
PARAMETERS = ("alpha", "rho", "beta", "v_th")
#: Matrices of delays, which have gradients too
DELAYS = ("delay_in", "delay_rec")


def as_parameters(parameters, network):
    """The names as a tuple.

    Raises
    ------
    ValueError
        An unknown name, or any name where the units do not spike.
    """
    parameters = tuple(parameters)
    for name in parameters:
        if name not in (*PARAMETERS, *DELAYS):
            known = ", ".join(f"'{known}'" for known in (*PARAMETERS, *DELAYS))
            raise ValueError(f"'parameters' contains {name!r}; give a sequence of names of {known}")
    if parameters and not isinstance(network, SpikingNetwork):
        raise ValueError(
            f"'parameters' are those of spiking neurons, but the network has '{network.cell.name}' "
            "units; leave the option away"
        )
    return parameters


def with_direct_effects(steps, parameters):
    """The steps of alif units with the immediate derivatives F of their parameters.

    With them a parameter is to every rule what a weight is, and its direct effect is one of no
    explicit edge::

        F_α    = (v^{t−1}, 0)
        F_ρ    = (0, a^{t−1})
        F_β    = (−a^t + α a^{t−1}, 0)
        F_v_th = (−1 + α − z^{t−1}, 0)        without the α in the first step

    The spike sees nothing but the distance x = v − v_th − β a. A threshold that is higher by δ in
    the step t is therefore a membrane that is lower by δ in t and gets back what is left of it,
    α δ, in t + 1: so the sum Σ_t λ_v^t F_β^t is −Σ_t a^t ψ^t dE/dz^t. The last term of F_v_th is
    the size of the reset; it counts whatever the `reset_path`, z^{t−1} being a given number here.
    Height and width of ψ are constants, also where they were made from v_th.

    Parameters
    ----------
    steps : list of Step
        All of the sequence; units with the states v and a.
    parameters : sequence of str
    """
    extended = []
    for step, before in zip(steps, [None, *steps[:-1]], strict=True):
        effects = _direct_effects(step, before)
        of_parameters = {name: effects[name] for name in parameters}
        extended.append(evolve(step, parameters=of_parameters))
    return extended


def _direct_effects(step, before):
    alpha, a = step.network.alpha, step.state[1]
    nothing = np.zeros_like(a)
    if before is None:
        v_last = a_last = z_last = given_back = nothing
    else:
        v_last, a_last = before.state[:2]
        z_last, given_back = before.observable, alpha + nothing
    effects = {
        "alpha": (v_last, nothing),
        "rho": (nothing, a_last),
        "beta": (alpha * a_last - a, nothing),
        "v_th": (given_back - 1 - z_last, nothing),
    }
    return {name: _with_output(step, np.stack(effect)) for name, effect in effects.items()}


def _with_output(step, effect):
    """With the effect on the output, where that is one of the states."""
    if step.network.kappa == 0:
        return effect
    observed = np.einsum("sbj,sbj->bj", step.observation[:2], effect)
    return np.concatenate([effect, [step.network.readout_gain * observed]])


class Problem:
    """Sequences that a network has run through, with their loss.

    Parameters
    ----------
    network, inputs, targets, learning_window, smooth, spikes, parameters
        See :func:`brian_eprop.reference.gradients`.
    steps : list of Step, optional
        The steps of a run made elsewhere, without readout and arrivals, which are added here; the
        network then says only how its units are connected. Without `smooth`, `spikes` and
        `parameters`.

    Attributes
    ----------
    network : Network
    steps : list of Step
    y, error : (batch, T, n_out) ndarray
    loss, penalty : (batch,) ndarray
        Of the task and of the regularization.
    """

    def __init__(
        self,
        network,
        inputs,
        targets,
        learning_window=None,
        *,
        smooth=False,
        spikes=None,
        parameters=(),
        steps=None,
    ):
        network = as_network(network, spiking=smooth or spikes is not None)
        self.parameters = as_parameters(parameters, network)
        of_units = [name for name in self.parameters if name in PARAMETERS]
        delays = [name for name in self.parameters if name in DELAYS]
        if of_units:
            # beta and rho have an effect in first order also where beta is 0
            network = evolve(network, adaptive=True)
        self.inputs, self.single = as_sequences("inputs", inputs, network.n_in)
        self.batch, self.n_steps = self.inputs.shape[:2]
        self.weight = step_weights(network, learning_window, self.batch, self.n_steps)
        self.targets = as_targets(network, targets, self.inputs.shape, self.single, self.weight)
        if smooth:
            held = held_by(network, run(network, self.inputs))
            network = evolve(network, smooth=True)
        else:
            held = steps if spikes is None else self._imposed(network, spikes)
        self.network, self.smooth = network, smooth
        self.steps = run(network, self.inputs, held, network.forced(self.targets, self.weight))
        if of_units:
            self.steps = with_direct_effects(self.steps, of_units)
        if delays:
            self.steps = with_delays(self.steps, self.inputs, delays)
        evaluated = self._evaluate(self.steps, network.parameters)
        self.y, self.loss, self.penalty, self._rate = evaluated
        self.error = task_error(network, self.y, self.targets, self.weight)

    def _imposed(self, network, spikes):
        spikes, single = as_sequences("spikes", spikes, network.n_rec)
        if spikes.shape[:2] != self.inputs.shape[:2] or single != self.single:
            raise ValueError(
                f"'spikes' has shape {spikes.shape}; give {(*self.inputs.shape[:2], network.n_rec)}"
            )
        return [Held(spikes=spikes[:, t]) for t in range(self.n_steps)]

    def _evaluate(self, steps, weights):
        """Readout, loss, penalty and ∂penalty/∂h of a run."""
        y = np.stack([read(step, weights) for step in steps], axis=1)
        loss = np.sum(task_loss(self.network, y, self.targets, self.weight), axis=1)
        if not self.network.rate_regularized:
            return y, loss, np.zeros(self.batch), np.zeros((self.batch, self.network.n_rec))
        spikes = np.stack([step.observable for step in steps], axis=1)
        return y, loss, *rate_penalty(self.network, spikes, self.weight)

    def with_symmetric_feedback(self):
        """The same problem with learning signals through w_out instead of feedback weights."""
        symmetric = copy.copy(self)
        symmetric.network = evolve(self.network, feedback=None)
        return symmetric

    def learning_signal(self, through_feedback):
        """L_j^t (batch, T, n_rec)."""
        network = self.network
        return self.error @ (feedback_of(network) if through_feedback else network.w_out.T)

    def gradient(self, recursion, rule):
        """The gradient of the recurrent layer, summed over the batch."""
        learning = self.learning_signal(rule.uses_feedback)
        recursion.start(self.batch)
        gradient = {}
        with np.errstate(over="ignore", invalid="ignore"), divergence_of(rule):
            for t, step in enumerate(self.steps):
                signal = Signal(
                    error=self.error[:, t],
                    target=self.targets[:, t],
                    learning=learning[:, t],
                    rate=self._rate,
                    weight=self.weight[:, t],
                )
                gradient = added(gradient, finite(recursion.step(step, signal), t))
            return added(gradient, finite(recursion.finish(), self.n_steps - 1))

    def readout_gradient(self):
        """∂E/∂w_out (and of the readout's bias), local whatever the rule."""
        errors = np.moveaxis(self.error, 1, 0)
        parts = map(partial(readout_gradient, self.network), self.steps, errors)
        return reduce(added, parts)

    def result(self, gradient, rule):
        """The gradients with the trajectory, averaged over the batch."""
        network = self.network
        gradient = gradient | self.readout_gradient()
        arrays = {name: np.zeros(network.parameters[name].shape) for name in network.parameters}
        for name, array in (arrays | gradient).items():
            shape = np.shape(getattr(network, name))
            present = np.where(network.mask_of(name), array, 0.0)
            arrays[name] = present.reshape(shape) / self.batch
        arrays.setdefault("w_out", np.zeros_like(network.w_out))
        z = np.stack([step.observable for step in self.steps], axis=1)
        spiking = isinstance(network, FiringNetwork) and not self.smooth

        def of_input_shape(array):
            return array[0] if self.single else array

        parameters = {name: arrays.pop(name) for name in self.parameters}
        return Gradients(
            **arrays,
            parameters=parameters,
            loss=float(np.mean(self.loss)),
            spikes=of_input_shape(z > 0 if spiking else z),
            readout=of_input_shape(self.y),
            learning_signal=of_input_shape(self.learning_signal(rule.uses_feedback)),
            regularization=float(np.mean(self.penalty)),
        )

    def varied_loss(self, varied):
        """Loss + regularization, averaged over the batch, with other weights or parameters.

        Spikes are smooth, and what has no derivative is held: refractory steps, and the spikes in
        detached resets.
        """
        held, network = None, self.network
        if isinstance(network, SpikingNetwork):
            held = held_by(network, self.steps, own=True)
        parameters = {name: varied[name] for name in (*PARAMETERS, *DELAYS) if name in varied}
        weights = {name: varied.get(name, weights) for name, weights in network.parameters.items()}
        forced = network.forced(self.targets, self.weight)
        steps = run(evolve(network, **parameters), self.inputs, held, forced, weights)
        _, loss, penalty, _ = self._evaluate(steps, weights)
        return np.mean(loss + penalty)


def read(step, weights):
    """y = o w_out (+ bias), (batch, n_out)."""
    w_out = weights.get("w_out", step.network.w_out)
    return step.output @ w_out + weights.get("bias_out", 0.0)


def readout_gradient(network, step, error):
    """∂E^t/∂w_out = o ⊗ error (Bellec et al. 2020, Eq. 29), and error for the bias."""
    gradient = {"w_out": step.output.T @ error, "bias_out": error.sum(axis=0)}
    return {name: gradient[name] for name in network.readout_weights}


def finite(gradient, t):
    """The gradient itself, or an ArithmeticError with the step if it is not finite."""
    for name, array in (gradient or {}).items():
        if not np.all(np.isfinite(array)):
            value = array[~np.isfinite(array)].flat[0]
            raise ArithmeticError(
                f"its gradient of '{name}' became {value} at step {t}; shorten the sequence or "
                "make the weights smaller"
            )
    return gradient


@contextmanager
def divergence_of(rule):
    """Say whose recursion an ArithmeticError comes from."""
    try:
        yield
    except ArithmeticError as error:
        raise ArithmeticError(f"rule '{rule.name}' diverged: {error}") from None
