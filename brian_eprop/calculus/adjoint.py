r"""The linear system of linearization.py played backwards, and what it needs of the past.

With λ^t = dE/dh^t, the derivative of the loss with respect to a neuron's state where its
threshold is evaluated, and γ^t = dE/dz^t,

    γ^t = signal^t + Kᵀ λ^{t+1}          K = F'k, the implicit path spike → state
    λ^t = Dᵀ λ^{t+1} + c γ^t             D = F'J

so that λ is the adjoint of s ← A s + D b x with A = D + K cᵀ. An arrival before the threshold
of step t has the credit bᵀλ^t, one after it bᵀDᵀλ^{t+1} (theory: Bellec et al. 2020, Nat.
Commun. 11:3625, Methods; the sweep is back-propagation through time along implicit paths).
The explicit path of a spike through the reset is X = F'(R(h) − h).

A parameter p of the neuron acts on its threshold, its reset and its state update directly,

    dE/dp = Σ_t γ^t ψ ∂distance/∂p + λ^{t+1}·F'(∂R/∂p) z^t + λ^t·∂F/∂p

and through the arrivals that depend on it, which the synapses see to.

An entry is replayed from numbers and constants where it can be, from ψ and from whether the
neuron fired where it depends on no more; only what depends on the state otherwise is recorded.
For ALIF neurons this is ψ alone.
"""

from dataclasses import dataclass, field

import sympy

from .derivatives import derivative
from .one_step import NEXT_NOT_REFRACTORY
from .programs import symbol
from .statements import Phase, needed_definitions, printed, tidy

PSI, SPIKED = symbol("psi"), symbol("spiked")
#: The moments at which something may have to be computed.
SLOTS = ("before_groups", "before_thresholds", "before_resets", "end")
#: Whether an arrival at a clamped state counts: after the threshold and before it.
OPEN = {"late": "open_late", "early": "open_early"}


@dataclass
class ParameterEffects:
    """How a parameter acts on its neuron: nonzero entries, as those of `Adjoint`.

    Attributes
    ----------
    threshold : dict of str to sympy.Expr
        ψ ∂distance/∂p, under the key "z".
    reset, update : dict of str to sympy.Expr
        F'(∂R/∂p) z of step t, and ∂F/∂p of the update that leads to step t, of each state.
    """

    threshold: dict = field(default_factory=dict)
    reset: dict = field(default_factory=dict)
    update: dict = field(default_factory=dict)


@dataclass
class Adjoint:
    """The coefficients of the backward system of a group.

    Attributes
    ----------
    states : tuple of str
        Everything that can reach the threshold.
    D : dict of (str, str) to sympy.Expr
        Nonzero entries, in recorded names and constants.
    c, K, X : dict of str to sympy.Expr
    phases : dict of str to Phase
        What is computed forwards, by slot.
    recorded : dict of str to str
        The names that the past is asked for, and the slot in which each is known.
    constants : dict of sympy.Symbol to sympy.Expr
        Names for what does not change within a window.
    parameters : dict of str to ParameterEffects
    """

    states: tuple
    D: dict = field(default_factory=dict)
    c: dict = field(default_factory=dict)
    K: dict = field(default_factory=dict)
    X: dict = field(default_factory=dict)
    phases: dict = field(default_factory=dict)
    recorded: dict = field(default_factory=dict)
    constants: dict = field(default_factory=dict)
    parameters: dict = field(default_factory=dict)

    @classmethod
    def of(cls, linearization, parameters=()):
        """The system of all states of a linearization, and the effects of parameters on it."""
        return _Derivation(linearization, parameters).adjoint


