"""Networks as compiled programs: the numbers of the numpy target, built once, kept, shared."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from brian2 import Hz, Network, NeuronGroup, StateMonitor, get_device, ms, prefs, set_device
from brian2.devices.device import reset_device
from comparing import assert_gradients_equal
from compiled_programs import of_another_process, programs_in

from brian_eprop import (
    Adam,
    EProp,
    Exponential,
    FiringRateRegularizer,
    MultiGaussian,
    RecurrentNetwork,
)
from brian_eprop.network import compilation, compiled
from brian_eprop.network.projections import BatchShape, Block

# other order of the sums
ROUND_OFF = 1e-12
BLOCKS = ("w_in", "w_rec", "w_out")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@pytest.fixture
def standalone(cache, monkeypatch, tmp_path, numpy_target):
    """Brian2's C++ standalone device, and a list that grows with each program that is built."""
    builds = []

    def counted(*arguments):
        builds.append(arguments)
        compilation.build(*arguments)

    monkeypatch.setattr(compiled, "build", counted)
    with programs_in(cache, tmp_path):
        yield builds


def plain_network():
    network = RecurrentNetwork("alif", 35, 9, 2, optimizer=Adam(1e-2), seed=1)
    network.weights["w_in"] *= 2
    return network


def rich_network():
    """Most of what a network can have."""
    rng = np.random.default_rng(0)
    neurons = [
        ("lif", 5, {"t_ref": 2 * ms, "tau_m": np.linspace(8, 20, 5) * ms}),
        ("alif", 4, {"beta": 0.3, "tau_a": 50 * ms, "surrogate": Exponential("0.3/v_th", 0.5)}),
    ]
    network = RecurrentNetwork(
        neurons,
        35,
        9,
        2,
        tau_out=10 * ms,
        loss="cross_entropy",
        normalize=True,
        average=True,
        feedback="adaptive",
        feedback_decay=0.1,
        connectivity={"w_rec": rng.random((9, 9)) < 0.6, "w_out": rng.random((9, 2)) < 0.8},
        rule=EProp(reset_path={"v": "implicit"}),
        regularizers=[FiringRateRegularizer(10 * Hz, 100.0)],
        optimizer=Adam(1e-2),
        seed=1,
    )
    network.weights["w_in"] *= 2
    return network


