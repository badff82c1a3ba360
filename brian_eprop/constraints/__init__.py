"""What the weights of a network must obey, from the start and after every update."""

from typing import TypeAlias

from .deep_r import DeepR
from .limits import MATRICES, Bounds, DaleLaw, WeightDecay

__all__ = ["CONSTRAINTS", "MATRICES", "Bounds", "DaleLaw", "DeepR", "WeightDecay"]

Constraint: TypeAlias = DaleLaw | Bounds | WeightDecay | DeepR
CONSTRAINTS = {cls.__name__: cls for cls in (DaleLaw, Bounds, WeightDecay, DeepR)}
