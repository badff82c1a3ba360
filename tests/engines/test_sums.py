"""Weights in sums over synapses: every step is an arrival of what is summed up."""

import math

import numpy as np
import pytest
from brian2 import (
    ms,
    set_device,
)
from brian2.devices.device import reset_device
from hypothesis import given
from hypothesis import strategies as st
from summed_networks import RateNetwork, SpikingNetwork, T

from brian_eprop import reference
from brian_eprop.brian import schedule
from brian_eprop.calculus.sums import Sum
from brian_eprop.engines import continuous
from brian_eprop.engines.continuous import SummedPathway

pytestmark = pytest.mark.usefixtures("numpy_target")

#: The same products, some hundreds of them, summed in another order
ROUND_OFF = 1e-11
DRIVEN = "w*tanh(2*r_pre)*(1.5 - r_post)"
DIFFUSIVE = "w*(r_pre - r_post)"
WAYS = [(1, "credit"), (1, "traces"), (2, "credit"), (3, "credit"), (math.inf, "credit")]


def difference(network):
    """The largest one between Brian2's gradients and those of the twin, relative."""
    found, expected = network.run(), network.expected()
    for name, values in expected.items():
        assert np.abs(values).max() > 1e-3
        assert found[name].shape == values.shape
    return max(
        np.abs(found[name] - values).max() / np.abs(values).max()
        for name, values in expected.items()
    )


@pytest.mark.slow_unless(form=["w*r_pre"])
@pytest.mark.parametrize("form", ["w*r_pre", DRIVEN, DIFFUSIVE])
@pytest.mark.parametrize(("order", "engine"), WAYS)
def test_rate_units_that_sum_up_each_other(form, order, engine):
    # Traces made before a sum that depends on their own state would not know of it
    forward = "w*r_pre" if engine == "traces" else form
    network = RateNetwork(forward, form, order, engine)
    assert difference(network) < ROUND_OFF
    assert network.group.variables["loss"].get_value().sum() > 0.01


def test_orders_differ():
    gradients = [RateNetwork(order=order).expected()["forward"] for order in (1, 2, math.inf)]
    for k, one in enumerate(gradients):
        for other in gradients[k + 1 :]:
            assert np.abs(one - other).max() > 1e-3 * np.abs(one).max()


@pytest.mark.slow_unless(order=[math.inf])
@pytest.mark.parametrize("junctions", [False, True])
@pytest.mark.parametrize(("order", "engine"), WAYS)
def test_gates_and_gap_junctions_of_spiking_neurons(order, engine, junctions):
    if junctions and engine == "traces":
        pytest.skip("refused, see below")
    network = SpikingNetwork(order, engine, junctions)
    assert difference(network) < ROUND_OFF
    assert network.spikes.num_spikes > 5
    assert np.max(network.psi) > 0


def test_few_synapses_are_multiplied_one_by_one(monkeypatch):
    monkeypatch.setattr(continuous, "DENSE", 2)
    monkeypatch.setattr(continuous, "BLOCK", 64)
    assert difference(RateNetwork(DIFFUSIVE, density=0.5)) < ROUND_OFF


EXPRESSIONS = st.builds(
    "w*({}*{} + {})".format,
    st.sampled_from(["r_pre", "tanh(r_pre)", "exp(-2*r_pre)", "r_pre**2", "(1 - r_pre)"]),
    st.sampled_from(["1", "r_post", "(1 - 2*r_post)", "cos(3*r_post)", "r_post**2"]),
    st.sampled_from(["0", "r_pre", "0.3*r_post", "(r_pre + r_post)**2", "0.1"]),
)


@pytest.mark.slow
@pytest.mark.hypothesis
@given(EXPRESSIONS, EXPRESSIONS, st.sampled_from([1, 2, math.inf]))
def test_any_products(forward, recurrent, order):
    assert difference(RateNetwork(forward, recurrent, order)) < 1e-10


