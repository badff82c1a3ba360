"""Cells, one module each: the step of a unit and its Jacobians.

Spiking cells are parts of a :class:`~brian_eprop.reference.networks.spiking.SpikingNetwork`, the
others of a :class:`~brian_eprop.reference.networks.rate.RateNetwork`.
"""

from .alif import ALIF
from .elman import Elman
from .gru import GRU
from .jordan import Jordan
from .leaky_rate import LeakyRate
from .lif import LIF
from .lstm import LSTM

__all__ = ["ALIF", "CELLS", "GRU", "LIF", "LSTM", "Elman", "Jordan", "LeakyRate"]

#: name → class
CELLS = {cell.name: cell for cell in (LIF, ALIF, Elman, Jordan, LeakyRate, LSTM, GRU)}
