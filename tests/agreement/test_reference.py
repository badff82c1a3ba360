"""Gradients of a network that Brian2 runs are those of the NumPy reference."""

import numpy as np
import pytest
from attrs import asdict
from brian2 import Hz, ms
from comparing import assert_gradients_equal
from hypothesis import assume, given
from hypothesis import strategies as st

from brian_eprop import (
    Arctan,
    EProp,
    Exponential,
    FastSigmoid,
    FiringRateRegularizer,
    MultiGaussian,
    NeuronModel,
    PiecewiseLinear,
    RecurrentNetwork,
    load_model,
    reference,
)

pytestmark = pytest.mark.usefixtures("numpy_target")

# other order of the sums, over at most a hundred steps
ROUND_OFF = 1e-10
N_IN, N_OUT, STEPS = 33, 2, 40  # 33 inputs fill more than one word of the packed raster
BLOCKS = ("w_in", "w_rec", "w_out")
RESET_PATHS = st.sampled_from(["implicit", "explicit", "detached"])
SURROGATES = {
    "piecewise": PiecewiseLinear(0.4, "0.9*v_th"),
    "exponential": Exponential("0.3/v_th", 0.5),
    "fast_sigmoid": FastSigmoid("0.3/v_th", "v_th"),
    "arctan": Arctan(0.5, "2*v_th"),
    "multi_gaussian": MultiGaussian(0.5, 0.5, h=0.2, s=5.0),
}


@st.composite
def overrides(draw, model, count, rng):
    """Some parameters for all neurons, some for each."""
    ranges = {
        "tau_m": lambda n: rng.uniform(5, 30, n) * ms,
        "v_th": lambda n: rng.uniform(0.4, 0.8, n),
        "t_ref": lambda n: rng.integers(0, 5, n) * ms,
    }
    if model == "alif":
        ranges |= {
            "tau_a": lambda n: rng.uniform(20, 200, n) * ms,
            "beta": lambda n: rng.uniform(0.05, 0.3, n),
        }
    chosen = {}
    for name, values in ranges.items():
        kind = draw(st.sampled_from(["default", "one", "each"]))
        if kind != "default":
            chosen[name] = values(count) if kind == "each" else values(1)[0]
    surrogate = draw(st.sampled_from([None, *SURROGATES]))
    return chosen | ({"surrogate": SURROGATES[surrogate]} if surrogate else {})


