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
    a loss       λ ← λ + ∂ℓ/∂h    at the moment at which it reads the state

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

from itertools import product

import sympy
from attrs import define, field

from ..brian.code import internal
from .derivatives import derivative
from .one_step import Piece
from .printing import printed
from .programs import symbol
from .statements import PSI, SPIKED, Held, closure

#: Whether an arrival at a clamped state counts: before the threshold and after it.
OPEN = {True: "__open_early", False: "__open_late"}
#: The stage whose recorder runs at the end of a step.
END = "end"


@define(slots=False)
class Transition:
    """The Jacobian of one stage of a step, and the paths of a spike and of parameters through it.

    All entries are numbers, constants or recorded names; zeros are left out.

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

    def moves(self, state):
        """Whether the stage changes a state, or others by it."""
        columns = [{column, *rows} for column, rows in self.matrix.items()]
        changed = (*columns, self.implicit, self.explicit, *self.parameters.values())
        return any(state in states for states in changed)


class Adjoint(Held):
    """The coefficients of the backward pass of a group, each replayed or recorded.

    Parameters
    ----------
    linearization : Linearization
        Of all states of the group.
    parameters : iterable of str
        Those that are trained.

    Attributes
    ----------
    states : tuple of str
        Everything that can reach the threshold, or a loss.
    errors : mapping of str to mapping of str to str
        What losses add to λ, by moment: see `Linearization`.
    transitions : list of Transition
        The stages of a step, in the order in which they run.
    phases : dict of str to Phase
        What is computed forwards, by the stage before which it is.
    recorded : dict of str to str
        The names that the past is asked for, and the stage before which each is known.
    constants : dict of sympy.Symbol to sympy.Expr
        Names for what does not change within a window.
    """

    def __init__(self, linearization, parameters=()):
        step = linearization.step
        reaching = linearization.restricted_to(_states_that_count(linearization))
        super().__init__(reaching, (*step.order, END), "threshold")
        self.states, self.parameters = reaching.states, tuple(parameters)
        self.recorded, self.constants, self.local = {}, {}, set()
        self.errors = reaching.errors
        self.recorded |= {n: END for errors in self.errors.values() for n in errors.values()}
        self.pieces = {piece.name: (piece, program) for piece, program in step.pieces}
        derive = {"threshold": self._threshold, "reset": self._reset}
        self.transitions = [derive.get(stage, self._code)(stage) for stage in step.order]
        if step.clamped:
            for early, stage in ((True, "threshold"), (False, END)):
                self.by_moment[stage].text[OPEN[early]] = "int(not_refractory)"
                self.recorded[OPEN[early]] = stage

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
        return self.step.order.index("threshold") + (0 if early else 1)

    def _threshold(self, stage):
        c = self.vector(self.linearization.c, stage, "c")
        effects = {}
        for parameter in self.parameters if self.step.distance is not None else ():
            effect = PSI * derivative(self.step.distance, symbol(parameter))
            effects[parameter] = self.vector([effect], stage, "c", parameter, names=["z"])
        return Transition(stage, c=c, parameters=effects)

    def _reset(self, stage):
        lin, after = self.linearization, self.step.reset
        return Transition(
            stage,
            matrix=self._columns(lin.reset_jacobian, stage, "J"),
            implicit=self.vector(lin.jump, stage, "implicit"),
            explicit=self.vector(lin.explicit_jump, stage, "explicit"),
            parameters={
                parameter: self.vector(
                    [SPIKED * derivative(after[n], symbol(parameter)) for n in self.states],
                    stage,
                    "R",
                    parameter,
                )
                for parameter in self.parameters
            },
        )

    def _code(self, stage):
        """The state update, or another piece of code that runs for all or some neurons."""
        piece, program = self.pieces.get(stage, (Piece(stage), self.step.update))
        if piece.factors:
            factors = {s: factor for s, factor in piece.factors.items() if s in self.states}
            # They are known when the synapses of the step have run
            self.recorded |= dict.fromkeys(factors.values(), END)
            return Transition(
                stage, {s: {s: self._factor(s, factor, stage)} for s, factor in factors.items()}
            )
        matrix, definitions = self.linearization.jacobian_of(program)
        runs = symbol(piece.flag) if piece.flag else sympy.S.One
        identity = sympy.eye(len(self.states))
        letter = "F" if stage == "update" else f"M_{stage}"
        self.local |= definitions.keys()
        columns = self._columns(identity + runs * (matrix - identity), stage, letter)
        effects = {}
        for parameter in self.parameters:
            change, more = program.jacobian(self.states, [parameter])
            self.local |= more.keys()
            definitions |= more
            effects[parameter] = self.vector(runs * change, stage, letter, parameter)
        self.complete(stage, definitions, self.step.not_refractory)
        return Transition(stage, columns, parameters=effects)

    def _factor(self, state, factor, stage):
        """The factor of a state by arrivals; 1 while it is held during refractoriness."""
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

    def _columns(self, matrix, stage, letter):
        """The columns that are not those of the identity."""
        columns = self.columns(self.states, matrix, stage, letter)
        return {column: rows for column, rows in columns.items() if rows != {column: 1}}

    def entry(self, value, name, moment):
        """A number, constant or recorded name."""
        if value.is_number:
            return value
        self.note_spikes(value.free_symbols)
        names = {s.name for s in value.free_symbols}
        replayed = names & {"psi", "__spiked"}
        if value.free_symbols & self.local or names & (self.step.varying - replayed):
            recorded = self.hold(value, name, moment)
            self.recorded.setdefault(recorded.name, moment)
            return recorded
        self.recorded |= dict.fromkeys(replayed, "threshold")
        return self._with_named_constants(value, name)

    def _with_named_constants(self, value, name):
        """Constant factors that cost something are computed once a window."""
        changing = [s for s in (PSI, SPIKED) if s in value.free_symbols]
        factor, rest = value.as_independent(*changing) if changing else (value, sympy.S.One)
        if (value.is_Add and changing) or factor.is_number or factor.is_Symbol:
            return value
        names = {e: n for n, e in self.constants.items()}
        if factor not in names:
            names[factor] = symbol(internal("constant", name))
            self.constants[names[factor]] = factor
        return names[factor] * rest


def _states_that_count(linearization):
    """States from which the threshold or a loss can be reached, spikes of the neuron included."""
    step, states = linearization.step, linearization.states
    programs = (step.update, *(program for _, program in step.pieces))
    jacobians = [linearization.reset_jacobian, *(p.jacobian(states)[0] for p in programs)]
    pairs = [*product(states, repeat=2)]
    edges = {pair for m in jacobians for pair, e in zip(pairs, m, strict=True) if e != 0}
    read = {name for name, slope in zip(states, linearization.slope, strict=True) if slope != 0}
    for jump in (linearization.jump, linearization.explicit_jump):
        edges |= {(row, k) for row, e in zip(states, jump, strict=True) if e != 0 for k in read}
    reached = closure(read | linearization.scored, edges)
    return tuple(name for name in states if name in reached)


def transposed(rows, names):
    """Code of Σ_row entry·λ_row for a column, given {row: entry} and the names of λ."""
    return " + ".join(f"({printed(entry)})*{names[row]}" for row, entry in rows.items()) or "0"
