"""Pseudo-derivatives (surrogate derivatives), which stand for the derivative of a spike.

A spike z = H(x), x = membrane − threshold, has no useful derivative. Each class here
is a formula ψ(x) used in its place, with x > 0 above the threshold. ψ has the inverse
unit of x. 'height' and 'width' are numbers, Brian2 quantities, or Brian2 expressions
in the names of the neuron group ('0.3/v_th'), so that a model's surrogate follows an
overridden or heterogeneous parameter. `Formula` is a ψ of one's own.
"""

import ast
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
from attrs import field, frozen
from brian2 import DEFAULT_CONSTANTS, DEFAULT_FUNCTIONS, DEFAULT_UNITS
from brian2.units.fundamentalunits import (
    DIMENSIONLESS,
    DimensionMismatchError,
    Quantity,
    get_dimensions,
    get_unit,
)

from ..brian.internals import NodeRenderer, get_identifiers, word_substitute
from ..checks import in_field


def _code_or_scalar(name, value, plain=False):
    """Brian2 code, or a positive finite scalar, which must be without unit if it is plain."""
    if isinstance(value, str):
        try:
            ast.parse(value.strip(), mode="eval")
        except SyntaxError as error:
            raise ValueError(
                f"{name} = {value!r} is not an expression ({error.msg}); "
                "give a number, a quantity or a Brian2 expression such as '0.3/v_th'"
            ) from None
        return value
    try:
        if np.ndim(value):
            raise TypeError
        number = float(np.asarray(value))
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} = {value!r} is not one number; give a number, a quantity or, for a value per "
            "neuron, the name of a group variable as a string"
        ) from None
    if not (np.isfinite(number) and number > 0):
        raise ValueError(f"{name} = {value!r} must be positive and finite")
    if plain and get_dimensions(value) is not DIMENSIONLESS:
        raise DimensionMismatchError(f"{name} = {value!r} has a unit; give a number")
    return value


code_or_scalar = in_field(_code_or_scalar)


def _render(value):
    """Brian2 expression of `value`, exact to the last bit.

    Quantities are written in unscaled SI units: '20 mV' would be multiplied by 1e-3
    once more by Brian2, and round.
    """
    if isinstance(value, str):
        return f"({value.strip()})"
    number = repr(float(np.asarray(value)))
    dimensions = get_dimensions(value)
    if dimensions is DIMENSIONLESS:
        return number
    for unit, operator in ((get_unit(dimensions), "*"), (get_unit(dimensions**-1), "/")):
        if unit.name in DEFAULT_UNITS:
            return f"({number}{operator}{unit.name})"
    return f"({number}*{get_unit(dimensions)!r})"


@frozen
class _Peak:
    """Pseudo-derivative with its largest value, the height, at the threshold, and a width.

    Raises
    ------
    ValueError
        One of them is not a positive finite scalar or a valid expression.
    DimensionMismatchError
        Their units are not inverse to one another.
    """

    height: float | Quantity | str = field(validator=code_or_scalar(), eq=_render)
    width: float | Quantity | str = field(validator=code_or_scalar(), eq=_render)

    #: ψ(x) and ∫₀ˣ ψ as Brian2 expressions of {x}, {height} and {width}.
    _PSI: ClassVar[str]
    _INTEGRAL: ClassVar[str]

    def __attrs_post_init__(self):
        if isinstance(self.height, str) or isinstance(self.width, str):
            return
        if get_dimensions(self.height) is not get_dimensions(self.width) ** -1:
            kind = type(self).__name__
            raise DimensionMismatchError(
                f"{kind}.height = {self.height!r} must have the inverse unit of {kind}.width = "
                f"{self.width!r}, which is that of the membrane; write for example "
                "height=0.3/(15*mV), width=15*mV"
            )

    def expression(self, x: str) -> str:
        """Brian2 expression of ψ at the Brian2 expression `x`."""
        return self._at(x, self._PSI)

    def antiderivative(self, x: str) -> str:
        """Brian2 expression of ∫₀ˣ ψ: the smooth spike whose derivative ψ is."""
        return self._at(x, self._INTEGRAL)

    def _at(self, x, formula):
        return f"({formula.format(x=x, height=_render(self.height), width=_render(self.width))})"