def test_leaky_units_are_those_of_the_reference():
    """The exact gradient, and that of order 1, of the same rate network written otherwise."""
    for order, rule in ((math.inf, "bptt"), (1, "eprop")):
        ours = RateNetwork(order=order)
        ours.group.r = ours.start = np.zeros(ours.n)
        w_in, w_rec = (ours.weights[n].reshape(-1, ours.n) for n in ("forward", "recurrent"))
        theirs = reference.RateNetwork(
            w_in=w_in, w_rec=w_rec, w_out=np.eye(ours.n), cell=reference.LeakyRate(leak=0.1)
        )
        expected = reference.gradients(theirs, ours.signals, ours.data, rule)
        found = ours.run()
        for name, of_reference in (("forward", "w_in"), ("recurrent", "w_rec")):
            values = getattr(expected, of_reference).ravel()
            np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-12)
            assert np.abs(values).max() > 0.01


# ------------------------------------------------------------------ negative controls


def late(pathway, reading, reader):
    """What is summed up is recorded at the end of the step."""
    for recorder in pathway.recorders:
        recorder.when, recorder.order = schedule.RECORD_ERROR


def test_a_signal_that_is_read_one_step_late_is_wrong(monkeypatch):
    monkeypatch.setattr(SummedPathway, "follow", late)
    assert difference(RateNetwork()) > 1e-2


def test_a_gap_junction_without_its_diagonal_is_wrong(monkeypatch):
    monkeypatch.setattr(Sum, "sloped", [])
    assert difference(SpikingNetwork(math.inf, junctions=True)) > 1e-3


def checked(network):
    return network.learner.check(T * ms, network.network, synapses=1)


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2, math.inf])
def test_the_check_finds_both(monkeypatch, order):
    assert checked(RateNetwork(DRIVEN, "w*r_pre", order)).passed
    assert checked(SpikingNetwork(order)).passed
    assert checked(SpikingNetwork(order, junctions=True)).passed
    with monkeypatch.context() as patch:
        patch.setattr(Sum, "sloped", [])
        assert not checked(SpikingNetwork(order, junctions=True)).passed
    monkeypatch.setattr(SummedPathway, "follow", late)
    assert not checked(RateNetwork(DRIVEN, "w*r_pre", order)).passed


@pytest.mark.slow
def test_the_check_of_traces():
    found = checked(SpikingNetwork(1, "traces"))
    assert found.passed
    assert {row.quantity for row in found.rows} >= {"eps_v", "e_trace", "grad"}


# ------------------------------------------------------------------ other devices


@pytest.mark.slow
@pytest.mark.parametrize("make", [RateNetwork, SpikingNetwork])
@pytest.mark.parametrize(("order", "engine"), [(1, "credit"), (1, "traces"), (math.inf, "credit")])
def test_programs_compute_the_same(make, order, engine, tmp_path):
    expected = make(order=order, engine=engine).run()
    set_device("cpp_standalone", directory=str(tmp_path))
    try:
        found = make(order=order, engine=engine).run()
    finally:
        reset_device()
    for name, values in expected.items():
        assert np.abs(values).max() > 1e-3
        np.testing.assert_allclose(found[name], values, rtol=1e-11, atol=1e-13)


@pytest.mark.slow
def test_cython_computes_the_same():
    from brian2 import prefs

    expected = SpikingNetwork(math.inf).run()
    prefs.codegen.target = "cython"
    found = SpikingNetwork(math.inf).run()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-11, atol=1e-13)


# ------------------------------------------------------------------ windows within a trial


def test_windows_within_a_trial_carry_along_what_was_summed_up():
    gradients = {}
    for engine in ("traces", "credit"):
        network = RateNetwork("w*r_pre", DRIVEN, engine=engine, within=10)
        gradients[engine] = network.run()
    for name, values in gradients["traces"].items():
        assert np.abs(values).max() > 1e-3
        np.testing.assert_allclose(gradients["credit"][name], values, rtol=1e-11, atol=1e-13)
