"""Checks of what users pass: numbers, times and rates, arrays and names.

Each takes the name of the argument and its value; what it raises names them and the remedy.
Fields of attrs classes have the same checks, as validators::

    n_cues: int = field(default=7, validator=whole(1))

Brian2 is imported where there may be a unit, so that what knows no units can use the rest.
"""

import dataclasses
import difflib
import inspect
import os
import sys
from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

#: What annotations of the public interface share.
Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int_]
FilePath: TypeAlias = str | os.PathLike[str]

#: One iteration of training, see :func:`brian_eprop.network.training.fit`.
Entry: TypeAlias = dict[str, Any]

Feedback: TypeAlias = Literal["symmetric", "random", "adaptive"]
Engine: TypeAlias = Literal["credit", "traces"]
ResetPath: TypeAlias = Literal["implicit", "explicit", "detached"]
Matrix: TypeAlias = Literal["w_in", "w_rec", "w_out"]
FigureFormat: TypeAlias = Literal["png", "svg", "pdf"]

#: Brian2 counts with 32 bits.
MOST = 2**31 - 1
#: The numbers nearest to 0 and to 1.
ABOVE_0, BELOW_1 = float(np.nextafter(0, 1)), float(np.nextafter(1, 0))


def shown(value):
    """The text of a value in a message: one line of at most 120 characters."""
    line = " ".join(repr(value).split())
    return line if len(line) <= 120 else f"{line[:119]}…"


def check_unitless(name, value):
    """Raise DimensionMismatchError for a quantity with a unit."""
    if "brian2" not in sys.modules:
        return
    from brian2.units.fundamentalunits import (
        DIMENSIONLESS,
        Dimension,
        DimensionMismatchError,
        get_dimensions,
    )

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


def check_options(owner, options, known):
    """Raise an error for options that a class passes on to Brian2, which has no such argument.

    Parameters
    ----------
    owner : type
    options : dict
    known : collection of str
        Arguments that are passed on.
    """
    own = inspect.signature(owner).parameters.values()
    known = dict.fromkeys([*(a.name for a in own if a.kind is not a.VAR_KEYWORD), *known])
    for name in options.keys() - known:
        raise TypeError(
            f"{owner.__name__} has no argument '{name}'{suggest(name, known)}; it has "
            f"{', '.join(known)}"
        )
    check_own_clock(owner.__name__, options)


def check_time(name, value, may_be_zero=False):
    """One positive, finite time : Quantity; an error for anything else."""
    from brian2.units import second

    return _scalar(name, value, "time", second, "20*ms", may_be_zero)


def check_frequency(name, value, may_be_zero=False):
    """One positive, finite rate : Quantity; an error for anything else."""
    from brian2.units import hertz

    return _scalar(name, value, "rate", hertz, "10*Hz", may_be_zero)


def _scalar(name, value, noun, unit, example, may_be_zero):
    from brian2.units.fundamentalunits import Quantity

    check_unit(name, value, unit, example)
    scalar = np.ndim(value) == 0 and 0 <= float(value) < np.inf
    if not scalar or (float(value) == 0 and not may_be_zero):
        kind = f"finite {noun} ≥ 0" if may_be_zero else f"positive, finite {noun}"
        raise ValueError(f"{name} = {shown(value)} must be one {kind}")
    return Quantity(value)


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
        result = float(value) if real else np.nan
    except (TypeError, ValueError, OverflowError):
        result = np.nan
    if not low <= result <= high:
        raise ValueError(f"{name} = {shown(value)} must {must}")
    return result


