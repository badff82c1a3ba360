"""Training from configurations: run folders, sweeps, clusters, reports, checks."""

from .alignment import Alignment, align
from .configuration import Configuration
from .folder import Result
from .report import write_report
from .run import plot_run, resume, train
from .surroundings import backend
from .sweeps import Sweep, run_sweep, sweep_table
from .verification import GradientCheck, check_gradients, check_script

__all__ = [
    "Alignment",
    "Configuration",
    "GradientCheck",
    "Result",
    "Sweep",
    "align",
    "backend",
    "check_gradients",
    "check_script",
    "plot_run",
    "resume",
    "run_sweep",
    "sweep_table",
    "train",
    "write_report",
]
