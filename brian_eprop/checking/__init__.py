"""Checks of a user's own network: gradients against finite differences of the network that runs.

:meth:`~brian_eprop.learning.learner.Learner.check` begins here. Nothing of the engines is used.
"""

from .report import CheckedDerivative, NetworkCheck

__all__ = [
    "CheckedDerivative",
    "NetworkCheck",
]
