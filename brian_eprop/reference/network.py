"""What every network of the reference has: connections, a leaky readout and a loss."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from attrs import field, frozen

from ..checks import choice, finite_array, real, truth
from .losses import LOSSES


class Block(NamedTuple):
    """Weights of one kind, all postsynaptic to the recurrent units.

    Attributes
    ----------
    gates : list of int
        Which drives u_g of a unit the weights feed, in the order of their first axis.
    source : {"input", "observable", "one"}
        What the weights multiply; the observable is that of the step before.
    mask : (n_pre, n_rec) bool ndarray
        Which connections exist.
    delay : (n_pre, n_rec) int ndarray
        Steps beyond the standard delay.
    """

    gates: list
    source: str
    mask: np.ndarray
    delay: np.ndarray


def decay(remedy):
    """The validator of one number from 0 to 1."""
    return real(f"be one number between 0 and 1: {remedy}", high=1.0)


# Not in slots: what is computed once is kept in the object.
@frozen(eq=False, kw_only=True, slots=False)
class Network:
    """One layer of recurrent units with a leaky readout.

    Row = pre, column = post in every matrix. A unit j of the cell has hidden states c_j, an
    observable h_j and drives u_g,j, one for each gate g of the cell (lif and alif have one)::

        u_g,j^t = Σ_i w_in[g,i,j] x_i^{t−d_in[i,j]} + Σ_i w_rec[g,i,j] h_i^{t−1−d_rec[i,j]}
        c_j^t   = f(c_j^{t−1}, u_j^t),   h_j^t = g(c_j^t)
        o_j^t   = κ o_j^{t−1} + readout_gain h_j^t
        y_k^t   = Σ_j w_out[j,k] o_j^t

    Parameters
    ----------
    w_in : (n_in, n_rec) or (gates, n_in, n_rec) array
    w_rec : (n_rec, n_rec) or (gates, n_rec, n_rec) array
        The axis of the gates is absent for cells with one.
    w_out : (n_rec, n_out) array
    kappa : float
        Readout decay κ = exp(−dt/tau_out).
    readout_gain : float
        1 or 1 − κ. By the chain rule it is also a factor of the filtered eligibility trace.
    feedback : (n_out, n_rec) array, optional
        Feedback weights B of e-prop; None is symmetric feedback, B = w_out.T.
    mask_in, mask_rec, mask_out : bool arrays (n_pre, n_post), optional
        Which connections exist. The weights and the gradients of the others are 0.
    delay_in, delay_rec : int arrays (n_pre, n_post), optional
        Steps d beyond the standard delay (0 for inputs, 1 for recurrent connections).
    loss : {"mse", "cross_entropy"}
        ½Σ(y − y*)² or −Σ y* log softmax(y), summed over the steps that count.
    average : bool
        Divide loss, learning signal and regularization by the number of steps that count.
    """

    w_in: np.ndarray
    w_rec: np.ndarray
    w_out: np.ndarray
    kappa: float = field(default=0.0, validator=decay("exp(-dt/tau_out)"))
    readout_gain: float = field(default=1.0, validator=decay("1 or 1 - kappa"))
    feedback: np.ndarray | None = None
    mask_in: np.ndarray | None = None
    mask_rec: np.ndarray | None = None
    mask_out: np.ndarray | None = None
    delay_in: np.ndarray | None = None
    delay_rec: np.ndarray | None = None
    loss: str = field(default="mse", validator=choice(LOSSES))
    average: bool = field(default=False, validator=truth())

    def __attrs_post_init__(self):
        gates = {"in": self.cell.gates_in, "rec": self.cell.gates_rec}
        for block in ("in", "rec", "out"):
            self._set_weights(f"w_{block}", len(gates.get(block, [0])))
        n_in, n_rec, n_out = self.n_in, self.n_rec, self.n_out
        shapes = {"in": (n_in, n_rec), "rec": (n_rec, n_rec), "out": (n_rec, n_out)}
        for block, shape in shapes.items():
            name = f"w_{block}"
            self._check_shape(name, getattr(self, name)[..., :, :], shape)
            self._set_mask(f"mask_{block}", shape)
            self._set(name, np.where(getattr(self, f"mask_{block}"), getattr(self, name), 0.0))
            if block != "out":
                self._set_integers(f"delay_{block}", shape)
        if self.feedback is not None:
            feedback = self._numbers("feedback")
            self._check_shape("feedback", feedback, (n_out, n_rec))
            self._set("feedback", feedback)

    @property
    def n_in(self) -> int:
        return self.w_in.shape[-2]

    @property
    def n_rec(self) -> int:
        return self.w_rec.shape[-1]

    @property
    def n_out(self) -> int:
        return self.w_out.shape[-1]

    @property
    def n_states(self) -> int:
        """Hidden states of a unit, among them o_j where the readout is leaky."""
        return len(self.cell.states) + (self.kappa > 0)

    @cached_property
    def blocks(self) -> dict[str, Block]:
        """{name: Block} of the weights onto the recurrent units."""
        cell = self.cell
        return {
            "w_in": Block(cell.gates_in, "input", self.mask_in, self.delay_in),
            "w_rec": Block(cell.gates_rec, "observable", self.mask_rec, self.delay_rec),
        }

    @cached_property
    def recurrent_lags(self) -> dict[int, np.ndarray]:
        """{lag: bool mask (n_rec, n_rec)}: the recurrent connections by the steps they take."""
        lags = {int(d): self.mask_rec & (self.delay_rec == d) for d in np.unique(self.delay_rec)}
        return {1 + d: mask for d, mask in lags.items() if mask.any()} or {1: self.mask_rec}

    @cached_property
    def parameters(self) -> dict[str, np.ndarray]:
        """{name: weights} in the form in which rules see them.

        Weights onto the recurrent units are (gates, n_pre, n_rec), also where there is one gate;
        those of the readout have no axis of gates.
        """
        blocks = {
            name: getattr(self, name).reshape(-1, *block.mask.shape)
            for name, block in self.blocks.items()
        }
        return blocks | {name: getattr(self, name) for name in self.readout_weights}

    @property
    def readout_weights(self) -> tuple[str, ...]:
        """Names of the weights of the readout that learn."""
        return ("w_out",)

    @property
    def rate_regularized(self) -> bool:
        """Whether the loss depends on firing rates."""
        return False

    def mask_of(self, name: str) -> np.ndarray | bool:
        """Which of the weights exist: a bool array of their last axes, or True for all."""
        return getattr(self, f"mask_{name[2:]}") if name.startswith("w_") else True

    def forced(self, targets: np.ndarray, weight: np.ndarray) -> list[np.ndarray] | None:
        """What the units send under teacher forcing; None without.

        Parameters
        ----------
        targets : (batch, T, n_out) ndarray
        weight : (batch, T) ndarray
            0 in the steps that do not count.

        Returns
        -------
        list of T (batch, n_rec) ndarrays, or None
            NaN where a unit sends what it computed.
        """

    @property
    def _name(self):
        return type(self).__name__

    def _set(self, name, value):
        if isinstance(value, np.ndarray):
            # a private copy: the description must not change under the caller's hands
            value = value.copy()
            value.setflags(write=False)
        object.__setattr__(self, name, value)

    def _numbers(self, name):
        return finite_array(f"{self._name}.{name}", getattr(self, name))

    def _set_weights(self, name, gates):
        weights = self._numbers(name)
        if weights.ndim != 2 + (gates > 1) or (gates > 1 and len(weights) != gates):
            leading = f"{gates}, " if gates > 1 else ""
            sizes = "n_rec, n_rec" if name == "w_rec" else "n_pre, n_post"
            raise ValueError(
                f"{self._name}.{name} has shape {weights.shape}; give a matrix "
                f"({leading}{sizes})"
                + (f" for the {gates} gates of {self.cell.name}" if gates > 1 else "")
            )
        if name == "w_rec" and weights.shape[-1] != weights.shape[-2]:
            raise ValueError(
                f"{self._name}.w_rec has shape {weights.shape}; give a square matrix (n_rec, n_rec)"
            )
        self._set(name, weights)

    def _check_shape(self, name, array, shape):
        if array.shape[-len(shape) :] != shape:
            raise ValueError(
                f"{self._name}.{name} has shape {array.shape}; "
                f"give {shape} for n_in={self.n_in}, n_rec={self.n_rec}, n_out={self.n_out} "
                "(row = pre, column = post)"
            )

    def _broadcast(self, name, array, shape):
        try:
            return np.broadcast_to(array, shape)
        except ValueError:
            raise ValueError(
                f"{self._name}.{name} has shape {array.shape}; "
                f"give a single value or an array of shape {shape}"
            ) from None

    def _set_per_unit(self, name, low=-np.inf, high=np.inf, remedy=""):
        array = self._numbers(name)
        outside = (array < low) | (array > high)
        if np.any(outside):
            raise ValueError(
                f"{self._name}.{name} contains {array[outside].flat[0]}; "
                f"give values between {low} and {high}: {remedy}"
            )
        self._set(name, self._broadcast(name, array, (self.n_rec,)))

    def _set_integers(self, name, shape):
        array = np.zeros(()) if getattr(self, name) is None else self._numbers(name)
        wrong = (array < 0) | (array != np.round(array))
        if np.any(wrong):
            raise ValueError(
                f"{self._name}.{name} contains {array[wrong].flat[0]}; "
                "give a whole number of steps, 0 or more"
            )
        self._set(name, self._broadcast(name, array, shape).astype(int))

    def _set_mask(self, name, shape):
        if getattr(self, name) is None:
            mask = self._default_mask(name, shape)
        else:
            mask = self._numbers(name)
            self._check_shape(name, mask, shape)
            if not np.all((mask == 0) | (mask == 1)):
                raise ValueError(
                    f"{self._name}.{name} contains {mask[(mask != 0) & (mask != 1)].flat[0]}; "
                    "give True where a synapse exists and False elsewhere"
                )
        self._set(name, mask.astype(bool))
