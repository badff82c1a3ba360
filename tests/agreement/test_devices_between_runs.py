"""Programs of several run(), before which a user changes delays, give the numbers of numpy."""

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    defaultclock,
    device,
    ms,
    set_device,
)
from brian_networks import difference

from brian_eprop import EProp, LeakyReadout, Learner, PiecewiseLinear, TrainableSynapses

DT = 1 * ms
N_IN, N, N_OUT, TRIAL = 6, 12, 9, 40
# Compilers may contract a*b + c; some hundred steps let a difference of one bit grow.
ROUND_OFF = 1e-12
#: Recurrent synapses: what a spike does, their delay at creation if all have the same one, and
#: what else they are created with. Brian2's names of arrays contain those of synapses.
NETWORKS = {
    "in_turn": ("v_post += w*(0.5 - v_post)", 3 * ms, {}),
    "of_an_idx": ("v_post += w", None, {}),
    "single": ("v_post += w", 3 * ms, {"dtype": {"w": np.float32}}),
}


def network(name, rng):
    """Neurons that learn from a readout of their own; the objects, and the recurrent synapses."""
    on_pre, delay, options = NETWORKS[name]
    steps, channels = np.nonzero(rng.random((2 * TRIAL, N_IN)) < 0.3)
    inputs = SpikeGeneratorGroup(N_IN, channels, steps * DT, when="start", name=f"{name}_inputs")
    neurons = NeuronGroup(
        N,
        "dv/dt = -v/(15*ms) : 1 (unless refractory)",
        threshold="v > 1",
        reset="v -= 1",
        refractory=2 * ms,
        method="exact",
        name=f"{name}_neurons",
        namespace={},
    )
    target = rng.normal(size=(2 * TRIAL, N_OUT))
    readout = LeakyReadout(N_OUT, tau=20 * ms, loss="mse", target=target, name=f"{name}_readout")
    rule = EProp(order=2, surrogate=PiecewiseLinear(0.5, 0.6))
    learner = Learner(readout, rule, reset_every=TRIAL * DT)

    def connect(block, pre, post, on_pre, mean, **options):
        synapses = TrainableSynapses(
            pre, post, on_pre=on_pre, learner=learner, name=f"{block}_{name}", **options
        )
        synapses.connect()
        synapses.w = rng.normal(mean, 0.3, len(pre) * len(post))
        return synapses

    now = {"delay": 0 * ms, "namespace": {}}
    early = connect("w_in", inputs, neurons, "v_post += w", 0.2, arrival="after_groups", **now)
    late = {} if delay is None else {"delay": delay}
    recurrent = connect("w_rec", neurons, neurons, on_pre, 0, namespace={}, **late, **options)
    if delay is None:
        recurrent.delay = rng.integers(0, 6, N * N) * DT
    answers = connect("w_out", neurons, readout, "y_post += w", 0, **now)
    spikes = SpikeMonitor(neurons, name=f"{name}_spikes")
    return [inputs, neurons, readout, early, recurrent, answers, spikes], recurrent


def simulate(change=True):
    """Two trials of all networks, with other delays in the second; a function that reads them."""
    defaultclock.dt = DT
    rng = np.random.default_rng(0)
    made = {name: network(name, rng) for name in NETWORKS}
    together = Network(*(obj for objects, _ in made.values() for obj in objects))
    together.run(TRIAL * DT, namespace={})
    for _, recurrent in made.values() if change else ():
        one = recurrent.pre.variables["delay"].scalar
        recurrent.delay = 2 * ms if one else "((i + j) % 4)*ms"
    together.run(TRIAL * DT, namespace={})

    def read():
        found = {}
        for name, (objects, recurrent) in made.items():
            found[f"{name} gradients"] = np.array(recurrent.grad[:])
            found[f"{name} into"] = np.array(objects[3].grad[:])
            found[f"{name} spikes"] = np.array([objects[-1].t_, objects[-1].i])
        return found

    return read


@pytest.mark.slow
@pytest.mark.standalone
def test_delays_that_are_changed_between_runs(tmp_path, numpy_target):
    expected, unchanged = simulate()(), simulate(change=False)()
    set_device("cpp_standalone", directory=tmp_path / "program", build_on_run=False)
    try:
        read = simulate()
        device.build(directory=tmp_path / "program")
        found = read()
    finally:
        device.reinit()
        set_device("runtime")
    for name, values in expected.items():
        if name.endswith("spikes"):
            assert 100 < values.shape[1] < 0.4 * N * 2 * TRIAL
            np.testing.assert_array_equal(found[name], values, err_msg=name)
            continue
        assert np.abs(values).max() > 1
        assert difference(values, unchanged[name]) > 0.01, name
        assert difference(found[name], values) < ROUND_OFF, name
