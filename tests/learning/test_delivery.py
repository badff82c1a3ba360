"""Spikes without delay and without a queue: Brian2's numbers, for every kind of connectivity."""

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    device,
    ms,
    set_device,
)

from brian_eprop.brian.code import DirectPathway, DirectSynapses
from brian_eprop.brian.fast_build import compile_project
from brian_eprop.brian.internals import generated_sources

N = 80
# Compilers may contract a*b + c; the sums of a step are in the same order.
ROUND_OFF = 1e-13


def neurons(n, equations, name, refractory=False):
    return NeuronGroup(
        n,
        equations,
        threshold="v > 1",
        reset="v = 0",
        refractory=refractory,
        method="exact",
        namespace={},
        name=name,
    )


def random_pairs(seed, probability, shuffle=False):
    rng = np.random.default_rng(seed)
    i, j = np.nonzero(rng.random((N, N)) < probability)
    order = rng.permutation(len(i)) if shuffle else slice(None)
    return {"i": i[order], "j": j[order]}


def random_runs(seed, descending=False):
    """Each neuron onto no, one or two long runs of neighbours, which begin anywhere."""
    rng, i, j = np.random.default_rng(seed), [], []
    for source in range(N):
        begins = rng.integers(8), N // 2 + rng.integers(8)
        runs = [range(begin, begin + rng.integers(24, N // 2 - 8)) for begin in begins]
        runs = runs[rng.integers(2) :][: rng.integers(3)]
        targets = [target for run in (runs[::-1] if descending else runs) for target in run]
        i += [source] * len(targets)
        j += targets
    return {"i": i, "j": j}


#: What a pathway does, and which synapses there are. Each case has its own N targets.
JUMP = "v_post += w"
CASES = {
    "dense": ("v_post += w*(1 + 0.01*i - 0.01*j)", {}),
    "nearly_dense": (JUMP, random_pairs(1, 0.98)),
    "sparse": (JUMP, random_pairs(2, 0.3)),
    "shuffled": (JUMP, random_pairs(3, 1, shuffle=True)),
    "runs": (JUMP, random_runs(4)),
    "runs_descending": ("v_post += 2*w", random_runs(5, descending=True)),
    "rows_of_one": ("v_post += 8*w", {"j": "i"}),
    "pairs_of_synapses": (JUMP, {"n": 2}),
    "many_without_synapses": ("v_post += 2*w", {"condition": "i > 20 and i < 30"}),
    "event_driven": ("x += w\nv_post += 2*x*v_pre\nw *= 0.99", {"condition": "i != j"}),
}
#: Cases whose spikes arrive later than they are sent, also in another run().
LATE = ("nearly_dense", "shuffled", "runs", "event_driven", "sub_group")


def simulate():
    """Neurons that drive themselves and the targets of each case; a function that reads it."""
    rng = np.random.default_rng(0)
    steps, channels = np.nonzero(rng.random((300, N)) < 0.2)
    drive = SpikeGeneratorGroup(N, channels, steps * 0.1 * ms, name="drive")
    leak = "dv/dt = -v/(10*ms) : 1"
    source = neurons(N, leak, "source")
    targets = neurons(N * len(CASES), leak, "targets")
    clamped = neurons(N, f"{leak} (unless refractory)", "clamped", refractory=3 * ms)

    def connect(name, pre, post, on_pre, model="w : 1", **connectivity):
        delay = 0.7 * ms if name.removeprefix("to_") in LATE else 0 * ms
        synapses = DirectSynapses(pre, post, model, on_pre, delay=delay, name=name, namespace={})
        synapses.connect(**connectivity)
        synapses.w = "0.1*sin(1 + 3*i + 7*j) + 0.02"
        return synapses

    made = {
        "drive": connect("to_source", drive, source, "v_post += 0.3 + 0*w", j="i"),
        "recurrent": connect("recurrent", source, source, "v_post += 0.1*w", condition="i != j"),
        "clamped": connect("to_clamped", source, clamped, JUMP),
        "sub_group": connect("sub_group", source[5:25], clamped[3:73], JUMP),
    }
    made["drive"].pre.when = "after_groups"
    for k, (name, (on_pre, connectivity)) in enumerate(CASES.items()):
        event_driven = "w : 1\ndx/dt = -x/(5*ms) : 1 (event-driven)"
        model = event_driven if name == "event_driven" else "w : 1"
        own = targets[k * N : (k + 1) * N]
        made[name] = connect(f"to_{name}", source, own, on_pre, model, **connectivity)
    groups = {"source": source, "targets": targets, "clamped": clamped}
    monitors = {name: StateMonitor(group, "v", record=True) for name, group in groups.items()}
    spikes = {name: SpikeMonitor(group) for name, group in groups.items()}
    network = Network(drive, *groups.values(), *made.values())
    network.add(*monitors.values(), *spikes.values())
    network.run(15 * ms, namespace={})
    # Rows have to be found anew.
    made["sparse"].connect(i=[0, 0, 3], j=[1, 5, 3])
    made["sparse"].w["i == 0 or i == 3"] = 0.2
    network.run(15 * ms, namespace={})

    def read():
        found = {f"v of {name}": np.array(monitor.v) for name, monitor in monitors.items()}
        found |= {f"spikes of {name}": np.array([s.t_, s.i]) for name, s in spikes.items()}
        return found | {"w": np.array(made["event_driven"].w)}

    return read


@pytest.fixture
def standalone(tmp_path, numpy_target):
    set_device("runtime")
    yield lambda: set_device("cpp_standalone", directory=tmp_path / "program", build_on_run=False)
    device.reinit()
    set_device("runtime")


@pytest.mark.slow
@pytest.mark.standalone
def test_direct_delivery_gives_the_numbers_of_brian2(standalone, capfd):
    expected = simulate()()
    standalone()
    read = simulate()
    folder = device.build_options["directory"]
    device.build(directory=folder, compile=False, run=False)
    assert [name for name in device.code_objects if "push_spikes" in name] == []
    compile_project(generated_sources(device), folder)
    device.run()
    found = read()
    for k, name in enumerate(CASES):
        fired = expected["spikes of targets"][1]
        assert ((fired >= k * N) & (fired < (k + 1) * N)).sum() > 20, name
    for name, values in expected.items():
        assert values.size > 100
        if name.startswith("spikes"):
            np.testing.assert_array_equal(found[name], values, err_msg=name)
        else:
            np.testing.assert_allclose(found[name], values, rtol=0, atol=ROUND_OFF, err_msg=name)
    (dense,) = (synapses for synapses in device.synapses if synapses.name == "to_dense")
    with pytest.raises(RuntimeError):
        device.run(run_args=[f"to_dense.{dense.pre.variables['delay'].name}=0.001"])
    assert "a delay of 'to_dense' was set" in capfd.readouterr().err


def test_pathways_are_direct_if_all_synapses_are_stated_to_have_one_delay(numpy_target):
    group = neurons(N, "v : 1", "group")

    def pathway(which="pre", **kwds):
        return type(getattr(DirectSynapses(group, group, **kwds), which))

    jump = "v_post += 0.1"
    assert pathway(on_pre=jump, delay=0 * ms) is DirectPathway
    assert pathway("late", on_pre={"late": jump}, delay={"late": 0 * ms}) is DirectPathway
    assert pathway(on_pre=jump) is not DirectPathway
    assert pathway(on_pre=jump, delay=1 * ms) is DirectPathway
    back = "v_pre += 0.1"
    assert pathway("post", on_post=back, delay={"post": 0 * ms}) is not DirectPathway


def test_other_devices_use_the_queue_and_a_delay_that_is_set_later(numpy_target):
    source = SpikeGeneratorGroup(1, [0], [1] * ms)
    group = neurons(1, "v : 1", "group")
    synapses = DirectSynapses(source, group, on_pre="v_post += 0.5", delay=0 * ms)
    synapses.connect()
    synapses.delay = 2 * ms
    monitor = StateMonitor(group, "v", record=[0])
    Network(source, group, synapses, monitor).run(5 * ms, namespace={})
    assert np.flatnonzero(monitor.v[0])[0] == 31
