"""The recurrent network of the reference: connections, a leaky readout, a loss, their checks."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from attrs import field, fields, frozen

from ..checks import choice, finite_array, keep, real, truth
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
    delay : (n_pre, n_rec) ndarray
        Steps beyond the standard delay.
    """

    gates: list
    source: str
    mask: np.ndarray
    delay: np.ndarray


def decay(remedy):
    """The validator of one number from 0 to 1."""
    return real(f"be one number between 0 and 1: {remedy}", high=1.0)


def split_delays(delay, rounded):
    """Whole steps n of each delay, and the part f of what is sent that takes one step more."""
    if rounded:
        return np.floor(delay + 0.5).astype(int), np.zeros(np.shape(delay))
    whole = np.floor(delay).astype(int)
    return whole, delay - whole


def read_only(array):
    """A private copy: a description must not change under the caller's hands."""
    array = array.copy()
    array.setflags(write=False)
    return array


def array_of(
    *axes, low=-np.inf, high=np.inf, must="", kind=float, gates=None, single=False, default=None
):
    """The validator of an array, which the network keeps as a copy that cannot be written to.

    Parameters
    ----------
    axes : str
        Attributes of the network with the length of each axis, such as "n_rec".
    low, high, must : float, float, str
        What the numbers must be, in numbers and in words.
    kind : type
        float, or int and bool for whole numbers.
    gates : callable, optional
        Cell → length of a first axis, which is absent where that is 1.
    single : bool
        Whether a single value, or an array that NumPy broadcasts, does for all.
    default : callable, optional
        Network and name of the field → what stands for None.
    """

    def validator(network, field, value):
        name = f"{type(network).__name__}.{field.name}"
        absent = value is None and default is not None
        array = finite_array(name, default(network, field.name) if absent else value)
        wrong = (array < low) | (array > high) | ((kind is not float) & (array != np.round(array)))
        if np.any(wrong):
            raise ValueError(f"{name} contains {array[wrong].flat[0]}; give {must}")
        leading = (gates(network.cell),) if gates and gates(network.cell) > 1 else ()
        remedy = f"({', '.join(('gates',) * len(leading) + axes)})"
        try:
            shape = leading + tuple(getattr(network, axis) for axis in axes)
            remedy = f"{remedy} = {shape}"
            if array.shape != shape and not (single or absent):
                raise ValueError
            keep(network, field, read_only(np.broadcast_to(array, shape).astype(kind)))
        except (ValueError, IndexError):
            of_gates = f" for the {leading[0]} gates of {network.cell.name}" if leading else ""
            raise ValueError(
                f"{name} has shape {array.shape}; give {'a single value or ' * single}an array of "
                f"shape {remedy}{of_gates}"
            ) from None

    return validator


def zero(network, name):
    """The default of delays and biases."""
    return 0.0


def mask(*axes):
    """The validator of a matrix that says which connections exist."""

    def default(network, name):
        return network._default_mask(name, getattr(network, f"w_{name[5:]}").shape[-2:])

    must = "True where a synapse exists and False elsewhere"
    return array_of(*axes, low=0, high=1, must=must, kind=bool, default=default)


def steps(*axes):
    """The validator of numbers of steps, whole or not; whole ones are kept as integers."""
    must = "a number of steps, 0 or more"
    as_numbers = array_of(*axes, low=0, must=must, single=True, default=zero)

    def validator(network, field, value):
        as_numbers(network, field, value)
        delays = getattr(network, field.name)
        if np.all(delays == np.floor(delays)):
            keep(network, field, read_only(delays.astype(int)))

    return validator


