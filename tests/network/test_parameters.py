"""Trained parameters of networks from arrays: gradients, updates, files, compiled programs."""

import json
import math

import numpy as np
import pytest
from brian2 import Hz, get_device, ms, mV, pA, second, set_device
from brian2.devices.device import reset_device
from brian2.units import DimensionMismatchError
from comparing import difference

from brian_eprop import (
    Adam,
    EProp,
    FiringRateRegularizer,
    GradientDescent,
    ParameterTraining,
    RecurrentNetwork,
    reference,
)
from brian_eprop.network import compilation, compiled
from brian_eprop.network.projections import BatchShape

pytestmark = pytest.mark.usefixtures("numpy_target")

# Both sides compute in float64; sums of some hundred terms are taken in different orders.
TOLERANCE = 1e-10
NAMES = ("tau_m", "tau_a", "beta", "v_th")
N_IN, N_OUT, STEPS = 6, 2, 40
LIF, ALIF = slice(0, 3), slice(3, 7)


def mixed_network(trainable=NAMES, **changes):
    """Three LIF and four ALIF neurons that differ in all parameters but the threshold."""
    rng = np.random.default_rng(17)  # all neurons take part
    neurons = [
        ("lif", 3, {"tau_m": rng.uniform(5, 20, 3) * ms, "v_th": 0.5, "t_ref": 2 * ms}),
        (
            "alif",
            4,
            {
                "tau_m": rng.uniform(5, 20, 4) * ms,
                "tau_a": rng.uniform(10, 40, 4) * ms,
                "beta": rng.uniform(0.1, 0.3, 4),
                "v_th": 0.4,
            },
        ),
    ]
    arguments = dict(
        tau_out=10 * ms,
        weights={"w_in": rng.normal(0.3, 0.6, (N_IN, 7)), "w_rec": rng.normal(0, 0.3, (7, 7))},
        regularizers=[FiringRateRegularizer(20 * Hz, 20.0)],
        optimizer=Adam(1e-2),
        seed=1,
    )
    return RecurrentNetwork(neurons, N_IN, 7, N_OUT, trainable=trainable, **arguments | changes)


def task_arrays(seed=0, batch=2):
    rng = np.random.default_rng(seed)
    return rng.random((batch, STEPS, N_IN)) < 0.2, rng.normal(size=(batch, STEPS, N_OUT))


class Noise:
    """Random inputs, so that the order of the trials matters."""

    def sample(self, rng, batch):
        return task_arrays(rng, batch)


def expected_gradients(network, inputs, targets, order):
    """dE/dp by the reference, whose parameters are the decays exp(−dt/tau)."""
    own = network.reference_network()
    steps = STEPS if math.isinf(order) else order
    of = ("alpha", "rho", "beta", "v_th")
    arguments = ("eprop_reverse", None)
    found = reference.gradients(own, inputs, targets, *arguments, order=steps, parameters=of)
    assert found.spikes.sum() > 50
    dt = float(network.description.dt)
    expected = {name: found.parameters[name] for name in ("beta", "v_th")}
    for name, decay in (("tau_m", "alpha"), ("tau_a", "rho")):
        tau = np.asarray(network.parameters[name])
        expected[name] = found.parameters[decay] * getattr(own, decay) * dt / tau**2
    # the reference has adaptation everywhere
    for name in ("tau_a", "beta"):
        expected[name][LIF] = 0
    return expected


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("order", [1, 2, math.inf])
def test_gradients_are_those_of_the_reference(order):
    network, task = mixed_network(rule=EProp(order=order)), task_arrays()
    found = network.gradients(*task)
    expected = expected_gradients(network, *task, order)
    assert found.parameters.keys() == set(NAMES)
    for name in NAMES:
        assert np.all(expected[name][ALIF] != 0)
        assert difference(found.parameters[name], expected[name]) < TOLERANCE
    for name in ("tau_a", "beta"):
        assert not found.parameters[name][LIF].any()
    if order > 1:
        other = expected_gradients(network, *task, 1)
        assert all(difference(found.parameters[name], other[name]) > 0.01 for name in NAMES)


