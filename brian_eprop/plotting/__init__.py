"""Figures: spikes, membranes, traces, readouts, learning curves, weights, rules, and networks.

A film of learning is a callback of training, :class:`LearningAnimation`. Every function takes
plain arrays, draws into ``ax`` (the current axes if None) and returns
the axes. Times may be Brian2 quantities or numbers in ms. The figures can be read in grey and
by the colour-blind.
"""

from .alignment import plot_alignment, plot_rule_alignment
from .animation import LearningAnimation
from .behaviour import plot_psychometric, plot_reaction_times, plot_task
from .fitting import plot_fit
from .learning import plot_gradient_match, plot_learning_curve, plot_weights
from .network import plot_network
from .rules import (
    plot_cost,
    plot_order,
    plot_rule_errors,
    plot_rule_learning,
    plot_rule_map,
    plot_spread,
)
from .signals import plot_eligibility, plot_raster, plot_readout, plot_traces
from .style import DIVERGING
from .trial import plot_decision, plot_trial

__all__ = [
    "DIVERGING",
    "LearningAnimation",
    "plot_alignment",
    "plot_cost",
    "plot_decision",
    "plot_eligibility",
    "plot_fit",
    "plot_gradient_match",
    "plot_learning_curve",
    "plot_network",
    "plot_order",
    "plot_psychometric",
    "plot_raster",
    "plot_reaction_times",
    "plot_readout",
    "plot_rule_alignment",
    "plot_rule_errors",
    "plot_rule_learning",
    "plot_rule_map",
    "plot_spread",
    "plot_task",
    "plot_traces",
    "plot_trial",
    "plot_weights",
]
