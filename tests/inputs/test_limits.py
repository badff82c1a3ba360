"""What is too large, too deep, empty or of another package: a message, and at once."""

import io
import json
import os
import resource
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from brian2 import defaultclock, ms

from brian_eprop import (
    BPTT,
    EProp,
    LeakyReadout,
    Learner,
    RecurrentNetwork,
    TrainableSynapses,
    load_model,
    memory,
)
from brian_eprop.quantities import quantity

pytestmark = pytest.mark.usefixtures("numpy_target")
GIGABYTE = 2**30


# -------------------------------------------------------------------------- memory of containers
def machine(folder, monkeypatch, groups, files):
    """A machine with 8 GB free and these control groups."""
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "meminfo").write_text(f"MemAvailable: {8 * 2**20} kB\n")
    (folder / "proc" / "self" / "cgroup").write_text(groups)
    for name, content in files.items():
        path = folder / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(content))
    monkeypatch.setattr(memory, "PROCESSES", folder / "proc")
    monkeypatch.setattr(memory, "GROUPS", folder / "groups")


def limits(folder, limit, used, names=("memory.max", "memory.current"), files=0):
    stat = f"anon 1\ninactive_file {files}\ntotal_inactive_file {files}\n"
    values = dict(zip(names, (limit, used), strict=True)) | {"memory.stat": stat}
    return {f"{folder}/{name}": value for name, value in values.items()}


VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {}, 8),
        ("0::/\n", limits(".", 4 * GIGABYTE, 3 * GIGABYTE), 1),
        ("0::/\n", limits(".", 4 * GIGABYTE, 3 * GIGABYTE, files=GIGABYTE), 2),
        ("0::/\n", limits(".", "max", 3 * GIGABYTE), 8),
        ("0::/\n", limits(".", GIGABYTE, 3 * GIGABYTE), 0),
        # the group around it is the narrower one
        ("0::/a/b\n", limits("a", 2 * GIGABYTE, 0) | limits("a/b", "max", 0), 2),
        ("4:cpu,memory:/job\n", limits("memory/job", 3 * GIGABYTE, 0, VERSION_1), 3),
        # a path of the host, which cannot be seen inside the container
        ("4:memory:/docker/12\n", limits("memory", 3 * GIGABYTE, 0, VERSION_1), 3),
        ("4:memory:/\n", limits("memory", 2**63 - 4096, 0, VERSION_1), 8),
    ],
)
def test_free_memory_is_that_of_the_container(groups, files, expected, tmp_path, monkeypatch):
    machine(tmp_path, monkeypatch, groups, files)
    assert memory.available_memory() == expected * GIGABYTE


def test_without_linux_the_limit_is_what_the_machine_has_and_this_process_does_not_take(
    tmp_path, monkeypatch
):
    """As on macOS: there is no /proc, no control group and no count of free pages."""
    monkeypatch.setattr(memory, "PROCESSES", tmp_path / "proc")
    counts = {"SC_PAGE_SIZE": 16384, "SC_PHYS_PAGES": 8 * GIGABYTE // 16384}
    monkeypatch.setattr(os, "sysconf", counts.__getitem__)
    # of this process, in kilobytes here and in bytes on macOS
    for platform, peak in ("linux", 2 * 2**20), ("darwin", 2 * GIGABYTE):
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setattr(resource, "getrusage", lambda _, m=peak: SimpleNamespace(ru_maxrss=m))
        assert memory.available_memory() == 6 * GIGABYTE
    memory.check_memory(5 * GIGABYTE, "the past of a trial takes", "shorten it")
    with pytest.raises(MemoryError, match=r"takes 7\.52 GB, but 6\.44 GB are free"):
        memory.check_memory(7 * GIGABYTE, "the past of a trial takes", "shorten it")


def test_what_this_process_takes_is_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "PROCESSES", tmp_path / "proc")
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    block = np.ones(2**25)  # 268 MB
    assert there - 100 * GIGABYTE < memory.available_memory() < there - block.nbytes


# ------------------------------------------------------------------------------------- quantities
@pytest.mark.parametrize(
    "text",
    [
        *("9**9**9*ms", "9**9**9**9", "ms*-9**9**9", "2**(3**(4**5))*ms", "1e308**2*ms"),
        *("1<<9**9", "7//2*ms", "7%2*ms", "1" + "0" * 400, "0**-1*ms"),
        *("(" * 5000 + "1" + ")" * 5000, "-" * 20000 + "1", "+".join(["1"] * 50000)),
    ],
)
def test_hostile_quantities_are_refused_at_once(text):
    with pytest.raises(ValueError):
        quantity(text)


def test_powers_that_people_write_still_count():
    assert quantity("2**3*ms") == 8 * ms
    assert quantity("(4*ms**2)**(1/2)") == 2 * ms
    assert quantity("10**-3*ms") == 1e-3 * ms
    assert quantity("3") == 3.0


