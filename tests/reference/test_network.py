"""Dynamics, pseudo-derivatives, bad input."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from attrs.exceptions import FrozenInstanceError
from random_networks import random_network, random_task

from brian_eprop import reference
from brian_eprop.reference import RULES, SpikingNetwork, gradients, simulate
from brian_eprop.reference.surrogates import SURROGATES, antiderivative, pseudo_derivative


def minimal(**changes):
    settings = dict(
        w_in=np.ones((2, 3)), w_rec=np.ones((3, 3)), w_out=np.ones((3, 1)), alpha=0.9, kappa=0.8,
        v_th=1.0,
    )  # fmt: skip
    return SpikingNetwork(**(settings | changes))


def test_reference_imports_numpy_scipy_attrs_and_checks_only():
    folder = Path(reference.__file__).parent
    for path in folder.rglob("*.py"):
        depth = len(path.relative_to(folder).parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                roots = {node.module.split(".")[0]}
            elif isinstance(node, ast.ImportFrom) and node.level > depth:
                assert node.module == "checks", path
                continue
            else:
                continue
            assert roots <= {"numpy", "scipy", "attrs", *sys.stdlib_module_names}, path


def test_checks_need_no_brian2():
    code = "import brian_eprop.checks as c; c.number('n', 1.0); assert 'brian2' not in sys.modules"
    lone = "import sys, types; p = types.ModuleType('brian_eprop'); p.__path__ = [sys.argv[1]]; "
    lone += f"sys.modules['brian_eprop'] = p; {code}"
    folder = str(Path(reference.__file__).parent.parent)
    subprocess.run([sys.executable, "-c", lone, folder], check=True)


# ------------------------------------------------------------------------------ dynamics


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("max_n_ref", [0, 5])
def test_simulation_is_the_scalar_recursion(max_n_ref):
    network = random_network(8, max_n_ref=max_n_ref)
    inputs, targets = random_task(8, "mse", batch=1)
    x = inputs[0]
    run = simulate(network, x, targets[0])
    assert run.spikes.sum() > 20
    n_steps, n_rec = run.spikes.shape
    v, a = np.zeros(n_rec), np.zeros(n_rec)
    y = np.zeros(network.n_out)
    for t in range(n_steps):
        for j in range(n_rec):
            drive = 0.0
            for i in range(network.n_in):
                s = t - network.delay_in[i, j]
                drive += network.w_in[i, j] * x[s, i] if s >= 0 else 0
            for i in range(n_rec):
                s = t - 1 - network.delay_rec[i, j]
                drive += network.w_rec[i, j] * run.spikes[s, i] if s >= 0 else 0
            last = run.spikes[t - 1, j] if t else 0
            v[j] = network.alpha[j] * v[j] + drive - network.v_th[j] * last
            a[j] = network.rho[j] * a[j] + last
            threshold = network.v_th[j] + network.beta[j] * a[j]
            recent = run.spikes[max(0, t - network.n_ref[j] + 1) : t, j]
            assert run.silent[t, j] == recent.any()
            assert run.spikes[t, j] == (v[j] > threshold and not recent.any())
            assert run.threshold[t, j] == pytest.approx(threshold, rel=1e-13)
            x_j = abs(v[j] - threshold) / network.surrogate_width[j]
            psi = network.surrogate_height[j] * max(0, 1 - x_j) * (not recent.any())
            assert run.psi[t, j] == pytest.approx(psi, rel=1e-10, abs=1e-13)
        np.testing.assert_allclose(run.v[t], v, rtol=1e-12, atol=1e-13)
        y = network.kappa * y + run.spikes[t] @ network.w_out
        np.testing.assert_allclose(run.readout[t], y, rtol=1e-12)


@pytest.mark.parametrize(("n_ref", "interval"), [(0, 1), (1, 1), (2, 2), (5, 5)])
def test_shortest_interval_between_spikes(n_ref, interval):
    network = SpikingNetwork(
        w_in=[[1.0]], w_rec=[[0.0]], w_out=[[1.0]], alpha=0.9, kappa=0.5, v_th=0.1, n_ref=n_ref
    )
    times = np.flatnonzero(simulate(network, np.ones((30, 1))).spikes[:, 0])
    assert np.all(np.diff(times) == interval)


def test_spikes_are_bool_and_shapes_follow_the_inputs():
    network = random_network(1)
    inputs, targets = random_task(1, "mse")
    run, single = simulate(network, inputs, targets), simulate(network, inputs[1])
    assert run.spikes.dtype == bool
    assert run.v.shape == (2, *single.v.shape)
    np.testing.assert_array_equal(run.spikes[1], single.spikes)
    assert single.error is None and single.loss is None


def test_network_may_be_given_by_a_method():
    class Owner:
        def reference_network(self):
            return random_network(1)

    inputs, targets = random_task(1, "mse")
    owned, own = (gradients(n, inputs, targets) for n in (Owner(), random_network(1)))
    np.testing.assert_array_equal(owned.w_rec, own.w_rec)
    assert simulate(Owner(), inputs).spikes.any()


# --------------------------------------------------------------------- pseudo-derivatives


@pytest.mark.parametrize("kind", SURROGATES)
def test_smooth_spike_has_the_derivative_psi(kind):
    network = minimal(surrogate=kind, surrogate_height=0.4, surrogate_width=[0.3, 0.5, 0.9])
    # beside the kinks at 0 and ±width
    x = np.linspace(-2, 2, 82)[:, np.newaxis] + 0.003 * np.ones(3)
    slope = (antiderivative(network, x + 1e-5) - antiderivative(network, x - 1e-5)) / 2e-5
    np.testing.assert_allclose(slope, pseudo_derivative(network, x), atol=1e-8)
    assert np.all(antiderivative(network, np.full((1, 3), -1e9)) < 1e-8)


@pytest.mark.parametrize(
    ("kind", "peak", "at_half_width"),
    [
        ("piecewise_linear", 0.4, 0.2),
        ("exponential", 0.4, 0.4 * np.exp(-0.5)),
        ("fast_sigmoid", 0.4, 0.4 / 2.25),
        ("arctan", 0.4, 0.4 / 1.25),
        # σ = 0.5, h = 0.15, s = 6 (Yin et al. 2021), from a table of the normal density
        ("multi_gaussian", 0.351289, 0.308216),
    ],
)
def test_values_of_psi(kind, peak, at_half_width):
    network = minimal(surrogate=kind, surrogate_height=0.4, surrogate_width=0.5)
    psi = pseudo_derivative(network, np.array([[0.0, 0.25, -0.25]]))
    np.testing.assert_allclose(psi[0], [peak, at_half_width, at_half_width], rtol=1e-5)


def test_default_surrogate_is_that_of_bellec():
    network = minimal(v_th=0.6)
    np.testing.assert_allclose(network.surrogate_height, 0.5)
    np.testing.assert_allclose(network.surrogate_width, 0.6)


# ------------------------------------------------------------------------------ bad input


def test_description_is_frozen_and_owns_its_arrays():
    w_in = np.ones((2, 3))
    network = minimal(w_in=w_in)
    w_in[:] = 7
    assert network.w_in.max() == 1
    with pytest.raises(ValueError, match="read-only"):
        network.w_in[0, 0] = 2
    with pytest.raises(FrozenInstanceError):
        network.kappa = 0.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"w_in": np.ones(3)}, [".w_in", "(3,)", "(n_in, n_rec)"]),
        ({"w_in": np.ones((2, 4))}, [".w_in", "(2, 4)", "(2, 3)"]),
        ({"w_rec": np.ones((3, 4))}, [".w_rec", "(3, 4)", "(n_rec, n_rec)"]),
        ({"w_out": np.ones((2, 1))}, [".w_out", "(2, 1)", "(3, 1)"]),
        ({"w_rec": np.full((3, 3), np.nan)}, [".w_rec", "nan", "finite"]),
        ({"w_out": "heavy"}, [".w_out", "'heavy'", "numbers"]),
        ({"feedback": np.ones((3, 1))}, [".feedback", "(3, 1)", "(1, 3)"]),
        ({"feedback": np.full((1, 3), np.inf)}, [".feedback", "inf"]),
        ({"mask_rec": np.ones((2, 2))}, [".mask_rec", "(2, 2)", "(3, 3)"]),
        ({"mask_in": np.full((2, 3), 2)}, [".mask_in", "2", "True"]),
        ({"delay_rec": -1}, [".delay_rec", "-1", "steps"]),
        ({"delay_in": -0.5}, [".delay_in", "-0.5", "steps"]),
        ({"n_ref": 1.5}, [".n_ref", "1.5", "whole"]),
        ({"alpha": 20.0}, [".alpha", "20.0", "exp(-dt/tau_m)"]),
        ({"alpha": [0.9, 0.9]}, [".alpha", "(2,)", "(3,)"]),
        ({"rho": -0.1}, [".rho", "-0.1", "exp(-dt/tau_a)"]),
        ({"kappa": 20.0}, [".kappa", "20.0", "exp(-dt/tau_out)"]),
        ({"kappa": [0.5, 0.6]}, [".kappa", "one number"]),
        ({"readout_gain": 2.0}, [".readout_gain", "2.0", "1 - kappa"]),
        ({"beta": np.nan}, [".beta", "nan"]),
        ({"v_th": None}, [".v_th"]),
        ({"v_th": 0.0}, [".v_th", "0.0"]),
        ({"adaptive": False, "beta": 0.1}, [".adaptive", "'beta'"]),
        ({"surrogate_width": 0.0}, [".surrogate_width", "0.0", "positive"]),
        ({"surrogate_s": -1.0}, [".surrogate_s", "-1.0", "positive"]),
        ({"surrogate": "box"}, [".surrogate", "'box'", "'piecewise_linear'"]),
        ({"surrogate": ["arctan"] * 2}, [".surrogate", "(2,)", "(3,)"]),
        ({"loss": "mae"}, [".loss", "'mae'", "'cross_entropy'"]),
        ({"reset_path": {"u": "implicit"}}, ["reset_path", "'u'", "'v'"]),
        ({"reset_path": {"v": "maybe"}}, ["reset_path['v']", "'maybe'", "'detached'"]),
    ],
)
def test_bad_description_is_refused_by_name(changes, words):
    with pytest.raises(ValueError) as error:
        minimal(**changes)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("inputs", "targets", "options", "words"),
    [
        (np.ones((5, 3)), np.ones((5, 1)), {}, ["'inputs'", "(5, 3)", "(T, 2)"]),
        (np.ones(5), np.ones((5, 1)), {}, ["'inputs'", "(5,)"]),
        (np.ones((0, 2)), np.ones((0, 1)), {}, ["'inputs'", "(0, 2)"]),
        (np.full((5, 2), np.nan), np.ones((5, 1)), {}, ["'inputs'", "nan"]),
        (np.ones((5, 2)), np.ones((4, 1)), {}, ["'targets'", "(4, 1)", "(5, 1)"]),
        (np.ones((2, 5, 2)), np.ones((5, 1)), {}, ["'targets'", "(5, 1)", "(2, 5, 1)"]),
        (np.ones((5, 2)), np.full((5, 1), np.nan), {}, ["'targets'", "nan"]),
        (np.ones((5, 2)), "sine", {}, ["'targets'", "'sine'"]),
        (np.ones((5, 2)), np.ones((5, 1)), {"learning_window": 6}, ["'learning_window'", "6", "5"]),
        (np.ones((5, 2)), np.ones((5, 1)), {"learning_window": 0}, ["'learning_window'", "0"]),
        (np.ones((5, 2)), np.ones((5, 1)), {"rule": "magic"}, ["'magic'", *RULES]),
        (np.ones((5, 2)), np.ones((5, 1)), {"order": 2}, ["'bptt'", "'order'", "no options"]),
    ],
)
def test_bad_call_is_refused_by_name(inputs, targets, options, words):
    with pytest.raises(ValueError) as error:
        gradients(minimal(), inputs, targets, **options)
    for word in words:
        assert word in str(error.value)


def test_targets_of_cross_entropy_are_probabilities_in_the_window():
    network = minimal(w_out=np.ones((3, 2)), loss="cross_entropy")
    inputs, targets = np.ones((6, 2)), np.zeros((6, 2))
    targets[-2:, 1] = 1
    assert gradients(network, inputs, targets, learning_window=2).loss > 0
    with pytest.raises(ValueError, match="probabilities"):
        gradients(network, inputs, targets)
    with pytest.raises(ValueError, match="probabilities"):
        gradients(network, inputs, replaced(targets, [2.0, -1.0]), learning_window=2)


def replaced(targets, last):
    changed = targets.copy()
    changed[-1] = last
    return changed


def test_what_is_no_network_is_refused():
    with pytest.raises(ValueError, match="reference_network"):
        gradients("lif", np.ones((5, 2)), np.ones((5, 1)))


def test_changed_copy_is_validated_too():
    with pytest.raises(ValueError, match=r"\.alpha"):
        evolve(minimal(), alpha=-1.0)
