"""Is what Brian2 computes for a model right? Traces against finite differences of its own step."""

from .comparison import CheckReport, check_model

__all__ = ["CheckReport", "check_model"]
