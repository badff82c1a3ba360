"""NumPy oracle: networks of LIF and ALIF neurons and the gradients of every rule.

Written from the papers' formulas, dense and in float64; imports nothing of Brian2.
"""

from .computation import gradients
from .network import SpikingNetwork
from .results import Gradients
from .rules import RULES
from .simulation import simulate
from .traces import eligibility_traces

__all__ = [
    "RULES",
    "Gradients",
    "SpikingNetwork",
    "eligibility_traces",
    "gradients",
    "simulate",
]
