"""NumPy oracle: recurrent networks, and their gradients by every rule of the field's taxonomy.

Written from the papers' formulas, in float64; imports nothing of Brian2.
"""

from .computation import finite_differences, gradients
from .drawing import CELLS, draw_network
from .problem import Gradients
from .rate import GRU, LSTM, Elman, Jordan, LeakyRate, RateNetwork
from .rewards import Experience, RewardGradients, reward_gradients
from .rules import RULES
from .simulation import eligibility_traces, simulate
from .spiking import SpikingNetwork

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "RULES",
    "Elman",
    "Experience",
    "Gradients",
    "Jordan",
    "LeakyRate",
    "RateNetwork",
    "RewardGradients",
    "SpikingNetwork",
    "draw_network",
    "eligibility_traces",
    "finite_differences",
    "gradients",
    "reward_gradients",
    "simulate",
]
