"""Description of a recurrent network of rate units by plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..cells import GRU, LSTM, Elman, Jordan, LeakyRate
from .network import Block, Network

__all__ = ["RateNetwork"]


@dataclass(frozen=True, eq=False, kw_only=True)
class RateNetwork(Network):
    """One hidden layer of rate units: tanh, leaky, LSTM, GRU.

    Parameters
    ----------
    w_in, w_rec, w_out, kappa, readout_gain, feedback
        See :class:`~brian_eprop.reference.networks.network.Network`.
    mask_in, mask_rec, mask_out, delay_in, delay_rec : arrays, optional
        Likewise; `mask_rec` defaults to what the cell has: all-to-all with self-connections, or
        the two layers of Jordan.
    loss, average
        See :class:`~brian_eprop.reference.networks.network.Network`.
    cell : Elman, LeakyRate, Jordan, LSTM or GRU
        An object of `brian_eprop.reference.cells`; its docstring has the equations.
    bias : (n_rec,) or (gates, n_rec) array, optional
        Of every drive; default 0.
    bias_out : (n_out,) array, optional
        Of the readout, not filtered; default 0.
    visible : int
        The number of units that are themselves the outputs, y_k = h_k; they are the last ones.
        `w_out` is then left out, and does not learn.
    teacher_forcing : bool
        In training, let the visible units send their targets instead of what they computed, in
        the steps that count (Williams & Zipser 1989).

    Raises
    ------
    ValueError
        Wrong shape, a value that is not finite or out of range, or an unknown name.
    """

    cell: Elman | LeakyRate | Jordan | LSTM | GRU
    # None is replaced by the visible units
    w_out: np.ndarray | None = None  # type: ignore[assignment]
    bias: np.ndarray | None = None
    bias_out: np.ndarray | None = None
    visible: int = 0
    teacher_forcing: bool = False

    def __post_init__(self):
        self._set_visible()
        super().__post_init__()
        gates = self.cell.gates
        shape = (self.n_rec,) if gates == 1 else (gates, self.n_rec)
        for name, expected in (("bias", shape), ("bias_out", (self.n_out,))):
            value = getattr(self, name)
            bias = np.zeros(expected) if value is None else self._numbers(name, value)
            if bias.shape != expected:
                raise ValueError(
                    f"{self._name}: '{name}' has shape {bias.shape}; give {expected}"
                    + (f" for the {gates} gates of {self.cell.name}" if name == "bias" else "")
                )
            self._set(name, bias)
        self.cell.check(self)

    def _set_visible(self):
        if isinstance(self.visible, bool) or self.visible != int(self.visible) or self.visible < 0:
            raise ValueError(
                f"{self._name}: 'visible' is {self.visible!r}; give a number of units, 0 or more"
            )
        self._set("teacher_forcing", bool(self.teacher_forcing))
        if not self.visible:
            if self.w_out is None:
                raise ValueError(
                    f"{self._name}: 'w_out' is None; give a matrix (n_rec, n_out), or make the "
                    "last units the outputs with 'visible'"
                )
            if self.teacher_forcing:
                raise ValueError(
                    f"{self._name}: 'teacher_forcing' is True, but no unit has a target; say with "
                    "'visible' how many of the last units are the outputs"
                )
            return
        n_rec = np.shape(self.w_rec)[-1] if np.ndim(self.w_rec) >= 2 else 0
        if self.visible > n_rec:
            raise ValueError(
                f"{self._name}: 'visible' is {self.visible}, but there are {n_rec} units"
            )
        selection = np.eye(n_rec)[:, n_rec - self.visible :]
        # a changed copy of a network brings its selection along
        if self.w_out is not None and not np.array_equal(self.w_out, selection):
            raise ValueError(
                f"{self._name}: 'w_out' is given, but the last {self.visible} units are the "
                "outputs; leave 'w_out' or 'visible' away"
            )
        self._set("w_out", selection)

    @cached_property
    def blocks(self) -> dict[str, Block]:
        every = list(range(self.cell.gates))
        one = np.ones((1, self.n_rec), dtype=bool)
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
