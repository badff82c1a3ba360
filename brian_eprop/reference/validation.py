"""Checks of what the functions of the reference are given."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np

from .networks.network import Network
from .networks.spiking import SpikingNetwork

__all__ = ["AnyNetwork", "as_network", "as_sequences", "as_targets"]


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
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"'{name}' is {value!r}; give an array of numbers") from None
    if array.ndim not in (2, 3) or array.shape[-1] != n_channels or 0 in array.shape:
        raise ValueError(
            f"'{name}' has shape {array.shape}; give (T, {n_channels}) or (batch, T, {n_channels})"
        )
    if not np.all(np.isfinite(array)):
        raise ValueError(
            f"'{name}' contains {array[~np.isfinite(array)].flat[0]}; give finite numbers"
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
    if network.loss == "cross_entropy":
        counted = array[weight > 0]
        # ∂E/∂y = softmax(y) − y* holds for probabilities only
        wrong = np.any(counted < 0, axis=-1) | (np.abs(counted.sum(axis=-1) - 1) > 1e-6)
        if np.any(wrong):
            raise ValueError(
                f"'targets' has values summing to {counted[wrong][0].sum()} in a step; "
                "give probabilities (one-hot, say) in each step of the learning window "
                "for the loss 'cross_entropy'"
            )
    return array
