"""The gradient of a feed-forward layer of every model is that of torch's autograd.

Without recurrent synapses, and with every path through the reset kept, e-prop is the exact
gradient with ψ for the derivative of a spike.
"""

import numpy as np
import pytest
from firing_networks import firing_network
from torch_network import torch_gradients

from brian_eprop import EProp, available_models, load_model

pytestmark = pytest.mark.usefixtures("numpy_target")


@pytest.mark.parametrize("name", available_models())
def test_gradient_of_a_feed_forward_layer_is_that_of_autograd(name):
    implicit = {state: "implicit" for state in load_model(name).reset_path}
    network, inputs, targets = firing_network(
        name, recurrent=0.0, rule=EProp(engine="traces", reset_path=implicit)
    )
    expected = torch_gradients(network, inputs, targets)
    found = network.gradients(inputs, targets)
    assert found.spikes.sum() >= 4 and np.array_equal(found.spikes, expected.spikes)
    for block in ("w_in", "w_out"):
        exact = getattr(expected, block)
        assert np.abs(exact).max() > 0
        # products of a few hundred Jacobians in another order of summation
        assert np.abs(getattr(found, block) - exact).max() < 1e-10 * np.abs(exact).max()
