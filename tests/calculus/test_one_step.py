"""What cannot be linearized is refused where it is asked for, with the reason and the remedy."""

import pytest
from brian2 import NeuronGroup, ms
from brian2.parsing.sympytools import str_to_sympy

from brian_eprop import PiecewiseLinear, linearize, load_model
from brian_eprop.brian.internals import assigned_names, statements_of
from brian_eprop.calculus.derivatives import NoDerivativeError
from brian_eprop.calculus.printing import printed
from brian_eprop.calculus.programs import Program, inputs, run_statements, symbol
from brian_eprop.network.checked_model import NAMESPACE

SURROGATE = PiecewiseLinear(height=0.3, width=1.0)
LEAK = "dv/dt = -v/(10*ms) : 1"


def group(equations=LEAK, threshold="v > 1", reset="v -= 1", method="euler", **kwds):
    return NeuronGroup(
        2, equations, threshold=threshold, reset=reset, method=method, namespace={}, **kwds
    )


def refused(neurons, match, error=NoDerivativeError, on_pre="v_post += w", **options):
    options = {"surrogate": SURROGATE, "on_pre": on_pre} | options
    with pytest.raises(error, match=match):
        _ = linearize(neurons, **options).statements


# --------------------------------------------------------------------- arrivals


@pytest.mark.parametrize(
    ("on_pre", "match"),
    [
        ("v_post += w*(1 - v_post)", "state of the postsynaptic neuron|'v_post'"),
        ("v_post *= w", "state of the postsynaptic neuron|'v_post'"),
        ("v_post += w*drive_post", "state of the postsynaptic neuron"),
        ("v += w*drive", "state of the postsynaptic neuron"),
        ("v_post += w*old_drive_post", "state of the postsynaptic neuron"),
        ("v_post += 1", "weight"),
        ("x += w", "weight"),
        ("w += 0.1\nv_post += w", "assigns to the weight 'w'"),
        ("v_post += floor(w)", "'floor' is a step function"),
        ("gain_post += w", "'gain', which no equation"),
    ],
)
def test_arrivals_that_are_not_proportional_to_the_weight(on_pre, match):
    equations = f"""
        {LEAK}
        gain : 1
        drive = gain*reversal : 1
        reversal = 1 - v : 1
        old_drive = 1 - v : 1 (constant over dt)
        """
    refused(group(equations), match, on_pre=on_pre)


def test_arrivals_in_several_statements_are_followed_through():
    code = "scaled = w*doubled_post\nv_post += 2*scaled"
    neurons = group(LEAK + "\ngain : 1\ndoubled = 2*gain : 1")
    arrivals = linearize(neurons, surrogate=SURROGATE, on_pre=code).arrivals
    assert arrivals == {"v": 4 * symbol("gain_post")}


def test_arrivals_that_bend_with_the_weight_differ_between_synapses():
    linearization = linearize(group(), surrogate=SURROGATE, on_pre="v_post += w**2")
    assert linearization.arrivals == {"v": 2 * symbol("w")}
    assert "v" not in linearization.coefficients.b


# -------------------------------------------------- threshold, surrogate, reset path


@pytest.mark.parametrize("threshold", ["v > 1 or t > 5*ms", "v == 1"])
def test_thresholds_without_a_distance(threshold):
    refused(group(threshold=threshold), "is not a single inequality")


def test_a_group_without_threshold_has_no_trace():
    refused(NeuronGroup(1, LEAK, method="euler"), "has no threshold", ValueError)


def test_a_group_without_surrogate():
    refused(group(), "has no surrogate derivative; pass one", ValueError, surrogate=None)


def test_a_group_of_which_arrivals_are_not_known():
    refused(group(), "pass on_pre", ValueError, on_pre=None)


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ({"u": "implicit"}, "reset_path names 'u', which the reset of group '.*' does not change"),
        ({"v": "implicitly"}, r"reset_path\['v'\] = 'implicitly' is not one of"),
    ],
)
def test_reset_paths_that_do_not_exist(path, match):
    refused(group(), match, ValueError, reset_path=path)


def test_weights_that_cannot_reach_the_threshold():
    neurons = group(LEAK + "\ndx/dt = -x/(10*ms) : 1")
    refused(neurons, "can reach the threshold", on_pre="x_post += w")


def test_thresholds_that_use_what_is_one_step_old():
    neurons = group(LEAK + "\nlimit = 1 + 0.1*v : 1 (constant over dt)", threshold="v > limit")
    refused(neurons, "'limit', which is '\\(constant over dt\\)' and therefore one step old")


# -------------------------------------------------------------------- equations


def test_names_that_nobody_defined():
    refused(group("dv/dt = -v/tau_unknown : 1"), "tau_unknown.*namespace", ValueError)