# ------------------------------------------------------------------------------------------ files
def hostile_network(path, replaced):
    """A saved network, one member of whose archive has other bytes."""
    RecurrentNetwork("lif", 2, 3, 1, seed=0).save(path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in (members | replaced).items():
            file.writestr(name, content)


def as_npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_a_network_nested_without_end_is_refused(tmp_path):
    deep = '{"format": ' + "[" * 200_000 + "]" * 200_000 + "}"
    hostile_network(tmp_path / "deep.npz", {"config.npy": as_npy(np.array(deep))})
    with pytest.raises(ValueError, match=r"deep\.npz' is damaged"):
        RecurrentNetwork.load(tmp_path / "deep.npz")


def test_a_network_that_pretends_to_be_huge_is_refused(tmp_path):
    header, path = io.BytesIO(), tmp_path / "huge.npz"
    about = {"descr": "<f8", "fortran_order": False, "shape": (10**14,)}
    np.lib.format.write_array_header_1_0(header, about)
    hostile_network(path, {"weights/w_in.npy": header.getvalue()})
    with pytest.raises(ValueError, match="is damaged"):
        RecurrentNetwork.load(path)


def test_a_model_nested_without_end_is_refused(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text("name = " + "[" * 100_000 + json.dumps(1))
    with pytest.raises(ValueError, match=r"deep\.toml: this is not TOML"):
        load_model(path)


# --------------------------------------------------------------------------------------- networks
def test_more_numbers_than_brian2_counts_are_refused_before_compiling():
    network = RecurrentNetwork("lif", 3000, 2, 1, seed=0)
    with pytest.raises(
        ValueError, match=r"8 trials of 1000000 steps with 3000 inputs are 24000000000 "
    ):
        network.prepare(1000, 1_000_000)
    wide = RecurrentNetwork("lif", 1, 2, 3000, seed=0)
    with pytest.raises(
        ValueError, match=r"with 3000 outputs are 24000000000 numbers.*fewer trials"
    ):
        wide.prepare(1000, 1_000_000, learning=False)


def empty(*names):
    shapes = {"w_in": (3, 4), "w_rec": (4, 4), "w_out": (4, 2)}
    return {name: np.zeros(shapes[name], dtype=bool) for name in names}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("rule", [EProp(), EProp(engine="traces"), EProp(order=2), BPTT()])
@pytest.mark.parametrize(
    ("without", "feedback", "message"),
    [
        (("w_out",), "symmetric", r"connectivity\['w_out'\] has no synapse.*connect the readout"),
        (("w_in", "w_rec"), "random", r"ends on population 0 \(lif\).*connect it"),
        (("w_in", "w_rec", "w_out"), "adaptive", r"ends on population 0 \(lif\)"),
    ],
)
def test_a_network_in_which_nothing_can_learn_is_refused(rule, without, feedback, message):
    network = RecurrentNetwork(
        "lif", 3, 4, 2, connectivity=empty(*without), feedback=feedback, rule=rule, seed=0
    )
    inputs = np.ones((10, 3), dtype=bool)
    with pytest.raises(ValueError, match=message):
        network.gradients(inputs, np.zeros((10, 2)))
    assert network.simulate(inputs).readout.shape == (10, 2)


class Tensor:
    """What Brian2 sees of a tensor of torch."""

    def __init__(self, values, error=None):
        self.values, self.error = values, error

    def dim(self):
        return self.values.ndim

    def __array__(self, dtype=None, copy=None):
        if self.error is not None:
            raise self.error
        return self.values if dtype is None else self.values.astype(dtype)


@pytest.mark.slow
def test_tensors_are_arrays():
    rng = np.random.default_rng(0)
    inputs, targets = rng.random((30, 3)) < 0.6, rng.normal(size=(30, 2))
    w_in = rng.uniform(0.3, 0.9, (3, 4))
    plain = RecurrentNetwork("lif", 3, 4, 2, weights={"w_in": w_in}, seed=0)
    tensors = RecurrentNetwork("lif", 3, 4, 2, weights={"w_in": Tensor(w_in)}, seed=0)
    expected = plain.gradients(inputs, targets).w_in
    assert abs(expected).max() > 0
    found = tensors.gradients(Tensor(inputs), Tensor(targets)).w_in
    np.testing.assert_array_equal(found, expected)
    for error in (RuntimeError("it requires grad"), TypeError("it is on a device")):
        for wrong in ((Tensor(inputs, error), targets), (inputs, Tensor(targets, error))):
            with pytest.raises(ValueError, match=r"it .*tensor\.detach\(\)\.cpu\(\)\.numpy\(\)"):
                plain.gradients(*wrong)


def test_a_second_learner_on_a_group_is_named():
    defaultclock.dt = 1 * ms
    cells = load_model("lif").group(3, name="hidden", dt=1 * ms)
    one, two = (
        Learner(LeakyReadout(1, 20 * ms, target=np.zeros((9, 1)), name=name), feedback="random")
        for name in ("first", "second")
    )
    first = TrainableSynapses(cells, cells, on_pre="v_post += w*mV", learner=one)
    with pytest.raises(ValueError, match=r"learner of readout 'first' already.*'second' too; give"):
        TrainableSynapses(cells, cells, on_pre="v_post += w*mV", learner=two)
    assert first.name