class _Derivation:
    """Decides for every entry whether it is recorded or replayed."""

    def __init__(self, linearization, parameters):
        self.lin, self.step = linearization, linearization.step
        self.phases = {slot: Phase() for slot in SLOTS}
        self.ahead = {symbol("t"): symbol("t") + symbol("dt")}
        self.adjoint = Adjoint(linearization.states)
        self.held, self.local = {}, set()
        self.reset = self._before_reset(linearization.reset_jacobian, "reset")
        self.update = linearization.integrator_jacobian.xreplace(self.ahead)
        self._derive()
        for name in parameters:
            self._derive_parameter(name)
        self._complete("end", linearization.definitions, self.ahead)
        if self.step.clamped:
            self.phases["before_thresholds"].text[OPEN["early"]] = "int(not_refractory)"
            self.phases["end"].text[OPEN["late"]] = "int(not_refractory)"
            self.adjoint.recorded |= {OPEN["early"]: "before_thresholds", OPEN["late"]: "end"}
        self.adjoint.phases = {s: phase for s, phase in self.phases.items() if not phase.empty}

    def _derive(self):
        lin, adjoint, states = self.lin, self.adjoint, self.lin.states
        self.local |= lin.definitions.keys()
        self._entries(adjoint.c, dict(zip(states, lin.c, strict=True)), "c", "before_thresholds")
        for letter, jump in (("K", lin.jump), ("X", lin.explicit_jump)):
            column = self.update * self._before_reset(jump, "jump")
            kept = getattr(adjoint, letter)
            self._entries(kept, dict(zip(states, column, strict=True)), letter, "end")
        matrix = self.update * self.reset
        pairs = [(row, column) for row in states for column in states]
        self._entries(adjoint.D, dict(zip(pairs, matrix, strict=True)), "D", "end")

    def _derive_parameter(self, name):
        """The direct effects of a parameter."""
        step, states = self.step, self.lin.states
        effects = self.adjoint.parameters[name] = ParameterEffects()
        parameter = symbol(name)
        threshold = {"z": PSI * derivative(step.distance, parameter)}
        self._entries(effects.threshold, threshold, f"c_{name}", "before_thresholds")
        after = [SPIKED * derivative(step.reset[state], parameter) for state in states]
        jump = self._before_reset(sympy.Matrix(after), f"reset_{name}")
        column = dict(zip(states, self.update * jump, strict=True))
        self._entries(effects.reset, column, f"R_{name}", "end")
        change, definitions = step.update.jacobian(states, [name])
        self.local |= definitions.keys()
        self._entries(
            effects.update, dict(zip(states, change, strict=True)), f"F_{name}", "before_groups"
        )
        self._complete("before_groups", definitions, {})

    def _complete(self, slot, definitions, ahead):
        """Add to a phase what its values are defined by."""
        phase = self.phases[slot]
        definitions = {name: value.xreplace(ahead) for name, value in definitions.items()}
        used = needed_definitions(phase.neuron.values(), definitions)
        phase.definitions.update({n: e for n, e in definitions.items() if n in used})
        values = [*phase.neuron.values(), *phase.definitions.values()]
        if any(symbol(NEXT_NOT_REFRACTORY) in value.free_symbols for value in values):
            next_one = self.step.next_not_refractory
            phase.text[NEXT_NOT_REFRACTORY] = (
                next_one if slot == "end" else next_one.replace("t + dt", "t")
            )

    def _entries(self, kept, values, letter, slot):
        for where, value in values.items():
            value = tidy(value)
            if value != 0:
                name = f"{letter}_{where}" if isinstance(where, str) else "_".join((letter, *where))
                kept[where] = self._entry(value, name, slot)

    def _entry(self, value, name, slot):
        """The entry in constants and recorded names."""
        if value.is_number:
            return value
        if self._replayable(value):
            self._note(value)
            return self._with_named_constants(value, name)
        # Equal expressions are equal values only at the same moment
        moment = (slot, value)
        if moment not in self.held:
            self.phases[slot].neuron[name] = value
            self.adjoint.recorded[name] = slot
            self.held[moment] = symbol(name)
            self._note(value, recorded=False)
        return self.held[moment]

    def _replayable(self, value):
        if value.free_symbols & self.local:
            return False
        varying = {s.name for s in value.free_symbols} & self.step.varying
        known = {"psi", "spiked"}
        inner = {s.name for s in value.free_symbols} & self._names_held()
        return not (varying - known) and not inner

    def _names_held(self):
        return {name for phase in self.phases.values() for name in phase.neuron}

    def _note(self, value, recorded=True):
        """See to it that ψ, and whether a neuron fired, are there."""
        text = self.phases["before_thresholds"].text
        if PSI in value.free_symbols:
            # ψ stays the text it was given as: SymPy would rewrite its |x| and clip(…).
            text["psi"] = self.lin.surrogate_code
        if SPIKED in value.free_symbols:
            both = " and not_refractory" if self.step.refractory else ""
            text["spiked"] = f"int(({self.step.condition}){both})"
        if recorded:
            names = {"psi", "spiked"} & {s.name for s in value.free_symbols}
            self.adjoint.recorded |= dict.fromkeys(names, "before_thresholds")

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
            names[factor] = symbol(f"constant_{name}")
            self.adjoint.constants[names[factor]] = factor
        return names[factor] * rest

    def _before_reset(self, matrix, prefix):
        """Store the entries of a matrix that depend on the state before the reset."""
        state = {symbol(name) for name in self.step.states}
        names, held = self.lin.states, matrix.as_mutable()
        for i in range(matrix.rows):
            for j in range(matrix.cols):
                value = matrix[i, j]
                if not value.free_symbols & state:
                    continue
                where = names[i] if matrix.cols == 1 else f"{names[i]}_{names[j]}"
                name = f"{prefix}_{where}"
                self.phases["before_resets"].neuron[name] = value
                self._note(value, recorded=False)
                held[i, j] = symbol(name)
        return held


def transposed(rows, previous):
    """Code of Σ_row entry·previous_row for a column: {row: entry} → text."""
    return " + ".join(f"({printed(entry)})*{previous}{row}" for row, entry in rows.items()) or "0"
