r"""A, b and c of a neuron model: everything that its synapses need.

Let s be the derivative of a neuron's state with respect to one of its weights, taken at the
moment the threshold is evaluated. Going once around Brian2's schedule gives

    e^t = c^t · s^t                       c = ψ ∂distance/∂h
    s^{t+1} = A^t s^t + D^t b x^t         arrivals after the threshold
              (+ b x^{t+1}                arrivals between state update and threshold)

    A = F' S (J + k cᵀ),   D = F' S J

with F' the Jacobian of the integrator's step, S that of the sums over synapses that come before
it (the identity for a group without), J the Jacobian of the reset at fixed spike
(the identity for a neuron that did not fire), and k = R(h) − h the jump that a spike makes,
kept for those variables whose ``reset_path`` is ``"implicit"`` (Bellec et al. 2020, Nat.
Commun. 11:3625, Eqs 13–14: ∂c^t/∂c^{t−1} with z substituted by its pseudo-derivative).

A loss ℓ(h) on the neuron itself has the derivative ∂ℓ/∂h · s, with s at the moment at which ℓ
reads h: as it is before the threshold, and (J + k cᵀ) s + J b x at the end of the step. A state
counts for it whether or not the threshold depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Protocol, Self

import sympy
from attrs import evolve, field, frozen
from brian2 import NeuronGroup
from sympy.core.function import AppliedUndef

from ..brian.internals import get_identifiers, parent_group
from ..checks import ResetPath
from .arrivals import OnPre
from .derivatives import RANDOM, NoDerivativeError, derivative
from .one_step import OneStep, drawing
from .printing import as_latex, as_text, printed, tidy
from .programs import Program, symbol
from .statements import PSI, SPIKED, Coefficients, closure

if TYPE_CHECKING:
    pass


class Keeps(Protocol):
    """A learning rule, as the linear system sees it: what of a step it keeps."""

    def kept(self, stage: str, entries: sympy.Matrix) -> sympy.Matrix:
        """What it has in place of the Jacobian of a stage, or of the jump of a spike."""

    def check(self, linearization: Linearization, group: NeuronGroup) -> None:
        """Raise an error for neurons that the rule is not defined for."""


@frozen
class Linearization:
    """The linear system that carries the eligibility vector of a neuron's synapses.

    Attributes
    ----------
    step : OneStep
        The map it was derived from.
    states : tuple of str
        Entries of the eligibility vector: the states that a weight can reach and that
        can reach the threshold.
    arrivals : dict of str to sympy.Expr
        ∂(jump)/∂w of an arriving spike for each state it acts on, in the names of the
        synapse.
    surrogate_code : str
        ψ as a Brian2 expression, 0 during refractoriness.
    reset_path : dict of str to str
        ``"implicit"``, ``"explicit"`` or ``"detached"`` for the states the reset changes.
    synaptic : frozenset of str
        Names in ``arrivals`` that differ from synapse to synapse.
    errors : mapping of str to mapping of str to str
        The variable that holds ∂ℓ/∂h of the losses on each state, by the moment of the step at
        which they read it: {"before_thresholds" or "end": {state: variable}}.
    read_elsewhere : frozenset of str
        States that other neurons sum up, or that arrivals of the neuron's spikes depend on: to
        which credit comes back past the spikes.
    rule : Keeps, optional
        What keeps a part of the step's derivative only. Default: all of it is kept.
    """

    step: OneStep
    states: tuple[str, ...]
    arrivals: dict[str, sympy.Expr]
    surrogate_code: str
    reset_path: dict[str, ResetPath]
    synaptic: frozenset[str] = frozenset()
    errors: Mapping[str, Mapping[str, str]] = field(factory=dict)
    read_elsewhere: frozenset[str] = frozenset()
    rule: Keeps | None = None

    def _kept(self, stage, entries):
        """What the rule has in place of the derivative of a stage of the step."""
        if self.rule is None:
            return entries
        kept = self.rule.kept(stage, sympy.Matrix(entries))
        shape = getattr(kept, "shape", None)
        if shape != entries.shape:
            raise ValueError(
                f"{type(self.rule).__name__}.kept('{stage}', …) gives {kept!r}; it must be a SymPy "
                f"matrix of {entries.shape[0]} × {entries.shape[1]} entries, as it was given"
            )
        return sympy.Matrix(kept)

    @property
    def scored(self) -> set[str]:
        """States that losses read, or other neurons, past the spikes of the neuron."""
        losses = {state for errors in self.errors.values() for state in errors}
        return losses | self.read_elsewhere

    @cached_property
    def slope(self) -> sympy.Matrix:
        """∂distance/∂h : (states,) SymPy matrix."""
        distance = sympy.S.Zero if self.step.distance is None else self.step.distance
        return sympy.Matrix([derivative(distance, symbol(n)) for n in self.states])

    @cached_property
    def integrator_jacobian(self) -> sympy.Matrix:
        """F' : (states, states) SymPy matrix, at the state a step starts from.

        May use ``definitions``.
        """
        return self._integrator[0]

    @property
    def definitions(self) -> dict[sympy.Symbol, sympy.Expr]:
        """What stands for longer expressions in A and D: {symbol: expression}, in order."""
        return self._integrator[1]

    @cached_property
    def _integrator(self):
        return self.jacobian_of(self.step.update)

    def jacobian_of(self, program: Program) -> tuple[sympy.Matrix, dict]:
        """The Jacobian of a stage of the step, (states, states), and its definitions."""
        matrix, definitions = program.jacobian(self.states)
        if program is self.step.update:
            matrix = self._kept("update", matrix)
        random = _random((*program.values.values(), *program.definitions.values()))
        if random and _random((*matrix, *definitions.values())):
            raise NoDerivativeError(
                "the noise in the equations is multiplied by a state variable, so that the "
                "derivative of a step is random too; only additive noise can be linearized"
            )
        return matrix, definitions

    @cached_property
    def reset_jacobian(self) -> sympy.Matrix:
        """J : (states, states) SymPy matrix; the symbol ``spiked`` is 1 if the neuron fired."""
        identity = sympy.eye(len(self.states))
        names = [symbol(name) for name in self.states]
        after = sympy.Matrix(
            [[derivative(self.step.reset[row.name], column) for column in names] for row in names]
        )
        after = self._kept("reset", after)
        return identity + SPIKED * (after - identity)

    @cached_property
    def jump(self) -> sympy.Matrix:
        """k = R(h) − h where the path through the spike is implicit : (states,) SymPy matrix.

        States that only a loss reads, a filtered spike train, are no way back to the neuron: a
        rule that drops what spikes do to their own neuron has their jumps all the same.
        """
        whole = self._jump_along("implicit")
        kept = self._kept("spike", whole)
        if kept == whole or not self.errors:
            return kept
        back = self._states_before_threshold
        return sympy.Matrix(
            [k if n in back else j for n, k, j in zip(self.states, kept, whole, strict=True)]
        )

    @property
    def _states_before_threshold(self):
        """States from which the threshold can be reached, whatever a rule keeps."""
        every = evolve(self, rule=None)
        between = every.integrator_jacobian * every.sums_jacobian * every.reset_jacobian
        pairs = zip(product(self.states, repeat=2), between, strict=True)
        edges = {pair for pair, entry in pairs if entry != 0}
        read = {n for n, slope in zip(self.states, self.slope, strict=True) if slope != 0}
        return closure(read, edges)

    @cached_property
    def explicit_jump(self) -> sympy.Matrix:
        """R(h) − h where the path through the spike is explicit : (states,) SymPy matrix."""
        return self._jump_along("explicit")

    def _jump_along(self, path):
        jumps = [self.step.reset[name] - symbol(name) for name in self.states]
        along = [self.reset_path.get(name) == path for name in self.states]
        return sympy.Matrix([j if of_path else 0 for j, of_path in zip(jumps, along, strict=True)])

    @cached_property
    def c(self) -> sympy.Matrix:
        """c = ∂z/∂h = ψ ∂distance/∂h : (states,) SymPy matrix."""
        return PSI * self.slope

    @cached_property
    def b(self) -> sympy.Matrix:
        """b : (states,) SymPy matrix, the effect of an arrival per unit of weight."""
        return sympy.Matrix([self.arrivals.get(name, sympy.S.Zero) for name in self.states])

    @cached_property
    def sums_jacobian(self) -> sympy.Matrix:
        """S : (states, states) SymPy matrix; what is set to a sum forgets what it was."""
        matrix = sympy.eye(len(self.states))
        for piece, program in self.step.pieces:
            if piece.sets:
                matrix = program.jacobian(self.states)[0] * matrix
        return matrix

    @property
    def sums(self) -> bool:
        """Whether variables of the group are set to sums over synapses."""
        return any(piece.sets for piece, _ in self.step.pieces)

    @cached_property
    def A(self) -> sympy.Matrix:
        """A = F' S (J + k cᵀ) : (states, states) SymPy matrix."""
        after = self.sums_jacobian * (self.reset_jacobian + self.jump * self.c.T)
        return (self.integrator_jacobian * after).applyfunc(tidy)

    @cached_property
    def D(self) -> sympy.Matrix:
        """D = F' S J : (states, states) SymPy matrix, what an arrival has become by t+1."""
        after = self.sums_jacobian * self.reset_jacobian
        return (self.integrator_jacobian * after).applyfunc(tidy)

    @cached_property
    def states_between_weight_and_threshold(self) -> tuple[str, ...]:
        """States on a path from an arrival to the threshold, or a loss, by the zeros of A."""
        pairs = zip(product(self.states, repeat=2), self.A, strict=True)
        edges = {pair for pair, entry in pairs if entry != 0}
        if self.sums:
            pairs = zip(product(self.states, repeat=2), self.integrator_jacobian, strict=True)
            edges |= {pair for pair, entry in pairs if entry != 0}
        driven = closure(self.arrivals, {(column, row) for row, column in edges})
        read = {n for n, slope in zip(self.states, self.slope, strict=True) if slope != 0}
        between = driven & closure(read | self.scored, edges)
        return tuple(n for n in self.states if n in between)

    def check_drawn_numbers(self, group: NeuronGroup, namespace: Mapping[str, object]) -> None:
        """Raise NoDerivativeError for random numbers that a derivative would draw anew."""
        step = self.step
        after = {n: step.reset[n] for n in self.states if step.reset[n] != symbol(n)}
        paths = [after[n] for n, path in self.reset_path.items() if path != "detached"]
        places = {
            "threshold": () if step.distance is None else (printed(step.distance), step.gate),
            "reset": (*map(printed, self.reset_jacobian), *map(printed, paths)),
            "refractoriness": (step.next_not_refractory,),
        }
        for place, codes in places.items():
            names = set().union(*(get_identifiers(code) for code in codes))
            drawn = drawing(group, names, namespace)
            if drawn:
                raise NoDerivativeError(
                    f"the {place} of group '{group.name}' draws a random number, '{drawn}()': its "
                    "derivative would draw another; draw it into a variable first, for example "
                    f"run_regularly('noise = {drawn}()', dt=group.dt), and use the variable"
                )

    def driven_by(self, on_pre: OnPre) -> Self:
        """The linearization for synapses: of the states between their weight and what counts.

        Raises
        ------
        NoDerivativeError
            Naming the statement that is not linear, or if the weight cannot reach the threshold.
        """
        whole = evolve(
            self,
            arrivals=on_pre.effects(self.step),
            synaptic=frozenset({*on_pre.synaptic, on_pre.weight}),
        )
        states = whole.states_between_weight_and_threshold
        if not states and evolve(whole, rule=None).states_between_weight_and_threshold:
            raise NoDerivativeError(
                f"{type(self.rule).__name__} keeps no path from what '{on_pre.text}' changes to "
                f"the threshold of group '{parent_group(on_pre.target).name}': choose a rule that "
                "keeps what states do to each other, such as SuperSpike() or EProp()"
            )
        if not states:
            threshold = f"the threshold '{self.step.condition}'" if self.step.condition else "a use"
            raise NoDerivativeError(
                f"no variable that '{on_pre.text}' changes can reach {threshold} of group "
                f"'{parent_group(on_pre.target).name}', or a loss on it: every gradient would be "
                "zero; of order 2 and above what sums and spikes of earlier synapses read counts"
            )
        driven = whole.restricted_to(states)
        if self.rule is not None:
            self.rule.check(driven, parent_group(on_pre.target))
        return driven

    def restricted_to(self, states: tuple[str, ...]) -> Self:
        """The linearization of some of the states."""
        if states == self.states:
            return self
        return evolve(
            self,
            states=states,
            arrivals={n: b for n, b in self.arrivals.items() if n in states},
            reset_path={n: path for n, path in self.reset_path.items() if n in states},
            errors={
                moment: {n: error for n, error in errors.items() if n in states}
                for moment, errors in self.errors.items()
            },
            read_elsewhere=self.read_elsewhere & frozenset(states),
        )

    @cached_property
    def coefficients(self) -> Coefficients:
        """The entries as neuron-level variables, and the statements that compute them."""
        return Coefficients(self)

    @property
    def statements(self) -> dict[str, str]:
        """Brian2 code of the coefficients: {slot: code}."""
        return {slot: phase.code for slot, phase in self.coefficients.phases.items()}

    def _repr_latex_(self):
        return as_latex(self)

    def __str__(self):
        return as_text(self)


def _random(expressions):
    """Whether random numbers are drawn in any of the expressions."""
    return any(f.func.__name__ in RANDOM for e in expressions for f in e.atoms(AppliedUndef))
