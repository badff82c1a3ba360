"""Pseudo-derivatives: Brian2's value of each formula equals NumPy's."""

import json
import re

import numpy as np
import pytest
from attrs import evolve
from brian2 import (
    DimensionMismatchError,
    Network,
    NeuronGroup,
    Quantity,
    defaultclock,
    mV,
    nS,
    volt,
)

from brian_eprop import linearize, load_model
from brian_eprop.network.training_state import decode, encode
from brian_eprop.neurons.neuron_model import ModelError
from brian_eprop.neurons.surrogates import (
    SURROGATES,
    Arctan,
    Exponential,
    FastSigmoid,
    Formula,
    MultiGaussian,
    PiecewiseLinear,
)

X = np.r_[np.linspace(-3, 3, 121), 1e-9, -1e-9, 50.0, -50.0]


def normal(x, mean, deviation):
    return np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi))


def multi_gaussian(x, height, width, h=0.15, s=6.0):
    side = normal(x, width, s * width) + normal(x, -width, s * width)
    return height * ((1 + h) * normal(x, 0, width) - h * side)


FORMULAS = {
    "PiecewiseLinear": lambda x, height, width: height * np.maximum(0, 1 - np.abs(x) / width),
    "Exponential": lambda x, height, width: height * np.exp(-np.abs(x) / width),
    "FastSigmoid": lambda x, height, width: height / (1 + np.abs(x) / width) ** 2,
    "Arctan": lambda x, height, width: height / (1 + (x / width) ** 2),
    "MultiGaussian": multi_gaussian,
}

#: Those that have a height and a width.
SHAPED = {kind: cls for kind, cls in SURROGATES.items() if cls is not Formula}
ANTIDERIVATIVE = [kind for kind, cls in SURROGATES.items() if hasattr(cls, "antiderivative")]


def in_brian(expression, x, unit="1", inverse="1", extra=""):
    """Value of a Brian2 expression of x, computed by a NeuronGroup in generated code."""
    equations = f"x : {unit}\npsi : {inverse}\n{extra}"
    group = NeuronGroup(len(x), equations, namespace={})
    group.x_ = x
    group.run_regularly(f"psi = {expression}")
    Network(group).run(defaultclock.dt)
    return np.asarray(group.psi_[:])


def test_every_registered_surrogate_has_an_independent_formula_here():
    assert set(SHAPED) == set(FORMULAS)
    assert all(SURROGATES[kind].__name__ == kind for kind in SURROGATES)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("kind", SHAPED)
@pytest.mark.parametrize(("height", "width"), [(0.3, 1.0), (1 / 3, 0.7), (10.0, 0.03)])
def test_brian2_evaluates_the_formula(kind, height, width):
    expected = FORMULAS[kind](X, height, width)
    assert np.abs(expected).max() > 0.1
    got = in_brian(SURROGATES[kind](height, width).expression("x"), X)
    # round-off of a dozen operations on numbers of size `height`/`width`
    np.testing.assert_allclose(got, expected, rtol=1e-14, atol=1e-14 * np.abs(expected).max())


@pytest.mark.parametrize("kind", SHAPED)
def test_a_threshold_that_is_never_reached_has_no_derivative(kind):
    """v_th = inf keeps a neuron silent; infinity times 0 would be no number."""
    got = in_brian(SURROGATES[kind](0.3, 0.6).expression("x"), np.array([-np.inf, 0, np.inf]))
    assert got[1] > 0.1
    np.testing.assert_array_equal(got[[0, 2]], 0)


@pytest.mark.parametrize("kind", SHAPED)
def test_quantities_are_written_without_loss(kind):
    width = 17.3 / 3 * mV
    height = 0.3 if kind == "MultiGaussian" else 0.3 / width
    x = X * 0.005
    got = in_brian(
        SURROGATES[kind](height, width).expression("x"), x, unit="volt", inverse="volt**-1"
    )
    expected = FORMULAS[kind](x, float(height), float(width))
    np.testing.assert_allclose(got, expected, rtol=1e-14, atol=1e-14 * np.abs(expected).max())


