"""The linearized equations of a population as mathematics of a page."""

from html import escape

import sympy
from attrs import evolve, frozen
from sympy.core.function import AppliedUndef
from sympy.printing.mathml import mathml

from ..brian.internals import str_to_sympy
from ..calculus.linearize import linearize
from ..calculus.one_step import NEXT_NOT_REFRACTORY
from ..calculus.printing import MEANINGS, without_repetition

#: Names that are written otherwise in mathematics, and what they mean.
WRITTEN = {"psi": "ψ", "spiked": "z", "not_refractory": "ρ", NEXT_NOT_REFRACTORY: "ρ⁺"}
MEANT = MEANINGS | {"not_refractory": "whether the neuron integrates in step t"}
#: A hyphen that should be a minus, and a product that would read as one name.
MARKS = {
    "<mo>-</mo>": "<mo>−</mo>",
    "<mo>&InvisibleTimes;</mo>": '<mspace width="0.2em"></mspace>',
}


@frozen
class ModelEquations:
    """The linearized equations of a population: pseudo-derivative, c, b, A, D, as MathML.

    Attributes
    ----------
    name : str
        Of the model.
    count : int
        Neurons.
    code : str
        The model's equations, as given to Brian2.
    rows : list of (str, str)
        Left-hand and right-hand sides, MathML.
    meanings : dict of str to str
        Of the symbols that are in no equation of the user.
    """

    name: str
    count: int
    code: str
    rows: list
    meanings: dict


def model_equations(population, rule):
    """The equations of a :class:`PopulationDescription` that learns with a rule."""
    model = population.learning_with(rule)
    model = evolve(model, method=population.overrides.get("method", model.method))
    derived = linearize(model)
    states = derived.states
    rows = [("<mi>ψ</mi>", str_to_sympy(derived.surrogate_code))]
    for letter, vector in (("c", derived.c), ("b", derived.b)):
        rows += [
            (_indexed(letter, name), entry)
            for name, entry in zip(states, vector, strict=True)
            if entry != 0
        ]
    for letter, columns in (("A", states), ("D", tuple(derived.arrivals))):
        matrix = getattr(derived, letter)
        rows += [
            (_indexed(letter, f"{row},{column}"), matrix[i, j])
            for i, row in enumerate(states)
            for j, column in enumerate(states)
            if matrix[i, j] != 0 and column in columns
        ]
    rows += [
        (_mathml(name), value) for name, value in without_repetition(derived.definitions, "q_")
    ]
    used = {str(s) for _, right in rows for s in right.free_symbols}
    meanings = {WRITTEN[name]: MEANT[name] for name in WRITTEN if name in used}
    return ModelEquations(
        name=model.name,
        count=population.count,
        code="\n".join(line.strip() for line in str(model.equations).strip().splitlines()),
        rows=[(left, _mathml(right)) for left, right in rows],
        meanings=meanings,
    )


def _indexed(letter, index):
    return f"<msub><mi>{letter}</mi><mtext>{escape(index)}</mtext></msub>"


def _mathml(expression):
    # int(ρ) is how Brian2 makes a number of a condition
    indicators = {f: f.args[0] for f in expression.atoms(AppliedUndef) if str(f.func) == "int_"}
    names = {s: sympy.Symbol(WRITTEN[str(s)]) for s in expression.free_symbols if str(s) in WRITTEN}
    expression = expression.xreplace(indicators).xreplace(names)
    # a fraction as an exponent would be too small to read
    expression = expression.replace(sympy.exp, sympy.Function("exp"))
    text = mathml(expression, printer="presentation")
    for mark, readable in MARKS.items():
        text = text.replace(mark, readable)
    return text
