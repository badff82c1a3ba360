"""Every function that Brian2 has is differentiated, or refused by its name."""

import mpmath
import numpy as np
import pytest
import sympy
from brian2.core.functions import DEFAULT_FUNCTIONS
from brian2.parsing.sympytools import str_to_sympy, sympy_to_str

from brian_eprop.calculus.derivatives import NoDerivativeError, derivative
from brian_eprop.network.checked_model import NAMESPACE

#: function of x → points that are away from its kinks
DIFFERENTIABLE = {
    "cos(x)": (-1.3, 0.4, 2.0),
    "sin(x)": (-1.3, 0.4, 2.0),
    "tan(x)": (-1.3, 0.4, 1.0),
    "cosh(x)": (-1.3, 0.4, 2.0),
    "sinh(x)": (-1.3, 0.4, 2.0),
    "tanh(x)": (-1.3, 0.4, 2.0),
    "arccos(x)": (-0.7, 0.1, 0.9),
    "arcsin(x)": (-0.7, 0.1, 0.9),
    "arctan(x)": (-1.3, 0.4, 2.0),
    "exp(x)": (-1.3, 0.4, 2.0),
    "expm1(x)": (-1.3, 1e-9, 2.0),
    "exprel(x)": (-30.0, -1.3, -0.051, -0.049, 0.4, 2.0),
    "log(x)": (0.1, 1.0, 7.0),
    "log10(x)": (0.1, 1.0, 7.0),
    "log1p(x)": (-0.5, 1e-9, 7.0),
    "sqrt(x)": (0.1, 1.0, 7.0),
    "abs(x)": (-2.0, 0.3),
    "clip(x, -1, 1)": (-2.0, 0.3, 2.0),
    "clip(2, x, 3)": (1.0, 2.5),
    "clip(2, 1, x)": (1.5, 3.0),
    "x**3 - x**-2": (-1.3, 0.4),
    "2**x": (-1.3, 0.4),
    "x**x": (0.4, 2.0),
    "x**0.5": (0.4, 2.0),
    "exp(-x**2/2)*sin(3*x)/(1 + exp(-x))": (-1.3, 0.4),
    "sqrt(1 + tanh(x)**2)": (-1.3, 0.4),
    "exprel(3*x + 1)*x": (-1.3, -1 / 3 + 1e-3, 0.4),
    "x*int(y > 1)": (-1.3, 0.4),
}
REFUSED = {
    "floor(x)": "'floor' is a step function",
    "ceil(x)": "'ceil' is a step function",
    "sign(x)": "'sign' is a step function",
    "int(x > 1)": "'int' is a step function",
    "x % 2": "'%' is a sawtooth",
    "timestep(x, dt)": "'timestep' is a step function",
    "poisson(x)": "'poisson.*' is random",
    "my_function(x)": "the function 'my_function'",
    "exp(floor(2*x))": "'floor' is a step function",
}
NOT_OF_THE_STATE = {"rand", "randn"}  # they have no argument
X = str_to_sympy("x")


def value(expression, x):
    """By NumPy, of the code that Brian2 would be given."""
    code = sympy_to_str(expression)
    return eval(code, {"__builtins__": {}}, NAMESPACE | {"x": np.float64(x), "y": 2.0})


@pytest.mark.parametrize("code", DIFFERENTIABLE)
def test_derivative_is_that_of_central_differences(code):
    expression = str_to_sympy(code)
    for x in DIFFERENTIABLE[code]:
        step = 1e-3 * max(abs(x), 1e-3)
        far, near = (
            (value(expression, x + h) - value(expression, x - h)) / (2 * h)
            for h in (step, step / 2)
        )
        # Richardson's fourth order; round-off of the difference is about 1e-10
        expected = (4 * near - far) / 3
        assert value(derivative(expression, X), x) == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_every_function_of_brian2_is_either_differentiated_or_refused():
    tested = " ".join([*DIFFERENTIABLE, *REFUSED])
    assert [
        n for n in DEFAULT_FUNCTIONS if f"{n}(" not in tested and n not in NOT_OF_THE_STATE
    ] == []


@pytest.mark.parametrize("x", [0.0, 1e-300, -1e-16, 1e-8, -1e-4, 0.01, 0.0499, -0.0501, 0.3, 20])
def test_derivative_of_exprel_has_all_digits_around_zero(x):
    with mpmath.workdps(60):
        # exprel'(x) = Σ_k x^k (k + 1)/(k + 2)!
        expected = float(
            mpmath.nsum(
                lambda k: mpmath.mpf(x) ** k * (k + 1) / mpmath.factorial(k + 2), [0, mpmath.inf]
            )
        )
    # the closed form loses a factor of 2/|x| ≤ 40 at the seam
    assert value(derivative(str_to_sympy("exprel(x)"), X), x) == pytest.approx(expected, rel=3e-14)


@pytest.mark.parametrize("code", REFUSED)
def test_functions_without_derivative_are_refused_by_name(code):
    with pytest.raises(NoDerivativeError, match=REFUSED[code]):
        derivative(str_to_sympy(code), X)


@pytest.mark.parametrize("code", REFUSED)
def test_functions_without_derivative_may_be_applied_to_what_is_no_state(code):
    expression = str_to_sympy(code.replace("x", "other") + " + x")
    assert derivative(expression, X) == 1


def test_derivatives_contain_nothing_that_brian2_cannot_run():
    unknown = (sympy.Derivative, sympy.Subs, sympy.DiracDelta, sympy.Heaviside, sympy.Piecewise)
    for code in DIFFERENTIABLE:
        assert not derivative(str_to_sympy(code), X).has(*unknown)
