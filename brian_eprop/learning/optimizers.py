"""Optimizers and learning rates, as statements that Brian2 runs per synapse and NumPy per array.

Each is a few lines of code in the names ``_gradient`` (dE/dw), ``updates`` (how many updates
there have been, this one included) and its own state variables; they assign ``_step``, which
is then subtracted from the weight. A learning rate that changes is an expression of ``updates``,
so that training that is continued goes on where it was.
"""

from abc import ABC, abstractmethod
from collections.abc import MutableMapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from brian2.units import DimensionMismatchError
from brian2.units.fundamentalunits import Dimension, Quantity, get_dimensions

from ..checks import BELOW_1, number, unit_name, whole_number
from ..types import Floats


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


#: Of Brian2's functions those that the statements use.
FUNCTIONS = {"sqrt": np.sqrt, "floor": np.floor, "cos": np.cos, "clip": np.clip}


class Optimizer(ABC):
    """What an optimizer must say of itself; see :class:`GradientDescent`."""

    #: Its variables, one value per weight, 0 at the start, and the power of the weight's unit
    #: that each is in.
    state: ClassVar[dict] = {}
    #: The learning rate is in units of the weight to this power.
    weight_power = 1
    learning_rate: float | Quantity | StepDecay | CosineDecay

    def __post_init__(self):
        kind = type(self).__name__
        for field in fields(self):
            name, value = f"{kind}.{field.name}", getattr(self, field.name)
            if field.name == "learning_rate":
                check_rate(name, value)
            elif field.name.startswith("beta"):
                number(name, value, "be a number ≥ 0 and below 1", high=BELOW_1)
            else:
                number(name, value)

    @property
    @abstractmethod
    def statements(self) -> str:
        """Brian2 statements that turn ``_gradient`` into ``_step``."""

    def check_unit(self, weight: str, unit: Dimension) -> None:
        """Raise an error unless the learning rate fits a weight of the given dimensions."""
        expected = unit**self.weight_power
        given = get_dimensions(start_of(self.learning_rate))
        if given is not expected:
            raise DimensionMismatchError(
                f"{type(self).__name__}.learning_rate = {self.learning_rate!r} does not fit the "
                f"weight '{weight}': it must have the unit '{unit_name(expected)}'. To train "
                "weights of different units with one optimizer, make them dimensionless and put "
                "the unit into on_pre, as in 'g_post += w*nS'"
            )

    def step(self, gradient: Floats, state: MutableMapping[str, Floats], updates: int) -> Floats:
        """What one update subtracts from an array of weights, by the same statements in NumPy.

        Parameters
        ----------
        gradient : ndarray
        state : dict of str to ndarray
            Its own variables; changed in place. Missing ones are taken as 0.
        updates : int
            1 in the first update.

        Returns
        -------
        ndarray
        """
        names: dict[str, Any] = {n: state.get(n, np.zeros_like(gradient)) for n in self.state}
        names |= {"_gradient": gradient, "updates": updates} | FUNCTIONS
        exec(self.statements, {}, names)
        state.update({name: names[name] for name in self.state})
        return names["_step"]


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """w ← w − η dE/dw.

    Parameters
    ----------
    learning_rate : float, Quantity, StepDecay or CosineDecay
        η, in units of the weight squared.
    """

    learning_rate: float | Quantity | StepDecay | CosineDecay
    weight_power = 2

    @property
    def statements(self) -> str:
        """Brian2 statements that turn ``_gradient`` into ``_step``."""
        return f"_step = {rate_expression(self.learning_rate)}*_gradient"


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam in TensorFlow's form, with ε outside the bias correction.

    ::

        m ← β₁ m + (1 − β₁) g,   s ← β₂ s + (1 − β₂) g²
        w ← w − η √(1 − β₂^n)/(1 − β₁^n) · m/(√s + ε)

    (Kingma & Ba 2015, arXiv 1412.6980, the reordered form at the end of §2; there ε is
    called ε-hat.)

    Parameters
    ----------
    learning_rate : float, Quantity, StepDecay or CosineDecay
        η, in units of the weight.
    beta_1, beta_2, epsilon : float
    """

    learning_rate: float | Quantity | StepDecay | CosineDecay
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    state: ClassVar[dict] = {"adam_m": -1, "adam_s": -2}

    @property
    def statements(self) -> str:
        """Brian2 statements that turn ``_gradient`` into ``_step``."""
        b1, b2 = float(self.beta_1), float(self.beta_2)
        return (
            f"adam_m = {b1!r}*adam_m + {1 - b1!r}*_gradient\n"
            f"adam_s = {b2!r}*adam_s + {1 - b2!r}*_gradient**2\n"
            f"_step = {rate_expression(self.learning_rate)}*sqrt(1 - {b2!r}**updates)"
            f"/(1 - {b1!r}**updates)*adam_m/(sqrt(adam_s) + {float(self.epsilon)!r})"
        )
