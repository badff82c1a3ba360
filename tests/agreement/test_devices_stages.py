"""Other code as stages of a group's step has the same gradients on numpy and C++."""

import math
from copy import deepcopy

import numpy as np
import pytest
from brian2 import NeuronGroup, SpikeMonitor, Synapses, defaultclock, device, ms, set_device
from side_by_side import DT, STEPS, TRIAL, Side, assert_same, run, source

from brian_eprop import EProp, LeakyReadout, Learner, PiecewiseLinear, TrainableSynapses

pytestmark = pytest.mark.usefixtures("numpy_target")

N, N_OUT = 8, 2
MODEL = "dv/dt = -v/(15*ms) : 1\nda/dt = -a/(80*ms) : 1\n"
SPIKING = dict(threshold="v > 1 + 0.1*a", reset="v -= 1; a += 1", method="euler")
SURROGATE = PiecewiseLinear(0.5, 0.6)


def nothing(name, neurons, readout):
    return []


def on_a_slower_clock(name, neurons, readout):
    neurons.run_regularly("v *= 0.6; a += 0.1*v", dt=4 * DT, when="start", name=f"{name}_slower")
    return []


def in_every_step(name, neurons, readout):
    code = "v = clip(v, -0.2, 5)"
    neurons.run_regularly(code, dt=DT, when="before_thresholds", name=f"{name}_clipping")
    return []


def at_an_event(name, neurons, readout):
    neurons.run_on_event("kick", "a = 0.5*a + 0.1*v")
    return []


def shunted(name, neurons, readout):
    """Plain synapses that scale a state."""
    inhibitory = NeuronGroup(
        3, "x : 1", threshold="(timestep(t, dt) + 2*i) % 7 == 0", name=f"{name}_shunting",
        namespace={},
    )  # fmt: skip
    scaling = Synapses(
        inhibitory, neurons, "f : 1 (constant)", on_pre="v_post *= f", name=f"{name}_scaling",
        namespace={},
    )  # fmt: skip
    scaling.connect()
    scaling.f = np.linspace(0.7, 1.1, 3 * N)
    return [inhibitory, scaling]


def through_helpers(name, neurons, readout):
    """A loop over a group that does not learn, and plain synapses onto the readout."""
    helpers = NeuronGroup(
        5, "dx/dt = -x/(10*ms) : 1", threshold="x > 0.5", reset="x = 0", refractory=1 * ms,
        method="exponential_euler", name=f"{name}_helpers", namespace={},
    )  # fmt: skip
    made = [helpers]
    for k, (pre, post, code, sign, delay) in enumerate(
        [
            (neurons, helpers, "x_post += c", 0.4, None),
            (helpers, neurons, "v_post += c", -0.4, 2 * ms),
            (helpers, readout, "y_post += c", 0.5, 0 * ms),
        ]
    ):
        plain = Synapses(
            pre, post, "c : 1 (constant)", on_pre=code, name=f"{name}_plain_{k}", namespace={},
            **({} if delay is None else {"delay": delay}),
        )  # fmt: skip
        plain.connect()
        plain.c = sign * np.linspace(0.5, 1.5, len(pre) * len(post))
        made.append(plain)
    return made


def resets_before_synapses(name, neurons, readout):
    neurons.resetter["spike"].when = "before_synapses"
    return []


#: Arguments of the group, what else there is, reset paths.
KINDS = {
    "plain": ({}, nothing, {}),
    "slower_clock": ({}, on_a_slower_clock, {}),
    "every_step": ({}, in_every_step, {}),
    "event": ({"events": {"kick": "v > 0.5"}}, at_an_event, {"kick": "detached"}),
    "factor": ({}, shunted, {}),
    "helpers": ({}, through_helpers, {}),
    "other_order": ({}, resets_before_synapses, {}),
    "gate": (
        {
            "threshold": "v > 1 + 0.1*a and t > lastspike + 3*ms and (i + timestep(t, dt)) % 5 > 0",
            "refractory": 1 * ms,
        },
        nothing,
        {"v": "implicit"},
    ),
}  # fmt: skip
ORDERS = {"plain": 2, "slower_clock": math.inf, "event": 2, "every_step": 1}
#: Kinds that one network of a program has together; its order is that of the first.
TOGETHER = (
    ("every_step", "factor"),
    ("event", "other_order"),
    ("slower_clock", "helpers", "gate"),
)


