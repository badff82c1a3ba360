"""Checks of what users pass: numbers, arrays, names, and quantities, which may be text ('20*ms').

Each names the argument, its value and the remedy.
"""

import ast
import difflib
import sys
from collections.abc import Collection, Mapping

import numpy as np
from brian2 import DEFAULT_UNITS, get_device
from brian2.units import second
from brian2.units.fundamentalunits import (
    DIMENSIONLESS,
    Dimension,
    DimensionMismatchError,
    Quantity,
    get_dimensions,
    get_unit,
)

#: Brian2 counts with 32 bits.
MOST = 2**31 - 1
#: The numbers nearest to 0 and to 1.
ABOVE_0, BELOW_1 = float(np.nextafter(0, 1)), float(np.nextafter(1, 0))


def shown(value):
    """A value in a message: on one line, and cut off where it is long."""
    line = " ".join(repr(value).split())
    return line if len(line) <= 120 else f"{line[:119]}…"


def dimensions_of(name, value, example):
    """The dimensions of a number, a quantity or an array; TypeError for anything else."""
    try:
        return get_dimensions(value)
    except TypeError:
        raise TypeError(
            f"{name} = {shown(value)} is neither a number nor a quantity; write for "
            f"example {example}"
        ) from None


def check_unitless(name, value):
    """Raise DimensionMismatchError for a quantity with a unit."""
    try:
        dimensions = get_dimensions(value)
    except TypeError:
        return
    # What a tensor of another package calls 'dim' is none of Brian2's.
    if isinstance(dimensions, Dimension) and dimensions is not DIMENSIONLESS:
        raise DimensionMismatchError(
            f"{name} = {shown(value)} has the unit '{unit_name(dimensions)}'; it must be "
            "without unit"
        )


def check_own_clock(owner, options):
    """Raise an error for a ``dt`` among options for Brian2 that is no time."""
    if options.get("dt") is not None:
        check_time(f"{owner}.dt", options["dt"])


def check_time(name, value):
    """Raise an error unless ``value`` is a positive, finite scalar time."""
    dimensions = dimensions_of(name, value, "20*ms")
    if dimensions is not second.dim:
        unit = "no unit" if dimensions is DIMENSIONLESS else f"the unit '{unit_name(dimensions)}'"
        raise DimensionMismatchError(
            f"{name} = {shown(value)} has {unit} but must be a time; write for example 20*ms"
        )
    if np.ndim(value) != 0 or not 0 < float(value) < np.inf:
        raise ValueError(f"{name} = {shown(value)} must be one positive, finite time")


def number(
    name,
    value,
    must="be a finite number ≥ 0",
    low=0.0,
    high=sys.float_info.max,
    *,
    any_unit=False,
):
    """A real number from low to high : float.

    Parameters
    ----------
    name : str
    value : object
    must : str
        What it must be, in words.
    low, high : float
    any_unit : bool
        Whether it may have a unit; the number is then that in SI units.

    Raises
    ------
    DimensionMismatchError
        If it has a unit and may not.
    ValueError
        If it is anything else.
    """
    if not any_unit:
        check_unitless(name, value)
    real = not isinstance(value, bool | np.bool_ | str | bytes | complex) and np.ndim(value) == 0
    try:
        found = float(value) if real else np.nan
    except (TypeError, ValueError, OverflowError):
        found = np.nan
    if not low <= found <= high:
        raise ValueError(f"{name} = {shown(value)} must {must}")
    return found


