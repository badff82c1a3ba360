"""Learning from rewards: agents, their environments, and e-prop with a TD error."""

from .agent import Agent, Episode
from .environments import CodedEnvironment, DelayedCues
from .readout import ActorCriticReadout

__all__ = ["ActorCriticReadout", "Agent", "CodedEnvironment", "DelayedCues", "Episode"]
