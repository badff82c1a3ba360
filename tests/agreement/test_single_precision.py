"""With Brian2's preference for float32 all is computed with it, and the numbers stay."""

import math

import numpy as np
import pytest
from attrs import evolve
from brian2 import Hz, ms, prefs
from brian_networks import BLOCKS, difference
from comparing import assert_gradients_equal
from compiled_programs import compile_some, programs_in
from covering import covering
from scipy.sparse import csr_array, issparse

from brian_eprop import EProp, FiringRateRegularizer, RecurrentNetwork
from brian_eprop.brian.code import of_learning
from brian_eprop.network import check_model, compilation, compiled
from brian_eprop.network.projections import BatchShape
from brian_eprop.network.workers import Workers
from brian_eprop.reference import gradients

from .test_devices import everything, final_results, once_each

pytestmark = pytest.mark.usefixtures("numpy_target")

STEPS = 60
#: Each of 60 steps rounds some five times, by up to 6e-8, and all of it may add up.
SINGLE = 2e-5
#: Nothing that is computed with float32 is nearer than this.
DOUBLE = 1e-10
CASES = {
    "order 1": dict(rule=EProp()),
    "order 1, traces": dict(rule=EProp(engine="traces")),
    "order ∞": dict(rule=EProp(order=math.inf), trainable=["tau_m"], loss="cross_entropy"),
}
#: What all of them have besides.
COMMON = dict(regularizers=[FiringRateRegularizer(20 * Hz, 5.0)], delays={"w_rec": 2 * ms}, seed=0)

#: Options of networks, of which every pair of values is computed with both precisions.
OPTIONS = {
    "rule": [EProp(), EProp(engine="traces"), EProp(order=2), EProp(order=math.inf)],
    "loss": ["mse", "cross_entropy", "linear"],
    "feedback": ["symmetric", "random", "adaptive"],
    "normalize": [False, True],
    "average": [False, True],
    "window": [None, 20],
    "delays": [{}, {"w_in": 3 * ms, "w_rec": 2 * ms}],
    "sparse": [False, True],
}
BATTERY = covering(
    {name: list(range(len(values))) for name, values in OPTIONS.items()},
    # higher orders with the feedback that makes them BPTT's
    lambda case: case["rule"] < 2 or case["feedback"] == 0,
)


def network(case):
    """Neurons none of whose membranes is within round-off of its threshold."""
    neurons = [("lif", 6, {"t_ref": 3 * ms}), ("alif", 6, {"tau_a": 100 * ms})]
    return RecurrentNetwork(neurons, 20, 12, 3, **COMMON | CASES[case])


def trials(batch=2):
    rng = np.random.default_rng(0)
    return rng.random((batch, STEPS, 20)) < 0.05, rng.dirichlet(np.ones(3), (batch, STEPS))


def assert_single(found, expected):
    """The spikes of double precision, the rest to what single precision has, as float64."""
    assert_gradients_equal(found, expected, tolerance=SINGLE, spikes=50)
    assert found.parameters.keys() == expected.parameters.keys()
    for name, values in expected.parameters.items():
        assert difference(found.parameters[name], values) < SINGLE
    for name in ("w_in", "w_rec", "w_out", "readout"):
        assert getattr(found, name).dtype == float
        assert difference(getattr(found, name), getattr(expected, name)) > DOUBLE


@pytest.fixture
def single(monkeypatch):
    """Changes to Brian2's preference for float32."""

    def change(dtype=np.float32):
        monkeypatch.setitem(prefs, "core.default_float_dtype", dtype)

    return change


@pytest.fixture
def programs(tmp_path):
    """The folder of compiled programs, which is the device from now on."""
    with programs_in(tmp_path / "programs", tmp_path) as folder:
        yield folder


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("case", CASES)
def test_gradients(case, single):
    expected = network(case).gradients(*trials())
    single()
    assert_single(network(case).gradients(*trials()), expected)


@pytest.mark.slow
@pytest.mark.standalone
@pytest.mark.parametrize("case", list(CASES)[1:])
def test_gradients_of_programs(case, single, request):
    expected = network(case).gradients(*trials())
    folder = request.getfixturevalue("programs")
    single()
    assert_single(network(case).gradients(*trials()), expected)
    (program,) = (path for path in folder.iterdir() if path.is_dir())
    exchanged = compilation.interface(program)
    kinds = {name: dtype for arrays in exchanged.values() for name, (dtype, _) in arrays.items()}
    doubles = {name for name, dtype in kinds.items() if dtype == "<f8"}
    assert doubles == {"brian_eprop_targets.values", "brian_eprop_call.duration", "seconds"}


