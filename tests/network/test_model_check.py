"""The check of a model passes for every model, and notices each thing that can be wrong."""

import numpy as np
import pytest
import sympy
from attrs import evolve
from brian2 import ms

from brian_eprop import available_models, load_model
from brian_eprop.calculus import derivatives, linearization, linearize
from brian_eprop.calculus.one_step import OneStep
from brian_eprop.network import check_model
from brian_eprop.neurons.surrogates import SURROGATES, PiecewiseLinear

#: Enough for every model to fire.
STEPS = 200


def failed(report):
    return {row.quantity for row in report.rows if not row.passed}


@pytest.mark.first_case_is_fast
@pytest.mark.slow_unless(name=["lif", "adex"])
@pytest.mark.parametrize("name", available_models())
def test_every_model_passes(name):
    report = check_model(name, steps=STEPS)
    assert report.passed, str(report)
    assert report.spikes >= 4
    assert all(np.isfinite(row.error) for row in report.rows)
    quantities = [row.quantity for row in report.rows]
    assert {"psi", "e_trace", "gradient"} <= set(quantities)
    assert ("gradient (reference)" in quantities) == (name in ("lif", "alif"))
    suggested = {"hodgkin_huxley": 0.05} | dict.fromkeys(
        ("lif", "alif", "nir_lif", "nir_cuba_lif"), 1
    )
    assert report.dt / ms == pytest.approx(suggested.get(name, 0.1))


@pytest.mark.slow
def test_the_table_names_every_quantity():
    report = check_model("alif", steps=STEPS, seed=3)
    table = str(report)
    for row in report.rows:
        assert row.quantity in table
    assert table.count("ok") == len(report.rows)
    assert f"{report.spikes} spikes in {STEPS} steps" in table


@pytest.mark.slow
def test_another_method_and_time_step():
    report = check_model("alif", method="rk4", steps=STEPS, dt=0.5 * ms)
    assert report.passed, str(report)
    assert "gradient (reference)" not in [row.quantity for row in report.rows]
    assert (report.method, report.dt) == ("rk4", 0.5 * ms)


def test_a_method_that_does_not_apply_is_refused_in_our_words():
    with pytest.raises(
        derivatives.UnsuitableMethodError,
        match="the 'method' of a neuron model is not for its equa",
    ):
        check_model("adex", method="exact", steps=20)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SURROGATES)
def test_every_surrogate(kind):
    shape = {"height": "0.4/v_th", "width": "0.7*v_th"}
    if kind == "MultiGaussian":
        shape = {"height": 0.5, "width": 0.3}
    elif kind == "Formula":
        shape = {"psi": "exp(-abs(x)/0.7)*(0.4 + 0.1*sin(x))"}
    model = evolve(load_model("lif"), surrogate=SURROGATES[kind](**shape))
    report = check_model(model, steps=STEPS)
    assert report.passed, str(report)


OWN = '''
name = "mine"
equations = """
dv/dt = (g*(2 - v) - v)/tau : 1 (unless refractory)
dg/dt = -g/tau_g : 1
"""
threshold = "v > v_th"
reset = """
v = 0.1*v
g *= 0.9
"""
refractory = "t_ref"
method = "rk2"
on_pre = "g_post += w"

[parameters]
tau = "10*ms"
tau_g = "5*ms"
v_th = 1
t_ref = "1*ms"

[surrogate]
kind = "FastSigmoid"
height = 0.5
width = 0.5
'''


@pytest.mark.slow
def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(OWN)
    report = check_model(path, steps=STEPS)
    assert report.passed, str(report)
    assert report.model == "mine"


# ------------------------------------------------------------- what is to be noticed


@pytest.mark.slow
def test_a_neuron_that_never_fires_is_no_proof(tmp_path):
    path = tmp_path / "silent.toml"
    path.write_text(OWN.replace("v_th = 1\n", "v_th = 3\n"))  # v cannot exceed 2
    report = check_model(path, steps=STEPS)
    assert not report.passed
    assert "no neuron fires" in str(report)


@pytest.mark.slow
def test_a_wrong_derivative_is_noticed(monkeypatch):
    wrong = {**derivatives._TABLE, "exprel": (lambda x: sympy.exp(x),)}
    monkeypatch.setattr(derivatives, "_TABLE", wrong)
    sympy.core.cache.clear_cache()  # it remembers derivatives
    report = check_model("hodgkin_huxley", steps=STEPS)
    monkeypatch.undo()
    sympy.core.cache.clear_cache()
    assert failed(report) >= {"eps_v", "e_trace", "gradient"}
    assert "psi" not in failed(report)


def test_a_wrong_surrogate_is_noticed(monkeypatch):
    expression = PiecewiseLinear.expression
    monkeypatch.setattr(PiecewiseLinear, "expression", lambda s, x: f"(1.001*{expression(s, x)})")
    assert failed(check_model("lif", steps=STEPS)) >= {"psi", "e_trace", "gradient"}


@pytest.mark.slow
def test_a_wrong_reset_path_is_noticed(monkeypatch):
    complete = linearize._complete_reset_path

    def wrong(*args):
        return {**complete(*args), "v": "implicit"}

    monkeypatch.setattr(linearize, "_complete_reset_path", wrong)
    report = check_model("alif", steps=STEPS)
    assert failed(report) >= {"eps_v", "e_trace", "gradient", "gradient (reference)"}


def test_a_missing_reset_is_noticed(monkeypatch):
    monkeypatch.setattr(
        linearization.Linearization, "reset_jacobian", property(lambda s: sympy.eye(len(s.states)))
    )
    assert "eps_v" in failed(check_model("cuba_lif", method="euler", steps=STEPS))


@pytest.mark.slow
def test_arrivals_at_neurons_that_are_deaf_are_noticed(monkeypatch, tmp_path):
    path = tmp_path / "deaf.toml"
    changed = {'"g_post += w"': '"v_post += w"', 't_ref = "1*ms"': 't_ref = "2*ms"'}
    # g has to be something, or its trace is 0
    changed |= {"g *= 0.9": "g += 0.1"}
    text = OWN
    for old, new in changed.items():
        text = text.replace(old, new)
    path.write_text(text)
    assert check_model(path, steps=STEPS).passed
    original = OneStep.__init__

    def hears(self, **fields):
        original(self, **fields | {"clamped": frozenset()})

    monkeypatch.setattr(OneStep, "__init__", hears)
    assert "eps_v" in failed(check_model(path, steps=STEPS))
