"""A, D and c are the derivatives of Brian2's own step: every model, every integrator."""

import subprocess
import sys

import numpy as np
import pytest
import sympy
from brian2 import NeuronGroup, TimedArray, ms
from matplotlib.mathtext import MathTextParser
from stepwise import along_a_simulation, relative_error

from brian_eprop import EProp, PiecewiseLinear, available_models, linearize, load_model
from brian_eprop.calculus.derivatives import UnsuitableMethodError
from brian_eprop.calculus.programs import symbol

METHODS = ("exact", "euler", "exponential_euler", "rk2", "rk4")
DISCRETE = ("lif", "alif")
#: What is added to a state in a step, on average, so that the neurons fire; SI units.
KICKS = {
    "lif": {"v": 0.15},
    "alif": {"v": 0.15},
    "cuba_lif": {"I_syn": 4e-10},
    "cuba_alif": {"I_syn": 4e-10},
    "adex": {"I_syn": 3e-10},
    "izhikevich": {"v": 6e-3},
    "hodgkin_huxley": {"g_syn": 3e-8},
    "nir_lif": {"I": 60.0},
    "nir_cuba_lif": {"I_syn": 4.0, "I": 60.0},
    # far enough for finite differences of what u changes v within one step
    "two_compartment": {"I_syn": 4e-10, "I_apical": 4e-10, "w_d": 1e-9, "bap": 1.0},
}
#: Brian2 itself has no such method for these equations.
UNSUPPORTED = {
    ("adex", "exact"),
    ("izhikevich", "exact"),
    ("hodgkin_huxley", "exact"),
    ("two_compartment", "exact"),
    ("izhikevich", "exponential_euler"),
}
#: Fourth-order differences of the steepest step (rk2 across the upswing of adex) reach this.
TOLERANCE = 1e-6

#: What of each neuron is needed: here every state.
STATES = {
    "adex": ("I_syn", "v", "w_ad"),
    "alif": ("a", "v"),
    "cuba_alif": ("I_syn", "a", "v"),
    "cuba_lif": ("I_syn", "v"),
    "hodgkin_huxley": ("g_syn", "h", "m", "n", "v"),
    "izhikevich": ("u", "v"),
    "lif": ("v",),
    "nir_cuba_lif": ("I", "I_syn", "v"),
    "nir_lif": ("I", "v"),
    "two_compartment": ("I_syn", "bap", "u", "v", "w_d", "w_s"),
}

SURROGATE = PiecewiseLinear(height=0.3, width=1.0)
RULE = EProp(surrogate=SURROGATE)
KICK_V = {"v": 0.25}


def builder(name, method):
    model = load_model(name)
    dt = 1 * ms if name in DISCRETE else 0.05 * ms
    return model, lambda n: model.group(n, method=method, dt=dt)


