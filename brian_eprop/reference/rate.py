"""Rate networks: cells of Elman and Jordan, leaky units, LSTM and GRU, and arrays of weights."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from ..checks import ABOVE_0, keep, real, truth, whole
from .network import Block, Network, array_of, read_only, zero
from .step import Step


class RateCell:
    """A rate unit: its hidden states, its drives, and `advance`, its step with the Jacobians.

    Attributes
    ----------
    name : str
    states : tuple of str
    gates : int
        Number of its drives.
    gates_in, gates_rec : list of int
        Which of them inputs and recurrent connections feed.
    """

    name: ClassVar[str]
    states: ClassVar[tuple[str, ...]] = ("h",)
    gates: ClassVar = 1
    gates_in: ClassVar = [0]
    gates_rec: ClassVar = [0]

    def check(self, network: RateNetwork) -> None:
        """Every network fits."""

    def default_mask(self, network: RateNetwork, name: str, shape: tuple[int, int]) -> np.ndarray:
        """All-to-all, self-connections included."""
        return np.ones(shape, dtype=bool)


def one_state(h, decay, gain) -> Step:
    """The step of a unit whose one state is its observable, c = h.

    Parameters
    ----------
    h, decay : (batch, n_rec) ndarray
        c, and D = ∂h^t/∂h^{t−1}.
    gain : (gates, batch, n_rec) ndarray
        K.
    """
    one = np.ones((1, *h.shape))
    return Step(
        state=h[np.newaxis],
        observable=h,
        implicit=decay * one[np.newaxis],
        observation=one,
        drive=gain[np.newaxis],
        self_edge=np.zeros_like(one),
    )


def rate_step(before, u, leak, phi, slope) -> Step:
    """c^t = (1 − leak) c^{t−1} + leak φ(u), h = c, for any cell of this form.

    Parameters
    ----------
    before : Step or None
    u : (batch, n_rec) ndarray
    leak : float
    phi, slope : (batch, n_rec) ndarrays
        φ(u) and φ'(u).
    """
    last = np.zeros_like(u) if before is None else before.state[0]
    return one_state((1 - leak) * last + leak * phi, 1 - leak, leak * slope[np.newaxis])


def leak():
    """The validator of dt/τ."""
    return real("be dt/τ, above 0 and at most 1", low=ABOVE_0, high=1.0)


@frozen
class LeakyRate(RateCell):
    """The leaky unit of RFLO (Murray 2019, eLife 8:e43299, Eq. 1).

    ::

        h_j^t = (1 − a) h_j^{t−1} + a tanh(u_j^t)
        D = 1 − a,  K_j = a (1 − tanh²(u_j)),  q = 1

    Parameters
    ----------
    leak : float
        a = dt/τ, above 0 and at most 1.
    """

    leak: float = field(default=0.1, validator=leak())

    name: ClassVar = "leaky_rate"

    def advance(
        self, network: RateNetwork, before: Step | None, drive: np.ndarray, held: Any
    ) -> Step:
        """The next step; nothing is ever held."""
        phi = np.tanh(drive[0])
        return rate_step(before, drive[0], self.leak, phi, 1 - phi**2)


@frozen
class Elman(RateCell):
    """The tanh unit of Elman 1990, Cognitive Science 14(2): all its memory is explicit.

    ::

        h_j^t = tanh(u_j^t)
        D = 0,  K_j = 1 − h_j²,  q = 1
    """

    name: ClassVar = "elman"

    def advance(
        self, network: RateNetwork, before: Step | None, drive: np.ndarray, held: Any
    ) -> Step:
        """The next step; nothing is ever held."""
        h = np.tanh(drive[0])
        return rate_step(before, drive[0], 1.0, h, 1 - h**2)


@frozen
class Jordan(RateCell):
    """A network whose only recurrence leads through its outputs (Jordan 1986).

    The outputs are units of the layer, the last `visible` ones of the network; every connection
    takes one step, as in the networks of Williams & Zipser 1989. So the weights onto the outputs
    are recurrent weights, and every rule treats them as such::

        hidden  h_j^t = tanh(u_j^t)     from the inputs and the outputs of the step before
        output  y_k^t = u_k^t           from the hidden units of the step before
        D = 0,  K = 1 − h² or 1,  q = 1
    """

    name: ClassVar = "jordan"

    def check(self, network: RateNetwork) -> None:
        """Refuse connections that go round the outputs."""
        if not network.visible:
            raise ValueError(
                f"RateNetwork.visible = {network.visible}, but the recurrence of Jordan leads "
                "through outputs; say how many of the last units are the outputs"
            )
        for name in ("mask_in", "mask_rec"):
            mask = getattr(network, name)
            allowed = self.default_mask(network, name, mask.shape)
            if np.any(mask & ~allowed):
                i, j = np.argwhere(mask & ~allowed)[0]
                raise ValueError(
                    f"RateNetwork.{name}[{i}, {j}] is True; in a network of Jordan inputs and "
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


def logistic(u):
    """1/(1 + exp(−u)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * u))