@pytest.mark.parametrize("kind", SHAPED)
def test_expressions_follow_variables_of_the_group(kind):
    surrogate = SURROGATES[kind]("0.3/v_th" if kind != "MultiGaussian" else "0.3", "v_th")
    extra = "v_th = 0.5 + 0.01*i : 1"
    v_th = 0.5 + 0.01 * np.arange(len(X))
    got = in_brian(surrogate.expression("x - 0.1 + 0.1"), X, extra=extra)
    height = 0.3 if kind == "MultiGaussian" else 0.3 / v_th
    expected = FORMULAS[kind](X - 0.1 + 0.1, height, v_th)
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-14)


def test_a_compound_distance_keeps_its_value_inside_every_formula():
    for kind, cls in SHAPED.items():
        got = in_brian(cls(0.3, 0.5).expression("x - 0.25 - x/2"), X)
        np.testing.assert_allclose(
            got, FORMULAS[kind](X / 2 - 0.25, 0.3, 0.5), rtol=1e-13, atol=1e-14
        )


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("kind", ANTIDERIVATIVE)
def test_antiderivative_is_zero_at_threshold_and_has_the_surrogate_as_slope(kind):
    surrogate = SURROGATES[kind](0.4, 0.7)
    step = 1e-5
    x = np.linspace(-2, 2, 40)  # no point within a step of a kink
    up = in_brian(surrogate.antiderivative("x"), x + step)
    down = in_brian(surrogate.antiderivative("x"), x - step)
    # central difference: the error is step² times the third derivative
    np.testing.assert_allclose(
        (up - down) / (2 * step), FORMULAS[kind](x, 0.4, 0.7), rtol=1e-8, atol=1e-9
    )
    assert in_brian(surrogate.antiderivative("x"), np.zeros(1))[0] == 0


def test_only_the_multi_gaussian_has_no_antiderivative():
    assert set(SHAPED) - set(ANTIDERIVATIVE) == {"MultiGaussian"}


def test_area_under_the_multi_gaussian_is_height_times_one_minus_h():
    x = np.linspace(-60, 60, 200001)
    area = in_brian(MultiGaussian(0.5, 0.5).expression("x"), x).sum() * (x[1] - x[0])
    # 60 is 20 standard deviations of the side lobes
    assert area == pytest.approx(0.5 * 0.85, rel=1e-9)


@pytest.mark.parametrize("kind", SHAPED)
@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf, -2 * mV, [1.0, 2.0], None, "1 +"])
def test_bad_height_or_width_is_refused_by_name(kind, bad):
    with pytest.raises(ValueError, match=f"{kind}.width"):
        SURROGATES[kind](1.0, bad)
    with pytest.raises(ValueError, match=f"{kind}.height"):
        SURROGATES[kind](bad, 1.0)


def test_side_lobes_are_validated_too():
    with pytest.raises(ValueError, match=r"MultiGaussian\.s = 0 must be positive"):
        MultiGaussian(1.0, 1.0, s=0)


def test_exotic_units_are_rendered_in_base_units():
    surrogate = Exponential(2.0 / (3 * nS / volt), 3 * nS / volt)
    x = np.array([0.0, 3e-9])
    got = in_brian(surrogate.expression("x"), x, unit="siemens/volt", inverse="volt/siemens")
    np.testing.assert_allclose(got, 2 / 3e-9 * np.exp([0.0, -1.0]), rtol=1e-14)


def test_surrogates_are_values():
    assert PiecewiseLinear(0.3, 1.0) == PiecewiseLinear(0.3, 1.0)
    assert FastSigmoid(0.3, 1.0) != FastSigmoid(0.3, 2.0)
    assert eval(repr(Arctan("0.3/v_th", "v_th"))) == Arctan("0.3/v_th", "v_th")
    with pytest.raises(AttributeError):
        Arctan(1.0, 1.0).height = 2.0
    assert isinstance(Arctan(1 / mV, 2 * mV).width, Quantity)


FORMULA = "exp(-abs(x)/(2*mV))/(5*mV)"


