"""Gradients of recurrent networks of every model are those of torch's autograd."""

import math

import numpy as np
import pytest
from attrs import evolve
from brian2 import Hz
from comparing import difference
from delayed_networks import delayed_gradients
from firing_networks import differentiable, firing_network
from torch_network import ARRIVAL, leaves_of, run, torch_gradients
from torch_neurons import torch

from brian_eprop import (
    Arctan,
    EProp,
    FiringRateRegularizer,
    available_models,
    load_model,
    reference,
)
from brian_eprop.network.description import MATRICES
from brian_eprop.network.projections import spans
from brian_eprop.neurons.model_checks import RESET_PATHS

pytestmark = pytest.mark.usefixtures("numpy_target")

# Hundreds of the same Jacobians, multiplied and summed in another order
ROUND_OFF = 1e-10
PAIRS = [("lif", "alif"), ("adex", "izhikevich"), ("hodgkin_huxley", "cuba_alif")]
RATE = FiringRateRegularizer(20 * Hz, 3e4)
MIXED = dict(varied=True, batch=2, loss="cross_entropy", normalize=True, average=True)
SPARSE = dict(n=10, density=0.1, regularizers=[RATE])
#: Models, options of the network, learning window.
CASES = [
    *(((model,), {}, None) for model in available_models()),
    *((pair, MIXED, 120) for pair in PAIRS),
    *((pair, SPARSE, None) for pair in PAIRS),
    (("lif", "alif"), dict(surrogate=Arctan("0.3/v_th", "v_th")), None),
]
#: Slots in which inputs and recurrent spikes act; one delay for all synapses, or one for each.
TIMINGS = [
    (ARRIVAL, False),
    (ARRIVAL, True),
    ({"w_in": "synapses", "w_rec": "synapses"}, False),
    ({"w_in": "after_groups", "w_rec": "after_groups"}, False),
]


def label(value):
    if isinstance(value, tuple):
        return "+".join(value)
    if isinstance(value, dict):
        return "-".join(value.values() if "w_in" in value else value) or "default"
    return None


def gradients_of(result):
    return {name: getattr(result, name) for name in MATRICES}


def assert_same(found, expected):
    for name, exact in expected.items():
        assert np.abs(exact).max() > 0, name
        assert difference(found[name], exact) < ROUND_OFF, name


def network_with(models, options, **rule):
    options = dict(options)
    rule = EProp(surrogate=options.pop("surrogate", None), **rule)
    return firing_network(*models, rule=rule, **options)


def delayed_network(pair, uniform):
    """Two populations, delays of all their synapses and two trials."""
    network, inputs, targets = firing_network(*pair, n=3, batch=2, varied=True)
    rng, shapes = np.random.default_rng(1), network.description.shapes
    delays = {name: rng.integers(0, 8, shapes[name]) for name in ("w_in", "w_rec")}
    if uniform:
        delays = {name: np.full(shapes[name], 3) for name in delays}
    return network, inputs, targets, delays


@pytest.mark.parametrize(("models", "options", "window"), CASES, ids=label)
def test_spikes_and_the_gradient_of_order_1_are_those_of_brian2(models, options, window):
    network, inputs, targets = network_with(models, options, engine="traces")
    expected = torch_gradients(network, inputs, targets, window, order=1)
    found = network.gradients(inputs, targets, window)
    assert found.spikes.sum() >= 12
    np.testing.assert_array_equal(found.spikes, expected.spikes)
    np.testing.assert_allclose(found.readout, expected.readout, rtol=ROUND_OFF, atol=ROUND_OFF)
    assert found.loss + found.regularization == pytest.approx(expected.loss, rel=ROUND_OFF)
    assert_same(gradients_of(found), gradients_of(expected))
    exact = torch_gradients(network, inputs, targets, window)
    for name in ("w_in", "w_rec"):
        assert difference(getattr(found, name), getattr(exact, name)) > 1e-3


