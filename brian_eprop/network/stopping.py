"""When training ends before its last iteration, judged from its history alone.

A history read from a file leads to the same decision as one in memory: training that is resumed
stops where training without a break does.
"""

import numpy as np
from brian2 import Hz

from ..arguments import ABOVE_0, number
from ..quantities import check_unit

__all__ = ["check_criteria", "diagnosis", "goal_reached", "last_fine", "out_of_patience"]

#: Iterations over which the metric is averaged (the published criterion of evidence
#: accumulation: ten batches).
AVERAGED = 10
#: Iterations in a row in which no neuron fires, or rates are too high: a regularizer may still
#: bring a network back.
SILENT_FOR, RUNAWAY_FOR = 20, 10


def check_criteria(goal, max_rate):
    """Raise an error for a goal that is no number, or a rate that is none above 0."""
    if goal is not None:
        number("goal", goal, "be a number", low=-np.inf, high=np.inf)
    check_unit("max_rate", max_rate, Hz, "200*Hz")
    number("max_rate", max_rate, "be one rate above 0", ABOVE_0, np.inf, any_unit=True)


def goal_reached(history, goal):
    """Whether the mean metric of the last ten iterations is below the goal."""
    recent = [entry["metric"] for entry in history[-AVERAGED:]]
    return len(recent) == AVERAGED and float(np.mean(recent)) < goal


def out_of_patience(history, patience):
    """Whether the last ``patience`` validations were no better than the best before them."""
    found = [entry["validation"] for entry in history if "validation" in entry]
    return len(found) > patience and min(found[-patience:]) >= min(found[:-patience])


def diagnosis(history, max_rate):
    """What has gone wrong with training, in words; None if nothing has.

    Parameters
    ----------
    history : list of dict
    max_rate : float
        In spikes per second.
    """
    last = history[-1]
    if not np.isfinite(last["loss"]):
        return (
            f"the loss is {last['loss']} in iteration {last['iteration']}: training has diverged; "
            "use a smaller learning rate"
        )
    if _streak(history, _silent) >= SILENT_FOR:
        return (
            f"no neuron has fired since iteration {history[-SILENT_FOR]['iteration']}: the network "
            "is silent; use larger initial weights, a smaller learning rate, or a "
            "FiringRateRegularizer"
        )
    if _streak(history, lambda entry: entry["rate"] > max_rate) >= RUNAWAY_FOR:
        return (
            f"the mean rate is {last['rate']:.0f} spikes/s, above max_rate = {max_rate:g} since "
            f"iteration {history[-RUNAWAY_FOR]['iteration']}: activity runs away; use a smaller "
            "learning rate, weaker weights, or a FiringRateRegularizer"
        )
    return None


def last_fine(history, max_rate):
    """Whether the last iteration was neither silent nor above the rate."""
    return not _silent(history[-1]) and not history[-1]["rate"] > max_rate


def _silent(entry):
    return entry["rate"] == 0


def _streak(history, condition):
    """How many entries at the end meet a condition."""
    count = 0
    while count < len(history) and condition(history[-1 - count]):
        count += 1
    return count
