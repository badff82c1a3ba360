"""Learning from rewards: agents, their environments, and e-prop with a TD error."""

from .agent import Agent
from .environments import CodedEnvironment, DelayedCues
from .open_loop import Decisions, open_loop_gradients
from .readout import ActorCriticReadout

__all__ = [
    "ActorCriticReadout",
    "Agent",
    "CodedEnvironment",
    "Decisions",
    "DelayedCues",
    "open_loop_gradients",
]
