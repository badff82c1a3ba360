r"""The one-step map played backwards, and what it needs of the past.

A step is a sequence of stages (one_step.py): the state update, the threshold, the reset, and
whatever else changes the state in the network that runs. With λ = dE/dh, the derivative of the
loss with respect to a neuron's state at a moment of the step, a step is swept from its end to its
start:

    reset        γ += kᵀ λ        k: the implicit path of the spike, R(h) − h
                 λ ← Jᵀ λ         J: the Jacobian of the reset of a neuron that fired
    threshold    λ ← λ + c γ      γ = dE/dz, to which the readout and other neurons add
    update       λ ← F'ᵀ λ        F': the Jacobian of the integrator's step
    other code   λ ← Mᵀ λ         M: its Jacobian, where it runs

so that λ is the adjoint of s ← A s + D b x, with A = F'(J + k cᵀ) and D = F'J of
linearization.py. An arrival at any moment of the step has the credit bᵀλ of this moment (Bellec et
al. 2020, Nat. Commun. 11:3625, Methods; the sweep is back-propagation through time along implicit
paths). Between steps λ is kept as it is at the start of a step. The explicit path of a spike
through the reset, X = R(h) − h, is one more explicit edge.

A parameter p of the neuron acts on each stage directly,

    dE/dp = Σ_t γ^t ψ ∂distance/∂p + Σ_stages λ · ∂(stage)/∂p

and through the arrivals that depend on it, which the synapses see to.

All coefficients are those of the moment at which their stage runs: they are recorded just before
it. An entry is replayed from numbers and constants where it can be, from ψ and from whether the
neuron fired where it depends on no more; only what depends on the state otherwise is recorded.
For ALIF neurons this is ψ alone.
"""

import sympy
from attrs import define, field

from ..brian.code import internal
from .derivatives import derivative
from .programs import symbol
from .statements import PSI, SPIKED, Held, closure, printed, tidy

#: Whether an arrival at a clamped state counts: before the threshold and after it.
OPEN = {True: "__open_early", False: "__open_late"}
#: The stage whose recorder runs at the end of a step.
END = "end"


@define(slots=False)
class Transition:
    """What a stage does to a small change of the state; nonzero entries by name.

    Attributes
    ----------
    stage : str
    matrix : dict of str to dict of str to sympy.Expr
        The columns of its Jacobian that are not those of the identity: {column: {row: entry}}.
    implicit, explicit : dict of str to sympy.Expr
        What a spike adds to each state, by the paths of the reset.
    c : dict of str to sympy.Expr
        ∂z/∂h, of the threshold.
    parameters : dict of str to dict of str to sympy.Expr
        What a parameter adds to each state, or to the spike (under the key "z").
    """

    stage: str
    matrix: dict = field(factory=dict)
    implicit: dict = field(factory=dict)
    explicit: dict = field(factory=dict)
    c: dict = field(factory=dict)
    parameters: dict = field(factory=dict)


@define(slots=False)
class Adjoint:
    """The coefficients of the backward pass of a group.

    Attributes
    ----------
    states : tuple of str
        Everything that can reach the threshold.
    transitions : list of Transition
        The stages of a step, in the order in which they run.
    phases : dict of str to Phase
        What is computed forwards, by the stage before which it is.
    recorded : dict of str to str
        The names that the past is asked for, and the stage before which each is known.
    constants : dict of sympy.Symbol to sympy.Expr
        Names for what does not change within a window.
    parameters : tuple of str
        Those that are trained.
    """

    states: tuple
    transitions: list = field(factory=list)
    phases: dict = field(factory=dict)
    recorded: dict = field(factory=dict)
    constants: dict = field(factory=dict)
    parameters: tuple = ()

    @classmethod
    def of(cls, linearization, parameters=()):
        """The backward pass of a linearization, and the effects of parameters on it."""
        return _Derivation(linearization, tuple(parameters)).adjoint

    def reached_from(self, states):
        """The states that a change of some states can reach, in order."""
        edges = set()
        for transition in self.transitions:
            edges |= {(k, r) for k, column in transition.matrix.items() for r in column}
            edges |= {(k, r) for k in self.read_by_threshold for r in transition.implicit}
        return tuple(n for n in self.states if n in closure(states, edges))

    @property
    def read_by_threshold(self):
        """States that the distance to the threshold depends on."""
        return {name for transition in self.transitions for name in transition.c}

    def place(self, *, early):
        """The number of stages before an arrival, before or after the threshold."""
        stages = [transition.stage for transition in self.transitions]
        return stages.index("threshold") + (0 if early else 1)


