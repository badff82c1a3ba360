"""Optimizers and learning rates, as statements that Brian2 runs per synapse and NumPy per array.

Each is a few lines of code in the names ``_gradient`` (dE/dw), ``updates`` (how many updates
there have been, this one included) and its own state variables; they assign ``_step``, which
is then subtracted from the weight. A learning rate that changes is an expression of ``updates``,
so that training that is continued goes on where it was.
"""

from abc import ABC, abstractmethod
from collections.abc import MutableMapping
from functools import cache
from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen
from brian2.units import DimensionMismatchError
from brian2.units.fundamentalunits import Dimension, Quantity, get_dimensions

from ..checks import ABOVE_0, Floats, below_1, fraction, in_field, number, real, unit_name, whole


def _in_any_unit(name, value):
    """A finite number ≥ 0, which may have a unit."""
    number(name, value, any_unit=True)
    return value


in_any_unit = in_field(_in_any_unit)


@frozen
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

    start: float | Quantity = field(validator=in_any_unit())
    factor: float = field(validator=fraction())
    every: int = field(validator=whole(1))

    @property
    def expression(self) -> str:
        """η_n as a Brian2 expression in ``updates``."""
        start, factor = float(self.start), float(self.factor)
        return f"{start!r}*{factor!r}**floor((updates - 1)/{float(self.every)!r})"


@frozen
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

    start: float | Quantity = field(validator=in_any_unit())
    end: float | Quantity = field(validator=in_any_unit())
    over: int = field(validator=whole(1))

    def __attrs_post_init__(self):
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
    """A schedule or a finite number ≥ 0, of any unit; an error for anything else."""
    if isinstance(learning_rate, tuple(SCHEDULES.values())):
        return learning_rate
    return _in_any_unit(name, learning_rate)


rate = in_field(check_rate)


def start_of(learning_rate):
    """The learning rate of the first update."""
    return getattr(learning_rate, "start", learning_rate)


#: So many weights are updated at once: what is between two statements stays in the cache.
SLICE = 2**14

#: Of Brian2's functions those that the statements use.
FUNCTIONS = {"sqrt": np.sqrt, "floor": np.floor, "cos": np.cos, "clip": np.clip}


@cache
def _compiled(statements):
    """Statements as Python code."""
    return compile(statements, "<optimizer>", "exec")


def above_0():
    """The validator of what Adam divides by where every gradient was 0."""
    return real("be a finite number above 0", low=ABOVE_0)


class Optimizer(ABC):
    """A rule by which a gradient changes a weight, as statements; see :class:`GradientDescent`."""

    #: Its variables, one value per weight, 0 at the start, and the power of the weight's unit
    #: that each is in.
    state: ClassVar[dict] = {}
    #: The learning rate is in units of the weight to this power.
    weight_power = 1
    learning_rate: float | Quantity | StepDecay | CosineDecay

    @property
    @abstractmethod
    def statements(self) -> str:
        """Brian2 statements that turn ``_gradient`` into ``_step``."""

    def check_unit(self, weight: str, unit: Dimension) -> None:
        """Raise an error unless the learning rate fits a weight of the given dimensions."""
        expected = unit**self.weight_power
        if get_dimensions(start_of(self.learning_rate)) is not expected:
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
        gradient = np.asarray(gradient)
        shape, dtype = gradient.shape, np.result_type(gradient, 0.0)
        after = {name: np.empty(shape, dtype) for name in ("_step", *self.state)}
        given = {n: state[n] if n in state else np.zeros(shape, dtype) for n in self.state}
        flat = {n: np.ravel(values) for n, values in (given | {"_gradient": gradient}).items()}
        code = _compiled(self.statements)
        for begin in range(0, gradient.size, SLICE):
            part = slice(begin, begin + SLICE)
            names: dict[str, Any] = {name: values[part] for name, values in flat.items()}
            names |= {"updates": updates} | FUNCTIONS
            exec(code, {}, names)
            for name, values in after.items():
                values.reshape(-1)[part] = names[name]
        step = after.pop("_step")
        state.update(after)
        return step


def checked_optimizer(name, optimizer):
    """An optimizer or None; an error for anything else."""
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise TypeError(f"{name} = {optimizer!r} is not an optimizer; give one such as Adam(5e-3)")
    return optimizer


@frozen
class GradientDescent(Optimizer):
    """w ← w − η dE/dw.

    Parameters
    ----------
    learning_rate : float, Quantity, StepDecay or CosineDecay
        η, in units of the weight squared.
    """

    learning_rate: float | Quantity | StepDecay | CosineDecay = field(validator=rate())
    weight_power = 2

    @property
    def statements(self) -> str:
        """Brian2 statements that turn ``_gradient`` into ``_step``."""
        return f"_step = {rate_expression(self.learning_rate)}*_gradient"


@frozen
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

    learning_rate: float | Quantity | StepDecay | CosineDecay = field(validator=rate())
    beta_1: float = field(default=0.9, validator=below_1())
    beta_2: float = field(default=0.999, validator=below_1())
    epsilon: float = field(default=1e-8, validator=above_0())
    state: ClassVar[dict] = {"adam_m": -1, "adam_s": -2}

    @property
    def statements(self) -> str:
        """Brian2 statements that turn ``_gradient`` into ``_step``."""
        b1, b2 = self.beta_1, self.beta_2
        return (
            f"adam_m = {b1!r}*adam_m + {1 - b1!r}*_gradient\n"
            f"adam_s = {b2!r}*adam_s + {1 - b2!r}*_gradient**2\n"
            f"_step = {rate_expression(self.learning_rate)}*sqrt(1 - {b2!r}**updates)"
            f"/(1 - {b1!r}**updates)*adam_m/(sqrt(adam_s) + {self.epsilon!r})"
        )


OPTIMIZERS = {cls.__name__: cls for cls in (GradientDescent, Adam)}