def with_options(case):
    """A network with options, and its learning window."""
    chosen = {name: OPTIONS[name][number] for name, number in case.items()}
    sparse, window = chosen.pop("sparse"), chosen.pop("window")
    neurons = [("lif", 6, {"t_ref": 3 * ms}), ("alif", 6, {"tau_a": 100 * ms})]
    if sparse:
        rng = np.random.default_rng(2)
        dense = 0.5 * rng.standard_normal((12, 12)) * (rng.random((12, 12)) < 0.5)
        chosen["weights"] = {"w_rec": csr_array(dense * (1 - np.eye(12)))}
    return RecurrentNetwork(neurons, 20, 12, 3, seed=0, **chosen), window


def dense(gradients):
    """The same with arrays in the place of sparse ones."""
    w_rec = gradients.w_rec
    return evolve(gradients, w_rec=w_rec.toarray()) if issparse(w_rec) else gradients


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("case", BATTERY, ids=lambda case: "-".join(map(str, case.values())))
def test_every_pair_of_options(case, single):
    one, window = with_options(case)
    expected = dense(one.gradients(*trials(), window))
    single()
    assert_single(dense(one.gradients(*trials(), window)), expected)


def test_another_preference_is_another_program(single):
    description, shape = network("order 1").description, BatchShape(1, STEPS)
    before = compiled._key(description, shape)
    single()
    assert compiled._key(description, shape) != before


def test_gradients_of_the_reference_are_double(single):
    """What is compared with it must not lose its digits along with Brian2."""
    one, (inputs, targets) = RecurrentNetwork("lif", 20, 12, 3, seed=0), trials()
    expected = gradients(one.reference_network(), inputs, targets)
    single()
    found = gradients(one.reference_network(), inputs, targets)
    assert_gradients_equal(found, expected, tolerance=1e-15)


@pytest.mark.slow
def test_a_network_follows_a_preference_that_changes(single):
    one = network("order 1")
    before = one.gradients(*trials())
    single()
    assert_single(one.gradients(*trials()), before)
    single(np.float64)
    np.testing.assert_array_equal(one.gradients(*trials()).w_rec, before.w_rec)


@pytest.mark.slow
def test_other_processes_follow_the_preference(single):
    inputs, targets = trials(batch=17)
    expected = network("order 1").gradients(inputs, targets)
    single()
    with Workers(network("order 1"), 2) as pool:
        found = pool.gradients(inputs, targets)
    assert difference(found.w_rec, expected.w_rec) < SINGLE
    with Workers(network("order 1")) as alone:
        np.testing.assert_array_equal(found.w_rec, alone.gradients(inputs, targets).w_rec)


def assert_same_script(engine, single, start=lambda brian: None):
    """A script of one's own learns as in double precision, with every feature that has code."""
    expected = final_results(everything(engine))
    single()
    brian = everything(engine)
    start(brian)
    found = final_results(brian)
    np.testing.assert_array_equal(found.pop("raster"), expected.pop("raster"))
    apart = {name: difference(values, expected[name]) for name, values in found.items()}
    assert not {name: value for name, value in apart.items() if not value < SINGLE}
    # gradients are 0 again after an update
    assert not {name: apart[name] for name in ("loss", "y", *BLOCKS) if not apart[name] > DOUBLE}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["credit", "traces"])
def test_own_script(engine, single):
    assert_same_script(engine, single)


def compile_ours(brian):
    """What learning adds is compiled with cython; what Brian2 does with it is left to numpy."""
    compile_some(brian.network, lambda obj: of_learning(obj) and once_each(obj))


@pytest.mark.slow
@pytest.mark.cython
def test_own_script_with_cython(single):
    assert_same_script("credit", single, compile_ours)


def test_times_and_counters_stay_double(single):
    single()
    brian = everything("credit")
    brian.run()
    readout, neurons = brian.readout.variables, brian.neurons.variables
    for variables, names in (
        (readout, ("t", "dt", "__updates")),
        (neurons, ("lastspike", "__start_lastspike", "__spike_count")),
    ):
        assert {np.dtype(variables[name].dtype) for name in names} == {np.dtype(float)}
    assert neurons["__start_v"].dtype == neurons["v"].dtype == np.float32
    assert neurons["__kept_psi"].dtype == np.float32


@pytest.mark.slow
def test_records_and_checks_are_double(single):
    """They are compared with the reference, or with finite differences."""
    inputs, targets = (values[0] for values in trials())
    expected = network("order 1").record(inputs, targets)
    single()
    found = network("order 1").record(inputs, targets)
    np.testing.assert_array_equal(found.psi, expected.psi)
    assert prefs.core.default_float_dtype == np.float32
    assert check_model("lif").passed
