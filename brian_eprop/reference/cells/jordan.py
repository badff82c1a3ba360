"""Recurrence through the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .leaky_rate import rate_step

if TYPE_CHECKING:
    from ..networks.rate import RateNetwork
    from ..step import Step

__all__ = ["Jordan"]


@dataclass(frozen=True)
class Jordan:
    """A network whose only recurrence leads through its outputs (Jordan 1986).

    The outputs are units of the layer, the last `visible` ones of the network; every connection
    takes one step, as in the networks of Williams & Zipser 1989. So the weights onto the outputs
    are recurrent weights, and every rule treats them as such::

        hidden  h_j^t = tanh(u_j^t)     from the inputs and the outputs of the step before
        output  y_k^t = u_k^t           from the hidden units of the step before
        D = 0,  K = 1 − h² or 1,  q = 1
    """

    name: ClassVar = "jordan"
    states: ClassVar = ("h",)
    gates: ClassVar = 1
    gates_in: ClassVar = [0]
    gates_rec: ClassVar = [0]

    def check(self, network: RateNetwork) -> None:
        """Refuse connections that go round the outputs."""
        if not network.visible:
            raise ValueError(
                f"RateNetwork: 'visible' is {network.visible}, but the recurrence of Jordan leads "
                "through outputs; say how many of the last units are the outputs"
            )
        for name in ("mask_in", "mask_rec"):
            mask = getattr(network, name)
            allowed = self.default_mask(network, name, mask.shape)
            if np.any(mask & ~allowed):
                i, j = np.argwhere(mask & ~allowed)[0]
                raise ValueError(
                    f"RateNetwork: '{name}'[{i}, {j}] is True; in a network of Jordan inputs and "
                    "outputs lead to hidden units, and hidden units to outputs: leave the mask away"
                )

    def default_mask(self, network: RateNetwork, name: str, shape: tuple[int, int]) -> np.ndarray:
        """Inputs and outputs to hidden units, hidden units to outputs."""
        mask = np.ones(shape, dtype=bool)
        if name != "mask_out":
            onto_output = np.arange(shape[1]) >= shape[1] - network.visible
            from_hidden = name == "mask_rec" and np.arange(shape[0]) < shape[0] - network.visible
            mask = np.equal.outer(np.broadcast_to(from_hidden, shape[0]), onto_output)
        return mask

    def advance(
        self, network: RateNetwork, before: Step | None, drive: np.ndarray, held: Any
    ) -> Step:
        """The next step; nothing is ever held."""
        (u,) = drive
        linear = np.arange(network.n_rec) >= network.n_rec - network.visible
        phi = np.where(linear, u, np.tanh(u))
        return rate_step(before, u, 1.0, phi, np.where(linear, 1.0, 1 - phi**2))