def test_noise_that_is_multiplied_by_the_state():
    equations = "dv/dt = -v/(10*ms) + 0.1*v*xi*ms**-0.5 : 1"
    refused(group(equations, method="milstein"), "only additive noise")
    refused(group("dv/dt = -v*rand()/(10*ms) : 1"), "only additive noise")


@pytest.mark.parametrize(
    ("term", "match"),
    [
        ("floor(v)", "'floor'"),
        ("int(v > 0.5)", "'int'"),
        ("sign(v)", "'sign'"),
        ("v % 1", "'%'"),
    ],
)
def test_equations_that_jump(term, match):
    refused(group(f"dv/dt = (1 - {term})/(10*ms) : 1"), match)


def test_resets_that_jump():
    refused(group(reset="v = ceil(v)"), "'ceil'")


def test_integrators_without_a_formula():
    neurons = group(method="gsl_rk4")
    with pytest.raises(
        (NoDerivativeError, ValueError, NotImplementedError), match=r"GSL|gsl|cython"
    ):
        linearize(neurons, surrogate=SURROGATE, on_pre="v_post += w")


# ---------------------------------------------------------------------- programs


def test_statements_are_substituted_in_order():
    statements = statements_of("a = v + 1  # a comment\n\nv *= a\nv -= a\nx = v/a")
    v = symbol("v")
    assert run_statements(statements, ["v", "x"]) == {
        "v": v * (v + 1) - (v + 1),
        "x": (v * (v + 1) - (v + 1)) / (v + 1),
    }
    assert assigned_names(statements) == ["a", "v", "x"]


def test_long_values_keep_a_name_and_the_chain_rule_goes_through_it():
    code = "a = v*u\nb = a**2 + a\nb = b*b\nv = sin(b)*u"
    short = Program.of(statements_of(code), ["v", "u"], readable=2)
    closed = Program.of(statements_of(code), ["v", "u"], readable=None)
    assert len(short.definitions) == 4 and not closed.definitions
    assert {str(name) for name in inputs([short.values["v"]], short.definitions)} >= {"u", "v"}
    matrix, definitions = short.jacobian(["v", "u"])
    for name in reversed(definitions):
        matrix = matrix.subs(name, definitions[name])
    point = {symbol("v"): 0.7, symbol("u"): -1.3}
    expected, _ = closed.jacobian(["v", "u"])
    assert (matrix - expected).subs(point).norm() < 1e-12


def test_fractions_are_written_as_numbers_and_functions_stay_what_they_are():
    expression = str_to_sympy("exprel(x/4 + 13/4)*y**(1/2)/3 - x**(2/3)")
    code = printed(expression)
    assert "exprel(" in code and "3.25" in code
    assert "/4" not in code and "/3" not in code
    values = {**NAMESPACE, "x": 0.3, "y": 2.0}
    expected = eval("exprel(x/4 + 13/4)*y**0.5/3 - x**(2/3)", values)
    assert eval(code, values) == pytest.approx(expected, rel=1e-14)


def test_a_condition_and_a_duration_of_refractoriness_are_told_apart():
    for refractory, code in (
        ("t_ref", "timestep({t} - lastspike, dt) >= timestep(t_ref, dt)"),
        (2 * ms, "timestep({t} - lastspike, dt) >= timestep(0.002, dt)"),
        ("v > 0.5", "not_refractory or not (v > 0.5)"),
        ("t < last + dt", "not_refractory or not ({t} < last + dt)"),
    ):
        equations = LEAK + " (unless refractory)\nt_ref : second\nlast : second"
        neurons = group(equations, refractory=refractory)
        step = linearize(neurons, surrogate=SURROGATE, on_pre="v_post += w").step
        assert step.not_refractory == code.format(t="t")
        assert step.next_not_refractory == code.format(t="(dt*(t_in_timesteps + 1))")


def test_models_by_themselves_can_be_linearized_with_other_choices():
    model = load_model("alif")
    default = linearize(model)
    implicit = linearize(model, reset_path={"v": "implicit"}, surrogate=SURROGATE)
    assert default.jump[1] == 0 and implicit.jump[1] != 0
    assert "0.3/v_th" in default.surrogate_code and "0.3/v_th" not in implicit.surrogate_code


def test_statements_on_one_line_are_several():
    equations = f"{LEAK}\nda/dt = -a/(20*ms) : 1"
    lines, line = ("v = 0\na += 2  # one; more", "v = 0; a += 2")
    assert assigned_names(statements_of(line)) == assigned_names(statements_of(lines)) == ["v", "a"]
    found = [
        linearize(group(equations, "v > 1 + a", reset), SURROGATE, on_pre="v_post += w")
        for reset in (lines, line)
    ]
    assert found[0].A == found[1].A
    assert found[0].jump[found[0].states.index("a")] == 2