@pytest.mark.slow
def test_the_gradients_of_the_weights_are_those_without_trained_parameters():
    task = task_arrays()
    found, expected = (mixed_network(names).gradients(*task) for names in (NAMES, ()))
    assert expected.parameters == {}
    for name in ("w_in", "w_rec", "w_out", "spikes"):
        assert np.any(getattr(expected, name))
        assert difference(1.0 * getattr(found, name), getattr(expected, name)) < 1e-13


def test_the_start_and_where_there_is_no_such_parameter():
    network = mixed_network()
    start = network.description.populations
    assert np.isnan(network.parameters["tau_a"][LIF]).all()
    np.testing.assert_array_equal(
        network.parameters["tau_a"][ALIF], start[1].parameters["tau_a"][:]
    )
    np.testing.assert_array_equal(network.parameters["v_th"], [0.5] * 3 + [0.4] * 4)
    assert mixed_network(()).parameters == {}


@pytest.mark.slow
def test_present_values_are_used_everywhere():
    network, (inputs, targets) = mixed_network(), task_arrays()
    before = network.gradients(inputs, targets)
    network.parameters["tau_m"] = np.linspace(8, 30, 7) * ms
    network.parameters["beta"][ALIF] *= 0.5
    network.parameters["v_th"][:] = 0.45
    found = network.gradients(inputs, targets)
    assert not np.array_equal(found.spikes, before.spikes)
    expected = expected_gradients(network, inputs, targets, 1)
    for name in NAMES:
        assert difference(found.parameters[name], expected[name]) < TOLERANCE
    np.testing.assert_array_equal(network.simulate(inputs).spikes, found.spikes)
    recording = network.record(inputs[0], targets[0], neurons=[0, 4])
    np.testing.assert_array_equal(recording.spikes, found.spikes[0])
    assert np.all(recording.threshold[:, 0] == 0.45)
    # neurons are not reset to what the network was created with
    np.testing.assert_array_equal(network.gradients(inputs, targets).spikes, found.spikes)


# ------------------------------------------------------------------- updates


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("optimizer", [GradientDescent(1e-3), Adam(1e-2)])
def test_an_update_is_relative_to_the_scale_of_each_population(optimizer):
    network = mixed_network(
        {"tau_m": None, "beta": ParameterTraining(scale=0.7, optimizer=GradientDescent(1e-4))},
        optimizer=optimizer,
    )
    before = {name: np.array(values) for name, values in network.parameters.items()}
    found = network.gradients(*task_arrays())
    network.apply(found)
    gradients = found.parameters
    scale = np.empty(7)
    for own in (LIF, ALIF):
        scale[own] = before["tau_m"][own].mean()
    assert scale[0] != scale[-1]
    step = optimizer.step(scale * gradients["tau_m"], {}, 1)
    assert np.all(step != 0)
    found = np.asarray(network.parameters["tau_m"])
    np.testing.assert_array_equal(found, before["tau_m"] - scale * step)
    step = 1e-4 * 0.7**2 * gradients["beta"][ALIF]
    assert np.all(step != 0)
    changed = before["beta"][ALIF] - np.asarray(network.parameters["beta"][ALIF])
    # a small difference of numbers below 1
    np.testing.assert_allclose(changed, step, rtol=0, atol=1e-15)
    assert np.isnan(network.parameters["beta"][LIF]).all()


@pytest.mark.slow
def test_training_stays_within_the_bounds():
    bounds = {"tau_a": (15 * ms, 18 * ms), "v_th": (0.41, 0.42)}
    network = mixed_network(bounds, optimizer=Adam(0.1))
    weights = network.weights["w_in"]
    network.fit(Noise(), 3, batch_size=2, seed=2)
    tau_a, v_th = network.parameters["tau_a"][ALIF] / ms, network.parameters["v_th"]
    for values, (low, high) in ((tau_a, (15, 18)), (v_th, (0.41, 0.42))):
        values = np.round(np.asarray(values), 12)
        assert low <= values.min() < values.max() <= high
    assert np.any(network.weights["w_in"] != weights)


