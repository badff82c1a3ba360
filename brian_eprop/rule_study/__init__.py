"""Learning rules side by side: trained with the reference, compared, counted, and in a table.

The study behind ``brian-eprop compare``. Nothing of the reference depends on it.
"""

from .alignment import AlignmentMonitor
from .comparison import Comparison, compare, compare_own_network
from .learning import Training, train
from .study import RuleComparison, format_rules, format_table
from .tasks import TASKS

__all__ = [
    "TASKS",
    "AlignmentMonitor",
    "Comparison",
    "RuleComparison",
    "Training",
    "compare",
    "compare_own_network",
    "format_rules",
    "format_table",
    "train",
]