def test_brian2_evaluates_a_formula_of_ones_own():
    x = X * 0.005
    for text, expected in (
        (FORMULA, np.exp(-np.abs(x) / 2e-3) / 5e-3),
        ("int(abs(x) < 2*mV)/(4*mV)  # a box", (np.abs(x) < 2e-3) / 4e-3),
        ("\n1/cosh(x/mV)**2/(2*mV)\n", 1 / np.cosh(np.clip(x, -0.2, 0.2) / 1e-3) ** 2 / 2e-3),
        ("1/mV", np.full(len(x), 1e3)),
    ):
        # the distance is a sum: every x of the formula has it in parentheses
        code = Formula(text).expression("x - 3*mV + 3*mV")
        got = in_brian(code, x, unit="volt", inverse="volt**-1")
        # x − 3 mV + 3 mV rounds to 1e-18 V, a tenth of a billionth of a width
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_a_formula_has_the_x_of_the_distance_only():
    assert Formula("exp(-abs(x))").expression("exp(x_0) - x") == "(exp(-abs((exp(x_0) - x))))"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1/", "is not an expression"),
        ("", "is not an expression"),
        ("[x]", "is not an expression"),
        ("x.real", "is not an expression"),
        ("__import__('os')", "is not an expression"),
        ("1j*x", "is not an expression"),
        ("(lambda: 1)()", "is not an expression"),
        ("0.3/v_th", "uses 'v_th', which is neither x"),
        ("rand()/mV", "uses 'rand'"),
        ("open(x)", "uses 'open'"),
        ("1/x", "not one finite number"),
        ("sqrt(x)", "not one finite number"),
        ("log(abs(x))", "not one finite number"),
        ("exp(1000)", "not one finite number"),
        ("9**9**9**9**9", "not one finite number"),
        ("exp(x, x)", "not one finite number"),
        ("exp", "not one finite number"),
        ("x > 0", "not one finite number"),
    ],
)
def test_a_formula_that_is_none_is_refused_with_its_text(text, message):
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        Formula(text)
    assert f"Formula.psi = {text!r}" in str(refused.value)


def test_a_formula_is_text():
    with pytest.raises(TypeError, match=r"Formula\.psi = 3 is not text"):
        Formula(3)


def test_a_formula_is_written_to_files_and_read_again(tmp_path):
    formula = Formula("exp(-abs(x)/0.5)/0.8")
    assert decode(json.loads(json.dumps(encode(formula)))) == formula
    file = tmp_path / "mine.toml"
    file.write_text(
        """name = "mine"
equations = "dv/dt = -v/tau : 1"
threshold = "v > 1"
reset = "v = 0"
method = "exact"
on_pre = "v_post += w"
parameters = {tau = "20*ms"}
surrogate = {kind = "Formula", psi = "exp(-abs(x)/0.5)/0.8"}
""",
        encoding="utf-8",
    )
    model = load_model(file)
    assert model.surrogate == formula
    with pytest.raises(ModelError, match=r"'surrogate' = .* does not have the correct units"):
        evolve(model, surrogate=Formula(FORMULA))
    with pytest.raises(ModelError, match=r"ψ has the unit .* but must have"):
        evolve(model, surrogate=Formula("exp(-abs(x))/mV"))


def test_a_formula_of_the_wrong_unit_is_refused_where_the_neurons_are_known():
    group = NeuronGroup(1, "dv/dt = -v/(20*ms) : volt", threshold="v > 15*mV", method="exact")
    with pytest.raises(DimensionMismatchError, match="does not fit the threshold"):
        linearize(group, Formula("exp(-abs(x)/mV)"), on_pre="v_post += w*mV")


def test_surrogates_are_equal_if_their_parameters_are_in_value_and_unit():
    unitless, in_mv = PiecewiseLinear(0.3, 1.0), PiecewiseLinear(0.3 / mV, 1 * mV)
    assert unitless != in_mv
    assert unitless == PiecewiseLinear(0.3, 1) != Exponential(0.3, 1.0)
    assert in_mv == PiecewiseLinear(300 / volt, 0.001 * volt)
    assert hash(in_mv) == hash(PiecewiseLinear(300 / volt, 0.001 * volt))
    assert MultiGaussian(0.5, 0.5) != MultiGaussian(0.5, 0.5 * mV)
