"""Traces of compiled networks, several steps at once, are those of the numpy target."""

import numpy as np
import pytest
from brian2 import Hz, ms, set_device
from brian2.devices.device import reset_device
from comparing import assert_gradients_equal
from compiled_programs import programs_in

from brian_eprop import (
    EProp,
    FiringRateRegularizer,
    NeuronModel,
    PiecewiseLinear,
    RecurrentNetwork,
)
from brian_eprop.engines import eligibility

ROUND_OFF = 1e-11
#: Two blocks, and three steps that are none.
STEPS = 2 * eligibility.BLOCK + 3
N_IN, N = 20, 30

#: What all neurons have in common changes in each step: no two steps can be one block.
CHANGING = NeuronModel(
    name="changing",
    equations="""
        dv/dt = (-v - a + g*x)/tau_m : 1
        da/dt = -a/tau_a : 1
        dx/dt = -x/tau_x : 1
        g = 1 + 0.5*sin(t/(3*ms)) : 1 (shared, constant over dt)
    """,
    threshold="v > 1",
    reset="v -= 1; a += 0.3",
    method="euler",
    parameters={"tau_m": "10*ms", "tau_a": "15*ms", "tau_x": "4*ms"},
    on_pre="x_post += 3*w",
    surrogate=PiecewiseLinear(0.3, 1.0),
)


def network(neurons=None, **options):
    """Two populations; with autapses left out the synapses of a neuron are two runs."""
    if neurons is None:
        taus = np.linspace(8, 20, N // 2) * ms
        neurons = [("alif", N // 2, {"tau_m": taus}), ("lif", N // 2, {"t_ref": 2 * ms})]
    rule = EProp(engine="traces")
    made = RecurrentNetwork(neurons, N_IN, N, 2, seed=1, rule=rule, **options)
    made.weights["w_in"] *= 3
    return made


def dense():
    return network()


def sparse():
    """No two synapses of a neuron are onto neighbours."""
    mask = (np.arange(N) % 2 == 0) & ~np.eye(N, dtype=bool)
    return network(connectivity={"w_rec": mask})


def regularized():
    return network(regularizers=[FiringRateRegularizer(20 * Hz, 10.0)], average=True)


def with_delays():
    return network(delays={"w_rec": np.random.default_rng(3).integers(1, 4, (N, N)) * ms})


def changing():
    return network(CHANGING)


def gradients(made):
    rng = np.random.default_rng(2)
    inputs = rng.random((3, STEPS, N_IN)) < 0.2
    return made.gradients(inputs, rng.standard_normal((3, STEPS, 2)))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@pytest.fixture
def program(cache, tmp_path, numpy_target):
    with programs_in(cache, tmp_path):
        yield


def of_numpy(made):
    set_device("runtime")
    try:
        return gradients(made)
    finally:
        reset_device()


@pytest.fixture
def in_blocks(monkeypatch):
    """Names of the projections that are computed in blocks."""
    found, before = [], eligibility.EverySynapse.before_run

    def noted(self, run_namespace):
        before(self, run_namespace)
        found.extend([self.group.name] * (self.template == "synapses_in_blocks"))

    monkeypatch.setattr(eligibility.EverySynapse, "before_run", noted)
    return found


@pytest.mark.slow
@pytest.mark.standalone
@pytest.mark.parametrize("made", [dense, sparse, regularized, with_delays, changing])
def test_steps_in_blocks_are_those_of_numpy(program, in_blocks, made):
    expected, again = of_numpy(made()), made()
    assert expected.spikes.sum() > 50
    assert all(np.abs(getattr(expected, name)).max() > 1e-3 for name in ("w_in", "w_rec", "w_out"))
    for _ in range(2):
        # A call begins as the first one
        assert_gradients_equal(gradients(again), expected, tolerance=ROUND_OFF)
    assert any(name.startswith("in") for name in in_blocks)
    assert any(name.startswith("rec") for name in in_blocks) == (made is not with_delays)


@pytest.mark.slow
@pytest.mark.standalone
def test_arrivals_per_synapse_cannot_wait_for_the_end_of_a_block(
    program, tmp_path_factory, monkeypatch, in_blocks
):
    """The same network in blocks nevertheless: it is seen."""
    monkeypatch.setenv("BRIAN_EPROP_CACHE", str(tmp_path_factory.mktemp("wrong")))
    never = property(lambda self: False, lambda self, value: None)
    monkeypatch.setattr(eligibility.EverySynapse, "changed_elsewhere", never, raising=False)
    expected = of_numpy(with_delays())
    wrong = gradients(with_delays())
    assert any(name.startswith("rec") for name in in_blocks)
    assert np.abs(wrong.w_rec - expected.w_rec).max() > 1e-2 * np.abs(expected.w_rec).max()
