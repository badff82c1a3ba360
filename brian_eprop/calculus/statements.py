"""Coefficients of a linearization as neuron-level variables, and the statements that set them.

An entry that is a number is written into the synapses' code as it stands; one that equals a
variable already held (ψ itself, most often) borrows it; every other one gets a variable of
its own, shared by the group if its value is the same for all neurons.
"""

import sympy
from attrs import field, frozen

from ..brian.code import internal
from .arrivals import common_effects
from .one_step import AHEAD, NEXT_NOT_REFRACTORY
from .printing import printed, tidy, without_repetition
from .programs import expand, inputs, symbol

#: The moments of a step at which coefficients are computed, in the order of Brian2's schedule.
SLOTS = ("before_start", "before_update", "before_thresholds", "before_resets", "end")


#: Names of ψ, and of whether a neuron fired in this step, in expressions.
PSI, SPIKED = symbol("psi"), symbol("__spiked")

#: Local names in the code of a phase.
FIRES = "_fires"
LOCAL = frozenset({FIRES, NEXT_NOT_REFRACTORY})


def fires(step):
    """Code, name → value, for 1 where a neuron fires, before the threshold.

    It is a local boolean first: for numbers Brian2 asks SymPy, which compares none that it does
    not know to be real, such as int(…).
    """
    both = " and not_refractory" if step.refractory else ""
    return {FIRES: f"({step.condition}){both}", "__spiked": f"int({FIRES})"}


@frozen
class Phase:
    """Assignments to neuron-level variables at one moment of the time step.

    Attributes
    ----------
    uniform, neuron : dict of str to sympy.Expr
        Variables with one value for the group, and with one value per neuron.
    text : dict of str to str
        Assignments kept as Brian2 code, between the two. `LOCAL` names are no variables.
    definitions : dict of sympy.Symbol to sympy.Expr
        Local names that the expressions may use.
    """

    uniform: dict = field(factory=dict)
    neuron: dict = field(factory=dict)
    text: dict = field(factory=dict)
    definitions: dict = field(factory=dict)

    @property
    def variables(self):
        """Names of the variables that are assigned to."""
        return {*self.uniform, *self.neuron, *self.text} - LOCAL

    @property
    def empty(self):
        return not (self.uniform or self.neuron or self.text)

    def merge(self, other):
        """Both phases in one; equal names must mean equal things."""
        merged = {}
        for kind in ("uniform", "neuron", "text", "definitions"):
            mine, theirs = getattr(self, kind), getattr(other, kind)
            for name in mine.keys() & theirs.keys():
                if mine[name] != theirs[name]:
                    raise ValueError(
                        f"two projections onto one group need different values of '{name}': "
                        f"'{mine[name]}' and '{theirs[name]}'; give them the same surrogate and "
                        "reset_path, or create those with a sum over synapses first; or choose "
                        "EProp(engine='credit')"
                    )
            merged[kind] = {**mine, **theirs}
        return Phase(**merged)

    @property
    def code(self):
        """Brian2 statements, with common subexpressions computed once."""
        # Brian2 wants shared variables written before any other, and takes every name that is local
        # to the code for another as soon as a function is in its value.
        shared = [
            f"{name} = {printed(expand(value, self.definitions))}"
            for name, value in self.uniform.items()
        ]
        text = [f"{name} = {value}" for name, value in self.text.items()]
        return "\n".join([*shared, *text, *self._of_neurons()])

    def _of_neurons(self):
        needed = inputs(self.neuron.values(), self.definitions)
        kept = {name: e for name, e in self.definitions.items() if name in needed}
        assignments = kept | {symbol(name): value for name, value in self.neuron.items()}
        steps = without_repetition(assignments, "_common")
        return [f"{name} = {printed(value)}" for name, value in steps]