def assert_same_state(a, b):
    assert a.updates == b.updates
    assert a.parameters.keys() == b.parameters.keys()
    for name, values in a.parameters.items():
        np.testing.assert_array_equal(values, b.parameters[name])
    for name, values in a.weights.items():
        np.testing.assert_array_equal(values, b.weights[name])
    assert a.state.moments.keys() == b.state.moments.keys()
    for name, moments in a.state.moments.items():
        for moment, values in moments.items():
            np.testing.assert_array_equal(values, b.state.moments[name][moment])


@pytest.mark.slow
def test_continued_training_is_training_without_a_break(tmp_path):
    trainable = {
        "tau_a": (5 * ms, 100 * ms),
        "v_th": ParameterTraining((0.3, 0.6), scale=0.5, optimizer=Adam(1e-3)),
    }
    network, whole = mixed_network(trainable), mixed_network(trainable)
    start = np.array(whole.parameters["tau_a"])
    whole.fit(Noise(), 4, seed=3)
    network.fit(Noise(), 2, seed=3)
    network.save(tmp_path / "network.npz")
    continued = RecurrentNetwork.load(tmp_path / "network.npz")
    assert continued.description.trainable == network.description.trainable
    assert_same_state(continued, network)
    continued.fit(Noise(), 2, seed=3)
    assert_same_state(continued, whole)
    assert np.any(np.asarray(whole.parameters["tau_a"])[ALIF] != start[ALIF])
    assert whole.state.moments["parameters.tau_a"]["adam_s"][ALIF].any()


def rewritten(network, path, change):
    """Save a network, and the file with other entries; the configuration is given as a dict."""
    network.save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["config"] = json.loads(str(arrays["config"]))
    change(arrays)
    np.savez(path, **arrays | {"config": json.dumps(arrays["config"])})
    return path


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("parameters/tau_a"),
        lambda arrays: arrays.update({"parameters/tau_a": np.ones(3)}),
        lambda arrays: arrays.update({"parameters/tau_a": np.full(7, np.nan)}),
        lambda arrays: arrays.update({"parameters/tau_x": np.ones(7)}),
    ],
)
def test_a_file_with_other_parameters_is_damaged(tmp_path, change):
    path = rewritten(mixed_network(), tmp_path / "network.npz", change)
    with pytest.raises(ValueError, match=r"network\.npz' is damaged or is not a network"):
        RecurrentNetwork.load(path)


def test_a_file_from_before_there_were_trained_parameters_is_read(tmp_path):
    def change(arrays):
        del arrays["config"]["description"]["fields"]["trainable"]

    path = rewritten(mixed_network(()), tmp_path / "network.npz", change)
    assert RecurrentNetwork.load(path).parameters == {}


@pytest.mark.slow
def test_what_is_out_of_its_range_after_an_update_is_not_kept():
    network = mixed_network(["tau_m"], optimizer=Adam(2.0))
    state, found = network.state, network.gradients(*task_arrays())
    with pytest.raises(
        FloatingPointError, match=r"after update 1 parameters\['tau_m'\]\[\d\] = .*bounds"
    ):
        network.apply(found)
    assert network.state is state
    other = mixed_network(()).gradients(*task_arrays())
    with pytest.raises(ValueError, match="none of the parameter 'tau_m', which is trained"):
        network.apply(other)


