"""Equations of third factors as text: what names and functions in them stand for."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

import numpy as np
from brian2 import DEFAULT_UNITS, Equations, Function, Quantity, TimedArray

from ..brian.internals import KNOWN_EVERYWHERE, PARAMETER, EquationError
from ..checks import shown, text

#: The function of the text that stands for a value some time ago.
DELAYED = "delayed"
#: Times at which it is looked whether data are read in advance, in steps.
LOOKED_AT = (0, 1, 2, 7, 64, 999, 1000, 1001, 12345, 600000)


class Call(NamedTuple):
    """A function of one variable in the text.

    Attributes
    ----------
    function, variable : str
    held : str
        The variable that stands for it, ``function_variable``.
    """

    function: str
    variable: str
    held: str


def without_calls(name, code, functions):
    """Text in which functions of one variable are variables, and these functions.

    Parameters
    ----------
    name : str
        Of the text, in messages.
    code : str
    functions : iterable of str

    Returns
    -------
    code : str
    calls : tuple of Call

    Raises
    ------
    ValueError
        For a function of something else than one variable.
    """
    calls: dict[str, Call] = {}
    names = "|".join(map(re.escape, functions))

    def held(match):
        call = Call(*match.groups(), "_".join(match.groups()))
        calls[call.held] = call
        return call.held

    replaced = re.sub(rf"\b({names})\s*\(\s*([A-Za-z]\w*)\s*\)", held, code)
    wrong = re.search(rf"\b({names})\b\s*\(?[^)\n]*\)?", replaced)
    if wrong:
        raise ValueError(
            f"{name} has '{wrong.group()}': '{wrong.group(1)}' is a function of one variable; give "
            "what it is to act on a name, in an equation of its own"
        )
    return replaced, tuple(calls.values())


def checked_equations(name, code, example):
    """The equations of a text; an error that names it if they cannot be read."""
    text(name, code, example)
    try:
        return Equations(code)
    except (EquationError, SyntaxError, ValueError, TypeError) as error:
        raise ValueError(
            f"{name} = {code!r} cannot be read as equations ({' '.join(str(error).split())}); "
            f"write for example {example!r}"
        ) from None


def constants_of(name, equations, names, given, may_be_unknown=False):
    """What names in equations stand for that are no variables of theirs.

    Parameters
    ----------
    name : str
        Of the text, in messages.
    equations : Equations
    names, given : dict
        Names of the caller, and the ones that were given, which go before.
    may_be_unknown : bool
        Names that are found nowhere are left to others.

    Returns
    -------
    dict of str to object
        Numbers, functions and `TimedArray`.
    """
    found = {}
    drawn = {"rand", "randn", "poisson"} & equations.identifiers
    if drawn:
        raise ValueError(
            f"{name} draws random numbers by '{min(drawn)}', others each time it is looked at: "
            "write noise as xi in a differential equation, or draw it in the neurons"
        )
    for used in sorted(equations.identifiers - equations.names - {"t", "dt", "i", "N"}):
        if (used not in given and used in KNOWN_EVERYWHERE) or used.startswith("xi"):
            continue
        if used not in {**names, **given}:
            if may_be_unknown:
                continue
            raise ValueError(f"{name} uses '{used}', which is no variable and no number here")
        value = {**names, **given}[used]
        kinds = int | float | np.number | Quantity | Function
        if isinstance(value, kinds) and not np.ndim(value):
            found[used] = value
        elif not may_be_unknown or used in given:
            raise TypeError(
                f"{name} uses '{used}', which is {shown(value)}: give a number or a TimedArray, or "
                "a variable of the neurons with one value each"
            )
    return found


def check_of_the_past(name, equations, constants, dt):
    """Raise an error for data that are read at a later time than the present.

    Parameters
    ----------
    name : str
    equations : Equations
    constants : dict of str to object
    dt : float
        In seconds.
    """
    numbers = {n: float(v) for n, v in constants.items() if not isinstance(v, Function)}
    known = {n: float(unit) for n, unit in DEFAULT_UNITS.items()} | numbers
    known |= {"int": int, "abs": abs, "floor": np.floor, "timestep": lambda t, dt: round(t / dt)}
    for equation in equations.values():
        if equation.expr is None:
            continue
        for call in ast.walk(ast.parse(equation.expr.code, mode="eval")):
            function = getattr(getattr(call, "func", None), "id", None)
            if not isinstance(constants.get(function), TimedArray):
                continue
            when = ast.unparse(call.args[0])
            try:
                times = [dt * k for k in LOOKED_AT]
                read = [eval(when, {"__builtins__": {}}, known | {"t": t, "dt": dt}) for t in times]
                ahead = any(r > t + 1e-9 * dt for r, t in zip(read, times, strict=True))
            except Exception:
                raise ValueError(
                    f"{name} reads '{function}({when})': read data at the present time t, or one "
                    "that follows from t and numbers"
                ) from None
            if ahead:
                raise ValueError(
                    f"{name} reads '{function}({when})', which lies in the future: a signal is "
                    "made of what has been; read it at t, or earlier"
                )


def check_parameters(name, equations):
    """Raise an error for parameters, which nobody would set."""
    for equation in equations.values():
        if equation.type == PARAMETER:
            raise ValueError(
                f"{name} has the parameter '{equation.varname}': give the number, a name of a "
                "number, or (of a Signal) a variable of the neurons"
            )
