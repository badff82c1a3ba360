"""Sequences that a network has run through, with their loss and its gradient."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from .cells.spikes import Held, held_by
from .forward import run
from .losses import feedback_of, rate_penalty, step_weights, task_error, task_loss
from .networks.spiking import SpikingNetwork
from .parameters import PARAMETERS, as_parameters, with_direct_effects
from .results import Gradients
from .rule import Signal, added
from .validation import as_network, as_sequences, as_targets

__all__ = ["Problem", "divergence_of", "finite", "read", "readout_gradient"]


class Problem:
    """Sequences that a network has run through, with their loss.

    Parameters
    ----------
    network, inputs, targets, learning_window, smooth, spikes, parameters
        See :func:`brian_eprop.reference.gradients`.

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
    ):
        network = as_network(network, spiking=smooth or spikes is not None)
        self.parameters = as_parameters(parameters, network)
        if self.parameters:
            # beta and rho have an effect in first order also where beta is 0
            network = replace(network, adaptive=True)
        self.inputs, self.single = as_sequences("inputs", inputs, network.n_in)
        self.batch, self.n_steps = self.inputs.shape[:2]
        self.weight = step_weights(network, learning_window, self.batch, self.n_steps)
        self.targets = as_targets(network, targets, self.inputs.shape, self.single, self.weight)
        if smooth:
            held = held_by(network, run(network, self.inputs))
            network = replace(network, smooth=True)
        else:
            held = None if spikes is None else self._imposed(network, spikes)
        self.network, self.smooth = network, smooth
        self.steps = run(network, self.inputs, held, network.forced(self.targets, self.weight))
        if self.parameters:
            self.steps = with_direct_effects(self.steps, self.parameters)
        self.y, self.loss, self.penalty, rate = self._evaluate(self.steps, network.parameters)
        self.error = task_error(network, self.y, self.targets, self.weight)
        self._rate = np.zeros((self.batch, network.n_rec)) if rate is None else rate

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
            return y, loss, np.zeros(self.batch), None
        spikes = np.stack([step.observable for step in steps], axis=1)
        return y, loss, *rate_penalty(self.network, spikes, self.weight)

    def with_symmetric_feedback(self):
        """The same problem with learning signals through w_out instead of feedback weights."""
        symmetric = copy.copy(self)
        symmetric.network = replace(self.network, feedback=None)
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
        gradient = {}
        for t, step in enumerate(self.steps):
            part = readout_gradient(self.network, step, self.error[:, t])
            gradient = added(gradient, part)
        return gradient

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
        spiking = isinstance(network, SpikingNetwork) and not self.smooth

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
        parameters = {name: varied[name] for name in PARAMETERS if name in varied}
        weights = {name: varied.get(name, own) for name, own in network.parameters.items()}
        forced = network.forced(self.targets, self.weight)
        steps = run(replace(network, **parameters), self.inputs, held, forced, weights)
        _, loss, penalty, _ = self._evaluate(steps, weights)
        return np.mean(loss + penalty)


def read(step, weights):
    """y = o w_out (+ bias), (batch, n_out)."""
    w_out = weights.get("w_out", step.network.w_out)
    return step.output @ w_out + weights.get("bias_out", 0.0)


def readout_gradient(network, step, error):
    """∂E^t/∂w_out = o ⊗ error (Bellec et al. 2020, Eq. 29), and error for the bias."""
    every = {"w_out": step.output.T @ error, "bias_out": error.sum(axis=0)}
    return {name: every[name] for name in network.readout_weights}


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
