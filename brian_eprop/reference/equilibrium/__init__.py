"""Learning at a fixed point: recurrent backpropagation and equilibrium propagation.

Dense NumPy code in float64 for rate networks that settle, with the implicit function theorem
as the oracle.
"""

from .equilibrium_propagation import equilibrium_propagation
from .implicit import fixed_point_gradient
from .network import ConvergentNetwork
from .recurrent_backpropagation import recurrent_backpropagation
from .relaxation import FixedPoint, NotConverged, fixed_point
from .results import EquilibriumGradient

__all__ = [
    "ConvergentNetwork",
    "EquilibriumGradient",
    "FixedPoint",
    "NotConverged",
    "equilibrium_propagation",
    "fixed_point",
    "fixed_point_gradient",
    "recurrent_backpropagation",
]
