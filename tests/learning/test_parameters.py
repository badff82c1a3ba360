"""Gradients of the neurons' own parameters, and their training."""

import math

import numpy as np
import pytest
from brian2 import ms, mV, second
from brian2.units import DimensionMismatchError
from brian_networks import DT, build, difference
from covering import parametrize_pairs
from random_networks import random_network, random_task

from brian_eprop import Adam, GradientDescent, ParameterTraining
from brian_eprop.reference import gradients

pytestmark = pytest.mark.usefixtures("numpy_target")

# Both sides compute in float64; sums of some hundred terms are taken in different orders.
TOLERANCE = 1e-10
NAMES = ("tau_m", "tau_a", "beta", "v_th")
ORDERS = (1, 2, math.inf)


def varied_network(seed, **changes):
    """A network of ALIF neurons in which every parameter differs from neuron to neuron."""
    rng = np.random.default_rng(seed)
    ranges = {"alpha": (0.7, 0.95), "rho": (0.7, 0.95), "v_th": (0.4, 0.5), "beta": (0.1, 0.2)}
    values = {name: rng.uniform(*limits, 5) for name, limits in ranges.items()}
    return random_network(seed, "alif", feedback=None, **values | changes)


def reference(network, inputs, targets, order):
    """dE/dp of Brian2's parameters, from those of the decays."""
    steps = inputs.shape[1]
    found = gradients(
        network,
        inputs,
        targets,
        "eprop_reverse",
        order=steps if math.isinf(order) else order,
        parameters=("alpha", "rho", "beta", "v_th"),
    )
    assert found.spikes.sum() > 20
    decays = {"tau_m": ("alpha", network.alpha), "tau_a": ("rho", network.rho)}
    expected = {name: found.parameters[name] for name in ("beta", "v_th")}
    for name, (of, decay) in decays.items():
        # decay = exp(−dt/tau)
        tau = -float(DT) / np.log(decay)
        expected[name] = found.parameters[of] * decay * float(DT) / tau**2
    return expected


@pytest.mark.slow
@parametrize_pairs(order=ORDERS, max_delay=[0, 3], path_v=["explicit", "implicit", "detached"])
def test_gradients_equal_the_reference(order, max_delay, path_v):
    network = varied_network(3, max_delay=max_delay, reset_path={"v": path_v}, rate_strength=20.0)
    task = random_task(3, "mse", batch=2)
    brian = build(network, *task, order=order, trainable=NAMES).run()
    expected = reference(network, *task, order)
    for name in NAMES:
        found = np.asarray(getattr(brian.neurons, f"grad_{name}")) / 2
        assert np.any(expected[name] != 0)
        assert difference(found, expected[name]) < TOLERANCE


def test_orders_differ():
    network, task = varied_network(3), random_task(3, "mse", batch=2)
    first, exact = (reference(network, *task, order) for order in (1, math.inf))
    for name in NAMES:
        assert difference(first[name], exact[name]) > 0.05


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("optimizer", [GradientDescent(1e-2), Adam(1e-2)])
def test_an_update_is_relative_to_the_scale(optimizer):
    network, task = varied_network(5), random_task(5, "mse", batch=2)
    steps = task[0].shape[1]
    options = dict(trainable=NAMES, optimizer=optimizer, update_every=2 * steps * DT)
    brian = build(network, *task, **options)
    before = {name: np.array(getattr(brian.neurons, f"{name}_")) for name in NAMES}
    brian.run()
    expected = reference(network, *task, 1)
    for name in NAMES:
        scale = np.mean(before[name])
        step = optimizer.step(scale * expected[name], {}, 1)
        found = (before[name] - np.array(getattr(brian.neurons, f"{name}_"))) / scale
        assert np.any(found != 0)
        assert difference(found, step) < TOLERANCE
        assert np.all(np.asarray(getattr(brian.neurons, f"grad_{name}")) == 0)


def test_bounds_and_scale():
    network, task = varied_network(5), random_task(5, "mse", batch=2)
    bounds = {"tau_m": (5 * ms, 6 * ms), "beta": ParameterTraining((0.15, 0.16), scale=10)}
    every = task[0].shape[1] * DT
    brian = build(network, *task, trainable=bounds, optimizer=Adam(1e-3), update_every=every).run()
    tau_m, beta = np.asarray(brian.neurons.tau_m / ms), np.asarray(brian.neurons.beta)
    assert tau_m.min() >= 5 and tau_m.max() <= 6 and np.any(np.isin(tau_m, (5, 6)))
    assert beta.min() >= 0.15 and beta.max() <= 0.16


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(trainable="tau_m"), TypeError, r"is one name; give a list, \['tau_m'\]"),
        (dict(trainable={"tau_m": 3}), TypeError, r"trainable\['tau_m'\] = 3 is not understood"),
        (dict(trainable={2: None}), TypeError, "trainable has the key 2; keys are names of para"),
        (dict(trainable=["tau_q"]), ValueError, "'tau_q', which is no parameter of the neurons"),
        (dict(trainable=["v"]), ValueError, "'v', which is no parameter of group 'hidden'"),
        (dict(trainable=["t_ref"]), ValueError, "for its refractoriness 't_ref': that has no"),
        (dict(trainable=["tau_m"], engine="traces"), ValueError, "parameters have no traces"),
        (dict(trainable=["tau_m"], reset=False), ValueError, "that of whole trials"),
        (dict(trainable={"tau_m": (1 * mV, 2 * mV)}), DimensionMismatchError, "the unit of the"),
        (dict(trainable={"tau_m": (2 * ms, 1 * ms)}), ValueError, "the first must not be above"),
        (dict(trainable={"tau_m": (1 * ms,)}), ValueError, "must be a pair"),
    ],
)
def test_what_cannot_be_trained_is_refused(options, error, message):
    network, task = varied_network(5, n_ref=np.arange(5)), random_task(5, "mse", batch=2)
    options = dict(optimizer=Adam(1e-3), update_every=1 * second, reset=True) | options
    options["update_every"] = task[0].shape[1] * DT
    with pytest.raises(error, match=message):
        try:
            build(network, *task, **options).run()
        except Exception as raised:
            # Brian2 wraps what is raised when a run begins
            raise (raised.__cause__ or raised) from None


def test_a_shared_parameter_is_refused():
    network, task = random_network(5, alpha=0.9), random_task(5, "mse", batch=2)
    with pytest.raises(ValueError, match="shared by all neurons; each neuron learns its own"):
        build(network, *task, trainable=["tau_m"])
