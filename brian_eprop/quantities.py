"""Text such as '20*ms' as quantities."""

import ast

import numpy as np
from brian2.core.namespace import DEFAULT_UNITS
from brian2.units.fundamentalunits import DimensionMismatchError, Quantity

from .checks import suggest

#: What text may consist of, besides names and numbers.
ARITHMETIC = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.Load, ast.UAdd, ast.USub),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow),
)
TOO_DEEP = "it is nested too deeply"


def quantity(value, names=None):
    """Turn a number, a Quantity, text such as '20*ms', or a list of them into a Quantity.

    Text may contain numbers, names and + - * / ** only.

    Parameters
    ----------
    value : number, Quantity, list or str
    names : mapping of str to Quantity, optional
        What names in the text stand for, besides Brian2's units.

    Raises
    ------
    ValueError
        The text is anything else, or the value is not numeric.
    """
    if isinstance(value, str):
        known = DEFAULT_UNITS | dict(names or {})
        try:
            tree = ast.parse(value.strip(), mode="eval")
        except (SyntaxError, ValueError):
            raise ValueError("it is not an expression") from None
        except (RecursionError, MemoryError):
            raise ValueError(TOO_DEEP) from None
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                if node.id not in known:
                    hint = suggest(node.id, known)
                    raise ValueError(f"'{node.id}' is not a unit that Brian2 knows{hint}")
            elif isinstance(node, ast.Constant):
                if type(node.value) not in (int, float):
                    raise ValueError(f"{node.value!r} is not a number")
                # Powers of whole numbers grow without end, those of floats overflow.
                node.value = _as_float(node.value)
            elif not isinstance(node, ARITHMETIC):
                raise ValueError("only numbers, units and + - * / ** are allowed")
        try:
            # the tree holds nothing but arithmetic of numbers, units and the given names
            value = eval(compile(tree, "<quantity>", "eval"), {"__builtins__": {}}, known)
        except RecursionError:
            raise ValueError(TOO_DEEP) from None
        except (ArithmeticError, DimensionMismatchError) as error:
            raise ValueError(str(error)) from None
    if isinstance(value, list | tuple) and any(isinstance(entry, str) for entry in value):
        value = [quantity(entry, names) for entry in value]
    if np.asarray(value).dtype == bool:
        raise ValueError("it is a truth value")
    try:
        value = Quantity(value)
    except DimensionMismatchError:
        raise ValueError("its elements have different units") from None
    except TypeError as error:
        raise ValueError(f"it is no number ({str(error).rstrip('.')})") from None
    if np.iscomplexobj(value):
        raise ValueError("it is a complex number")
    # a plain copy: a Unit is a Quantity too, but has a name and a scale
    return Quantity(np.array(value, dtype=float), dim=value.dim)


def _as_float(number):
    try:
        return float(number)
    except OverflowError:
        raise ValueError("a number is too large") from None