class Held:
    """Vectors and matrices over the states, with neuron-level variables for their entries.

    The coefficients of both engines: those of traces, and those that the backward pass replays.
    Each engine says, in `entry`, what needs a variable of its own.

    Parameters
    ----------
    linearization : Linearization
    moments : iterable of str
    threshold : str
        The moment at which ψ, and whether a neuron fires, are computed.
    """

    def __init__(self, linearization, moments, threshold):
        self.linearization, self.step = linearization, linearization.step
        self.by_moment, self.threshold = {moment: Phase() for moment in moments}, threshold
        self.known = {}

    @property
    def phases(self):
        """What is computed, by the moment at which it is."""
        return {moment: phase for moment, phase in self.by_moment.items() if not phase.empty}

    def vector(self, values, moment, letter, *suffix, names=None):
        """What stands for the nonzero ones of a value per state: {state: entry}."""
        values = zip(names or self.linearization.states, map(tidy, values), strict=True)
        return {n: self.entry(v, internal(letter, n, *suffix), moment) for n, v in values if v != 0}

    def columns(self, names, matrix, moment, letter):
        """What stands for the nonzero entries in some columns: {column: {row: entry}}."""
        place = self.linearization.states.index
        return {n: self.vector(matrix[:, place(n)], moment, letter, n) for n in names}

    def hold(self, expression, name, moment, *, uniform=False):
        """The symbol of the variable; equal expressions of one moment share it."""
        # Equal expressions are equal values only at the same moment
        key = (moment, expression)
        if key not in self.known:
            while any(name in phase.variables for phase in self.by_moment.values()):
                name += "_"
            phase = self.by_moment[moment]
            (phase.uniform if uniform else phase.neuron)[name] = expression
            self.known[key] = symbol(name)
        return self.known[key]

    def note_spikes(self, symbols):
        """See to it that ψ, and whether a neuron fired, are there for what uses them."""
        text = self.by_moment[self.threshold].text
        if PSI in symbols:
            # ψ stays the text it was given as: SymPy would rewrite its |x| and clip(…).
            text["psi"] = self.linearization.surrogate_code
        if SPIKED in symbols:
            text.update(fires(self.step))

    def complete(self, moment, definitions, not_refractory):
        """Add what the values of a moment are defined by, in expressions and as code."""
        phase = self.by_moment[moment]
        values = [*phase.uniform.values(), *phase.neuron.values()]
        used = inputs(values, definitions)
        phase.definitions.update({n: e for n, e in definitions.items() if n in used})
        values += phase.definitions.values()
        if any(symbol(NEXT_NOT_REFRACTORY) in value.free_symbols for value in values):
            phase.text[NEXT_NOT_REFRACTORY] = not_refractory


