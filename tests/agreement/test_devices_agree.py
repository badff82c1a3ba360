"""Both engines, and programs with the short-cuts that C++ takes, give the same numbers."""

import numpy as np
import pytest
import side_by_side
from brian2 import device, ms, set_device
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian_networks import difference
from covering import EVERY_CASE, all_pairs, covering, pairs, values, with_every_value
from side_by_side import FACTORS, N, allowed, assert_same, run_cases

from brian_eprop import EProp, RecurrentNetwork
from brian_eprop.engines import credit as credit_engine
from brian_eprop.engines import windows

pytestmark = pytest.mark.usefixtures("numpy_target")

#: Of sums that are taken in another order.
OTHER_ORDER = 1e-11
#: What only one of the engines has, or has of another step.
OF_ONE_ENGINE = ("eps_v",)

CASES = covering(FACTORS, allowed)
BOTH = {f"credit_{k}": (case, "credit") for k, case in enumerate(CASES)}
BOTH |= {f"traces_{k}": (c, "traces") for k, c in enumerate(CASES) if c["order"] == 1}
#: Few networks in which every value occurs are compiled, as one program; with the profile of many
#: examples all of them are, five a program, and so every pair of values.
CREDIT = {name: case for name, (case, engine) in BOTH.items() if engine == "credit"}
PROGRAMS = [[*with_every_value(CREDIT), "traces_0"]]
if EVERY_CASE:
    PROGRAMS = [list(BOTH)[k : k + 5] for k in range(0, len(BOTH), 5)]


def assert_learns(found, case):
    """Neurons fire, neither few nor always, and everything learns."""
    assert 0.02 < found["raster"].mean() < 0.4
    # what has no pseudo-derivative is passed over by collect_product.cpp
    assert "psi" not in found or 0.2 < (found["psi"] == 0).mean() < 0.9
    learned = "moved" if case["optimizer"] != "none" else "grad"
    for block in ("w_in", "w_rec", "w_out"):
        assert np.abs(found[f"{block} {learned}"]).max() > 1e-4
        assert (found[f"{block} moved"] == 0).all() == (learned == "grad")


@pytest.fixture(scope="module")
def expected():
    """Results of the numpy target, computed when they are asked for."""
    return {}


def of_numpy(expected, names):
    missing = {name: BOTH[name] for name in names if name not in expected}
    expected |= run_cases(missing, one_by_one=True)
    for name in names:
        assert_learns(expected[name], BOTH[name][0])
    return {name: expected[name] for name in names}


def test_every_pair_of_options_occurs_and_few_networks_are_compiled():
    assert set().union(*map(pairs, CASES)) == all_pairs(FACTORS, allowed)
    assert len(CASES) < 20
    compiled = [BOTH[name][0] for names in PROGRAMS for name in names]
    assert set().union(*map(values, compiled)) == set().union(*map(values, CASES))


@pytest.mark.first_case_is_fast
@pytest.mark.slow_unless(name=[n for n in BOTH if n.startswith("traces")][:4])
@pytest.mark.parametrize("name", [n for n in BOTH if n.startswith("traces")])
def test_credit_is_that_of_the_traces(name, expected):
    other = name.replace("traces", "credit")
    found = of_numpy(expected, [name, other])
    assert_same(found[other], found[name], OTHER_ORDER, leave_out=OF_ONE_ENGINE)


def test_updates_in_every_step_are_those_of_the_traces(monkeypatch):
    """The shortest window: one step."""
    monkeypatch.setitem(side_by_side.WINDOWS, "carried", {"update_every": side_by_side.DT})
    case = CASES[0] | {"windows": "carried", "order": 1, "optimizer": "adam", "loss": "mse"}
    cases = {engine: (case, engine) for engine in ("credit", "traces")}
    found = run_cases(cases, one_by_one=True)
    assert_learns(found["traces"], case)
    assert_same(found["credit"], found["traces"], OTHER_ORDER, leave_out=OF_ONE_ENGINE)


