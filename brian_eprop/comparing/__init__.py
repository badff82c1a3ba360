"""Learning rules side by side: the study behind ``brian-eprop compare``."""

from .study import RuleComparison
from .table import format_rules, format_table

__all__ = ["RuleComparison", "format_rules", "format_table"]
