"""Steps that Brian2 has taken, of which a rule keeps a part, and sums over their traces."""

from __future__ import annotations

import numpy as np
from attrs import evolve
from support.steps_in_brian2 import flat

from brian_eprop.reference import RULES
from brian_eprop.rule_study import brian2_problems
from brian_eprop.rule_study.recorded_steps import RecordedGroup


class WithoutReset(RecordedGroup):
    """The Jacobians of the state updates alone: no reset, and no path through a spike."""

    def _matrix(self, columns):
        whole = super()._matrix(columns)
        stage = next(t.stage for t in self.adjoint.transitions if t.matrix is columns)
        identity = np.eye(len(self.states))[:, :, np.newaxis]
        return np.zeros_like(whole) + identity if stage == "reset" else self.of_update(whole)

    def of_update(self, whole):
        return whole

    def _jump(self, transitions, path):
        return np.zeros_like(super()._jump(transitions, path))


class LeakOnly(WithoutReset):
    """Their diagonals: what each state makes of itself."""

    def of_update(self, whole):
        return whole * np.eye(len(self.states))[:, :, np.newaxis]


def kept_gradient(network, trial, group, monkeypatch, *, filtered, rule="eprop"):
    """A rule of the reference on steps of which only a part is kept.

    The weights that exist side by side, averaged over the batch. Without ``filtered`` the error of
    a step meets what the readout sees of the spike of this step.
    """
    with monkeypatch.context() as patch:
        patch.setattr(brian2_problems, "RecordedGroup", group)
        # these steps are not meant to give the whole gradient
        patch.setattr(brian2_problems, "check_agreement", lambda *_: None)
        problem = brian2_problems.problem_in_brian2(network, *trial).with_symmetric_feedback()
    assert sum(step.observable.sum() for step in problem.steps) > 5
    if not filtered:
        gain = problem.network.readout_gain
        problem.steps = [evolve(s, readout=gain * s.observation) for s in problem.steps]
    recursion = RULES[rule].at_work(problem.network, np.random.default_rng(0))
    found = problem.gradient(recursion, RULES[rule])
    return flat(problem.network, found) / len(problem.inputs)
