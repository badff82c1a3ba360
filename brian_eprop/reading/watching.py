"""Functions of Python that run in a network: whether they change what is differentiated."""

from __future__ import annotations

import warnings
from hashlib import blake2b

import numpy as np
from brian2 import BrianObject, Synapses

from ..brian.step_flags import EPISODE
from ..engines.trials import parameters_that_may_change
from .stages import OF_ONES_OWN, OF_REFRACTORINESS, UnreadableNetworkError


class Before(BrianObject):
    """Keeps the states of a learner's groups, just before a network operation runs.

    Parameters
    ----------
    operation : NetworkOperation
    learner : Learner
    moment : Moment
    """

    add_to_magic_network = False
    invalidates_magic_network = False

    def __init__(self, operation, learner, moment):
        super().__init__(
            clock=operation.clock,
            when=moment.when,
            order=moment.order,
            name=f"before_{operation.name}_{learner.readout.name}",
        )
        self.operation, self.learner = operation, learner
        self.kept, self.parameters = {}, {}

    def run(self):
        """Copy what must not change."""
        given = self.operation in self.learner.given
        self.kept = {
            (owner, name): np.array(owner.variables[name].get_value())
            for owner, name in differentiated(self.learner, given=given)
        }
        self.parameters = {
            (group, name): np.array(group.variables[name].get_value())
            for group, name in (() if given else _parameters(self.learner))
            if (group, name) not in self.kept
        }


class After(BrianObject):
    """Compares the states just after a network operation has run.

    Parameters
    ----------
    before : Before
    moment : Moment
    """

    add_to_magic_network = False
    invalidates_magic_network = False

    def __init__(self, before, moment):
        operation = before.operation
        super().__init__(
            clock=operation.clock,
            when=moment.when,
            order=moment.order,
            name=f"after_{operation.name}_{before.learner.readout.name}",
        )
        self.before, self.warned = before, False

    def run(self):
        """Raise UnreadableNetworkError if anything has changed that must not."""
        for (owner, name), value in self.before.kept.items():
            now = owner.variables[name].get_value()
            if not np.array_equal(now, value, equal_nan=True):
                self._refuse(owner, name)
        for (group, name), value in self.before.parameters.items():
            now = group.variables[name].get_value()
            if not self.warned and not np.array_equal(now, value, equal_nan=True):
                self._warn(group, name)

    def _warn(self, group, name):
        operation, self.warned = self.before.operation, True
        warnings.warn(
            f"network operation '{operation.name}' changes '{name}' of group '{group.name}'. This "
            "counts as given, whatever it is computed from: say so, Learner(given=[operation]), "
            "or write it as run_regularly",
            stacklevel=2,
        )

    def _between_trials(self):
        """Whether no spike of the trial has acted yet, or all of it has been learned from."""
        learner, slot = self.before.learner, self.before.operation.when
        step = int(learner.readout.variables["trial_step"].get_value()[0])
        if slot != "after_end":
            return slot in ("before_start", "start") and step == 0
        if learner.trial == EPISODE:
            return bool(learner.readout.variables["__episode_over"].get_value()[0])
        return learner.trial is not None and step == learner.trial - 1

    def _refuse(self, owner, name):
        operation, learner = self.before.operation, self.before.learner
        given = "say that it counts as given: Learner(given=[operation])"
        if isinstance(owner, Synapses):
            if self._between_trials():
                return
            raise UnreadableNetworkError(
                f"network operation '{operation.name}' changes '{name}' of the synapses "
                f"'{owner.name}' within a trial, in which the learner takes it for constant: "
                "change it in the slot 'start' of the first step of a trial, or in 'after_end' of "
                "the last, or between two runs"
                + (
                    f", or {given}"
                    if (owner, name) not in differentiated(learner, given=True)
                    else ""
                )
            )
        population = learner.populations.get(owner)
        if population is not None and name in population.between_steps:
            given = "use EProp(engine='credit')"
        if name in OF_REFRACTORINESS:
            given = OF_ONES_OWN
        raise UnreadableNetworkError(
            f"network operation '{operation.name}' changes '{name}' of group '{owner.name}': a "
            f"function of Python has no derivative. Write it as run_regularly, or {given}"
        )


class BetweenRuns:
    """Sees whether what is differentiated was changed between two runs within a trial.

    Parameters
    ----------
    learner : Learner
    """

    def __init__(self, learner):
        self.learner, self.moments, self.known = learner, None, set()
        self.step = None

    def keep(self, moments):
        """Remember how a run has ended: the code that runs, and the states and weights."""
        self.moments, self.step = moments, self._now()
        self.known.add(self._digest())

    def check(self, moments):
        """Raise UnreadableNetworkError if the trial goes on with another code, state or weight.

        What `Network.restore` brings back has been there at the end of a run.
        """
        learning = [g for g, p in self.learner.populations.items() if p.learns]
        complete = all(group.active for group in learning)  # else it is refused for that
        ended = self.step == self._now()  # else an error has ended the run before
        if not (ended and complete and self.learner.progress.within_trial):
            return
        name = self.learner.readout.name
        remedy = (
            "run to the end of the trial first, or let a new one begin: switch learning off, "
            "learner.learning = False, before a trial that is to be cut short"
            if self.learner.trial
            else "give Learner reset_every"
        )
        if moments != self.moments:
            raise UnreadableNetworkError(
                f"objects of the network, or their slots, have changed within a trial of the "
                f"learner of '{name}', of which a part has been learned from: {remedy}"
            )
        if self._digest() not in self.known:
            raise UnreadableNetworkError(
                f"a state or a weight was assigned between two runs within a trial of the learner "
                f"of '{name}', of which a part has been learned from: {remedy}"
            )

    def _now(self):
        return int(self.learner.readout.clock.variables["timestep"].get_value()[0])

    def _digest(self):
        found = blake2b(digest_size=16)
        for owner, name in differentiated(self.learner):
            found.update(np.ascontiguousarray(owner.variables[name].get_value()))
        return found.digest()


def _parameters(learner):
    """Parameters of learning groups that may change in a run."""
    for group, population in learner.populations.items():
        if population.learns:
            for name in sorted(parameters_that_may_change(group)):
                yield group, name


def differentiated(learner, *, given=False):
    """What only code that is differentiated, or the optimizer, may change within a trial.

    Parameters
    ----------
    learner : Learner
    given : bool
        Without what counts as given if the user says so: states, and weights along which nothing
        is sent back.

    Yields
    ------
    (Group or Synapses, str)
        Whose variable it is, and its name.
    """
    if not given:
        yield learner.readout, "y"
    for group, population in learner.populations.items():
        if population.learns:
            names = () if given else population.watched
            flags = [name for name in OF_REFRACTORINESS if name in group.variables]
            names = sorted({*names, *population.between_steps, *flags})
            yield from ((group, name) for name in names)
    for synapses in learner.projections:
        if synapses.active and (not given or synapses.target is learner.readout):
            yield synapses, synapses.weight
    yield from learner.engine.used_later()
