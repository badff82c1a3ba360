"""How a run ended."""

from dataclasses import dataclass
from typing import get_args

import numpy as np

from ..network.stopping import goal_reached, out_of_patience
from ..types import Ending

__all__ = ["Result", "ending", "result_of"]


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes
    ----------
    ended : {"iterations", "goal", "patience", "interrupted", "diverged"}
    diagnosis : str
        What went wrong, if it diverged.
    iterations : int
    first_loss, loss, rate, metric : float or None
        Of the first iteration, and means over the last ten.
    validation : float or None
        The best.
    test : float or None
        The metric of trials that were used for nothing else.
    seconds : float
    """

    ended: Ending
    diagnosis: str
    iterations: int
    first_loss: float | None
    loss: float | None
    rate: float | None
    metric: float | None
    validation: float | None
    test: float | None
    seconds: float

    def __post_init__(self):
        if self.ended not in get_args(Ending):
            raise ValueError(f"ended = {self.ended!r} is not one of {', '.join(get_args(Ending))}")
        for name in ("iterations", "seconds"):
            if not isinstance(getattr(self, name), int | float):
                raise ValueError(f"{name} = {getattr(self, name)!r} is no number")


def ending(configuration, history):
    """Why a history ended where it did."""
    setup = configuration.setup
    if history and setup.goal is not None and goal_reached(history, setup.goal):
        return "goal"
    if history and setup.patience is not None and out_of_patience(history, setup.patience):
        return "patience"
    return "iterations"


def result_of(configuration, history, interrupted, diagnosis, test):
    def recent(name):
        values = [entry[name] for entry in history[-10:] if name in entry]
        return float(np.mean(values)) if values else None

    ended = ending(configuration, history)
    if diagnosis:
        ended = "diverged"
    elif interrupted and ended == "iterations" and len(history) < configuration.setup.iterations:
        ended = "interrupted"
    return Result(
        ended=ended,
        diagnosis=diagnosis,
        iterations=len(history),
        first_loss=history[0]["loss"] if history else None,
        loss=recent("loss"),
        rate=recent("rate"),
        metric=recent("metric"),
        validation=min((e["validation"] for e in history if "validation" in e), default=None),
        test=test,
        seconds=history[-1]["seconds"] if history else 0.0,
    )
