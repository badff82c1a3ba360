"""Expressions as code of Brian2, and the equations of a linearization as text and mathematics."""

import ast
from itertools import product

import sympy

from ..brian.internals import sympy_to_str
from .one_step import NEXT_NOT_REFRACTORY
from .programs import longer_than, symbol


def without_repetition(assignments, prefix):
    """The assignments with what occurs in them repeatedly assigned to names before it is used.

    Parameters
    ----------
    assignments : dict of sympy.Symbol to sympy.Expr
    prefix : str
        The new names are this and a number.

    Returns
    -------
    list of (sympy.Symbol, sympy.Expr)
    """
    numbered = sympy.numbered_symbols(prefix, real=True)
    common, results = sympy.cse(list(assignments.values()), symbols=numbered)
    waiting = dict(common)
    ordered = []

    def write(name, value):
        # What the value is made of comes first; a repeated part may use an assignment.
        for part in sorted(value.free_symbols & waiting.keys(), key=str):
            if part in waiting:
                write(part, waiting.pop(part))
        ordered.append((name, value))

    for name, value in zip(assignments, results, strict=True):
        write(name, value)
    return ordered


def tidy(expression):
    """The shorter of an expression and its expansion, in which what cancels is seen to.

    Expressions that are already long are left alone.
    """
    if longer_than(160, expression):
        return expression
    return min(expression, sympy.powsimp(sympy.expand_mul(expression)), key=sympy.count_ops)


def printed(expression):
    """A SymPy expression as Brian2 code.

    Fractions become floating-point numbers: Brian2's C++ code would evaluate a quotient of
    integers in single precision. Square roots stay what they are.
    """
    half = {sympy.S.Half, -sympy.S.Half} if expression.atoms(sympy.Pow) else set()
    fractions = {r for r in expression.atoms(sympy.Rational) - half if not r.is_Integer}
    # As names and not as numbers, at which SymPy would evaluate functions anew: exprel(x + 3.25)
    # would become a quotient that is 0/0 where its argument is 0.
    named = {r: sympy.sign(r) * sympy.Symbol(repr(float(abs(r))), real=True) for r in fractions}
    return sympy_to_str(expression.xreplace(named))


def as_number(condition):
    """Text of a number that is 1 where a condition is true, and 0 elsewhere.

    Without `and`, `or` and `not`: Brian2 lets these stand in numpy code of an expression that
    also depends on one boolean variable, such as ``not_refractory``.
    """
    return _as_number(ast.parse(condition.strip(), mode="eval").body)


def _as_number(tree):
    if isinstance(tree, ast.BoolOp):
        parts = [_as_number(part) for part in tree.values]
        both = isinstance(tree.op, ast.And)
        return "*".join(parts) if both else f"clip({' + '.join(parts)}, 0, 1)"
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not):
        return f"(1 - {_as_number(tree.operand)})"
    return f"int({ast.unparse(tree)})"


#: What the symbols mean that are in no equation of the user.
MEANINGS = {
    "psi": "pseudo-derivative of the spike, dz/d(distance to the threshold)",
    "spiked": "1 if the neuron fired in step t, else 0",
    NEXT_NOT_REFRACTORY: "whether the neuron integrates in step t+1",
}


#: Internal names, and what they are called here.
SHOWN = {symbol("__spiked"): symbol("spiked")}


def as_text(linearization):
    """The derived equations, zeros left out, as Brian2 would write the right-hand sides."""
    states = linearization.states
    lines = [
        f"s = dh/dw with h = ({', '.join(states)}), when the threshold is evaluated",
        "e(t)   = c.s(t)",
        "s(t+1) = A s(t) + D b x(t)    x: spikes that arrive after the threshold",
        "",
        f"psi = {linearization.surrogate_code}",
    ]
    arriving = sympy.diag(*(int(name in linearization.arrivals) for name in states))
    pairs = [f"{row}, {column}" for row, column in product(states, repeat=2)]
    for letter, entries, names in (
        ("c", linearization.c, states),
        ("b", linearization.b, states),
        ("A", linearization.A, pairs),
        ("D", linearization.D * arriving, pairs),
    ):
        named = zip(names, entries.xreplace(SHOWN), strict=True)
        lines += ["", *(f"{letter}[{name}] = {printed(e)}" for name, e in named if e != 0)]
    if linearization.definitions:
        lines += ["", "with"]
        steps = without_repetition(linearization.definitions, "q_")
        lines += [f"{name} = {printed(value)}" for name, value in steps]
    text = "\n".join(lines)
    used = [f"{name}: {meaning}" for name, meaning in MEANINGS.items() if name in text]
    return "\n".join([text, "", *used])


def as_latex(linearization):
    """The same equations as displayed mathematics."""
    states = ",\\;".join(sympy.latex(symbol(name)) for name in linearization.states)
    rows = [rf"h &= \left({states}\right)"]
    rows += [
        rf"{letter} &= {sympy.latex(getattr(linearization, letter).xreplace(SHOWN))}"
        for letter in ("A", "D", "b", "c")
    ]
    rows += [
        rf"{sympy.latex(name)} &= {sympy.latex(value)}"
        for name, value in without_repetition(linearization.definitions, "q_")
    ]
    return r"$$\begin{aligned} " + "\\\\ ".join(rows) + r" \end{aligned}$$"


def looked_up_once(code, functions):
    """Lines of code in which what some functions give is looked up once for each argument.

    Parameters
    ----------
    code : str
        Statements.
    functions : set of str
        Their names, as of TimedArrays.
    """
    tree = ast.parse(code)
    calls = {
        ast.unparse(call)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "id", None) in functions
    }
    rows = {call: f"_row_{number}" for number, call in enumerate(sorted(calls, key=len))}
    lines = [ast.unparse(statement) for statement in tree.body]
    # The longest first: an argument may be such a call itself
    for call in sorted(rows, key=len, reverse=True):
        lines = [line.replace(call, rows[call]) for line in lines]
    return [*(f"{row} = {call}" for call, row in rows.items()), *lines]