def written(equations, threshold="v > 1", reset="v -= 1", method="euler", values=None, **kwds):
    """A user's own group of equations in which tau is 10 ms and v starts anywhere."""

    def build(n):
        kwds.setdefault("namespace", {})
        group = NeuronGroup(
            n, equations, threshold=threshold, reset=reset, method=method, dt=1 * ms, **kwds
        )
        for variable, value in (values or {}).items():
            # copies of neurons are made of whole groups: [0, 1, 2, 0, 1, 2, …]
            setattr(group, variable, np.tile(value, n // 3) if np.ndim(value) else value)
        return group

    return build


def checked(build, on_pre="v_post += w", kicks=KICK_V, rule=RULE, **options):
    """Compare, assert that the comparison is not empty, and return the linearization."""
    found, expected, linearization, spikes = along_a_simulation(
        build, on_pre, kicks, rule=rule, **options
    )
    assert spikes >= 3
    assert (expected["psi"] > 0).sum() >= 3
    for key in ("A", "D", "c"):
        assert relative_error(found[key], expected[key]) < TOLERANCE, key
    return linearization


# ------------------------------------------------------------------------ models


@pytest.mark.first_case_is_fast
@pytest.mark.slow_unless(method=["euler", "exponential_euler"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", available_models())
def test_coefficients_are_those_of_brian2s_own_step(name, method):
    model, build = builder(name, method)
    if (name, method) in UNSUPPORTED:
        with pytest.raises(UnsuitableMethodError, match=f"method = {method!r}"):
            linearize(build(1))
        return
    # 80 steps of the neurons of each model contain several spikes
    linearization = checked(build, model.on_pre, KICKS[name], rule=EProp(), steps=80)
    assert linearization.states == STATES[name]
    # Written out, the entries of adex with rk4 have more than 100 000 operations.
    code = "\n".join(linearization.statements.values())
    larger = {"hodgkin_huxley": 4000, "adex": 700, "two_compartment": 700, "nir_cuba_lif": 700}
    assert operations(code) < larger.get(name, 400)
    assert_typesettable(linearization._repr_latex_())


def operations(code):
    """Additions, multiplications, powers and function calls in Brian2 code."""
    return sum(code.count(sign) for sign in "+-*/(") - code.count("**")


def assert_typesettable(latex):
    assert latex.startswith("$$") and latex.endswith("$$")
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\begin{") == latex.count(r"\end{")
    assert latex.count(r"\left") == latex.count(r"\right")


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ["lif", "cuba_alif", "izhikevich"])
def test_reset_paths_other_than_implicit_leave_the_jump_out(name):
    model, build = builder(name, "euler")
    for path in ("explicit", "detached", "implicit"):
        rule = EProp(reset_path={"v": path})
        linearization = checked(build, model.on_pre, KICKS[name], rule=rule, steps=80)
        row = linearization.states.index("v")
        assert (linearization.jump[row] != 0) == (path == "implicit")


def test_adaptation_of_alif_is_implicit_and_its_reset_explicit():
    linearization = linearize(load_model("alif"))
    psi, beta, tau_a, dt = (symbol(n) for n in ("psi", "beta", "tau_a", "dt"))
    a, v = (linearization.states.index(name) for name in ("a", "v"))
    # Bellec et al. 2020, Methods: ρ − βψ on the diagonal, ψ from v to a, nothing from a to v
    rho = sympy.exp(-dt / tau_a)
    assert sympy.simplify(linearization.A[a, a] - (rho - beta * psi)) == 0
    assert sympy.simplify(linearization.A[a, v] - psi) == 0
    assert linearization.A[v, a] == 0


# ------------------------------------------------------------- negative controls


@pytest.fixture(scope="module")
def adex():
    model, build = builder("adex", "rk2")
    return along_a_simulation(build, model.on_pre, KICKS["adex"], steps=80)


def test_integrator_at_the_wrong_step_is_found(adex):
    found, expected, *_ = adex
    assert relative_error(found["A"][:-1], expected["A"][1:]) > 0.01


def test_a_reset_jacobian_that_is_left_out_is_found(adex):
    found, expected, *_ = adex
    without = expected["F"] @ (
        np.eye(3) + expected["k"][..., :, None] * expected["c"][:-1][..., None, :]
    )
    assert relative_error(found["A"], without) > 0.01
    assert relative_error(found["D"], expected["F"]) > 0.01


def test_a_jump_that_is_left_out_is_found(adex):
    found, expected, *_ = adex
    assert np.abs(expected["k"]).max() > 0
    assert relative_error(found["A"], expected["F"] @ expected["J"]) > 0.01


# -------------------------------------------------------------- equations of users


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("flag", ["", "(unless refractory)"])
@pytest.mark.parametrize(
    ("refractory", "method"),
    [
        (3 * ms, "euler"),
        ("2*t_ref", "euler"),
        ("t_ref", "exponential_euler"),
        ("v > 0.5", "rk4"),
    ],
)
def test_refractoriness_in_every_form(flag, refractory, method):
    equations = f"""
        dv/dt = (x - v)/(10*ms) : 1 {flag}
        dx/dt = (0.3*v**2 - x)/(5*ms) : 1
        t_ref : second
        """
    if method == "exponential_euler":
        equations = equations.replace("v**2", "v")
    # a condition is about the membrane after the reset
    reset = "v -= 0.2" if refractory == "v > 0.5" else "v -= 1"
    build = written(
        equations, reset=reset, method=method, refractory=refractory, values={"t_ref": 2 * ms}
    )
    linearization = checked(build, "x_post += w", {"x": 0.5})
    assert linearization.step.clamped == ({"v"} if flag else set())


def test_parameters_of_each_neuron_give_coefficients_of_each_neuron():
    build = written(
        "dv/dt = -v/tau : 1\ntau : second (constant)\nv_th : 1",
        threshold="v > v_th",
        reset="v -= v_th",
        values={"tau": np.array([5, 10, 20]) * ms, "v_th": np.array([0.5, 1, 1.5])},
    )
    linearization = checked(build)
    assert "__A_v_v" in linearization.coefficients.phases["end"].neuron


def test_shared_parameters_give_one_coefficient_of_the_group():
    build = written(
        "dv/dt = -v/tau : 1\ntau : second (shared, constant)",
        values={"tau": 10 * ms},
    )
    rule = EProp(surrogate=SURROGATE, reset_path={"v": "detached"})
    linearization = checked(build, rule=rule)
    assert "__A_v_v" in linearization.coefficients.phases["end"].uniform


def test_subexpressions_stand_for_what_they_are():
    checked(
        written(
            """
            dv/dt = leak + 0.1*drive/ms : 1
            leak = -shifted/(10*ms) : Hz
            shifted = v + 0.1*v**2 : 1
            drive = 5*tanh(x) : 1
            dx/dt = -x/(5*ms) : 1
            v_th = 1 + 0.2*x : 1
            """,
            threshold="v > v_th",
            reset="v -= v_th",
            method="rk2",
        ),
        "x_post += w",
        {"x": 0.8},
    )


def test_subexpressions_that_are_constant_over_dt_use_the_state_at_the_start_of_the_step():
    equations = """
        dv/dt = (-v + bend)/(10*ms) : 1
        bend = half**2 : 1 (constant over dt)
        half = 0.5*v : 1
        """
    checked(written(equations, method="rk4"))


def test_external_names_come_from_the_group_or_from_the_caller():
    equations = "dv/dt = -v/tau_x : 1"
    checked(written(equations, namespace={"tau_x": 10 * ms}))
    checked(written(equations, namespace=None), namespace={"tau_x": 10 * ms})


def test_input_that_changes_in_time_is_that_of_the_next_step():
    gain = TimedArray(np.linspace(0.5, 2, 100), dt=1 * ms)
    equations = "dv/dt = -v*gain(t)/(10*ms)*(1 + 0.5*sin(t/ms)) : 1"
    checked(written(equations, namespace={"gain": gain}))


def test_additive_noise_is_no_obstacle():
    build = written("dv/dt = -v/(10*ms) + 0.1*xi*ms**-0.5 : 1")
    linearization = linearize(build(3), surrogate=SURROGATE, on_pre="v_post += w")
    assert not linearization.integrator_jacobian.free_symbols & {symbol("xi")}
    assert "randn" not in "".join(linearization.statements.values())


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    ("equations", "reset"),
    [
        ("", "v -= 1"),
        ("", "v = 0.1"),
        ("", "v *= 0.3"),
        ("", "v = 0.3*v**2"),
        ("du/dt = -u/(30*ms) : 1", "v = 0.2*u\nu += 0.5"),
        ("du/dt = (v - u)/(30*ms) : 1", "u = u + v\nv = 0.1*u"),
        ("g : 1", "v = 0.5*g\ng = tanh(v + g)"),
    ],
)
def test_resets_of_every_kind(equations, reset):
    coupling = "0.5*u" if "du" in equations else "0.5*g" if "g :" in equations else "0"
    build = written(
        f"dv/dt = (-v - {coupling})/(10*ms) : 1\n{equations}", reset=reset, method="rk2"
    )
    linearization = checked(build)
    assert all(path == "implicit" for path in linearization.reset_path.values())


def test_a_parameter_that_the_reset_changes_is_a_state():
    build = written(
        "dv/dt = -v/(10*ms) : 1\nraised : 1", threshold="v > 1 + raised", reset="raised += 0.1"
    )
    assert checked(build).states == ("v", "raised")


def test_a_threshold_from_above_and_arrivals_that_pass_through_another_state():
    build = written(
        "dv/dt = (x - v)/(10*ms) : 1\ndx/dt = -x/(5*ms) : 1", threshold="-1 >= v", reset="v += 1"
    )
    checked(build, "x_post -= 2*w", {"x": -0.8})


# ------------------------------------------------------------------- zero pattern


def test_a_state_that_no_weight_reaches_or_that_reaches_no_threshold_is_left_out():
    equations = """
        dv/dt = (background - v)/(10*ms) : 1
        dbackground/dt = -background/(10*ms) : 1
        dspectator/dt = (v - spectator)/(10*ms) : 1
        """
    linearization = checked(written(equations))
    assert linearization.states == ("v",)
    assert set(linearization.step.states) == {"v", "background", "spectator"}


def test_trace_of_lif_depends_on_nothing_of_the_postsynaptic_neuron():
    coefficients = linearize(load_model("lif")).coefficients
    assert list(coefficients.phases["end"].uniform) == ["__A_v_v"]
    assert not coefficients.phases["end"].neuron


# ------------------------------------------------------------------ what is written


@pytest.mark.slow
def test_text_is_the_same_in_every_process():
    """A compiled network is found again by its text."""
    program = (
        "from brian_eprop import linearize, load_model\n"
        "print(linearize(load_model('izhikevich').group(1, method='rk4')).statements)"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


def test_latex_of_the_entries_of_alif_is_understood_by_matplotlib():
    parser = MathTextParser("path")
    linearization = linearize(load_model("alif"))
    for entry in (*linearization.A, *linearization.b, *linearization.c):
        assert parser.parse(f"${sympy.latex(entry)}$").width > 0


def test_text_of_alif_reads_as_in_the_paper():
    text = str(linearize(load_model("alif")))
    assert "c[v] = psi" in text
    assert "c[a] = -beta*psi" in text
    assert "A[a, v] = psi" in text
    assert "A[v, v] = exp(-dt/tau_m)" in text