@frozen
class LSTM(RateCell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000)::

        i = σ(u_0),  f = σ(u_1),  g = tanh(u_2),  o = σ(u_3)
        c^t = f c^{t−1} + i g,      h^t = o tanh(c^t)
        D = [[f, 0], [0, 0]],       q = (o (1 − tanh²c), tanh c)
        K = c-row (g i(1 − i), c^{t−1} f(1 − f), i (1 − g²), 0), o-row (0, 0, 0, o(1 − o))

    The output gate is a second hidden state without memory: so h is a function of the states, as
    every rule expects, and c is the implicit recurrence (Bellec et al. 2020, supplement).
    `w_in`, `w_rec` and `bias` have the axis (i, f, g, o).
    """

    name: ClassVar = "lstm"
    states: ClassVar = ("c", "o")
    gates: ClassVar = 4
    gates_in: ClassVar = [0, 1, 2, 3]
    gates_rec: ClassVar = [0, 1, 2, 3]

    def advance(
        self, network: RateNetwork, before: Step | None, drive: np.ndarray, held: Any
    ) -> Step:
        """The next step; nothing is ever held."""
        last = np.zeros_like(drive[0]) if before is None else before.state[0]
        i, f, o = logistic(drive[[0, 1, 3]])
        g = np.tanh(drive[2])
        c = f * last + i * g
        squashed = np.tanh(c)
        implicit = np.zeros((2, 2, *c.shape))
        implicit[0, 0] = f
        gain = np.zeros((2, 4, *c.shape))
        gain[0, :3] = g * i * (1 - i), last * f * (1 - f), i * (1 - g**2)
        gain[1, 3] = o * (1 - o)
        return Step(
            state=np.stack([c, o]),
            observable=o * squashed,
            implicit=implicit,
            observation=np.stack([o * (1 - squashed**2), squashed]),
            drive=gain,
            self_edge=np.zeros((2, *c.shape)),
        )


@frozen
class GRU(RateCell):
    """The gated recurrent unit with the reset gate after the recurrent product::

        r = σ(u_0),  z = σ(u_1),  h̃ = tanh(u_2 + r u_3)
        h^t = z h^{t−1} + (1 − z) h̃
        D = z,  q = 1
        K = (k u_3 r(1 − r), (h^{t−1} − h̃) z(1 − z), k, k r),  k = (1 − z)(1 − h̃²)

    The drives u are those of reset gate, update gate, and the candidate's from the inputs (u_2)
    and from the recurrent connections (u_3). `w_in` has the axis (r, z, u_2), `w_rec`
    (r, z, u_3), `bias` all four. Only in this form, in which the gate of a unit acts on that
    unit alone, does a weight act in one step on one unit (as in Menick et al. 2020,
    arXiv 2006.07232). Cho et al. 2014, arXiv 1406.1078.
    """

    name: ClassVar = "gru"
    gates: ClassVar = 4
    gates_in: ClassVar = [0, 1, 2]
    gates_rec: ClassVar = [0, 1, 3]

    def advance(
        self, network: RateNetwork, before: Step | None, drive: np.ndarray, held: Any
    ) -> Step:
        """The next step; nothing is ever held."""
        last = np.zeros_like(drive[0]) if before is None else before.state[0]
        r, z = logistic(drive[:2])
        candidate = np.tanh(drive[2] + r * drive[3])
        h = z * last + (1 - z) * candidate
        onto_candidate = (1 - z) * (1 - candidate**2)
        gains = [
            onto_candidate * drive[3] * r * (1 - r),
            (last - candidate) * z * (1 - z),
            onto_candidate,
            onto_candidate * r,
        ]
        return one_state(h, z, np.stack(gains))


@frozen(eq=False, kw_only=True, slots=False)
class RateNetwork(Network):
    """One hidden layer of rate units: tanh, leaky, LSTM, GRU.

    Parameters
    ----------
    w_rec, w_in, kappa, readout_gain, feedback
        See :class:`~brian_eprop.reference.network.Network`.
    mask_in, mask_rec, mask_out, delay_in, delay_rec : arrays, optional
    rounded : bool
        Likewise; `mask_rec` defaults to what the cell has: all-to-all with self-connections, or
        the two layers of Jordan.
    loss, average
        See :class:`~brian_eprop.reference.network.Network`.
    cell : Elman, LeakyRate, Jordan, LSTM or GRU
        An object of `brian_eprop.reference.rate`; its docstring has the equations.
    visible : int
        The number of units that are themselves the outputs, y_k = h_k; they are the last ones.
        `w_out` is then left out, and does not learn.
    teacher_forcing : bool
        In training, let the visible units send their targets instead of what they computed, in
        the steps that count (Williams & Zipser 1989).
    w_out : (n_rec, n_out) array, optional
        See :class:`~brian_eprop.reference.network.Network`; left out with `visible`.
    bias : (n_rec,) or (gates, n_rec) array, optional
        Of every drive; default 0.
    bias_out : (n_out,) array, optional
        Of the readout, not filtered; default 0.

    Raises
    ------
    ValueError
        Wrong shape, a value that is not finite or out of range, or an unknown name.
    """

    cell: Elman | LeakyRate | Jordan | LSTM | GRU
    visible: int = field(default=0, validator=whole(0))
    teacher_forcing: bool = field(default=False, validator=truth())
    # None is replaced by the visible units
    w_out: np.ndarray | None = field(default=None)  # type: ignore[assignment]
    bias: np.ndarray | None = field(
        default=None, validator=array_of("n_rec", gates=lambda cell: cell.gates, default=zero)
    )
    bias_out: np.ndarray | None = field(default=None, validator=array_of("n_out", default=zero))

    @w_out.validator
    def _of_visible_units(self, field, value):
        name = type(self).__name__
        if not self.visible:
            if value is None:
                raise ValueError(
                    f"{name}.w_out = None; give a matrix (n_rec, n_out), or make the "
                    "last units the outputs with 'visible'"
                )
            if self.teacher_forcing:
                raise ValueError(
                    f"{name}.teacher_forcing = True, but no unit has a target; say with "
                    "'visible' how many of the last units are the outputs"
                )
            array_of("n_rec", "n_out")(self, field, value)
            return
        if self.visible > self.n_rec:
            raise ValueError(f"{name}.visible = {self.visible}, but there are {self.n_rec} units")
        selection = np.eye(self.n_rec)[:, self.n_rec - self.visible :]
        # a changed copy of a network brings its selection along
        if value is not None and not np.array_equal(value, selection):
            raise ValueError(
                f"{name}.w_out = given, but the last {self.visible} units are the "
                "outputs; leave 'w_out' or 'visible' away"
            )
        keep(self, field, read_only(selection))

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.cell.check(self)

    @cached_property
    def blocks(self) -> dict[str, Block]:
        every, one = list(range(self.cell.gates)), np.ones((1, self.n_rec), dtype=bool)
        return super().blocks | {"bias": Block(every, "one", one, np.zeros((1, self.n_rec), int))}

    @property
    def readout_weights(self) -> tuple[str, ...]:
        """Names of the weights of the readout that learn."""
        return () if self.visible else ("w_out", "bias_out")

    def forced(self, targets: np.ndarray, weight: np.ndarray) -> list[np.ndarray] | None:
        """Targets in place of the observables of the visible units, in the steps that count."""
        if not self.teacher_forcing:
            return None
        sent = np.full((*targets.shape[:2], self.n_rec), np.nan)
        counts = weight[..., np.newaxis] > 0
        sent[..., self.n_rec - self.visible :] = np.where(counts, targets, np.nan)
        return list(sent.swapaxes(0, 1))

    def _default_mask(self, name, shape):
        return self.cell.default_mask(self, name, shape)


#: The cells of a RateNetwork.
RATE_CELLS = (Elman, Jordan, LeakyRate, LSTM, GRU)
