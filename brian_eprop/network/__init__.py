"""Networks from arrays: description, gradients, training, files."""

from .recurrent import RecurrentNetwork, Simulation

__all__ = ["RecurrentNetwork", "Simulation"]