@pytest.mark.parametrize(
    ("order", "rule", "path"),
    [
        (2, "eprop", "explicit"),
        (3, "eprop", "implicit"),
        *((math.inf, "bptt", path) for path in RESET_PATHS),
    ],
)
@pytest.mark.parametrize(("options", "window"), [(MIXED, 120), (SPARSE, None)], ids=label)
def test_the_gradient_of_each_order_is_that_of_the_reference(options, window, order, rule, path):
    paths = {"v": path, "a": "implicit"}
    network, inputs, targets = network_with(("lif", "alif"), options, reset_path=paths)
    found = torch_gradients(network, inputs, targets, window, order=order)
    of_rule = {"order": order} if rule == "eprop" else {}
    expected = reference.gradients(network, inputs, targets, rule, window, **of_rule)
    np.testing.assert_array_equal(found.spikes, expected.spikes)
    assert found.loss == pytest.approx(expected.loss + expected.regularization, rel=ROUND_OFF)
    assert_same(gradients_of(found), gradients_of(expected))


@pytest.mark.parametrize("path", ["implicit", "detached"])
@pytest.mark.parametrize(("order", "rule"), [(1, "eprop"), (math.inf, "bptt")])
def test_gradients_of_parameters_are_those_of_the_reference(path, order, rule):
    paths = {"v": path, "a": path}
    network, inputs, targets = network_with(["alif"], MIXED, reset_path=paths)
    (alif,) = network.description.populations
    names = {"tau_m": "alpha", "tau_a": "rho", "beta": "beta", "v_th": "v_th"}
    task, every = (network, inputs, targets), list(names.values())
    found = torch_gradients(*task, 120, parameters=names, order=order).parameters
    expected = dict(reference.gradients(*task, rule, 120, parameters=every).parameters)
    for tau in ("tau_m", "tau_a"):
        # ∂exp(−dt/τ)/∂τ
        dt, value = float(network.description.dt), np.asarray(alif.parameters[tau])
        expected[names[tau]] = expected[names[tau]] * np.exp(-dt / value) * dt / value**2
    assert_same(found, {name: expected[of_reference] for name, of_reference in names.items()})


@pytest.mark.parametrize("model", available_models())
def test_nothing_is_missing_in_the_gradient(model):
    """With spikes whose true derivative ψ is: against central differences."""
    surrogate = load_model(model).surrogate
    # a whole spike, so that the reset is a whole one too and no membrane runs away
    rule = EProp(surrogate=evolve(surrogate, height=f"1/({surrogate.width})"))
    network, inputs, targets = firing_network(model, rule=rule)

    def loss(leaves):
        return run(network, leaves, inputs, targets, smooth=True).loss

    names = [n for n in differentiable(load_model(model)) if load_model(model).parameters[n] != 0]
    leaves, rng = leaves_of(network, names), np.random.default_rng(0)
    gradient = torch.autograd.grad(loss(leaves), list(leaves.values()))
    for (name, leaf), slope in zip(leaves.items(), gradient, strict=True):
        direction = torch.tensor(rng.normal(size=leaf.shape)) * leaf.detach()
        expected = float((slope * direction).sum())
        with torch.no_grad():
            ends = [float(loss(leaves | {name: leaf + h * direction})) for h in (1e-6, -1e-6)]
        # a sum of hundreds of squares has an error of 1e-15 of it, which is divided by 2e-6
        round_off = 1e-8 * abs(sum(ends))
        assert abs(expected) > 1e2 * round_off
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(expected, rel=1e-6, abs=round_off), name


@pytest.mark.parametrize(("arrival", "uniform"), TIMINGS[1:3], ids=label)
@pytest.mark.parametrize("pair", PAIRS, ids=label)
def test_delayed_spikes_and_their_gradient_of_order_1_are_those_of_brian2(pair, arrival, uniform):
    network, inputs, targets, delays = delayed_network(pair, uniform)
    task, timing = (network, inputs, targets, 150), dict(delays=delays, arrival=arrival)
    found, spikes = delayed_gradients(*task, rule=EProp(engine="traces"), **timing)
    expected = torch_gradients(*task, order=1, **timing)
    assert spikes.sum() >= 12
    np.testing.assert_array_equal(spikes, expected.spikes)
    assert_same(found, gradients_of(expected))
    timing["delays"] = delays | {"w_rec": delays["w_rec"] + 1}
    late = torch_gradients(*task, order=1, **timing)
    assert difference(found["w_rec"], late.w_rec) > 1e-3


