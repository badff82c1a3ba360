"""The Jacobians of a group that Brian2 has run, from what the engine ``credit`` has recorded.

The engine keeps, for each stage of a step (the update, the threshold, the reset, other code), the
few numbers of which its Jacobian is made. From the threshold of one step to that of the next one

    c^{t+1} = B^{t+1}(A^t(c^t) + k^t z^t),      A: the stages after the threshold, B: those before

and so the step of the reference, with S hidden states that are those of Brian2 at the threshold, is

    D^{t+1} = ∂B^{t+1} (∂A^t + k_implicit qᵀ)    q = ∂z/∂c, with ψ
    self-edge = ∂B^{t+1} k_explicit
    K = what the stages after an arrival make of b, its effect for each unit of weight
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import frozen

from ..brian.code import internal
from ..calculus.adjoint import OPEN
from ..calculus.printing import printed
from ..network.checked_model import NAMESPACE, evaluate

#: The axes of a matrix for each step, state, state and neuron, times another.
PRODUCT = "tabn,tbcn->tacn"


@frozen(eq=False)
class Arrival:
    """How spikes arrive at a group: with which effect, and when in a step.

    Attributes
    ----------
    effect : mapping of str to sympy.Expr
        b of each state, in names of the group.
    early : bool
        Before the threshold of the step.
    place : int
        How many stages of the step are before them.
    """

    effect: Mapping
    early: bool
    place: int

    @classmethod
    def of(cls, pathway):
        """That of the spikes of a projection, all of whose synapses act alike."""
        return cls(pathway.common, pathway.early, pathway.receiver.place(pathway.early))


class RecordedGroup:
    """The Jacobians of a group along the window that its engine has recorded.

    Parameters
    ----------
    population : CreditPopulation
        That learns, of an engine that keeps whole trials.
    first, steps : int
        The step of the simulation in which the window began, and its length T.

    Attributes
    ----------
    states : tuple of str
        Those from which the threshold can be reached.
    implicit : (T, S, S, n) ndarray
        D, row = state at t, column = state at t − 1.
    observation, self_edge : (T, S, n) ndarray
        q, and what a spike of the step before adds along explicit paths of the reset.
    """

    def __init__(self, population, first, steps):
        self.group, self.adjoint = population.group, population.adjoint
        self.namespace = population.engine.learner.namespace
        self.clamped = population.step.clamped
        self.states, self.steps = self.adjoint.states, steps
        rows = population.engine.rows
        self._rows = (first + np.arange(steps)) % rows
        self._kept = {
            name: self._variable(internal("kept", name)).reshape(rows, -1)[self._rows]
            for name in self.adjoint.recorded
        }
        transitions = self.adjoint.transitions
        self._place = [t.stage for t in transitions].index("threshold")
        self._matrices = [self._matrix(t.matrix) for t in transitions]
        self._paths = {"implicit": self._jump(transitions, "implicit")}
        self._paths["explicit"] = self._jump(transitions, "explicit")
        self.observation = self._vector(transitions[self._place].c)
        before, after = self._onwards(0, self._place), self._onwards(self._place + 1)
        spike = np.einsum("tan,tbn->tabn", self._paths["implicit"], self.observation)
        self.implicit = before.copy()
        self.implicit[1:] = np.einsum(PRODUCT, before[1:], (after + spike)[:-1])
        self.self_edge = np.zeros_like(self.observation)
        self.self_edge[1:] = np.einsum("tabn,tbn->tan", before[1:], self._paths["explicit"][:-1])

    def drive(self, arrival):
        """K: what an arrival for each unit of weight has become at the threshold; (T, S, n).

        Of an early arrival at that of the same step, of a late one in the step before at that of
        step t.
        """
        effect = np.zeros_like(self.observation)
        for state, value in arrival.effect.items():
            if state in self.states:
                of_state = np.broadcast_to(
                    evaluate(printed(value), self.group, self.namespace), effect.shape[::2]
                )
                if state in self.clamped:
                    of_state = of_state * self._kept[OPEN[arrival.early]]
                effect[:, self.states.index(state)] = of_state
        if arrival.early:
            onwards = self._onwards(arrival.place, self._place)
            return np.einsum("tabn,tbn->tan", onwards, effect)
        late = np.einsum("tabn,tbn->tan", self._onwards(arrival.place), effect)
        drive = np.zeros_like(late)
        drive[1:] = np.einsum("tabn,tbn->tan", self._onwards(0, self._place)[1:], late[:-1])
        return drive

    def _onwards(self, start, end=None):
        """The Jacobian of the stages from one place of the step to another, by default its end."""
        product = np.zeros((self.steps, len(self.states), len(self.states), len(self.group)))
        product += np.eye(len(self.states))[:, :, np.newaxis]
        for matrix in self._matrices[start:end]:
            product = np.einsum(PRODUCT, matrix, product)
        return product

    def _jump(self, transitions, path):
        """What a spike adds to the state at the end of its step, along one kind of path."""
        total = np.zeros((self.steps, len(self.states), len(self.group)))
        for place, transition in enumerate(transitions):
            if entries := getattr(transition, path):
                jump = self._vector(entries)
                total += np.einsum("tabn,tbn->tan", self._onwards(place + 1), jump)
        return total

    def _matrix(self, columns):
        matrix = np.zeros((self.steps, len(self.states), len(self.states), len(self.group)))
        matrix += np.eye(len(self.states))[:, :, np.newaxis]
        for column, rows in columns.items():
            matrix[:, :, self.states.index(column)] = self._vector(rows)
        return matrix

    def _vector(self, entries):
        vector = np.zeros((self.steps, len(self.states), len(self.group)))
        for state, entry in entries.items():
            vector[:, self.states.index(state)] = self._course(entry)
        return vector

    def _course(self, entry):
        """An entry in every step: recorded names, constants of the window, parameters."""
        values = {s.name: self._value(s.name) for s in entry.free_symbols}
        # the text is code that Brian2 has just run as well
        return eval(printed(entry), {}, NAMESPACE | values)

    def _value(self, name):
        if name in self._kept:
            return self._kept[name]
        if name in {constant.name for constant in self.adjoint.constants}:
            return self._variable(name)
        return evaluate(name, self.group, self.namespace)

    def _variable(self, name):
        """A copy: the next run writes into the same memory."""
        return np.array(self.group.variables[name].get_value())