# ------------------------------------------------------------------- what is refused


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "trainable, error, message",
    [
        ("tau_m", TypeError, r"is one name; give a list, \['tau_m'\]"),
        ({"tau_m": 3}, TypeError, r"trainable\['tau_m'\] = 3 is not understood"),
        (["tau_q"], ValueError, "'tau_q', which is no parameter of .*did you mean 'tau_"),
        (["v"], ValueError, "'v', which is no parameter of the neurons"),
        (["t_ref"], ValueError, r"population 0 \('lif'\) uses for its refractoriness 't_ref'"),
        (
            {"tau_m": (1 * mV, 2 * mV)},
            DimensionMismatchError,
            "the unit of the trained variable",
        ),
        ({"tau_m": (2 * ms, 1 * ms)}, ValueError, "the first must not be above the second"),
        ({"tau_m": (0 * ms, 1 * ms)}, ValueError, "a time constant must stay positive"),
        ({"tau_m": (1 * ms,)}, ValueError, "must be a pair"),
        ({"tau_m": ParameterTraining(scale=2.0)}, DimensionMismatchError, "scale = 2.0 does not"),
        ({"beta": ParameterTraining(scale=0.0)}, ValueError, "must be finite and above 0"),
        (
            {"beta": ParameterTraining(optimizer=Adam(1 * mV))},
            DimensionMismatchError,
            "give the learning rate without unit",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(trainable, error, message):
    with pytest.raises(error, match=message):
        mixed_network(trainable)


@pytest.mark.parametrize("bounds", [(1,), [], (1, 2, 3), [1] * ms])
def test_bounds_are_a_pair(bounds):
    with pytest.raises(
        ValueError, match=r"ParameterTraining\.bounds = .* must be a pair \(low, hi"
    ):
        ParameterTraining(bounds=bounds)


def test_traces_have_no_parameters():
    with pytest.raises(ValueError, match=r"no traces; choose EProp\(engine='credit'\)"):
        mixed_network(rule=EProp(engine="traces"))


def test_what_neurons_start_from_has_no_derivative():
    with pytest.raises(ValueError, match=r"\('cuba_lif'\) uses for the initial value 'v = E_L'"):
        RecurrentNetwork("cuba_lif", 2, 3, 1, trainable=["E_L"])


def test_units_must_agree():
    neurons = [("lif", 2, {}), ("cuba_lif", 2, {})]
    with pytest.raises(DimensionMismatchError, match="1 in 'lif', volt in 'cuba_lif'"):
        RecurrentNetwork(neurons, 2, 4, 1, trainable=["v_th"])


def test_a_population_that_nothing_arrives_at_is_refused():
    masks = {"w_in": np.ones((N_IN, 7), bool), "w_rec": np.zeros((7, 7), bool)}
    masks["w_in"][:, LIF] = False
    with pytest.raises(ValueError, match=r"population 0 \('lif'\) has no synapses onto it"):
        mixed_network(["tau_m"], connectivity=masks)
    # alif only
    assert mixed_network(["tau_a"], connectivity=masks).gradients(*task_arrays()).parameters


def test_a_scale_is_needed_to_train_what_is_0():
    neurons = [("cuba_lif", 3, {"I_ext": 0 * pA})]
    about = dict(n_in=2, n_rec=3, n_out=1, trainable=["I_ext"])
    with pytest.raises(ValueError, match=r"'I_ext' of population 0 \('cuba_lif'\) is not known"):
        RecurrentNetwork(neurons, **about, optimizer=Adam(1e-3))
    RecurrentNetwork(neurons, **about)
    about["trainable"] = {"I_ext": ParameterTraining(scale=100 * pA)}
    RecurrentNetwork(neurons, **about, optimizer=Adam(1e-3))


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "name, values, error, message",
    [
        ("tau_m", np.ones(7), DimensionMismatchError, "has the unit 1; it must be second"),
        ("tau_m", 3 * ms, ValueError, r"has the shape \(\); it must be \(7,\)"),
        ("tau_m", [3] * 7, DimensionMismatchError, "has the unit 1"),
        ("tau_m", "long", ValueError, "'long' is not a unit"),
        ("tau_m", [1, 2, np.nan, 4, 5, 6, 7] * ms, ValueError, r"\[2\] = nan.* must be finite"),
        (
            "tau_m",
            [1, 2, 3, -4, 5, 6, 7] * ms,
            ValueError,
            r"\[3\] = -4.*constant, positive",
        ),
        (
            "tau_a",
            [5] * 7 * ms,
            ValueError,
            r"\[0\] = 5. ms, but .* no 'tau_a'; leave nan",
        ),
        (
            "tau_x",
            [5] * 7 * ms,
            ValueError,
            r"parameters\['tau_x'\] is not trained; create .* tau_m",
        ),
    ],
)
def test_values_are_checked_before_they_are_used(name, values, error, message):
    network = mixed_network()
    network.parameters[name] = values
    for use in (
        lambda: network.simulate(task_arrays()[0]),
        lambda: network.gradients(*task_arrays()),
        network.reference_network,
    ):
        with pytest.raises(error, match=message):
            use()


# ------------------------------------------------------------------- other models


@pytest.mark.slow
def test_parameters_with_units_learn():
    weights = {"w_in": np.full((8, 4), 400.0)}
    trainable = {"tau_m": (5 * ms, 30 * ms), "I_ext": ParameterTraining(scale=100 * pA)}
    network = RecurrentNetwork(
        "cuba_lif", 8, 4, 1, dt=0.1 * ms, weights=weights, trainable=trainable, seed=1,
        optimizer=Adam(1e-2),
    )  # fmt: skip
    inputs = np.random.default_rng(0).random((300, 8)) < 0.02
    found = network.gradients(inputs, np.ones((300, 1)))
    assert found.spikes.sum() >= 4
    assert all(np.any(gradient) for gradient in found.parameters.values())
    network.apply(found)
    # of one update with Adam all have moved by the same fraction of the scale
    current = np.abs(network.parameters["I_ext"] / pA)
    np.testing.assert_allclose(current, 1.0, rtol=1e-3)


# ------------------------------------------------------------------- compiled programs


def test_neither_values_nor_their_training_change_the_name_of_the_program():
    def key(trainable=("tau_m", "beta"), learning=True, **overrides):
        neurons = [("alif", 3, overrides)]
        network = RecurrentNetwork(neurons, 2, 3, 1, trainable=trainable)
        return compiled._key(network.description, BatchShape(1, 10, learning=learning))

    base = key()
    assert key(tau_m=7 * ms) == key(beta=[0.1, 0.2, 0.3]) == base
    assert key({"tau_m": (1 * ms, 1 * second), "beta": ParameterTraining(scale=2)}) == base
    others = [
        key(()),
        key(["tau_m"]),
        key(tau_a=7 * ms),
        key(learning=False),
        key((), tau_m=7 * ms),
    ]
    assert len({base, *others}) == 6


@pytest.fixture
def standalone(monkeypatch, tmp_path, numpy_target):
    """Brian2's C++ standalone device, and a list that grows with each program that is built."""
    monkeypatch.setenv("BRIAN_EPROP_CACHE", str(tmp_path / "programs"))
    builds = []

    def counted(*arguments):
        builds.append(arguments)
        compilation.build(*arguments)

    monkeypatch.setattr(compiled, "build", counted)
    set_device("cpp_standalone", directory=str(tmp_path / "of_the_user"), build_on_run=False)
    yield builds
    get_device().reinit()
    reset_device()


@pytest.mark.slow
@pytest.mark.standalone
def test_one_program_serves_all_values(standalone, tmp_path):
    rule = EProp(order=math.inf)

    def on_numpy(network, *task):
        set_device("runtime")
        try:
            return network.gradients(*task)
        finally:
            reset_device()

    network, twin = mixed_network(rule=rule), mixed_network(rule=rule)
    for update in range(3):
        task = task_arrays(update)
        found, expected = network.gradients(*task), on_numpy(twin, *task)
        assert expected.spikes.sum() > 50
        np.testing.assert_array_equal(found.spikes, expected.spikes)
        for name in NAMES:
            # other order of the sums
            assert difference(found.parameters[name], expected.parameters[name]) < 1e-12
            assert difference(found.w_rec, expected.w_rec) < 1e-12
        network.apply(found)
        twin.apply(expected)
    network.save(tmp_path / "network.npz")
    loaded = RecurrentNetwork.load(tmp_path / "network.npz")
    for one in (network, loaded):
        one.parameters["tau_m"] *= 1.5
    again, expected = loaded.gradients(*task), network.gradients(*task)
    assert not np.array_equal(expected.spikes, found.spikes)
    np.testing.assert_array_equal(again.parameters["tau_m"], expected.parameters["tau_m"])
    assert len(standalone) == 1
