"""Is what Brian2 computes right? Traces and gradients against finite differences of its own step.

Of a neuron model, in a small network of its own (`check_model`), and of any network that a user
has built (`Learner.check`).
"""

from .comparison import CheckReport, check_model
from .network_report import CheckedDerivative, NetworkCheck
from .script import check_script

__all__ = ["CheckReport", "CheckedDerivative", "NetworkCheck", "check_model", "check_script"]
