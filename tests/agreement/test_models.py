"""Both engines agree for every model, surrogate and target, whichever way a trial is split."""

import math

import numpy as np
import pytest
from attrs import evolve
from brian2 import device, set_device
from comparing import assert_gradients_equal
from firing_networks import firing_network

from brian_eprop import (
    Arctan,
    EProp,
    Exponential,
    FastSigmoid,
    MultiGaussian,
    RecurrentNetwork,
    available_models,
)
from brian_eprop.engines import windows

pytestmark = pytest.mark.usefixtures("numpy_target")

# The same Jacobians, some hundred of them, multiplied in another order
TOLERANCE = 1e-10
SURROGATES = {
    "exponential": Exponential("0.3/v_th", "v_th"),
    "fast_sigmoid": FastSigmoid("0.3/v_th", "v_th"),
    "arctan": Arctan("0.3/v_th", "v_th"),
    "multi_gaussian": MultiGaussian("0.3/v_th", "v_th"),
}


def with_rule(network, **rule):
    """The same network, which learns in another way."""
    other = RecurrentNetwork.__new__(RecurrentNetwork)
    description = evolve(network.description, rule=evolve(network.description.rule, **rule))
    other._set_up(description, network.optimizer, network.state)
    return other


#: Every model in one piece and in segments, fully and sparsely connected; one of them in all ways.
WAYS = [(model, *way) for model in available_models() for way in ((None, None), (30, 0.1))]
WAYS += [("alif", None, 0.1), ("alif", 30, None)]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "segment", "density"), WAYS)
def test_both_engines_agree(monkeypatch, model, segment, density):
    network, inputs, targets = firing_network(model, n=10 if density else 4, density=density)
    if segment is not None:
        monkeypatch.setattr(windows, "WHOLE", 0)
        monkeypatch.setattr(windows, "SEGMENT", segment)
    found = network.gradients(inputs, targets)
    assert_gradients_equal(found, with_rule(network, engine="traces").gradients(inputs, targets))


@pytest.mark.slow
@pytest.mark.parametrize("surrogate", SURROGATES)
def test_both_engines_agree_with_every_surrogate(surrogate):
    rule = EProp(surrogate=SURROGATES[surrogate])
    network, inputs, targets = firing_network("lif", "alif", rule=rule, batch=2)
    found = network.gradients(inputs, targets)
    assert_gradients_equal(found, with_rule(network, engine="traces").gradients(inputs, targets))


@pytest.mark.slow
@pytest.mark.standalone
def test_compiled_credit_is_the_same():
    models = ("lif", "alif", "adex", "hodgkin_huxley")
    network, inputs, targets = firing_network(*models, n=2, batch=2, density=0.5)
    networks = [network, with_rule(network, order=math.inf)]
    expected = [one.gradients(inputs, targets) for one in networks]
    difference = np.abs(expected[0].w_in - expected[1].w_in).max()
    assert difference > 1e-3 * np.abs(expected[0].w_in).max()
    set_device("cpp_standalone", build_on_run=False)
    try:
        for one, exact in zip(networks, expected, strict=True):
            assert_gradients_equal(one.gradients(inputs, targets), exact)
    finally:
        device.reinit()
        set_device("runtime")
