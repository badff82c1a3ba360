"""Training from configurations: run folders, sweeps, clusters."""

from .cluster import backend
from .configuration import Configuration
from .result import Result
from .run import plot_run, resume, train
from .sweeps import Sweep, run_sweep, sweep_table

__all__ = [
    "Configuration",
    "Result",
    "Sweep",
    "backend",
    "plot_run",
    "resume",
    "run_sweep",
    "sweep_table",
    "train",
]
