"""Optimizers, as statements that Brian2 runs per synapse and NumPy per array.

Each is a few lines of code in the names ``_gradient`` (dE/dw), ``updates`` (how many updates
there have been, this one included) and its own state variables; they assign ``_step``, which
is then subtracted from the weight.
"""

from abc import ABC, abstractmethod
from collections.abc import MutableMapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from brian2.units import DimensionMismatchError
from brian2.units.fundamentalunits import Dimension, Quantity, get_dimensions

from .arguments import BELOW_1, number
from .learning_rates import CosineDecay, StepDecay, check_rate, rate_expression, start_of
from .quantities import unit_name
from .types import Floats

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
