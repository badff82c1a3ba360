"""Weight updates: the code by which the present optimizer changes weights and parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeAlias

import numpy as np
from attrs import frozen
from brian2.units.fundamentalunits import Dimension, DimensionMismatchError, get_dimensions

from ..brian import schedule
from ..brian.code import GatedCode, declare, internal
from ..brian.internals import (
    ArrayVariable,
    add_to,
    is_standalone,
    word_substitute,
)
from ..checks import not_finite, unit_name
from ..engines.contract import Learning
from .optimizers import Optimizer


@frozen
class Trained:
    """A variable that an optimizer changes.

    Attributes
    ----------
    name, gradient : str
        Variables of the group.
    shown : str
        What messages about its unit call it.
    dim : Dimension
        Of what the optimizer works on.
    mean : str
        Expression of the gradient that the optimizer is given.
    change : tuple of str
        Statements that follow, in terms of ``_step``.
    bounds : (float, float), optional
        The interval, in SI units, to which the variable is clipped then.
    suffix : str
        Of the optimizer's own variables.
    optimizer : Optimizer, optional
        In place of the learner's.
    """

    name: str
    gradient: str
    shown: str
    dim: Dimension
    mean: str
    change: tuple[str, ...]
    bounds: tuple[float, float] | None = None
    suffix: str = ""
    optimizer: Optimizer | None = None

    def state(self, optimizer: Optimizer) -> dict[str, Dimension]:
        """The variables of the group that hold those of the optimizer, and their dimensions."""
        powers = (self.optimizer or optimizer).state
        return {internal(n + self.suffix): self.dim**power for n, power in powers.items()}

    def code(self, optimizer: Optimizer) -> str:
        """Statements of one update; the gradient is 0 afterwards."""
        optimizer = self.optimizer or optimizer
        names = dict(zip(optimizer.state, self.state(optimizer), strict=True))
        names["updates"] = "__updates"
        statements = word_substitute(optimizer.statements, names)
        lines = [f"_gradient = {self.mean}", statements, *self.change]
        if self.bounds is not None:
            low, high = self.bounds
            lines.append(f"{self.name} = clip({self.name}, {low!r}, {high!r})")
        return "\n".join((*lines, f"{self.gradient} = 0"))


def checked_bounds(name, bounds, dimensions):
    """Lower and upper bound of a trained variable in SI units."""
    if np.size(bounds) != 2:
        raise ValueError(f"{name} = {bounds!r} must be a pair (low, high)")
    if any(get_dimensions(value) is not dimensions for value in bounds):
        raise DimensionMismatchError(
            f"{name} = {bounds!r} must be in the unit of the trained variable, "
            f"'{unit_name(dimensions)}'"
        )
    low, high = map(float, bounds)
    if not low <= high:
        raise ValueError(f"{name} = {bounds!r}: the first must not be above the second")
    return low, high


#: Lets code run with a network.
Attach: TypeAlias = Callable[[GatedCode], None]


class Update(GatedCode):
    """The update of the trained variables of a group, in the steps in which one is due.

    Numbers that are not finite end the run: before the update where gradients are not, so that
    the variables keep the last values that were.

    Parameters
    ----------
    group : Group
    learner : Learner
    trained : callable
        Returns the `Trained` variables, when there is an optimizer for the first time.
    name : str
    attach : callable, optional
        What lets it run with a network that has been read. Default: it is a part of the group.
    """

    def __init__(
        self,
        group,
        learner: Learning,
        trained: Callable[[], Sequence[Trained]],
        name: str,
        attach: Attach | None = None,
    ) -> None:
        learner.share(group, "__update_due", "__updates")
        super().__init__(group, "", "__update_due", schedule.OPTIMIZER, name)
        self.learner, self._trained = learner, trained
        self.states: dict[str, ArrayVariable] = {}
        if attach is None:
            add_to(group, self)
        else:
            attach(self)
        learner.updates.append(self)
        if learner.optimizer is not None:
            self.adopt(learner.optimizer)

    @cached_property
    def trained(self) -> Sequence[Trained]:
        """The variables that are changed."""
        return self._trained()

    def check(self, optimizer: Optimizer) -> None:
        """Raise an error unless the learning rates fit the variables."""
        for trained in self.trained:
            (trained.optimizer or optimizer).check_unit(trained.shown, trained.dim)

    def adopt(self, optimizer: Optimizer) -> None:
        """Add the variables, one value each, that the optimizer has and the group has not."""
        self.check(optimizer)
        for trained in self.trained:
            for name, dimensions in trained.state(optimizer).items():
                if name not in self.states:
                    declare(self.group, name, dimensions=dimensions)
                    self.states[name] = self.group.variables[name]

    def clear(self) -> None:
        """Set the moments of the optimizer to 0."""
        for variable in self.states.values():
            variable.set_value(0)

    def before_run(self, run_namespace):
        """Generate the code of the present optimizer."""
        optimizer = self.learner.optimizer
        code = [] if optimizer is None else [t.code(optimizer) for t in self.trained]
        self.abstract_code = "\n".join(code)
        self.template, self.needed_variables = "gated", ["__update_due"]
        self.template_kwds = {"gate": self.group.variables["__update_due"]}
        if optimizer is not None and is_standalone():
            self._check_in_program()
        super().before_run(run_namespace)

    def _check_in_program(self):
        variables = self.group.variables
        self.template = "update"
        gradients, values = [t.gradient for t in self.trained], [t.name for t in self.trained]
        self.needed_variables += [*gradients, *values, "__updates", "t"]
        self.template_kwds |= {
            "gradients": [variables[n] for n in gradients],
            "values": [variables[n] for n in values],
            "of": self.group.name,
            "remedy": REMEDY,
        }

    def run(self):
        """The update of a step in Python; compiled programs have update.cpp."""
        if not self.group.variables["__update_due"].get_value()[0]:
            return
        for trained in self.trained:
            self.check_finite(trained.gradient, "before")
        super().run()
        for trained in self.trained:
            self.check_finite(trained.name, "after")

    def values_changed(self):
        """Follow values that were set within a run; variables are read in every step."""

    def check_finite(self, name, when):
        """Raise an error unless all values of a variable are finite."""
        values = self.group.variables[name].get_value()
        group, readout = self.group, self.learner.readout
        wrong = not_finite(f"{group.name}.{name}", values)
        if not wrong:
            return
        error = readout.variables["error"].get_value()
        if not np.isfinite(error).all():
            wrong += f", and so is the error of readout '{readout.name}'"
        number = int(readout.variables["__updates"].get_value()[0])
        step = int(self.clock.variables["timestep"].get_value()[0])
        raise FloatingPointError(
            f"learning has diverged: {wrong} {when} update {number}, in step {step} "
            f"(t = {group.t[:]!s}); {REMEDY}"
        )


#: What to try when numbers are no longer finite.
REMEDY = (
    "use a smaller learning rate, smaller weights at the start, a smaller surrogate gradient "
    "(EProp.surrogate), or shorter trials; and look at what the neurons do before this step"
)
