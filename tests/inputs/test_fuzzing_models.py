"""Networks of random neuron models: the gradient is right, or the model is refused by name."""

import numpy as np
import pytest
from attrs import evolve
from brian2 import ms
from fuzzed_models import networks
from hypothesis import assume, given, settings

from brian_eprop import NeuronModel, PiecewiseLinear, RecurrentNetwork
from brian_eprop.network.description import MATRICES

try:
    from torch_network import torch_gradients
except pytest.skip.Exception:
    torch_gradients = None

pytestmark = pytest.mark.usefixtures("numpy_target")

#: The same Jacobians, some dozens of them, multiplied and summed in another order.
ROUND_OFF = 1e-9


def with_rule(network, **changes):
    d = network.description
    other = RecurrentNetwork.from_description(
        evolve(d, rule=evolve(d.rule, **changes), trainable={})
    )
    other.state = evolve(network.state, parameters={})
    return other


def assert_close(found, expected, what):
    size = np.abs(expected).max()
    assert np.all(np.isfinite(found)), what
    assert np.abs(found - expected).max() <= ROUND_OFF * max(size, 1e-6), what


def right(network, inputs, targets, window):
    """Compare a network's gradients with those of other code; whether it fired."""
    found = network.gradients(inputs, targets, window)
    if not found.spikes.any():
        return False
    order = network.description.rule.order
    # of every network, since torch, which knows all orders, is optional
    first = found if order == 1 else with_rule(network, order=1).gradients(inputs, targets, window)
    traces = with_rule(network, order=1, engine="traces").gradients(inputs, targets, window)
    assert np.array_equal(found.spikes, traces.spikes)
    for name in MATRICES:
        assert_close(getattr(first, name), getattr(traces, name), f"traces: {name}")
    if torch_gradients is not None:
        names = list(network.parameters)
        exact = torch_gradients(network, inputs, targets, window, order=order, parameters=names)
        assert np.array_equal(found.spikes, exact.spikes)
        assert abs(found.loss + found.regularization - exact.loss) <= ROUND_OFF * abs(exact.loss)
        for name in MATRICES:
            assert_close(getattr(found, name), getattr(exact, name), f"torch: {name}")
        for name in names:
            exists = ~np.isnan(np.asarray(network.parameters[name]))
            known = np.where(exists, exact.parameters[name], 0.0)
            assert_close(found.parameters[name], known, f"torch: {name}")
    return True


@pytest.mark.slow
@pytest.mark.hypothesis
def test_gradients_of_random_models():
    # each takes seconds
    compared, number = [], settings.default.max_examples // 3

    @settings(max_examples=number)
    @given(networks())
    def try_one(example):
        try:
            fired = right(*example)
        except ValueError as error:
            assert "model_" in str(error) or "population_" in str(error), error
        else:
            compared.append(fired)
            assume(fired)

    try_one()
    assert sum(compared) >= number / 4  # others are silent, or refused


def coupled(**parameters):
    """Several coefficients of a group are the same function of a parameter."""
    model = NeuronModel(
        name="coupled",
        equations="""
            dv/dt = (2*I - v - a)/tau_m : 1
            dI/dt = -I/(5*ms) : 1
            da/dt = (0.2*v - a)/(30*ms) : 1
            """,
        threshold="v > v_th",
        reset="v = 0",
        method="exponential_euler",
        parameters={"tau_m": 10 * ms, "v_th": 1.0},
        on_pre="I_post += w",
        surrogate=PiecewiseLinear("0.3/v_th", "v_th"),
    )
    rng = np.random.default_rng(0)
    weights = {"w_in": rng.exponential(size=(3, 2))}
    network = RecurrentNetwork(
        [(model, 2, parameters)], 3, 2, 1, weights=weights, feedback="random", seed=1
    )
    return network, rng.random((1, 30, 3)) < 0.5, np.ones((1, 30, 1)), None


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [{}, {"v_th": [1.0, 1.1]}, {"tau_m": [9, 11] * ms}])
def test_coefficients_that_are_shared_and_repeated(parameters):
    """Brian2 refused their code."""
    assert right(*coupled(**parameters))
