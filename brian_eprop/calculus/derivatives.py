"""Derivatives of the functions that Brian2 code may contain.

SymPy differentiates what it knows and wraps the rest in ``Derivative``, ``Subs``
or ``DiracDelta`` objects that no code generator can print. Here the chain rule is
applied by hand: each function either has a derivative in the table below (or in
SymPy, as a closed expression), or is refused by its name.
"""

import sympy
from sympy.core.cache import cacheit

exprel = sympy.Function("exprel")
sqrt = sympy.Function("sqrt")  # Brian2 does not turn it into a power
indicator = sympy.Function("int_")  # Brian2's name for int(...) inside SymPy

#: Functions that are flat almost everywhere and jump in between: their derivative
#: would be zero or a delta, and neither is what somebody who trains with them means.
DISCONTINUOUS = {
    "floor": "a step function",
    "ceiling": "a step function",
    "Mod": "a sawtooth",
    "sign": "a step function",
    "int_": "a step function",
    "Heaviside": "a step function",
    "timestep": "a step function",
}
RANDOM = {"rand", "randn", "poisson", "binomial"}


class NoDerivativeError(ValueError):
    """An expression depends on a state variable through a function without a derivative."""


class UnsuitableMethodError(ValueError):
    """Brian2 cannot integrate the equations of a group with the method that it is to use."""


def _exprel_derivative(x):
    """d/dx (exp(x) − 1)/x = (exp(x) − exprel(x))/x, by its Taylor series near 0.

    The closed form cancels there: at |x| = 0.05 it has lost two digits, and the
    series to x⁹ is still exact to round-off.
    """
    series = sum(x**k / (sympy.factorial(k) * (k + 2)) for k in range(10))
    near = indicator(sympy.Abs(x) < sympy.Rational(1, 20))
    # Away from 0 in the unused branch, so that 0·(0/0) cannot make a NaN.
    safe = x + near
    return near * series + (1 - near) * (sympy.exp(safe) - exprel(safe)) / safe


_TABLE = {
    "exprel": (_exprel_derivative,),
    # Unlike a comparison with 0, it is fit for all units
    "Abs": (sympy.sign,),
    "clip": (
        lambda x, low, high: indicator(x > low) * indicator(x < high),
        lambda x, low, high: indicator(x <= low),
        lambda x, low, high: indicator(x >= high),
    ),
    "expm1": (lambda x: sympy.exp(x),),
    "log1p": (lambda x: 1 / (1 + x),),
    "sqrt": (lambda x: 1 / (2 * sqrt(x)),),
    "log10": (lambda x: 1 / (x * sympy.log(10)),),
}


def _partial(expression, index):
    """∂f/∂(argument ``index``) of a sum, product, power or function, or an error with its name."""
    arguments = expression.args
    if expression.is_Add:
        return sympy.S.One
    if expression.is_Mul:
        return sympy.Mul(*arguments[:index], *arguments[index + 1 :])
    if isinstance(expression, sympy.exp):
        return expression
    if expression.is_Pow:
        base, exponent = arguments
        return expression * sympy.log(base) if index else exponent * base ** (exponent - 1)
    if not isinstance(expression, sympy.Function | sympy.Mod):
        raise NoDerivativeError(f"no derivative is known for '{expression}'")
    name = expression.func.__name__
    if name in _TABLE and index < len(_TABLE[name]):
        return _TABLE[name][index](*arguments)
    if name in DISCONTINUOUS:
        printed = {"int_": "int", "ceiling": "ceil", "Mod": "%"}.get(name, name)
        raise NoDerivativeError(
            f"'{printed}' is {DISCONTINUOUS[name]} and has no useful derivative in '{expression}'; "
            "replace it by a smooth function, or make its argument independent of the state"
        )
    if name in RANDOM:
        raise NoDerivativeError(
            f"the derivative of '{expression}' is random; use additive noise (xi), which does "
            "not depend on the state"
        )
    if isinstance(expression, sympy.core.function.AppliedUndef):
        raise NoDerivativeError(
            f"no derivative is known for the function '{name}'; write its formula into the "
            "equations instead"
        )
    return expression.fdiff(index + 1)


@cacheit
def derivative(expression, symbol):
    """d ``expression`` / d ``symbol`` with every other symbol held fixed.

    Parameters
    ----------
    expression : sympy.Expr
        As parsed by Brian2 (``str_to_sympy``).
    symbol : sympy.Symbol

    Returns
    -------
    sympy.Expr
        Made of functions that Brian2 can generate code for.

    Raises
    ------
    NoDerivativeError
        Naming the function that has no derivative.
    """
    if expression == symbol:
        return sympy.S.One
    if symbol not in expression.free_symbols:
        return sympy.S.Zero
    return sympy.Add(
        *(
            _partial(expression, index) * derivative(argument, symbol)
            for index, argument in enumerate(expression.args)
            if symbol in argument.free_symbols
        )
    )
