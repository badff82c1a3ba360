"""Learning rates that change with the number of updates, as expressions like the optimizers.

Each is written in ``updates``, the number of the update, 1 in the first: Brian2 runs it per
synapse, NumPy per array, and training that is continued goes on where it was.
"""

from dataclasses import dataclass, fields

import numpy as np
from brian2.units import DimensionMismatchError
from brian2.units.fundamentalunits import Quantity, get_dimensions

from .arguments import number, whole_number


@dataclass(frozen=True)
class StepDecay:
    """η_n = start · factor^⌊(n − 1)/every⌋ in update n = 1, 2, …

    Parameters
    ----------
    start : float or Quantity
        η in the first update, as for the optimizer.
    factor : float
        Between 0 and 1.
    every : int
        Updates between two steps.

    Raises
    ------
    ValueError
        For a value that is out of range.
    """

    start: float | Quantity
    factor: float
    every: int

    def __post_init__(self):
        _check(self, "every")
        number("StepDecay.factor", self.factor, "be at most 1", high=1.0)

    @property
    def expression(self) -> str:
        """η_n as a Brian2 expression in ``updates``."""
        start, factor = float(self.start), float(self.factor)
        return f"{start!r}*{factor!r}**floor((updates - 1)/{float(self.every)!r})"


@dataclass(frozen=True)
class CosineDecay:
    """η_n = end + ½ (start − end)(1 + cos(π m/over)), m = min(n − 1, over).

    n = 1, 2, … is the number of the update (Loshchilov & Hutter 2017, arXiv 1608.03983, Eq. 5,
    without restarts).

    Parameters
    ----------
    start, end : float or Quantity
        η in the first update, and from update ``over`` + 1 on.
    over : int
        Updates from the one to the other.

    Raises
    ------
    ValueError, DimensionMismatchError
        For a value that is out of range, or two of different units.
    """

    start: float | Quantity
    end: float | Quantity
    over: int

    def __post_init__(self):
        _check(self, "over")
        if get_dimensions(self.start) is not get_dimensions(self.end):
            raise DimensionMismatchError(
                f"CosineDecay.start = {self.start!r} and CosineDecay.end = {self.end!r} have "
                "different units"
            )

    @property
    def expression(self) -> str:
        """η_n as a Brian2 expression in ``updates``."""
        start, end, over = float(self.start), float(self.end), float(self.over)
        phase = f"{np.pi!r}*clip((updates - 1)/{over!r}, 0, 1)"
        return f"({end!r} + {(start - end) / 2!r}*(1 + cos({phase})))"


SCHEDULES = {cls.__name__: cls for cls in (StepDecay, CosineDecay)}


def rate_expression(learning_rate):
    """A learning rate, constant or not, as an expression in ``updates``."""
    return getattr(learning_rate, "expression", None) or repr(float(learning_rate))


def check_rate(name, learning_rate):
    """Raise an error unless it is a schedule or a finite number ≥ 0, of any unit."""
    if not isinstance(learning_rate, tuple(SCHEDULES.values())):
        number(name, learning_rate, any_unit=True)


def start_of(learning_rate):
    """The learning rate of the first update."""
    return getattr(learning_rate, "start", learning_rate)


def _check(schedule, count):
    kind = type(schedule).__name__
    for field in fields(schedule):
        name, value = f"{kind}.{field.name}", getattr(schedule, field.name)
        if field.name == count:
            whole_number(name, value)
        else:
            number(name, value, any_unit=field.name in ("start", "end"))
