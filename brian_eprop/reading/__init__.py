"""Reading the network that runs: what computes in it, in which order, and on what it acts."""

from .network import NetworkReading, UnreadableNetworkError
from .reader import NetworkReader

__all__ = [
    "NetworkReader",
    "NetworkReading",
    "UnreadableNetworkError",
]
