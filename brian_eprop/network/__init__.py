"""Networks from arrays: description, gradients, training, files, and the check of neuron models."""

from . import connectivity
from .model_check import CheckReport, check_model
from .recurrent import RecurrentNetwork
from .results import Simulation

__all__ = ["CheckReport", "RecurrentNetwork", "Simulation", "check_model", "connectivity"]