def trials(seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((3, 60, 35)) < 0.1, rng.dirichlet(np.ones(2), (3, 60))


def on_numpy(function):
    set_device("runtime")
    try:
        return function()
    finally:
        reset_device()


@pytest.mark.first_case_is_fast
@pytest.mark.standalone
@pytest.mark.parametrize("made", [plain_network, rich_network])
def test_one_program_serves_all_weights_inputs_and_targets(standalone, made):
    network, twin = made(), made()
    for update in range(2):
        inputs, targets = trials(update)
        found = network.gradients(inputs, targets, learning_window=40)
        expected = on_numpy(lambda i=inputs, t=targets: twin.gradients(i, t, learning_window=40))
        assert expected.spikes.sum() > 50
        assert_gradients_equal(found, expected, tolerance=ROUND_OFF)
        network.apply(found)
        twin.apply(expected)
    assert len(standalone) == 1


@pytest.mark.slow
@pytest.mark.standalone
def test_another_network_of_the_same_description_builds_nothing(standalone):
    inputs, targets = trials()
    rich_network().gradients(inputs, targets, learning_window=40)
    standalone.clear()
    other = rich_network()
    other.weights["w_rec"] *= -1
    expected = on_numpy(lambda: other.gradients(inputs, targets, learning_window=40))
    assert_gradients_equal(
        other.gradients(inputs, targets, learning_window=40),
        expected,
        tolerance=ROUND_OFF,
    )
    assert standalone == []


@pytest.mark.slow
@pytest.mark.standalone
def test_another_process_builds_nothing(standalone, tmp_path):
    inputs, targets = trials()
    network = rich_network()
    expected = network.gradients(inputs, targets, learning_window=40)
    network.save(tmp_path / "network.npz")
    np.savez(tmp_path / "trials.npz", inputs=inputs, targets=targets)
    code = """
import sys
import numpy as np
from brian2 import set_device
from brian_eprop import RecurrentNetwork
from brian_eprop.network import compiled
def refuse(*arguments):
    raise AssertionError("a program is built")
compiled.build = refuse
set_device("cpp_standalone")
network = RecurrentNetwork.load(sys.argv[1] + "/network.npz")
with np.load(sys.argv[1] + "/trials.npz") as file:
    found = network.gradients(file["inputs"], file["targets"], learning_window=40)
np.savez(sys.argv[1] + "/found.npz", w_rec=found.w_rec, loss=found.loss)
"""
    command = [sys.executable, "-c", of_another_process(code), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "found.npz") as file:
        np.testing.assert_array_equal(file["w_rec"], expected.w_rec)
        assert file["loss"] == expected.loss


@pytest.mark.slow
@pytest.mark.standalone
def test_what_the_user_has_prepared_on_the_device_is_not_disturbed(standalone):
    user = get_device()
    group = NeuronGroup(3, "dx/dt = -x/(10*ms) : 1", method="exact", dt=0.1 * ms)
    group.x = 1
    monitor = StateMonitor(group, "x", record=True)
    own = Network(group, monitor)
    network = rich_network()
    network.gradients(*trials(), learning_window=40)
    own.run(5 * ms, namespace={})
    assert get_device() is user
    assert not any("population_0" in str(variable.owner.name) for variable in user.arrays)
    network.gradients(*trials(), learning_window=40)
    user.build(directory=user.build_options["directory"], with_output=False)
    np.testing.assert_allclose(monitor.x[:, -1], np.exp(-0.49), rtol=1e-9)
    own_runtime = on_numpy(lambda: rich_network().simulate(trials()[0]))
    assert own_runtime.spikes.any()


@pytest.mark.slow
@pytest.mark.standalone
def test_a_damaged_interface_or_a_missing_program_is_built_again(standalone, cache, monkeypatch):
    inputs, targets = trials()
    expected = rich_network().gradients(inputs, targets, learning_window=40)
    description = rich_network().description
    folder = cache / compiled._key(description, BatchShape(3, 60, 40))
    intact = folder.with_name("intact")
    shutil.copytree(folder, intact)

    def from_copy(target, *arguments):
        made = target.with_name("building_test")
        shutil.copytree(intact, made)
        compilation._move(made, target)
        rebuilt.append(target)

    monkeypatch.setattr(compiled, "build", from_copy)
    interface = (intact / compilation.INTERFACE).read_text()
    damages = [
        lambda: (folder / compilation.INTERFACE).write_text(interface[:-10]),
        lambda: (folder / compilation.INTERFACE).write_text("[]"),
        lambda: (folder / compilation.INTERFACE).unlink(),
        lambda: (folder / "main").unlink(),
        lambda: shutil.rmtree(folder),
    ]
    for damage in damages:
        rebuilt = []
        damage()
        assert_gradients_equal(
            rich_network().gradients(inputs, targets, learning_window=40),
            expected,
            tolerance=ROUND_OFF,
        )
        assert rebuilt == [folder]
    assert sorted(p.name for p in cache.iterdir() if p.name.startswith("building_")) == []


@pytest.mark.slow
@pytest.mark.standalone
def test_a_damaged_program_is_reported_with_its_folder(standalone, cache, tmp_path, monkeypatch):
    inputs, targets = trials()
    network = rich_network()
    network.gradients(inputs, targets, learning_window=40)
    (backend,) = network._networks.values()
    (program,), copy = backend.programs, tmp_path / "copy"
    program.end()
    shutil.copytree(program.folder, copy)
    program.folder = copy
    main = copy / "main"
    content = main.read_bytes()
    for damaged in (content[:1000], b"not a program", b""):
        main.write_bytes(damaged)
        with pytest.raises(RuntimeError, match=r"remove the folder '.*copy'"):
            network.gradients(inputs, targets, learning_window=40)
    main.unlink()
    with pytest.raises(RuntimeError, match=r"remove the folder '.*copy'"):
        network.gradients(inputs, targets, learning_window=40)
    # a program for another network: its arrays have other sizes
    main.write_bytes(content)
    main.chmod(0o755)
    with monkeypatch.context() as changed:
        changed.setattr(Block, "take", lambda block, matrix: np.zeros(7))
        with pytest.raises(RuntimeError, match=r"takes \d+ numbers as '.*', not 7.*copy'"):
            network.gradients(inputs, targets, learning_window=40)
    program.end()
    dtype, _ = program.interface["results"]["readout.__outputs"]
    program.interface["results"]["readout.__outputs"] = [dtype, 7]
    with pytest.raises(RuntimeError, match=r"(?s)copy'.*shared with Python cannot be used"):
        network.gradients(inputs, targets, learning_window=40)


@pytest.mark.slow
@pytest.mark.standalone
def test_a_program_writes_no_file_and_tells_its_processor_time(standalone):
    inputs, targets = trials()
    network = rich_network()
    network.gradients(inputs, targets, learning_window=40)
    (backend,) = network._networks.values()
    places = [backend.programs[0].folder, Path(tempfile.gettempdir()), Path.cwd()]
    before = [set(place.iterdir()) for place in places]
    for _ in range(2):
        network.gradients(inputs, targets, learning_window=40)
        assert 0 < backend.simulation_seconds < backend.program_seconds < 1
    new = set.union(*(set(place.iterdir()) for place in places)) - set.union(*before)
    assert not [path for path in new if "brian_eprop" in path.name or path.suffix == ".dat"]


def test_a_cache_folder_that_cannot_be_made_is_named(standalone, tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("BRIAN_EPROP_CACHE", str(file / "programs"))
    with pytest.raises(OSError, match=r"cannot be kept in '.*file/programs'.*BRIAN_EPROP_CACHE"):
        rich_network().gradients(*trials())


def test_a_missing_compiler_is_named_and_nothing_is_left_behind(standalone, tmp_path, monkeypatch):
    monkeypatch.setenv("BRIAN_EPROP_CACHE", str(tmp_path / "programs"))
    user = get_device()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="'make' is not installed"):
        RecurrentNetwork("lif", 2, 3, 1).simulate(np.ones((5, 2), dtype=bool))
    assert get_device() is user
    assert list((tmp_path / "programs").iterdir()) == []


def test_the_cache_is_in_the_users_folder_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.setenv("BRIAN_EPROP_CACHE", "/somewhere")
    assert compiled.cache_folder() == Path("/somewhere")
    monkeypatch.delenv("BRIAN_EPROP_CACHE")
    assert compiled.cache_folder().name == "brian_eprop"


def test_everything_that_reaches_the_code_changes_the_name_of_the_program(monkeypatch):
    base = dict(neurons="lif", n_in=2, n_rec=3, n_out=1)

    def key(shape=(1, 10), **changes):
        network = RecurrentNetwork(**base | changes)
        return compiled._key(network.description, BatchShape(*shape))

    mask = np.zeros((3, 3), dtype=bool)
    names = [
        key(),
        key((2, 10)),
        key((1, 11)),
        key((1, 10, 5)),
        key((1, 10, None, False)),
        key(n_in=3),
        key(n_out=2),
        key(neurons=[("lif", 3, {"tau_m": 21 * ms})]),
        key(neurons=[("lif", 3, {"tau_m": np.array([20, 20, 21]) * ms})]),
        key(neurons=[("lif", 2, {}), ("lif", 1, {})]),
        key(neurons=[("lif", 3, {"surrogate": MultiGaussian(0.5, 0.5)})]),
        key(loss="cross_entropy"),
        key(normalize=True),
        key(average=True),
        key(feedback="random"),
        key(connectivity={"w_rec": mask}),
        key(rule=EProp(reset_path={"v": "implicit"})),
        key(rule=EProp(surrogate=MultiGaussian(0.5, 0.5))),
        key(regularizers=[FiringRateRegularizer(5 * Hz)]),
        key(tau_out=21 * ms),
        key(dt=0.5 * ms),
    ]
    old = prefs["codegen.cpp.extra_compile_args_gcc"]
    try:
        prefs["codegen.cpp.extra_compile_args_gcc"] = ["-O1"]
        names.append(key())
    finally:
        prefs["codegen.cpp.extra_compile_args_gcc"] = old
    assert len(set(names)) == len(names)
    assert key() == names[0]
    assert key(seed=3, optimizer=Adam(1e-3), weights={"w_rec": np.ones((3, 3))}) == names[0]


def test_an_interface_is_plain_json(tmp_path):
    (tmp_path / "main").write_text("")
    (tmp_path / "main").chmod(0o755)
    content = {"given": {"a.b": ["<f8", 3]}, "results": {}}
    (tmp_path / compilation.INTERFACE).write_text(json.dumps(content))
    assert compilation.interface(tmp_path) == content
    (tmp_path / "main").chmod(0o644)
    assert compilation.interface(tmp_path) is None
