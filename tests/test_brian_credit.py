"""Credit that flows backwards gives the reference's gradients, of every order."""

import math

import numpy as np
import pytest
from brian2 import Network, StateMonitor, TimedArray, defaultclock, ms
from brian_networks import BLOCKS, DT, build, difference, examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import random_network, random_task

from brian_eprop import Adam, EProp, GradientDescent
from brian_eprop.engines.credit import engine as credit_engine
from brian_eprop.reference import gradients

# Both sides compute in float64; sums of some hundred terms are taken in different orders.
TOLERANCE = 1e-10
SLOW = dict(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

pytestmark = pytest.mark.usefixtures("numpy_target")


def reference(network, inputs, targets, order, learning_window=None):
    """The gradients along paths of less than `order` explicit edges, or along all."""
    # No path has more edges than there are steps
    steps = np.shape(inputs)[-2]
    options = {"order": steps if math.isinf(order) else order}
    window = {"learning_window": learning_window}
    return gradients(network, inputs, targets, "eprop_reverse", **window, **options)


def assert_equal(brian, expected):
    assert brian.spikes.num_spikes == expected.spikes.sum() > 0
    for name in BLOCKS:
        assert np.any(getattr(expected, name) != 0)
        assert difference(brian.gradients[name], getattr(expected, name)) < TOLERANCE


@settings(max_examples=60, **SLOW)
@given(examples(), st.sampled_from([1, 1, 2, 3, math.inf]))
def test_gradients_of_every_order_equal_the_reference(example, order):
    network, inputs, targets, options = example
    brian = build(network, inputs, targets, order=order, **options).run()
    window = options["learning_window"]
    assert_equal(brian, reference(network, inputs, targets, order, window))


@settings(max_examples=40, **SLOW)
@given(examples(), st.sampled_from([1, 3, 7, 100]), st.booleans())
def test_windows_within_a_trial(example, segment, reset):
    """Windows of any length, and no trials at all, give the gradient of the traces."""
    network, inputs, targets, options = example
    if not reset:
        options["learning_window"] = None
        if network.average or np.any(network.rate_strength):
            reset = True
    traces = build(network, inputs, targets, engine="traces", reset=reset, **options).run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(credit_engine, "WHOLE", 0)
        patch.setattr(credit_engine, "SEGMENT", segment)
        credit = build(network, inputs, targets, reset=reset, **options)
        assert credit.learner.engine.carries
        credit.run()
    for name in BLOCKS:
        assert np.any(traces.gradients[name] != 0)
        assert difference(credit.gradients[name], traces.gradients[name]) < TOLERANCE


@settings(max_examples=25, **SLOW)
@given(examples(), st.sampled_from([2, 3, 4, 6, 8, 12]), st.sampled_from(["descent", "adam"]))
def test_updates_within_a_trial(example, every, optimizer):
    network, inputs, targets, options = example
    options["update_every"] = every * DT
    options["optimizer"] = GradientDescent(1e-3) if optimizer == "descent" else Adam(1e-3)
    traces, credit = (
        build(network, inputs, targets, engine=engine, **options).run()
        for engine in ("traces", "credit")
    )
    for name in BLOCKS:
        changed = traces.matrix(name, "w")
        assert difference(changed, getattr(network, name)) > 1e-6
        assert difference(credit.matrix(name, "w"), changed) < TOLERANCE
