"""A linearization to read: as text for a terminal, as LaTeX for a notebook."""

import sympy

from .one_step import NEXT_NOT_REFRACTORY
from .programs import symbol
from .statements import printed, without_repetition

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
    for letter, vector in (("c", linearization.c), ("b", linearization.b)):
        lines.append("")
        lines += [
            f"{letter}[{name}] = {printed(entry)}"
            for name, entry in zip(states, vector, strict=True)
            if entry != 0
        ]
    for letter in ("A", "D"):
        matrix = getattr(linearization, letter).xreplace(SHOWN)
        lines.append("")
        lines += [
            f"{letter}[{row}, {column}] = {printed(matrix[i, j])}"
            for i, row in enumerate(states)
            for j, column in enumerate(states)
            if matrix[i, j] != 0 and (letter == "A" or column in linearization.arrivals)
        ]
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