class _Derivation(Held):
    """Decides for every entry whether it is recorded or replayed."""

    def __init__(self, linearization, parameters):
        super().__init__(linearization, (*linearization.step.order, END), "threshold")
        self.local = set()
        self.pieces = {piece.name: (piece, program) for piece, program in self.step.pieces}
        self.programs = {"update": self.step.update} | {
            name: program for name, (_, program) in self.pieces.items()
        }
        self.adjoint = Adjoint(self._states_before_threshold(), parameters=parameters)
        for stage in self.step.order:
            self.adjoint.transitions.append(self._transition(stage))
        if self.step.clamped:
            for early, stage in ((True, "threshold"), (False, END)):
                self.by_moment[stage].text[OPEN[early]] = "int(not_refractory)"
                self.adjoint.recorded[OPEN[early]] = stage
        self.adjoint.phases = self.phases

    def _states_before_threshold(self):
        """States from which the threshold can be reached, spikes of the neuron included."""
        lin, states = self.linearization, self.linearization.states
        matrices = [lin.reset_jacobian]
        for program in self.programs.values():
            matrices.append(program.jacobian(states)[0])
        edges = {
            (states[i], states[j])
            for matrix in matrices
            for i in range(len(states))
            for j in range(len(states))
            if matrix[i, j] != 0
        }
        read = {name for name, slope in zip(states, lin.slope, strict=True) if slope != 0}
        jumps = (*lin.jump, *lin.explicit_jump)
        jumping = {name for name, jump in zip((*states, *states), jumps, strict=True) if jump != 0}
        edges |= {(row, column) for row in jumping for column in read}
        reached = closure(read, edges)
        return tuple(name for name in states if name in reached)

    def _transition(self, stage):
        if stage == "threshold":
            return self._threshold()
        if stage == "reset":
            return self._reset()
        return self._code(stage)

    def _threshold(self):
        transition = Transition("threshold")
        for name, slope in zip(self.linearization.states, self.linearization.c, strict=True):
            if name in self.adjoint.states:
                self._keep(transition.c, name, slope, internal("c", name), "threshold")
        for name in self.adjoint.parameters:
            effect = PSI * derivative(self.step.distance, symbol(name))
            self._keep(
                transition.parameters.setdefault(name, {}),
                "z",
                effect,
                internal("c", name),
                "threshold",
            )
        return transition

    def _reset(self):
        transition, states = Transition("reset"), self.linearization.states
        self._columns(transition, self.linearization.reset_jacobian, "J", "reset")
        jumps = (
            (transition.implicit, self.linearization.jump, "implicit"),
            (transition.explicit, self.linearization.explicit_jump, "explicit"),
        )
        for kept, jump, path in jumps:
            for name, entry in zip(states, jump, strict=True):
                if name in self.adjoint.states:
                    self._keep(kept, name, entry, internal(path, name), "reset")
        for parameter in self.adjoint.parameters:
            effects = transition.parameters.setdefault(parameter, {})
            for name in self.adjoint.states:
                effect = SPIKED * derivative(self.step.reset[name], symbol(parameter))
                self._keep(effects, name, effect, internal("R", parameter, name), "reset")
        return transition

    def _code(self, stage):
        """The state update, or another piece of code that runs for all or some neurons."""
        transition, program = Transition(stage), self.programs[stage]
        piece, _ = self.pieces.get(stage, (None, None))
        if piece is not None and piece.factors:
            for state, factor in piece.factors.items():
                if state in self.adjoint.states:
                    # It is known when the synapses of the step have run
                    self.adjoint.recorded[factor] = END
                    transition.matrix[state] = {state: self._factor(state, factor, stage)}
            return transition
        matrix, definitions = self.linearization.jacobian_of(program)
        flag = symbol(piece.flag) if piece is not None and piece.flag else None
        if flag is not None:
            identity = sympy.eye(len(self.linearization.states))
            matrix = identity + flag * (matrix - identity)
        letter = "F" if stage == "update" else f"M_{stage}"
        self.local |= definitions.keys()
        self._columns(transition, matrix, letter, stage)
        self._complete(stage, definitions)
        for parameter in self.adjoint.parameters:
            change, definitions = program.jacobian(self.linearization.states, [parameter])
            self.local |= definitions.keys()
            effects = transition.parameters.setdefault(parameter, {})
            for name, entry in zip(self.linearization.states, change, strict=True):
                if name in self.adjoint.states:
                    entry = entry if flag is None else flag * entry
                    self._keep(effects, name, entry, internal(letter, parameter, name), stage)
            self._complete(stage, definitions)
        return transition

    def _factor(self, state, factor, stage):
        """What arrivals multiply a state by; it is deaf to them while it is held."""
        if state not in self.step.clamped:
            return symbol(factor)
        place = self.step.order.index
        if place(stage) < place("update"):
            raise ValueError(
                f"synapses multiply '{state}', which is '(unless refractory)', before its state "
                "update: let them run later in the step, in the slot 'synapses'"
            )
        early = place(stage) < place("threshold")
        return 1 + symbol(OPEN[early]) * (symbol(factor) - 1)

    def _columns(self, transition, matrix, letter, stage):
        names, kept = self.linearization.states, self.adjoint.states
        for j, column in enumerate(names):
            if column not in kept:
                continue
            rows = {row: tidy(matrix[i, j]) for i, row in enumerate(names) if row in kept}
            if all(entry == (1 if row == column else 0) for row, entry in rows.items()):
                continue
            entries = transition.matrix[column] = {}
            for row, entry in rows.items():
                self._keep(entries, row, entry, internal(letter, row, column), stage)

    def _complete(self, stage, definitions):
        # The state update that is about to run finds what it has found one step ahead
        now = self.step.next_not_refractory.replace("t + dt", "t")
        self.complete(stage, definitions, now)

    def _keep(self, kept, where, value, name, stage):
        """An entry in numbers, constants and recorded names; nothing if it is 0."""
        value = tidy(value)
        if value != 0:
            kept[where] = self._entry(value, name, stage)

    def _entry(self, value, name, stage):
        if value.is_number:
            return value
        self.note_spikes(value.free_symbols)
        if self._replayable(value):
            names = {"psi", "__spiked"} & {s.name for s in value.free_symbols}
            self.adjoint.recorded |= dict.fromkeys(names, "threshold")
            return self._with_named_constants(value, name)
        held = self.hold(value, name, stage)
        self.adjoint.recorded.setdefault(held.name, stage)
        return held

    def _replayable(self, value):
        if value.free_symbols & self.local:
            return False
        varying = {s.name for s in value.free_symbols} & self.step.varying
        return not (varying - {"psi", "__spiked"})

    def _with_named_constants(self, value, name):
        """Constant factors that cost something are computed once a window."""
        changing = [s for s in (PSI, SPIKED) if s in value.free_symbols]
        factor, rest = value.as_independent(*changing) if changing else (value, sympy.S.One)
        if value.is_Add and changing:
            return value
        if factor.is_number or factor.is_Symbol:
            return value
        names = {e: n for n, e in self.adjoint.constants.items()}
        if factor not in names:
            names[factor] = symbol(internal("constant", name))
            self.adjoint.constants[names[factor]] = factor
        return names[factor] * rest


def transposed(rows, names):
    """Code of Σ_row entry·λ_row for a column, given {row: entry} and the names of λ."""
    return " + ".join(f"({printed(entry)})*{names[row]}" for row, entry in rows.items()) or "0"