def whole_steps(*axes):
    """The validator of whole numbers of steps."""
    must = "a whole number of steps, 0 or more"
    return array_of(*axes, low=0, must=must, kind=int, single=True, default=zero)


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
    delay_in, delay_rec : arrays (n_pre, n_post), optional
        Steps d beyond the standard delay (0 for inputs, 1 for recurrent connections). What is not
        whole splits what is sent: 1 − f of it arrives after n = ⌊d⌋ steps and f = d − n after
        n + 1, so that the loss is a continuous function of d.
    rounded : bool
        All of it arrives after ⌊d + ½⌋ steps instead, as in a simulation of spikes.
    loss : {"mse", "cross_entropy", "linear"}
        ½Σ(y − y*)² or −Σ y* log softmax(y), summed over the steps that count.
    average : bool
        Divide loss, learning signal and regularization by the number of steps that count.
    """

    # the first that is checked, since it has the number of units
    w_rec: np.ndarray = field(
        validator=array_of("n_rec", "n_rec", gates=lambda cell: len(cell.gates_rec))
    )
    w_in: np.ndarray = field(
        validator=array_of("n_in", "n_rec", gates=lambda cell: len(cell.gates_in))
    )
    w_out: np.ndarray = field(validator=array_of("n_rec", "n_out"))
    kappa: float = field(default=0.0, validator=decay("exp(-dt/tau_out)"))
    readout_gain: float = field(default=1.0, validator=decay("1 or 1 - kappa"))
    feedback: np.ndarray | None = None
    mask_in: np.ndarray | None = field(default=None, validator=mask("n_in", "n_rec"))
    mask_rec: np.ndarray | None = field(default=None, validator=mask("n_rec", "n_rec"))
    mask_out: np.ndarray | None = None
    delay_in: np.ndarray | None = field(default=None, validator=steps("n_in", "n_rec"))
    delay_rec: np.ndarray | None = field(default=None, validator=steps("n_rec", "n_rec"))
    rounded: bool = field(default=False, validator=truth())
    loss: str = field(default="mse", validator=choice(LOSSES))
    average: bool = field(default=False, validator=truth())

    def __attrs_post_init__(self):
        of = fields(type(self))
        # the number of outputs is known when a subclass has checked its w_out
        mask("n_rec", "n_out")(self, of.mask_out, self.mask_out)
        if self.feedback is not None:
            array_of("n_out", "n_rec")(self, of.feedback, self.feedback)
        for weights in (of.w_in, of.w_rec, of.w_out):
            present = np.where(self.mask_of(weights.name), getattr(self, weights.name), 0.0)
            keep(self, weights, read_only(present))

    @property
    def n_in(self) -> int:
        return np.shape(self.w_in)[-2]

    @property
    def n_rec(self) -> int:
        return np.shape(self.w_rec)[-1]

    @property
    def n_out(self) -> int:
        return np.shape(self.w_out)[-1]

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
    def recurrent_shares(self) -> dict[int, np.ndarray]:
        """{lag: (n_rec, n_rec) array}: which part of what is sent takes so many steps, 0 to 1.

        With an axis of gates in front where these have connections of their own.
        """
        whole, later = split_delays(self.delay_rec, self.rounded)
        shares = {}
        for d in np.unique([whole, whole + 1]):
            share = (whole == d) * (1.0 - later) + (whole + 1 == d) * later
            if np.any(self.mask_rec & (share > 0)):
                shares[1 + int(d)] = share * self.mask_of("w_rec")
        return shares or {1: np.where(self.mask_of("w_rec"), 1.0, np.zeros_like(later))}

    @cached_property
    def recurrent_lags(self) -> dict[int, np.ndarray]:
        """{lag: bool mask (n_rec, n_rec)}: the recurrent connections by the steps they take."""
        n = self.n_rec
        # where gates have connections of their own, those of any gate
        return {
            lag: np.max(share.reshape(-1, n, n) > 0, axis=0)
            for lag, share in self.recurrent_shares.items()
        }

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
        """Which weights or delays exist: a bool array of their last axes, or True for all."""
        kind, _, of = name.partition("_")
        return getattr(self, f"mask_{of}") if kind in ("w", "delay") else True

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
