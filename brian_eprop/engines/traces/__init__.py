"""The engine ``traces``: every synapse carries its eligibility trace, advanced every step."""

from .engine import Traces

__all__ = ["Traces"]
