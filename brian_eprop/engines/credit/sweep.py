"""What is computed in every step of the way back, as Brian2 statements.

A *row* is one adjoint of a group: ``credit`` is λ = dE/dh, summed over all paths or, with a
limited number of hops, over those without explicit edges; ``credit1`` is that over paths of one
explicit edge, and so on. Windows that begin within a trial need further rows, see carrying.py.
"""

from dataclasses import dataclass

import sympy

from ...calculus.adjoint import OPEN, transposed
from ...calculus.one_step import symbol
from ...calculus.statements import printed


@dataclass(frozen=True)
class Row:
    """One adjoint of a group.

    Attributes
    ----------
    name : str
        Its variables are ``name_<state>``.
    source : str
        What is added to γ, as code.
    explicit : str
        The row whose credit comes in along the explicit path through the reset; "" for none.
    """

    name: str
    source: str
    explicit: str = ""


def past(expression, adjoint):
    """An expression of recorded names in the names of what is replayed."""
    return expression.xreplace({symbol(n): symbol(f"past_{n}") for n in adjoint.recorded})


def arrived(adjoint, rows):
    """Code of Dᵀλ^{t+1}: the credit of arrivals after the threshold."""
    lines = []
    for row in rows:
        for state in adjoint.states:
            entries = {r: past(e, adjoint) for (r, k), e in adjoint.D.items() if k == state}
            lines.append(f"_late_{row.name}_{state} = {transposed(entries, f'{row.name}_')}")
    return lines


def advance(adjoint, rows):
    """Code of λ^t from Dᵀλ^{t+1}, λ^{t+1} and what comes in from other neurons."""
    lines = []
    for row in rows:
        terms = [row.source] if row.source else []
        for entries, name in ((adjoint.K, row.name), (adjoint.X, row.explicit)):
            if name and entries:
                terms.append(
                    transposed({s: past(e, adjoint) for s, e in entries.items()}, f"{name}_")
                )
        lines.append(f"_gamma_{row.name} = {' + '.join(terms) or '0'}")
    for row in rows:
        for state in adjoint.states:
            value = f"_late_{row.name}_{state}"
            if state in adjoint.c:
                value += f" + ({printed(past(adjoint.c[state], adjoint))})*_gamma_{row.name}"
            lines.append(f"{row.name}_{state} = {value}")
    return lines


def parameters(adjoint, rows):
    """Code of the gradients of parameters: what comes before `advance`, and after it.

    Parameters
    ----------
    rows : tuple of str
        The rows whose sum is the credit of a parameter.
    """
    before, after = [], []

    def total(entries, prefix=""):
        names = " + ".join
        return [
            f"({printed(past(entry, adjoint))})*({names(f'{prefix}{row}_{s}' for row in rows)})"
            for s, entry in entries.items()
        ]

    for name, effects in adjoint.parameters.items():
        before.append(f"_reset_{name} = {' + '.join(total(effects.reset)) or '0'}")
        gamma = " + ".join(f"_gamma_{row}" for row in rows)
        terms = [f"_reset_{name}", *total(effects.update)]
        terms += [f"({printed(past(e, adjoint))})*({gamma})" for e in effects.threshold.values()]
        after.append(f"grad_{name} += {' + '.join(terms)}")
    return before, after


def outputs(wanted, clamped):
    """Code of what synapses ask for.

    Parameters
    ----------
    wanted : list of Output
    clamped : set of str
        States that are deaf to arrivals during refractoriness.
    """
    lines = []
    for output in wanted:
        terms = []
        for state, effect in output.effects.items():
            prefix = "" if output.early else "_late_"
            credit = " + ".join(f"{prefix}{row}_{state}" for row in output.rows)
            gate = OPEN["early" if output.early else "late"]
            gate = f"*past_{gate}" if state in clamped else ""
            factor = "" if effect == sympy.S.One else f"({printed(effect)})*"
            terms.append(f"{factor}({credit}){gate}")
        lines.append(f"{output.name} = {' + '.join(terms)}")
    return lines