@pytest.fixture
def standalone(tmp_path, monkeypatch):
    """C++ standalone programs; a list of the templates that they have."""
    templates, compile_source = [], CPPStandaloneDevice.compile_source

    def compile_seen(device, *arguments):
        templates.extend(code.template_name for code in device.code_objects.values())
        compile_source(device, *arguments)

    monkeypatch.setattr(CPPStandaloneDevice, "compile_source", compile_seen)
    set_device("cpp_standalone", directory=tmp_path / "program", build_on_run=True)
    yield templates
    device.reinit()
    set_device("runtime")


def templates_of(case, engine):
    """Templates of ours that a program of a case has: the short-cuts that it takes."""
    found = {"gated"} if case["windows"] != "carried" or engine == "credit" else set()
    found |= {"deliver"} if case["delays"] in ("none", "one") else set()
    found |= {"softmax"} if case["loss"] == "cross_entropy" else set()
    found |= {"update"} if case["optimizer"] != "none" else set()
    if engine == "traces":
        return found | {"every_synapse"}
    found |= {"record", "record_spikes", "replay", "begin", "sweep", "credit"}
    back = case["feedback"] in ("symmetric", "adaptive") or case["order"] > 1
    collected = "collect_product" if case["delays"] in ("none", "one") else "collect_rows"
    return found | ({collected} if back else set())


@pytest.mark.slow
@pytest.mark.standalone
@pytest.mark.parametrize("names", PROGRAMS, ids=["-".join(names) for names in PROGRAMS])
def test_programs_have_the_numbers_of_numpy(names, expected, request):
    of_numpy(expected, names)
    templates = request.getfixturevalue("standalone")
    found = run_cases({name: BOTH[name] for name in names})
    assert set().union(*(templates_of(*BOTH[name]) for name in names)) <= set(templates)
    for name in names:
        assert_same(found[name], expected[name])


def test_synapses_of_a_neuron_are_runs_only_where_they_are_said_to_be():
    """rows.cpp has three loops: for runs of 24 or more on average, for rows, and for disorder."""
    rng = np.random.default_rng(0)
    for n_post in (N, side_by_side.N_OUT):
        for wiring in FACTORS["wiring"]:
            pre, post = side_by_side.connections(wiring, N, n_post, rng)
            breaks = (np.diff(post) != 1) | (np.diff(pre) != 0)
            assert (len(pre) >= 24 * (breaks.sum() + 1)) == (wiring == "runs")
            assert (np.diff(pre) < 0).any() == (wiring == "shuffled")


@pytest.mark.slow
@pytest.mark.standalone
def test_windows_of_a_long_trial_in_a_program(monkeypatch):
    """As if trials above 1000 steps had windows of 200; ψ is 0 where most of them begin."""
    monkeypatch.setattr(windows, "WHOLE", 1000)
    monkeypatch.setattr(windows, "SEGMENT", 200)
    begin, seen = credit_engine.Credit.__init__, []

    def noted(engine, learner):
        begin(engine, learner)
        seen.append((engine.carries, engine.window))

    monkeypatch.setattr(credit_engine.Credit, "__init__", noted)
    rng = np.random.default_rng(0)
    inputs, targets = rng.random((1200, 3)) < 0.3, rng.normal(size=(1200, 2))
    weights = {"w_in": np.full((3, 4), 0.3)}

    def gradients(engine):
        rule = EProp(engine=engine)
        delays = {"w_in": 3 * ms, "w_rec": 2 * ms}
        options = {"weights": weights, "delays": delays, "rule": rule, "seed": 0}
        return RecurrentNetwork("lif", 3, 4, 2, **options).gradients(inputs, targets)

    expected = gradients("traces")
    assert 100 < expected.spikes.sum() < 0.5 * expected.spikes.size
    set_device("cpp_standalone", build_on_run=False)
    try:
        found = {engine: gradients(engine) for engine in ("traces", "credit")}
    finally:
        device.reinit()
        set_device("runtime")
    # made anew, and not one that a cache has from elsewhere
    assert seen and set(seen) == {(True, 200)}
    seen.clear()
    found["numpy"] = gradients("credit")
    assert seen and set(seen) == {(True, 200)}
    for engine, gradient in found.items():
        for block in ("w_in", "w_rec", "w_out"):
            right = getattr(expected, block)
            assert np.abs(right).max() > 1e-3
            assert difference(getattr(gradient, block), right) < 1e-10, (engine, block)