# ------------------------------------------------------- every order, by credit that goes back
@pytest.mark.parametrize(
    ("models", "options", "window", "order"),
    [
        *((*case, math.inf) for case in CASES),
        *((pair, MIXED, 120, order) for pair in PAIRS for order in (1, 2, 3)),
        *((("lif", "alif"), {"feedback": "random"}, None, order) for order in (1, 2, math.inf)),
    ],
    ids=label,
)
def test_the_gradient_of_every_order_is_that_of_autograd(models, options, window, order):
    network, inputs, targets = network_with(models, options, order=order)
    expected = torch_gradients(network, inputs, targets, window, order=order)
    found = network.gradients(inputs, targets, window)
    assert found.spikes.sum() >= 12
    np.testing.assert_array_equal(found.spikes, expected.spikes)
    assert found.loss + found.regularization == pytest.approx(expected.loss, rel=ROUND_OFF)
    assert_same(gradients_of(found), gradients_of(expected))
    other = torch_gradients(network, inputs, targets, window, order=2 if order == 1 else 1)
    assert difference(found.w_rec, other.w_rec) > 1e-3


@pytest.mark.parametrize("path", RESET_PATHS)
@pytest.mark.parametrize("model", ["alif", "adex", "izhikevich"])
def test_the_exact_gradient_keeps_the_reset_paths_that_it_should(model, path):
    paths = dict.fromkeys(load_model(model).reset_path, path)
    network, inputs, targets = network_with([model], {}, order=math.inf, reset_path=paths)
    expected = torch_gradients(network, inputs, targets)
    assert_same(gradients_of(network.gradients(inputs, targets)), gradients_of(expected))


@pytest.mark.parametrize(
    ("arrival", "uniform", "order"),
    [*((*timing, math.inf) for timing in TIMINGS), (ARRIVAL, False, 2)],
    ids=label,
)
@pytest.mark.parametrize("pair", PAIRS, ids=label)
def test_the_gradient_of_every_order_follows_delayed_spikes(pair, arrival, uniform, order):
    network, inputs, targets, delays = delayed_network(pair, uniform)
    task, timing = (network, inputs, targets, 150), dict(delays=delays, arrival=arrival)
    found, spikes = delayed_gradients(*task, rule=EProp(order=order), **timing)
    expected = torch_gradients(*task, order=order, **timing)
    np.testing.assert_array_equal(spikes, expected.spikes)
    assert_same(found, gradients_of(expected))
    timing["delays"] = delays | {"w_rec": delays["w_rec"] + 1}
    late = torch_gradients(*task, order=order, **timing)
    assert difference(found["w_rec"], late.w_rec) > 1e-3


@pytest.mark.parametrize("order", [1, math.inf])
@pytest.mark.parametrize("pair", PAIRS, ids=label)
def test_gradients_of_all_parameters_are_those_of_autograd(pair, order):
    network, inputs, targets, delays = delayed_network(pair, uniform=False)
    task, timing = (network, inputs, targets, 150), dict(delays=delays, arrival=ARRIVAL)
    models = [load_model(name) for name in pair]
    refused = {n for m in models for n in m.parameters.keys() - set(differentiable(m))}
    names = sorted({n for m in models for n in m.parameters} - refused)
    rule = EProp(order=order)
    found, spikes = delayed_gradients(*task, rule=rule, trainable=names, **timing)
    expected = torch_gradients(*task, order=order, parameters=names, **timing)
    np.testing.assert_array_equal(spikes, expected.spikes)
    assert_same({name: found[name] for name in MATRICES}, gradients_of(expected))
    for model, own in zip(models, spans(network.description), strict=True):
        for name in set(names) & model.parameters.keys():
            exact = expected.parameters[name][own]
            assert np.abs(exact).max() > 0
            assert difference(found[name][own], exact) < ROUND_OFF, (model.name, name)