def whole_number(name, value, least=1):
    """An integer from a smallest one on; ValueError for anything else."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise ValueError(f"{name} = {shown(value)} must be an integer ≥ {least}")
    if value > MOST:
        raise ValueError(f"{name} = {shown(value)} is more than Brian2 can count; at most {MOST}")
    return int(value)


def numbers(name, values):
    """A new array of real numbers without unit; ValueError for anything else."""
    check_unitless(name, values)
    array = as_array(name, values)
    try:
        if array.dtype.kind not in "biuf":
            raise ValueError
        return array.astype(float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be an array of numbers without units") from None


def as_array(name, values):
    """A new array of whatever can be one, such as a tensor of another package."""
    try:
        return np.array(values)
    except ValueError:
        raise ValueError(f"{name} must be an array of numbers without units") from None
    except (TypeError, RuntimeError) as error:
        # A tensor that is on a device, or part of a graph.
        raise ValueError(
            f"{name} of type '{type(values).__name__}' cannot become an array of NumPy ({error}); "
            "for a tensor of torch give tensor.detach().cpu().numpy()"
        ) from None


def flag(name, value):
    """A truth value; TypeError for what is only taken for one, such as 'no'."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} = {shown(value)} must be True or False")
    return bool(value)


def text(name, value, example):
    """Text; TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{name} = {shown(value)} must be text, such as {example!r}")
    return value


def one_of(name, value, known):
    """One of the names that are known; ValueError for anything else."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(
            f"{name} = {shown(value)} is not known{suggest(value, known)}; choose one of "
            f"{', '.join(repr(name) for name in known)}"
        )
    return value


def table(name, value, example):
    """A mapping as a new dict, an empty one for None; TypeError for anything else."""
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{name} = {shown(value)} must be a dict, such as {example}")
    return dict(value or {})


def entries(name, value, example):
    """A list, a tuple or the like as a tuple; TypeError for one thing, such as one name."""
    plain = isinstance(value, Collection) and not isinstance(
        value, str | bytes | Mapping | np.ndarray
    )
    if not plain:
        raise TypeError(f"{name} = {shown(value)} must be a list, such as {example}")
    return tuple(value)


def refuse_change(owner, name, remedy):
    """Raise AttributeError: an attribute is there to be read, and changing it would do nothing."""
    raise AttributeError(
        f"{owner}.{name} cannot be changed: code is generated for it when the objects are created; "
        f"{remedy}"
    )


def check_not_compiled(what):
    """Raise ValueError for a change that comes after a C++ standalone program was built."""
    if getattr(get_device(), "has_been_run", False):
        raise ValueError(
            f"{what} was changed after the C++ standalone program had been built, which knows "
            "nothing of it: change it before device.build(), or use a runtime device"
        )


def check_seed(name, seed):
    """Raise ValueError unless a seed is an integer ≥ 0, or None for a random one."""
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if seed is not None and (not whole or seed < 0):
        raise ValueError(f"{name} = {shown(seed)} is no seed; give an integer ≥ 0, or None")


_UNITS = dict(DEFAULT_UNITS)
#: What text may consist of, besides names and numbers.
ARITHMETIC = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.Load, ast.UAdd, ast.USub),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow),
)
TOO_DEEP = "it is nested too deeply"


def suggest(name, known):
    """'; did you mean …?' when `known` has a name close to `name`, else ''."""
    near = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def unit_name(dimensions):
    """Unscaled unit as Brian2's equations write it: 'volt', 'volt ** -1', '1'."""
    return "1" if dimensions is DIMENSIONLESS else repr(get_unit(dimensions))


def check_unit(name, value, unit, example):
    """Raise an error that names a value unless it has the dimensions of a unit."""
    try:
        fits = get_dimensions(value) is unit.dim
    except TypeError:
        raise TypeError(
            f"{name} = {value!r} is neither a number nor a quantity; write {example}"
        ) from None
    if not fits:
        raise DimensionMismatchError(f"{name} = {value!r} must be in {unit!r}; write {example}")


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
        known = _UNITS | dict(names or {})
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


def steps(name, duration, dt):
    """A duration in whole time steps, or an error if it is not a multiple of dt."""
    check_time(name, duration)
    n = float(duration) / float(dt)
    if abs(n - round(n)) > 1e-6 * max(n, 1) or round(n) < 1:
        raise ValueError(f"{name} = {duration!s} is not a multiple of the time step dt = {dt!s}")
    return round(n)
