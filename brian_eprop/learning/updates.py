"""Weight updates: the code by which the present optimizer changes weights and parameters.

What no trial resets is looked for here too, and named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from attrs import frozen
from brian2 import Synapses
from brian2.units.fundamentalunits import Dimension, DimensionMismatchError, get_dimensions

from ..brian import schedule
from ..brian.code import GatedCode, declare, internal
from ..brian.internals import (
    ArrayVariable,
    add_to,
    assigned_names,
    is_standalone,
    known_values,
    networks_of,
    parent_group,
    pathways,
    statements_of,
    word_substitute,
)
from ..checks import not_finite, unit_name
from ..engines.contract import Learning
from ..engines.trials import parameters_that_may_change, variables_that_change
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
    suffix: str = ""
    optimizer: Optimizer | None = None

    def holder(self, state: str) -> str:
        """The variable of the group that holds a variable of the optimizer."""
        return internal(state + self.suffix)

    def code(self, optimizer: Optimizer) -> str:
        """Statements of one update; the gradient is 0 afterwards."""
        names = {state: self.holder(state) for state in optimizer.state}
        statements = word_substitute(optimizer.statements, names | {"updates": "__updates"})
        lines = (f"_gradient = {self.mean}", statements, *self.change, f"{self.gradient} = 0")
        return "\n".join(lines)


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


class Update(GatedCode):
    """Changes the trained variables of a group in the steps in which an update is due.

    Numbers that are not finite end the run: before the update where gradients are not, so that
    the variables keep the last values that were.

    Parameters
    ----------
    group : Group
    learner : Learner
    trained : callable
        Returns the `Trained` variables, when there is an optimizer for the first time.
    name : str
    """

    def __init__(
        self, group, learner: Learning, trained: Callable[[], Sequence[Trained]], name: str
    ) -> None:
        learner.share(group, "__update_due", "__updates")
        super().__init__(group, "", "__update_due", schedule.OPTIMIZER, name)
        self.learner, self._trained = learner, trained
        self.states: dict[str, ArrayVariable] = {}
        add_to(group, self)
        learner.updates.append(self)
        if learner.optimizer is not None:
            self.adopt(learner.optimizer)

    @cached_property
    def trained(self) -> Sequence[Trained]:
        """The variables that are changed."""
        return self._trained()

    def check(self, optimizer: Optimizer) -> None:
        """Raise an error unless the learning rates fit the variables."""
        for one in self.trained:
            (one.optimizer or optimizer).check_unit(one.shown, one.dim)

    def adopt(self, optimizer: Optimizer) -> None:
        """Add the variables, one value each, that the optimizer has and the group has not."""
        self.check(optimizer)
        group = self.group
        for one in self.trained:
            for state, power in (one.optimizer or optimizer).state.items():
                name, dim = one.holder(state), one.dim**power
                if name in self.states:
                    continue
                declare(group, name, dimensions=dim)
                self.states[name] = group.variables[name]

    def clear(self) -> None:
        """Let the optimizer start anew."""
        for variable in self.states.values():
            variable.set_value(0)

    def before_run(self, run_namespace):
        """Generate the code of the present optimizer."""
        optimizer = self.learner.optimizer
        code = []
        if optimizer is not None:
            code = [one.code(one.optimizer or optimizer) for one in self.trained]
        self.abstract_code = "\n".join(code)
        self.template, self.needed_variables = "gated", ["__update_due"]
        self.template_kwds = {"gate": self.group.variables["__update_due"]}
        if optimizer is not None and is_standalone():
            self._check_in_program()
        super().before_run(run_namespace)

    def _check_in_program(self):
        variables = self.group.variables
        self.template = "update"
        gradients, values = (
            [getattr(one, k) for one in self.trained] for k in ("gradient", "name")
        )
        self.needed_variables += [*gradients, *values, "__updates", "t"]
        self.template_kwds |= {
            "gradients": [variables[n] for n in gradients],
            "values": [variables[n] for n in values],
            "of": self.group.name,
            "remedy": REMEDY,
        }

    def run(self):
        """Brian2's runtime device calls this in every step; compiled programs have update.cpp."""
        if not self.group.variables["__update_due"].get_value()[0]:
            return
        for one in self.trained:
            self.check_finite(one.gradient, "before")
        super().run()
        for one in self.trained:
            self.check_finite(one.name, "after")

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


def is_trained(synapses: Synapses) -> bool:
    """Whether synapses belong to a learner."""
    return getattr(synapses, "learner", None) is not None


def changing(synapses: Synapses) -> set[str]:
    """Variables of a user's synapses that change, but for what learning changes."""
    found = variables_that_change(synapses)
    if is_trained(synapses):
        found = (found & synapses.model_names) - {synapses.weight}
    return found


def going_on(learner: Learning) -> list[str]:
    """What of the learner's network is left as it is at the end of a trial, in words.

    Parameters
    ----------
    learner : Learner
        Whose readout is in a `brian2.Network` that is about to run.
    """
    found = []
    for obj in _neighbours(learner):
        target = parent_group(obj.target)
        variables = changing(obj)
        if variables and obj not in learner.restored:
            found.append(f"{_named(variables)} of the synapses '{obj.name}'")
        if not is_trained(obj) and obj not in learner.restored and _delays(obj):
            found.append(f"spikes on the way along '{obj.name}'")
        moved = {
            name.removesuffix("_post")
            for pathway in pathways(obj)
            for name in assigned_names(statements_of(pathway.code))
            if name.removesuffix("_post") not in obj.variables or name.endswith("_post")
        }
        if target in learner.restored and target not in learner.parameters_restored:
            parameters = {
                name
                for name in moved & parameters_that_may_change(target)
                if internal("start", name) not in target.variables
            }
            if parameters:
                found.append(f"{_named(parameters)} of '{target.name}', which '{obj.name}' changes")
    return found


def _neighbours(learner):
    """Synapses of the learner's network onto groups that are reset."""
    for network in networks_of(learner.readout):
        for obj in network.objects:
            if isinstance(obj, Synapses) and parent_group(obj.target) in learner.restored:
                yield obj


def _delays(synapses):
    """Whether spikes are known to be under way for a while."""
    delays = [known_values(pathway.variables["delay"]) for pathway in pathways(synapses)]
    return any(np.any(values >= synapses.clock.dt_ / 2) for values in delays)


def _named(names):
    return ", ".join(f"'{name}'" for name in sorted(names))
