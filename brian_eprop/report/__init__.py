from .gradient_check import GradientCheck, check_gradients
from .page import write_report

__all__ = ["GradientCheck", "check_gradients", "write_report"]
