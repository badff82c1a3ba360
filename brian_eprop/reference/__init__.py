"""NumPy oracle: recurrent networks, and their gradients by every rule of the field's taxonomy.

Written from the papers' formulas, in float64; imports nothing of Brian2.
"""

from .cells import CELLS, GRU, LSTM, Elman, Jordan, LeakyRate
from .computation import gradients
from .finite_differences import finite_differences
from .learning import Training, train
from .networks.drawing import draw_network
from .networks.rate import RateNetwork
from .networks.spiking import SpikingNetwork
from .optimizers import SGD, Adam
from .results import Gradients
from .rewards import Experience, RewardGradients, reward_gradients
from .rules import RULES
from .tasks import TASKS
from .traces import eligibility_traces
from .trajectory import simulate

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "RULES",
    "SGD",
    "TASKS",
    "Adam",
    "Elman",
    "Experience",
    "Gradients",
    "Jordan",
    "LeakyRate",
    "RateNetwork",
    "RewardGradients",
    "SpikingNetwork",
    "Training",
    "draw_network",
    "eligibility_traces",
    "finite_differences",
    "gradients",
    "reward_gradients",
    "simulate",
    "train",
]
