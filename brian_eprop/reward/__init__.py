"""Learning from rewards: agents, their environments, and e-prop with a TD error."""

from .readout import ActorCriticReadout

__all__ = ["ActorCriticReadout"]
