"""Functions of Python that run in a network: whether they change what is differentiated."""

from __future__ import annotations

import numpy as np
from brian2 import BrianObject

from .stages import OF_ONES_OWN, OF_REFRACTORINESS, UnreadableNetworkError


class Before(BrianObject):
    """Keeps the states of a learner's groups, just before a network operation runs.

    Parameters
    ----------
    operation : NetworkOperation
    learner : Learner
    """

    add_to_magic_network = False
    invalidates_magic_network = False

    def __init__(self, operation, learner):
        super().__init__(
            clock=operation.clock,
            when=operation.when,
            order=operation.order - 0.25,
            name=f"before_{operation.name}_{learner.readout.name}",
        )
        self.operation, self.learner, self.kept = operation, learner, {}

    def watched(self):
        """The variables that only code with a derivative may change: (group, name)."""
        if self.operation not in self.learner.given:
            yield self.learner.readout, "y"
        for group, population in self.learner.populations.items():
            if population.learns:
                given = self.operation in self.learner.given
                names = () if given else population.watched
                flags = [name for name in OF_REFRACTORINESS if name in group.variables]
                names = {*names, *population.between_steps, *flags}
                yield from ((group, name) for name in names)

    def run(self):
        """Copy the states."""
        self.kept = {
            (group, name): np.array(group.variables[name].get_value())
            for group, name in self.watched()
        }


class After(BrianObject):
    """Compares the states just after a network operation has run.

    Parameters
    ----------
    before : Before
    """

    add_to_magic_network = False
    invalidates_magic_network = False

    def __init__(self, before):
        operation = before.operation
        super().__init__(
            clock=operation.clock,
            when=operation.when,
            order=operation.order + 0.25,
            name=f"after_{operation.name}_{before.learner.readout.name}",
        )
        self.before = before

    def run(self):
        """Raise UnreadableNetworkError if a state has changed."""
        for (group, name), value in self.before.kept.items():
            if not np.array_equal(group.variables[name].get_value(), value, equal_nan=True):
                operation = self.before.operation
                remedy = "say that it counts as given: Learner(given=[operation])"
                population = self.before.learner.populations.get(group)
                if population is not None and name in population.between_steps:
                    remedy = "use EProp(engine='credit')"
                if name in OF_REFRACTORINESS:
                    remedy = OF_ONES_OWN
                raise UnreadableNetworkError(
                    f"network operation '{operation.name}' changes '{name}' of group "
                    f"'{group.name}': a function of Python has no derivative. Write it as "
                    f"run_regularly, or {remedy}"
                )