def side(name, inputs, kinds):
    group, paths = {}, {}
    for kind in kinds:
        group |= deepcopy(KINDS[kind][0])  # Brian2 adds events of its own
        paths |= KINDS[kind][2]
    rng = np.random.default_rng(6)
    neurons = NeuronGroup(N, MODEL, name=f"{name}_neurons", namespace={}, **SPIKING | group)
    readout = LeakyReadout(
        N_OUT, tau=20 * ms, target=rng.normal(0, 1, (STEPS, N_OUT)), name=f"{name}_readout"
    )
    rule = EProp(order=ORDERS.get(kinds[0], math.inf), surrogate=SURROGATE, reset_path=paths)
    learner = Learner(readout, rule, reset_every=TRIAL * DT)
    synapses, weights = {}, {}
    for block, pre, post, on_pre, scale in (
        ("w_in", inputs, neurons, "v_post += w", 0.5),
        ("w_rec", neurons, neurons, "v_post += w", 0.3),
        ("w_out", neurons, readout, "y_post += w", 0.3),
    ):
        made = TrainableSynapses(
            pre, post, on_pre=on_pre, learner=learner, name=f"{name}_{block}", namespace={}
        )
        made.connect()
        weights[block] = rng.normal(0.1, scale, len(pre) * len(post))
        made.w = weights[block]
        if block == "w_rec":
            made.delay = rng.integers(0, 4, N * N) * DT
        synapses[block] = made
    others = [one for kind in kinds for one in KINDS[kind][1](name, neurons, readout)]
    monitors = [
        SpikeMonitor(one, name=f"{one.name}_spikes_seen")
        for one in others
        if isinstance(one, NeuronGroup)
    ]
    made = Side(name, neurons, readout, learner, synapses, [*others, *monitors], weights)
    made.seen = monitors
    return made


def results(networks):
    """Results by the kinds of a network, of networks side by side."""
    defaultclock.dt = DT
    inputs = source()
    sides = {kinds: side("_".join(kinds), inputs, kinds) for kinds in networks}
    found = run(sides.values(), inputs)
    for one in sides.values():
        for monitor in one.seen:
            found[one.name][f"spikes of {monitor.name}"] = np.array(monitor.count[:], dtype=float)
    return {kinds: found[one.name] for kinds, one in sides.items()}


def of_numpy(networks):
    """Results of the numpy target, one network after the other."""
    results_of = {kinds: results([kinds])[kinds] for kinds in networks}
    for kinds, found in results_of.items():
        assert 0.02 < found["raster"].mean() < 0.5, kinds
        assert np.mean(found["psi"] == 0) > 0.1
        for block in ("w_in", "w_rec", "w_out"):
            assert np.abs(found[f"{block} grad"]).max() > 1e-3
        for name, count in found.items():
            assert not name.startswith("spikes of") or count.sum() > 10
    return results_of


@pytest.mark.slow
def test_each_kind_changes_the_gradient():
    found = of_numpy([(kind,) for kind in KINDS])
    plain = found.pop(("plain",))
    for kinds, changed in found.items():
        assert largest_difference(changed, plain) > 1e-3, kinds


def largest_difference(found, other):
    return max(
        np.max(np.abs(found[f"{b} grad"] - other[f"{b} grad"])) for b in ("w_in", "w_rec")
    )  # fmt: skip


@pytest.fixture
def standalone(tmp_path):
    set_device("cpp_standalone", directory=tmp_path / "program", build_on_run=True)
    yield
    device.reinit()
    set_device("runtime")


@pytest.mark.slow
@pytest.mark.standalone
def test_programs_have_the_gradients_of_numpy(request):
    assert {kind for kinds in TOGETHER for kind in kinds} == KINDS.keys() - {"plain"}
    expected = of_numpy(TOGETHER)
    request.getfixturevalue("standalone")
    for kinds, found in results(TOGETHER).items():
        assert_same(found, expected[kinds])