@st.composite
def networks(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    models = draw(st.sampled_from([("lif",), ("alif",), ("lif", "alif"), ("alif", "lif", "alif")]))
    neurons = [
        (m, count, draw(overrides(m, count, rng)))
        for m, count in zip(models, (3, 4, 2), strict=False)
    ]
    n = sum(count for _, count, _ in neurons)
    shapes = {"w_in": (N_IN, n), "w_rec": (n, n), "w_out": (n, N_OUT)}
    connectivity = {}
    for name in draw(st.sets(st.sampled_from(BLOCKS))):
        connectivity[name] = rng.random(shapes[name]) < 0.6
    names = ["v"] + ["a"] * ("alif" in models)
    paths = {name: draw(RESET_PATHS) for name in draw(st.sets(st.sampled_from(names)))}
    surrogate = draw(st.sampled_from([None, *SURROGATES]))
    feedback = draw(st.sampled_from(["symmetric", "random", "adaptive", "given"]))
    regularizers = [FiringRateRegularizer(20 * Hz, 30.0)] if draw(st.booleans()) else []
    weights = {
        "w_in": rng.normal(0.1, 1.0, shapes["w_in"]) / np.sqrt(N_IN) * 2,
        "w_rec": rng.normal(0.0, 1.0, shapes["w_rec"]) / np.sqrt(n),
    }
    return RecurrentNetwork(
        neurons,
        N_IN,
        n,
        N_OUT,
        dt=draw(st.sampled_from([1.0, 0.5])) * ms,
        tau_out=draw(st.sampled_from([5, 20])) * ms,
        loss=draw(st.sampled_from(["mse", "cross_entropy"])),
        normalize=draw(st.booleans()),
        average=draw(st.booleans()),
        feedback=rng.normal(size=(N_OUT, n)) if feedback == "given" else feedback,
        weights=weights,
        connectivity=connectivity,
        rule=EProp(
            surrogate=SURROGATES[surrogate] if surrogate else None,
            reset_path=paths,
        ),
        regularizers=regularizers,
        seed=draw(st.integers(0, 99)),
    )


def task_for(network, seed, batch):
    rng = np.random.default_rng(seed)
    inputs = rng.random((batch, STEPS, N_IN)) < 0.15
    targets = rng.dirichlet(np.ones(N_OUT), (batch, STEPS))
    return (inputs[0], targets[0]) if batch == 1 else (inputs, targets)


# Each example generates its Brian2 objects anew: about two seconds.
@given(
    network=networks(),
    seed=st.integers(0, 99),
    batch=st.integers(1, 3),
    window=st.sampled_from([None, 1, 15, STEPS]),
)
def test_gradients_are_those_of_the_reference(network, seed, batch, window):
    inputs, targets = task_for(network, seed, batch)
    expected = reference.gradients(network, inputs, targets, "eprop", window)
    assume(expected.spikes.sum() >= 10)  # a silent network makes all rules agree
    found = network.gradients(inputs, targets, learning_window=window)
    assert_gradients_equal(found, expected)
    for name in BLOCKS:
        absent = ~network.description.connectivity[name]
        assert not getattr(found, name)[absent].any()
    if "w_rec" not in network.description.connectivity:
        assert not np.diag(found.w_rec).any()


@pytest.mark.slow
def test_a_second_call_starts_afresh_and_new_weights_are_used():
    network = RecurrentNetwork("alif", N_IN, 6, N_OUT, seed=2)
    network.weights["w_in"] *= 2
    inputs, targets = task_for(network, 1, 2)
    first = network.gradients(inputs, targets)
    again = network.gradients(inputs, targets)
    assert first.spikes.sum() > 10
    for name in (*BLOCKS, "spikes", "readout", "learning_signal"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.loss == again.loss
    network.weights["w_rec"] *= -1
    network.weights["w_out"] *= 0.5
    other = reference.gradients(network, inputs[::-1], targets + 1, "eprop")
    assert_gradients_equal(
        network.gradients(inputs[::-1], targets + 1),
        other,
    )


@pytest.mark.slow
def test_simulation_has_the_spikes_and_outputs_of_learning():
    network = RecurrentNetwork([("lif", 4, {}), ("alif", 4, {})], N_IN, 8, N_OUT, seed=2)
    network.weights["w_in"] *= 2
    inputs, targets = task_for(network, 1, 2)
    learning, silent = network.gradients(inputs, targets), network.simulate(inputs)
    assert silent.spikes.sum() > 10
    np.testing.assert_array_equal(silent.spikes, learning.spikes)
    np.testing.assert_array_equal(silent.readout, learning.readout)
    single = network.simulate(inputs[1])
    np.testing.assert_array_equal(single.spikes, learning.spikes[1])


def test_autapses_exist_where_the_mask_says_so():
    mask = np.ones((6, 6), dtype=bool)
    connectivity = {"w_rec": mask}
    network = RecurrentNetwork("lif", N_IN, 6, N_OUT, connectivity=connectivity, seed=4)
    network.weights["w_in"] *= 2
    inputs, targets = task_for(network, 1, 1)
    found = network.gradients(inputs, targets)
    assert np.diag(found.w_rec).any()
    assert_gradients_equal(found, reference.gradients(network, inputs, targets, "eprop"))


def test_no_recurrent_synapses_at_all():
    connectivity = {"w_rec": np.zeros((5, 5), dtype=bool)}
    network = RecurrentNetwork("lif", N_IN, 5, N_OUT, connectivity=connectivity, seed=4)
    network.weights["w_in"] *= 2
    inputs, targets = task_for(network, 1, 1)
    found = network.gradients(inputs, targets)
    assert not found.w_rec.any()
    expected = reference.gradients(network, inputs, targets, "eprop")
    assert_gradients_equal(found, expected, names=("w_in", "w_out", "readout", "learning_signal"))


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("t_ref", [2.6, 3.0, 3.4])
def test_refractoriness_between_two_steps_is_counted_as_brian2_does(t_ref):
    network = RecurrentNetwork([("lif", 6, {"t_ref": t_ref * ms})], N_IN, 6, N_OUT, seed=4)
    network.weights["w_in"] *= 4
    inputs, targets = task_for(network, 1, 1)
    found = network.gradients(inputs, targets)
    assert found.spikes.sum() > 30
    assert_gradients_equal(found, reference.gradients(network, inputs, targets, "eprop"))


def test_a_models_own_file_with_the_dynamics_of_lif_is_known_to_the_reference(tmp_path):
    text = """
name = "mine"
equations = "dv/dt = -v/tau_m : 1"
threshold = "v > v_th"
reset = "v -= v_th*exp(dt/tau_m)"
refractory = "t_ref"
method = "exact"
on_pre = "v_post += w*exp(dt_post/tau_m_post)"
on_input = "v_post += w"
[parameters]
tau_m = "12*ms"
v_th = 0.5
t_ref = "1*ms"
[surrogate]
kind = "Arctan"
height = "0.2/v_th"
width = "v_th"
[reset_path]
v = "implicit"
"""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    network = RecurrentNetwork(path, N_IN, 6, N_OUT, seed=4)
    network.weights["w_in"] *= 2
    inputs, targets = task_for(network, 1, 1)
    found = network.gradients(inputs, targets)
    assert_gradients_equal(found, reference.gradients(network, inputs, targets, "eprop"))


def test_the_reference_refuses_other_dynamics_by_name():
    for neurons in ("adex", [("lif", 3, {"method": "euler"})]):
        network = RecurrentNetwork(neurons, 2, 3, 1)
        with pytest.raises(ValueError, match="the models lif and alif, not of"):
            network.reference_network()
    path = {"a": "detached"}
    alif = NeuronModel(**asdict(load_model("alif"), recurse=False) | {"reset_path": path})
    network = RecurrentNetwork([(alif, 2, {}), ("alif", 1, {})], 2, 3, 1)
    with pytest.raises(ValueError, match="one reset path for all neurons, but that of"):
        network.reference_network()
    two = [FiringRateRegularizer(), FiringRateRegularizer(5 * Hz)]
    network = RecurrentNetwork("lif", 2, 3, 1, regularizers=two)
    with pytest.raises(ValueError, match="2 regularizers"):
        network.reference_network()


# ---------------------------------------------------------- models with physical units
# What a spike of weight 1 does differs by orders of magnitude: weights that make them fire.
PHYSICAL = {
    "cuba_lif": 600.0,  # pA
    "cuba_alif": 600.0,
    "adex": 600.0,
    "izhikevich": 20.0,  # mV
    "hodgkin_huxley": 30.0,  # nS
    "two_compartment": 600.0,  # pA
}


def physical_network(model, scale, **arguments):
    rng = np.random.default_rng(5)
    weights = {"w_in": scale * rng.random((8, 4)), "w_rec": 0.2 * scale * rng.normal(size=(4, 4))}
    return RecurrentNetwork(model, 8, 4, 1, dt=0.1 * ms, weights=weights, seed=1, **arguments)


@pytest.mark.slow
@pytest.mark.parametrize("model", PHYSICAL)
def test_models_with_units_fire_and_have_gradients(model):
    network = physical_network(model, PHYSICAL[model])
    rng = np.random.default_rng(0)
    found = network.gradients(rng.random((300, 8)) < 0.02, np.ones((300, 1)))
    assert found.spikes.sum() >= 4
    for name in BLOCKS:
        gradient = getattr(found, name)
        assert np.isfinite(gradient).all()
        assert gradient.any()
    assert not np.diag(found.w_rec).any()


@pytest.mark.slow
def test_gradients_are_per_unit_of_the_weights():
    """The same network in volts and in millivolts: only the numbers change."""
    found = {}
    for unit, number in (("volt", 1.0), ("mV", 1e3)):
        model = NeuronModel(
            name="volts",
            equations="dv/dt = -v/tau_m : volt",
            threshold="v > v_th",
            reset="v -= v_th",
            method="exact",
            parameters={"tau_m": "20*ms", "v_th": "10*mV"},
            on_pre="v_post += w",
            weight_unit=unit,
            surrogate=PiecewiseLinear("0.3/v_th", "v_th"),
        )
        network = RecurrentNetwork(model, N_IN, 4, 1, seed=1)
        for name in ("w_in", "w_rec"):
            network.weights[name] *= 0.04 * number
        inputs, _ = task_for(network, 0, 1)
        found[unit] = network.gradients(inputs, np.ones((STEPS, 1)))
    assert found["volt"].spikes.sum() > 10
    np.testing.assert_array_equal(found["volt"].spikes, found["mV"].spikes)
    for name, ratio in (("w_in", 1e3), ("w_rec", 1e3), ("w_out", 1.0)):
        volts, millivolts = getattr(found["volt"], name), getattr(found["mV"], name)
        assert volts.any()
        np.testing.assert_allclose(volts, ratio * millivolts, rtol=ROUND_OFF, atol=0)
