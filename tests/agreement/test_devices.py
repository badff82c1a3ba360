"""Compiled targets give the numbers of the numpy target."""

import numpy as np
import pytest
from attrs import evolve
from brian2 import Synapses, device, prefs, set_device
from brian_networks import BLOCKS, DT, build, difference
from compiled_programs import compile_some
from random_networks import random_network, random_task

from brian_eprop import Adam
from brian_eprop.learning.rule import ENGINES
from brian_eprop.reference import gradients

# Compilers may contract a*b + c; some hundred steps let a difference of one bit grow.
TOLERANCE = 1e-12


def everything(engine, other_code=False):
    """A network that uses every feature that generates code of its own.

    With other code, too: a gate in the threshold, and plain synapses that scale a state.
    """
    network = random_network(
        31,
        loss="cross_entropy",
        average=True,
        rate_strength=5.0,
        rate_target=0.1,
        reset_path={"v": "implicit"},
        max_n_ref=3,
    )
    network = evolve(network, readout_gain=1 - network.kappa)
    inputs, targets = random_task(31, "cross_entropy", batch=4)
    brian = build(
        network,
        inputs,
        targets,
        engine=engine,
        learning_window=15,
        feedback="adaptive",
        feedback_decay=0.1,
        seed=1,
        optimizer=Adam(0.01),
        update_every=2 * inputs.shape[1] * DT,
        bounds=(-0.9, 0.9),
        gate=" and (i + timestep(t, dt)) % 5 > 0" if other_code else "",
    )
    if not other_code:
        return brian
    scaling = Synapses(
        brian.source,
        brian.neurons,
        "f : 1 (constant)",
        on_pre="v_post *= f",
        name="scaling",
        namespace={},
    )
    scaling.connect()
    scaling.f = np.linspace(0.7, 1.1, len(scaling))
    brian.network.add(scaling)
    return brian


def presynaptic():
    """The traces that are kept per presynaptic neuron, and symmetric feedback."""
    network = random_network(32, alpha=0.9, max_delay=0, feedback=None)
    inputs, targets = random_task(32, "mse", batch=3)
    return network, inputs, targets


def final_results(brian):
    """What is compared after a run."""
    brian.run()
    found = {name: brian.matrix(name, "w") for name in BLOCKS}
    found |= {f"gradient {name}": brian.matrix(name, "grad") for name in BLOCKS}
    found["raster"] = brian.raster.astype(float)
    found["y"] = np.array(brian.output.y)
    found["loss"] = np.array(brian.loss)
    if "B" in brian.synapses["w_out"].variables:
        found["B"] = brian.matrix("w_out", "B")
    return found


def results(brian):
    """The same, and what is recorded in every step."""
    vectors = brian.monitor("w_rec", "eps_v", when="before_end")
    traces = brian.monitor("w_rec", ["e_trace", "e_bar", "grad"])
    signals = brian.monitor(None, ["psi", "L"])
    found = final_results(brian)
    found["eps_v"] = np.array(vectors.eps_v_)
    for monitor, names in ((traces, ("e_trace", "e_bar", "grad")), (signals, ("psi", "L"))):
        found |= {name: np.array(getattr(monitor, f"{name}_")) for name in names}
    return found


def assert_same(found, expected):
    assert expected["raster"].sum() > 20
    wrong = {n: difference(found[n], expected[n]) for n in expected}
    assert not {name: value for name, value in wrong.items() if not value < TOLERANCE}


@pytest.fixture
def standalone(tmp_path):
    def start(name):
        set_device("cpp_standalone", directory=tmp_path / name, build_on_run=True)

    yield start
    device.reinit()
    set_device("runtime")


@pytest.mark.slow
@pytest.mark.standalone
@pytest.mark.optimized
def test_all_features_in_standalone(numpy_target, standalone):
    expected = results(everything("traces"))
    standalone("traces")
    assert_same(results(everything("traces")), expected)
    # A second program begins with nothing of the first
    device.reinit()
    standalone("credit")
    found = final_results(everything("credit"))
    assert_same(found, {name: expected[name] for name in found})


@pytest.mark.slow
@pytest.mark.standalone
def test_presynaptic_traces_in_standalone(numpy_target, standalone):
    task = presynaptic()
    expected = results(build(*task, engine="traces"))
    reference = gradients(*task, rule="eprop")
    standalone("presynaptic")
    found = results(build(*task, engine="traces"))
    assert_same(found, expected)
    for name in BLOCKS:
        assert difference(found[f"gradient {name}"] / 3, getattr(reference, name)) < 1e-10


#: Learning adds nothing to the source and the monitors, and to the synapses of the inputs, to
#: those of the outputs and to the readout here what it adds to the recurrent ones and the neurons.
ALIKE = ("spikes", "output", "inputs", "synapses_in")
ALIKE += tuple(f"synapses_out_{of}" for of in ("optimizer", "credit", "traces"))
ALIKE += tuple(f"readout_{of}" for of in ("trial_start", "recorder", "begin"))
#: Brian2 alone updates states, looks for spikes, resets, and delivers spikes of plain synapses.
ALIKE += tuple(f"hidden_{of}" for of in ("stateupdater", "spike_thresholder", "spike_resetter"))
ALIKE += ("readout_stateupdater", "scaling")


def once_each(obj):
    """Whether no other object has the same code with other names."""
    return not obj.name.startswith(ALIKE)


@pytest.mark.slow
@pytest.mark.cython
def test_all_features_with_cython(numpy_target):
    """The second network finds compiled what it shares with the first."""
    for engine in ENGINES:
        # traces do not follow other code
        options = {"engine": engine, "other_code": engine == "credit"}
        expected = final_results(everything(**options))
        brian = everything(**options)
        # Brian2 alone compiles how synapses are made
        _, left = compile_some(brian.network, once_each)
        assert len(left) < 32
        assert_same(final_results(brian), expected)
        prefs.codegen.target = "numpy"