@frozen
class PiecewiseLinear(_Peak):
    """ψ(x) = height · max(0, 1 − abs(x) / width).

    Bellec et al. 2020 (Nat. Commun. 11:3625), Methods: height = 0.3/v_th, width = v_th.

    Parameters
    ----------
    height : float, Quantity or str
        ψ at the threshold, inverse unit of x.
    width : float, Quantity or str
        Half-width of the support, unit of x.
    """

    _PSI = "{height}*clip(1 - abs({x})/{width}, 0, 1)"
    _INTEGRAL = (
        "{height}*{width}*clip(({x})/{width}, -1, 1)*(1 - 0.5*abs(clip(({x})/{width}, -1, 1)))"
    )


@frozen
class Exponential(_Peak):
    """ψ(x) = height · exp(−abs(x) / width).

    Shrestha & Orchard 2018 (NeurIPS); NEST's 'exponential' has β = 1/width.

    Parameters
    ----------
    height : float, Quantity or str
        ψ at the threshold, inverse unit of x.
    width : float, Quantity or str
        Where ψ has fallen to height/e, unit of x.
    """

    _PSI = "{height}*exp(-abs({x})/{width})"
    _INTEGRAL = "{height}*{width}*sign({x})*(1 - exp(-abs({x})/{width}))"


@frozen
class FastSigmoid(_Peak):
    """ψ(x) = height / (1 + abs(x) / width)².

    Zenke & Ganguli 2018 (Neural Comput. 30:1514), SuperSpike: height 1, width 1/α.

    Parameters
    ----------
    height : float, Quantity or str
        ψ at the threshold, inverse unit of x.
    width : float, Quantity or str
        Where ψ has fallen to a quarter of the height, unit of x.
    """

    _PSI = "{height}/(1 + abs({x})/{width})**2"
    _INTEGRAL = "{height}*({x})/(1 + abs({x})/{width})"


@frozen
class Arctan(_Peak):
    """ψ(x) = height / (1 + (x / width)²), the derivative of an arctangent.

    Fang et al. 2021 (ICCV): for slope α, height = α/2 and width = 2/(πα).

    Parameters
    ----------
    height : float, Quantity or str
        ψ at the threshold, inverse unit of x.
    width : float, Quantity or str
        Where ψ has fallen to half the height, unit of x.
    """

    _PSI = "{height}/(1 + (({x})/{width})**2)"
    _INTEGRAL = "{height}*{width}*arctan(({x})/{width})"


@frozen
class MultiGaussian:
    """ψ(x) = height · [(1+h) N(x; 0, σ) − h N(x; σ, sσ) − h N(x; −σ, sσ)], σ = width.

    N(x; μ, σ) is the normal density, so the area under ψ is height · (1 − h), `height`
    has no unit (ψ gets its inverse unit from the densities) and ψ is negative in its
    tails. Yin, Corradi & Bohté 2021 (Nat. Mach. Intell. 3:905): height 0.5, width 0.5.
    The antiderivative needs the error function, which Brian2 does not have.

    Parameters
    ----------
    height : float or str
        Scale γ, dimensionless.
    width : float, Quantity or str
        Standard deviation σ of the central Gaussian, unit of x.
    h : float or str, default 0.15
        Weight of the two negative side lobes.
    s : float or str, default 6
        Their standard deviation in units of σ.

    Raises
    ------
    ValueError
        A parameter is not a positive finite scalar or a valid expression.
    """

    height: float | str = field(validator=code_or_scalar(plain=True), eq=_render)
    width: float | Quantity | str = field(validator=code_or_scalar(), eq=_render)
    h: float | str = field(default=0.15, validator=code_or_scalar(plain=True), eq=_render)
    s: float | str = field(default=6.0, validator=code_or_scalar(plain=True), eq=_render)

    def expression(self, x: str) -> str:
        """Brian2 expression of ψ at the Brian2 expression `x`."""
        height, width = _render(self.height), _render(self.width)
        h, s = _render(self.h), _render(self.s)
        u = f"({x})/{width}"
        side = "exp(-0.5*(({u} {sign} 1)/{s})**2)"
        sides = " + ".join(side.format(u=u, sign=sign, s=s) for sign in "-+")
        return f"({height}/({width}*sqrt(2*pi))*((1 + {h})*exp(-0.5*({u})**2) - {h}/{s}*({sides})))"


