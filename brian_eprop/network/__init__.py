"""Networks from arrays: description, gradients, training, files."""

from .recurrent import RecurrentNetwork
from .results import Simulation

__all__ = ["RecurrentNetwork", "Simulation"]