class Coefficients(Held):
    """A, D, b and c of a linearization as variables of the neurons: equal entries share one.

    Parameters
    ----------
    linearization : Linearization

    Attributes
    ----------
    phases : dict of str to Phase
        What is computed at each moment.
    c : dict of str to sympy.Expr
        Number or variable that stands for the entry of each state; zeros are missing.
    A, D : dict of str to dict of str to sympy.Expr
        The same for {column: {row: entry}}. D has the columns that arrivals act on.
    G : dict of str to dict of str to sympy.Expr
        The same for F', in the column of a sum over synapses whose weights are concerned.
    waits : bool
        Traces are moved on just before the state update, and not at the end of the step before.
    b : dict of str to sympy.Expr
        The same for the arrivals, where they are equal for all synapses of the group; other
        arrivals are missing.
    owed, owed_arrived : dict of str to sympy.Expr
        The same for ∂ℓ/∂s and ∂ℓ/∂(b x), of the losses on the neuron in this step.
    """

    def __init__(self, linearization):
        super().__init__(linearization, SLOTS, "before_thresholds")
        lin, states = linearization, linearization.states
        # At `end` the next state update is described: its time is one step ahead. Where sums over
        # synapses come before it, traces wait for them.
        self.waits, moment, letters = lin.sums, "end", ("A", "D")
        ahead, not_refractory = AHEAD, self.step.next_not_refractory
        if self.waits:
            ahead, moment, letters = {}, "before_update", ("late_A", "late_D")
            not_refractory = self.step.not_refractory
        definitions = {name: value.xreplace(ahead) for name, value in lin.definitions.items()}
        self.reset_changes = {symbol(name) for name in self.step.states}
        self.varying = self.step.per_neuron | {"psi", "__spiked"}
        for name, value in definitions.items():
            if not self._uniform(value):
                self.varying |= {name.name}
        self.note_spikes({PSI} if lin.surrogate_code else ())
        # For LIF neurons, whose reset is explicit:
        #
        # before_thresholds: psi = ((0.3/v_th)*clip(1 - abs((v - v_th))/(v_th), 0, 1))*…
        # end:               __A_v_v = exp(-dt/tau_m)       (D: the same variable; c: psi)
        #
        # At `end` the state has moved on: ψ and c are read from the variables that hold
        # them, and what depends on the state before the reset was stored before it.
        self.c = self.vector(lin.c, "before_thresholds", "c")
        jump = self.vector(lin.jump, "before_resets", "jump")
        reset = self.columns(states, lin.reset_jacobian, "before_resets", "reset")
        c, k, *J = (
            sympy.Matrix([entries.get(name, 0) for name in states])
            for entries in (self.c, jump, *reset.values())
        )
        F, J = lin.integrator_jacobian.xreplace(ahead), sympy.Matrix.hstack(*J)
        S = lin.sums_jacobian
        self.A = self.columns(states, F * S * (J + k * c.T), moment, letters[0])
        arriving = [name for name in states if name in lin.arrivals]
        self.D = self.columns(arriving, F * S * J, moment, letters[1])
        summed = [piece.sets for piece, _ in self.step.pieces if piece.sets in arriving]
        self.G = self.columns(summed, F, moment, "G")
        self.note_spikes(lin.reset_jacobian.free_symbols)
        self._owe(lin.errors, J, k * c.T, arriving)
        self.complete(moment, definitions, not_refractory)
        self.b = {
            name: self.entry(effect, internal("b", name), "before_start")
            for name, effect in common_effects(lin.arrivals, lin.synaptic).items()
            if self._uniform(effect)
        }

    def _owe(self, errors, J, spike, arriving):
        """What a loss that reads the state at the end of the step owes to s before its threshold.

        Parameters
        ----------
        errors : mapping
            See `Linearization`.
        J, spike : sympy.Matrix
            The Jacobian of the reset, and the path through the spike.
        arriving : list of str
            States that arrivals act on.
        """
        self.varying |= {name for held in errors.values() for name in held.values()}
        early, late = (
            sympy.Matrix([symbol(held[n]) if n in held else 0 for n in self.linearization.states])
            for held in (errors.get("before_thresholds", {}), errors.get("end", {}))
        )
        self.owed = self.vector(early + (J + spike).T * late, "end", "owed")
        of_arrivals = self.vector(J.T * late, "end", "owed", "arrived")
        self.owed_arrived = {n: e for n, e in of_arrivals.items() if n in arriving}

    def _uniform(self, expression):
        varying = self.varying.union(*(phase.neuron for phase in self.by_moment.values()))
        return not any(s.name in varying for s in expression.free_symbols)

    def entry(self, value, name, moment):
        """What can be read at `end`, or the symbol of the variable that holds the value."""
        changes = value.free_symbols & self.reset_changes
        lasts = moment == "before_resets" and not changes and not self.waits
        if lasts or value.is_number or value in {PSI, *self.known.values()}:
            return value
        return self.hold(value, name, moment, uniform=self._uniform(value))


def closure(start, edges):
    """All that edges (from, to) lead to."""
    reached = set(start)
    while new := {j for i, j in edges if i in reached} - reached:
        reached |= new
    return reached
