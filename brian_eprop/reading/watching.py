"""Guards against Python code, in a run or between two, that changes differentiated variables."""

from __future__ import annotations

import warnings
from hashlib import blake2b

import numpy as np
from brian2 import BrianObject, Synapses

from ..brian.step_flags import EPISODE
from ..engines.trials import parameters_that_may_change
from .stages import OF_ONES_OWN, OF_REFRACTORINESS, UnreadableNetworkError


class _AtMoment(BrianObject):
    """A function that runs at a moment of each step."""

    add_to_magic_network = False
    invalidates_magic_network = False

    def __init__(self, function, clock, moment, name):
        super().__init__(clock=clock, when=moment.when, order=moment.order, name=name)
        self.run = function


class Watch:
    """A guard against changes of states and weights by a network operation.

    Parameters
    ----------
    operation : NetworkOperation
    learner : Learner
        Of whose groups and synapses these are.
    before, after : Moment

    Attributes
    ----------
    runners : list of BrianObject
        What is to run at the two moments.
    """

    def __init__(self, operation, learner, before, after):
        self.operation, self.learner, self.warned = operation, learner, False
        self.kept, self.parameters = {}, {}
        name, clock = f"{operation.name}_{learner.readout.name}", operation.clock
        self.runners = [
            _AtMoment(self.keep, clock, before, f"before_{name}"),
            _AtMoment(self.compare, clock, after, f"after_{name}"),
        ]

    def keep(self):
        """Copy what must not change."""
        given = self.operation in self.learner.given
        self.kept = _copies(differentiated(self.learner, given=given))
        names = () if given else _parameters(self.learner)
        self.parameters = _copies(entry for entry in names if entry not in self.kept)

    def compare(self):
        """Raise UnreadableNetworkError if anything has changed that must not."""
        for owner, name in _changed(self.kept):
            self._refuse(owner, name)
        for group, name in () if self.warned else _changed(self.parameters):
            self._warn(group, name)
            break

    def _warn(self, group, name):
        operation, self.warned = self.operation, True
        warnings.warn(
            f"network operation '{operation.name}' changes '{name}' of group '{group.name}'. This "
            "counts as given, whatever it is computed from: say so, Learner(given=[operation]), "
            "or write it as run_regularly",
            stacklevel=2,
        )

    def _between_trials(self):
        """Whether no spike of the trial has acted yet, or all of it has been learned from."""
        learner, slot = self.learner, self.operation.when
        step = int(learner.readout.variables["trial_step"].get_value()[0])
        if slot != "after_end":
            return slot in ("before_start", "start") and step == 0
        if learner.trial == EPISODE:
            return bool(learner.readout.variables["__episode_over"].get_value()[0])
        return learner.trial is not None and step == learner.trial - 1

    def _refuse(self, owner, name):
        operation, learner = self.operation, self.learner
        remedy = "say that it counts as given: Learner(given=[operation])"
        if isinstance(owner, Synapses):
            if self._between_trials():
                return
            kept = (owner, name) in differentiated(learner, given=True)
            remedy = "" if kept else f", or {remedy}"
            raise UnreadableNetworkError(
                f"network operation '{operation.name}' changes '{name}' of the synapses "
                f"'{owner.name}' within a trial, in which the learner takes it for constant: "
                "change it in the slot 'start' of the first step of a trial, or in 'after_end' of "
                f"the last, or between two runs{remedy}"
            )
        population = learner.populations.get(owner)
        if population is not None and name in population.between_steps:
            remedy = "use EProp(engine='credit')"
        if name in OF_REFRACTORINESS:
            remedy = OF_ONES_OWN
        raise UnreadableNetworkError(
            f"network operation '{operation.name}' changes '{name}' of group '{owner.name}': a "
            f"function of Python has no derivative. Write it as run_regularly, or {remedy}"
        )


class BetweenRuns:
    """A guard against changes of differentiated variables between two runs within a trial.

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
        digest = blake2b(digest_size=16)
        for owner, name in differentiated(self.learner):
            digest.update(np.ascontiguousarray(owner.variables[name].get_value()))
        return digest.digest()


def _copies(entries):
    """The present values of variables, by their (owner, name)."""
    return {(o, name): np.array(o.variables[name].get_value()) for o, name in entries}


def _changed(copies):
    """Which variables, as (owner, name), have other values than their copies."""
    for (owner, name), value in copies.items():
        if not np.array_equal(owner.variables[name].get_value(), value, equal_nan=True):
            yield owner, name


def _parameters(learner):
    """Parameters of learning groups that may change in a run."""
    for group, population in learner.populations.items():
        if population.learns:
            for name in sorted(parameters_that_may_change(group)):
                yield group, name


def differentiated(learner, *, given=False):
    """Variables that only differentiated code, or the optimizer, may change within a trial.

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