#: Values of the names that a formula may have.
_NUMBERS = {
    **{name: np.float64(value.value) for name, value in DEFAULT_CONSTANTS.items()},
    **{name: np.float64(unit) for name, unit in DEFAULT_UNITS.items()},
    **{name: f.pyfunc for name, f in DEFAULT_FUNCTIONS.items() if f.stateless},
}


class _Evaluated(NodeRenderer):
    """An expression with floating-point numbers only: powers of integers may never end."""

    def render_Constant(self, node):
        if isinstance(node.value, bool):
            return repr(node.value)
        return f"float({float(node.value)!r})"


def _is_finite(code, values):
    """Whether an expression, which consists of known names only, is a finite number."""
    try:
        with np.errstate(all="ignore"):
            value = eval(code, {"__builtins__": {"float": float}}, values)
        number = np.ndim(value) == 0 and not isinstance(value, bool | np.bool_)
        return number and bool(np.isfinite(float(value)))
    except (ArithmeticError, TypeError, ValueError):
        return False


def _formula(name, value):
    """The expression of x, refused unless it is finite around 0."""
    if not isinstance(value, str):
        raise TypeError(
            f"{name} = {value!r} is not text; write ψ as an expression of the "
            "distance x, such as 'exp(-abs(x)/(2*mV))/(5*mV)'"
        )
    known = {"x": 0, **_NUMBERS}
    try:
        code = _Evaluated().render_expr(value.strip())
    except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError) as error:
        problem = str(error).splitlines()[0]
        raise ValueError(
            f"{name} = {value!r} is not an expression of Brian2 ({problem}); write "
            "for example 'exp(-abs(x)/(2*mV))/(5*mV)'"
        ) from None
    for used in sorted(get_identifiers(_substituted(value, "x"))):
        if used not in known:
            raise ValueError(
                f"{name} = {value!r} uses '{used}', which is neither x, the "
                "distance to the threshold, nor a number, unit or function of Brian2; write "
                "its value"
            )
    # A little to each side as well, where a root or a logarithm has no value
    for x in (-1e-12, 0.0, 1e-12):
        if not _is_finite(code, known | {"x": np.float64(x)}):
            raise ValueError(
                f"{name} = {value!r} is not one finite number at the threshold, "
                "x = 0, and to both sides of it"
            )
    return value


def _substituted(psi, x):
    text = ast.unparse(ast.parse(psi.strip(), mode="eval"))
    return f"({word_substitute(text, {'x': f'({x})'})})"


@frozen
class Formula:
    """ψ(x) as a Brian2 expression of x, the distance to the threshold.

    ::

        Formula("exp(-abs(x)/(2*mV))/(5*mV)")

    Besides x, which is positive above the threshold and has its unit, there may be numbers,
    units, pi, e, and the functions that Brian2 has by itself, but for random numbers.
    ψ must have one over the unit of x, which is known when the neurons are.

    Parameters
    ----------
    psi : str

    Raises
    ------
    TypeError
        ψ is not text.
    ValueError
        ψ is not an expression, has other names, or is not finite at the threshold, x = 0.
    """

    psi: str = field(validator=in_field(_formula)())

    def expression(self, x: str) -> str:
        """Brian2 expression of ψ at the Brian2 expression `x`."""
        return _substituted(self.psi, x)


#: Those that a neuron model, which is written to files, may have.
KnownSurrogate: TypeAlias = (
    PiecewiseLinear | Exponential | FastSigmoid | Arctan | MultiGaussian | Formula
)
#: name -> class of every surrogate; a model file's [surrogate] 'kind' is one of these names
SURROGATES = {
    cls.__name__: cls
    for cls in (PiecewiseLinear, Exponential, FastSigmoid, Arctan, MultiGaussian, Formula)
}


class Surrogate(Protocol):
    """A pseudo-derivative, see :mod:`brian_eprop.neurons.surrogates`."""

    def expression(self, x: str) -> str:
        """Brian2 expression of ψ at the Brian2 expression ``x``."""
