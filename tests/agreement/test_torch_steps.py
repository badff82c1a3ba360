"""Rules on the steps that Brian2 takes, against torch's autograd of the text that it compiles."""

import math

import pytest
from steps_in_brian2 import MODELS, distance, firing, flat, problem_of, vector
from torch_network import torch_gradients

from brian_eprop import EProp

pytestmark = pytest.mark.usefixtures("numpy_target")


@pytest.mark.slow_unless(name=["conductance"], order=[math.inf])
@pytest.mark.parametrize("order", [1, 2, math.inf])
@pytest.mark.parametrize("name", MODELS)
def test_rules_on_the_steps_have_the_gradient_of_autograd(name, order):
    network, *trial = firing(name, rule=EProp(order=order))
    found = torch_gradients(network, *trial, order=order)
    problem = problem_of(name)
    expected = flat(problem.network, {"w_in": found.w_in, "w_rec": found.w_rec})
    # round-off of states in mV and pA that are measured in their deviations
    if math.isinf(order):
        for rule in ("bptt", "rtrl"):
            assert distance(vector(problem, rule), expected) < 1e-9, rule
    assert distance(vector(problem, "eprop", order=order), expected) < 1e-9
    assert distance(vector(problem, "eprop", order=2 if order == 1 else 1), expected) > 1e-5
