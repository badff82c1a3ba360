"""Compiled programs on disk: whole or not there, whatever happens while they are built."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from brian2 import get_device, set_device
from brian2.devices.device import reset_device

from brian_eprop import RecurrentNetwork
from brian_eprop.network import compilation, compiled

pytestmark = [pytest.mark.standalone, pytest.mark.slow, pytest.mark.optimized]

INPUTS = np.ones((20, 2), dtype=bool)
#: Prints the spikes of a network, as another process sees them.
PROGRAM = """
import numpy as np
from brian2 import set_device
from brian_eprop import RecurrentNetwork
set_device("cpp_standalone")
network = RecurrentNetwork("lif", 2, 3, 1, seed=0)
network.weights["w_in"][:] = 1.0
print("ready", flush=True)
print(network.simulate(np.ones((20, 2), dtype=bool)).spikes.astype(int).tolist())
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "programs"
    monkeypatch.setenv("BRIAN_EPROP_CACHE", str(folder))
    set_device("cpp_standalone", directory=str(tmp_path / "of_the_user"), build_on_run=False)
    yield folder
    get_device().reinit()
    reset_device()


def network():
    one = RecurrentNetwork("lif", 2, 3, 1, seed=0)
    one.weights["w_in"][:] = 1.0
    return one


def spikes():
    return network().simulate(INPUTS).spikes


def started():
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", PROGRAM], start_new_session=True, **pipes)


def printed(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return np.array(json.loads(out.removeprefix("ready\n")))


def programs(folder):
    """The programs that are taken for finished, and all else that is there."""
    found = list(folder.iterdir())
    whole = [path for path in found if path.is_dir() and compilation.interface(path)]
    return whole, [path for path in found if path not in whole]


def test_two_processes_build_one_program_and_get_the_same_numbers(cache):
    one, other = started(), started()
    found = printed(one)
    assert found.sum() > 0
    np.testing.assert_array_equal(printed(other), found)
    np.testing.assert_array_equal(spikes(), found)
    whole, rest = programs(cache)
    assert len(whole) == 1 and rest == []


def test_a_build_that_is_killed_leaves_nothing_that_is_taken_for_a_program(cache):
    """At several moments, and another process that waits for it goes on by itself."""
    for moment in ("building_*", "building_*/main.cpp", "building_*/brian_eprop_common.h.gch"):
        process = started()
        while not list(cache.glob(moment)):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert programs(cache)[0] == []
    found = spikes()
    assert found.any()
    whole, rest = programs(cache)
    assert len(whole) == 1
    # what was killed could not tidy up; the next build did
    assert rest == []


def test_a_process_that_waits_for_one_that_is_killed_builds_instead(cache):
    first = started()
    while not list(cache.glob("*.lock")):
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    second = started()
    assert second.stdout.readline() == "ready\n"
    time.sleep(0.5)
    assert first.poll() is None, "it was too fast for this test"
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert printed(second).sum() > 0
    assert len(programs(cache)[0]) == 1


@pytest.mark.parametrize("different", [False, True])
def test_two_threads(cache, different):
    """Brian2's device is one for the whole process: one thread builds after the other."""
    lengths = (20, 10) if different else (20, 20)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda steps: network().simulate(INPUTS[:steps]).spikes, lengths))
    assert found[1].any()
    np.testing.assert_array_equal(found[0][: lengths[1]], found[1])
    assert len(programs(cache)[0]) == 1 + different


@pytest.mark.parametrize("when", ["begin", "write", "move"])
def test_a_disk_that_is_full(cache, monkeypatch, when):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device", str(cache))

    where = {"begin": (compilation.tempfile, "mkdtemp"), "move": (compilation, "_move")}
    where["write"] = (compilation, "_interface")
    user = get_device()
    monkeypatch.setattr(*where[when], full)
    with pytest.raises(OSError, match=r"No space left.*BRIAN_EPROP_CACHE") as raised:
        spikes()
    assert str(cache) in str(raised.value)
    assert get_device() is user
    assert programs(cache) == ([], [])
    monkeypatch.undo()
    monkeypatch.setenv("BRIAN_EPROP_CACHE", str(cache))
    assert spikes().any()


def test_a_compiler_without_room_says_where(cache, monkeypatch):
    """The compiler's own words, the folder, and nothing left behind."""
    command = compilation.subprocess.run

    def run(arguments, **options):
        if arguments[0] != "make":
            return command(arguments, **options)
        said = "fatal error: error writing to main.o: No space left on device"
        return subprocess.CompletedProcess(arguments, 2, "", said)

    monkeypatch.setattr(compilation.subprocess, "run", run)
    with pytest.raises(RuntimeError, match=r"(?s)could not be compiled.*No space left") as raised:
        spikes()
    assert "BRIAN_EPROP_CACHE" in str(raised.value)
    assert programs(cache) == ([], [])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_that_is_read_only_for_users(cache):
    cache.mkdir()
    cache.chmod(0o500)
    try:
        with pytest.raises(OSError, match=r"cannot be kept in .*BRIAN_EPROP_CACHE"):
            spikes()
    finally:
        cache.chmod(0o700)


def test_a_home_that_cannot_be_written_to(cache, monkeypatch):
    """As from a read-only file system, which stops root as well."""

    def refuse(*arguments, **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(compilation.tempfile, "mkdtemp", refuse)
    monkeypatch.delenv("BRIAN_EPROP_CACHE")
    monkeypatch.setattr(compiled.platformdirs, "user_cache_path", lambda name: cache / name)
    with pytest.raises(OSError, match=r"cannot be kept in .*Read-only.*BRIAN_EPROP_CACHE"):
        spikes()
    assert not any(path.is_file() for path in cache.rglob("*"))


def test_a_program_that_is_there_needs_no_place_to_write(cache, monkeypatch):
    expected = spikes()

    def refuse(*arguments, **options):
        raise AssertionError("nothing is to be built")

    monkeypatch.setattr(compiled, "build", refuse)
    np.testing.assert_array_equal(spikes(), expected)
