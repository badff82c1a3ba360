"""What is computed in every step of the backward pass, as Brian2 statements.

A *row* is one adjoint of a group: ``credit`` is λ = dE/dh, summed over all paths or, with a
limited number of hops, over those without explicit edges; ``credit1`` is that over paths of one
explicit edge, and so on. Windows that begin within a trial need further rows, see carrying.py.

For a LIF neuron with an explicit reset, order 1, the finished text is

    _gamma_credit = __credit_signal
    _credit_v_threshold = credit_v + (__past_psi)*_gamma_credit
    __arriving_0 = _credit_v_threshold                    (spikes before the threshold)
    credit_v = (__constant_F_v_v)*_credit_v_threshold
"""

from dataclasses import dataclass

import sympy

from ...calculus.adjoint import OPEN, transposed
from ...calculus.one_step import symbol
from ...calculus.statements import printed
from ...names import internal


@dataclass(frozen=True)
class Row:
    """One adjoint of a group.

    Attributes
    ----------
    name : str
        ``credit`` has the variables ``credit_<state>``, others have internal ones.
    source : str
        What is added to γ, as code.
    explicit : str
        The row whose credit comes in along the explicit path through the reset; "" for none.
    """

    name: str
    source: str
    explicit: str = ""

    def variable(self, state):
        """The variable of the group that holds the adjoint of a state."""
        return row_variable(self.name, state)


def row_variable(row, state):
    """The variable of a group that holds a row of credit, or what is carried, for a state."""
    return f"credit_{state}" if row == "credit" else internal(row, state)


def past(expression, adjoint):
    """An expression of recorded names in the names of what is replayed."""
    return expression.xreplace({symbol(n): symbol(internal("past", n)) for n in adjoint.recorded})


class Sweep:
    """The text of one step of the backward pass of a group.

    Attributes
    ----------
    after_threshold, before_threshold : list of str
        Statements for the stages after the threshold, and from the threshold to the start of
        the step.

    Parameters
    ----------
    adjoint : Adjoint
    rows : list of Row
    credit_rows : tuple of str
        The rows whose sum is the credit of a parameter.
    outputs : iterable of Output
        What synapses ask for.
    clamped : frozenset of str
        States that are deaf to arrivals during refractoriness.
    """

    def __init__(self, adjoint, rows, credit_rows, outputs, clamped):
        self.adjoint, self.rows, self.credit_rows = adjoint, rows, credit_rows
        self.outputs, self.clamped = list(outputs), clamped
        self.names = {r.name: {s: r.variable(s) for s in adjoint.states} for r in rows}
        self.gamma = {row.name: [row.source] if row.source else [] for row in rows}
        self.parameters = {name: [] for name in adjoint.parameters}
        self.after_threshold, self.before_threshold = [], []
        self.lines = self.after_threshold
        self._run()

    def _run(self):
        transitions = self.adjoint.transitions
        self._put_out(len(transitions))
        for place, transition in reversed(list(enumerate(transitions))):
            if transition.stage == "threshold":
                self.lines = self.before_threshold
                self._threshold(transition)
            else:
                self._stage(transition)
            self._put_out(place)
        for row, names in self.names.items():
            for state, name in names.items():
                if name != row_variable(row, state):
                    self.lines.append(f"{row_variable(row, state)} = {name}")
        for name, terms in self.parameters.items():
            self.lines.append(f"grad_{name} += {' + '.join(terms) or '0'}")

    def _stage(self, transition):
        """λ ← Mᵀ λ, and what the spike and parameters did in this stage."""
        for row in self.rows:
            for entries, source in (
                (transition.implicit, row.name),
                (transition.explicit, row.explicit),
            ):
                if source and entries:
                    self.gamma[row.name].append(self._times(entries, self.names[source]))
        for name, effects in transition.parameters.items():
            if effects:
                local = f"_{name}_{transition.stage}"
                terms = [self._times(effects, self.names[row]) for row in self.credit_rows]
                self.lines.append(f"{local} = {' + '.join(terms)}")
                self.parameters[name].append(local)
        after = {}
        for row in self.rows:
            names = self.names[row.name]
            after[row.name] = dict(names)
            for column, entries in transition.matrix.items():
                local = f"_{row.name}_{column}_{transition.stage}"
                self.lines.append(f"{local} = {self._times(entries, names)}")
                after[row.name][column] = local
        self.names = after

    def _threshold(self, transition):
        """λ ← λ + c γ."""
        for row in self.rows:
            names = self.names[row.name]
            gamma = f"_gamma_{row.name}"
            self.lines.append(f"{gamma} = {' + '.join(self.gamma[row.name]) or '0'}")
            for state, slope in transition.c.items():
                local = f"_{row.name}_{state}_threshold"
                slope = printed(past(slope, self.adjoint))
                self.lines.append(f"{local} = {names[state]} + ({slope})*{gamma}")
                names[state] = local
        total = " + ".join(f"_gamma_{row}" for row in self.credit_rows)
        for name, effects in transition.parameters.items():
            for effect in effects.values():
                self.parameters[name].append(f"({printed(past(effect, self.adjoint))})*({total})")

    def _times(self, entries, names):
        return transposed({s: past(e, self.adjoint) for s, e in entries.items()}, names)

    def _put_out(self, place):
        """Credit of the arrivals at this moment of the step."""
        for output in self.outputs:
            if output.place != place:
                continue
            terms = []
            for state, effect in output.effects.items():
                credit = " + ".join(self.names[row][state] for row in output.rows)
                gate = f"*{internal('past', OPEN[output.early])}" if state in self.clamped else ""
                factor = "" if effect == sympy.S.One else f"({printed(effect)})*"
                terms.append(f"{factor}({credit}){gate}")
            self.lines.append(f"{output.name} = {' + '.join(terms)}")
