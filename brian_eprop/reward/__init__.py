"""Learning from rewards: agents, their environments, and e-prop with a TD error."""

from .agent import Agent
from .closed_loop import ActorCriticReadout
from .environments import CodedEnvironment
from .open_loop import Decisions, DelayedCues, open_loop_gradients

__all__ = [
    "ActorCriticReadout",
    "Agent",
    "CodedEnvironment",
    "Decisions",
    "DelayedCues",
    "open_loop_gradients",
]