def is_whole(value):
    """Whether a value is an integer; True is none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def whole_number(name, value, least=1, most=MOST, why=""):
    """An integer from a smallest one on; ValueError for anything else."""
    if not is_whole(value) or value < least:
        reason = f"; {why}" if why else ""
        raise ValueError(f"{name} = {shown(value)} must be an integer ≥ {least}{reason}")
    if value > most:
        raise ValueError(f"{name} = {shown(value)} is more than Brian2 can count; at most {most}")
    return int(value)


def numbers(name, values):
    """A new array of real numbers without unit; ValueError for anything else."""
    check_unitless(name, values)
    array = as_array(name, values)
    try:
        if array.dtype.kind not in "biuf":
            raise ValueError
        return array.astype(float, copy=False)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} = {shown(values)} must be an array of numbers without units"
        ) from None


def finite_array(name, values):
    """A new array of finite numbers; ValueError for anything else."""
    array = numbers(name, values)
    wrong = ~np.isfinite(array)
    if wrong.any():
        raise ValueError(
            f"{name} contains {array[wrong].flat[0]} ({wrong.sum()} of {array.size} values are "
            "not finite); give finite numbers"
        )
    return array


def not_finite(name, values):
    """``name[index] = value`` of the first value that is not a finite number; '' if all are."""
    places = np.argwhere(~np.isfinite(values))
    if not len(places):
        return ""
    return f"{name}[{', '.join(map(str, places[0]))}] = {values[tuple(places[0])]}"


def as_array(name, values):
    """A new NumPy array of a list, an array or a tensor of another package."""
    if hasattr(values, "toarray"):
        raise ValueError(f"{name} is a sparse array; give {name}.toarray()")
    if np.ma.is_masked(values):
        raise ValueError(
            f"{name} has {np.ma.count_masked(values)} masked entries; give it without, for example "
            f"{name}.filled(0)"
        )
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
    """A truth value : bool; TypeError for anything else, such as 'no'."""
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
        raise TypeError(f"{name} = {shown(value)} must be a table (a dict), such as {example}")
    return dict(value or {})


def entries(name, value, example):
    """The entries of a list as a tuple; TypeError for a single value, such as one name."""
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
    from brian2.devices.device import get_device

    if getattr(get_device(), "has_been_run", False):
        raise ValueError(
            f"{what} was changed after the C++ standalone program had been built, which knows "
            "nothing of it: change it before device.build(), or use a runtime device; for another "
            "network call device.reinit() and set_device('cpp_standalone', ...) first"
        )


def check_seed(name, seed):
    """Raise ValueError unless a seed is an integer ≥ 0, or None for a random one."""
    if seed is not None:
        whole_number(name, seed, 0, np.inf, "None is for a random one")


def suggest(name, known):
    """' (did you mean …?)' when `known` has a name close to `name`, else ''."""
    near = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""


def missing(what, package):
    """An error for what needs an optional package, which is not installed : ImportError."""
    return ImportError(
        f"{what} needs the package '{package}'; install it with pip install "
        f"'brian_eprop[{package}]'"
    )


def unit_name(dimensions):
    """Unscaled unit as Brian2's equations write it: 'volt', 'volt ** -1', '1'."""
    from brian2.units.fundamentalunits import DIMENSIONLESS, get_unit

    return "1" if dimensions is DIMENSIONLESS else repr(get_unit(dimensions))


#: What has these units, in words.
NOUNS = {"second": "a time", "hertz": "a rate"}


def check_unit(name, value, unit, example):
    """Raise an error that names a value unless it has the dimensions of a unit."""
    from brian2.units.fundamentalunits import DIMENSIONLESS, DimensionMismatchError, get_dimensions

    try:
        dimensions = get_dimensions(value)
    except TypeError:
        raise TypeError(
            f"{name} = {shown(value)} is neither a number nor a quantity; write for example "
            f"{example}"
        ) from None
    if dimensions is not unit.dim:
        has = "no unit" if dimensions is DIMENSIONLESS else f"the unit '{unit_name(dimensions)}'"
        raise DimensionMismatchError(
            f"{name} = {shown(value)} has {has} but must be {NOUNS.get(repr(unit), f'in {unit!r}')}"
            f"; write for example {example}"
        )


def steps(name, duration, dt, may_be_zero=False):
    """A duration in whole time steps, or an error if it is not a multiple of dt."""
    check_time(name, duration, may_be_zero)
    n = float(duration) / float(dt)
    if abs(n - round(n)) > 1e-6 * max(n, 1) or (round(n) < 1 and not may_be_zero):
        raise ValueError(f"{name} = {duration!s} is not a multiple of the time step dt = {dt!s}")
    return round(n)


def in_field(check):
    """The validators of attrs fields that a check makes, each with options of its own.

    The field keeps what the check returns, and messages call it Class.field.
    """

    def word(*arguments, **options):
        def validator(instance, field, value):
            name = f"{shown_class(instance)}.{field.name}"
            keep(instance, field, check(name, value, *arguments, **options))

        return validator

    return word


def keep(instance, field, value):
    """Set a field of a frozen class to the value that its validator has converted."""
    object.__setattr__(instance, field.name, value)


def is_described(kind):
    """Whether a class declares its fields: by attrs as ours do, or a dataclass of the user's."""
    return attrs.has(kind) or dataclasses.is_dataclass(kind)


def fields_of(kind):
    """The fields of a class that its constructor takes."""
    fields = attrs.fields(kind) if attrs.has(kind) else dataclasses.fields(kind)
    return [field for field in fields if field.init]


def content_of(instance):
    """The values of the fields that an object was made from : dict of str to object."""
    return {field.name: getattr(instance, field.name) for field in fields_of(type(instance))}


def shown_class(instance):
    """The name by which users know the class of an object."""
    return getattr(instance, "_shown_class", type(instance).__name__)


whole = in_field(whole_number)
real = in_field(number)
truth = in_field(flag)
time = in_field(check_time)
frequency = in_field(check_frequency)
choice = in_field(one_of)


def fraction():
    """The validator of a number from 0 to 1."""
    return real("be a number from 0 to 1", high=1.0)


def below_1():
    """The validator of a number from 0 on that is not 1."""
    return real("be a number ≥ 0 and below 1", high=BELOW_1)


def any_seed():
    """The validator of a seed."""
    return whole(0, most=np.inf)
