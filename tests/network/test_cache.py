"""Compiled programs on disk: whole or not there, whatever happens while they are built."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from brian2 import get_device
from compiled_programs import of_another_process, programs_in

from brian_eprop import RecurrentNetwork
from brian_eprop.network import compilation, compiled

pytestmark = [pytest.mark.standalone, pytest.mark.slow]

INPUTS = np.ones((20, 2), dtype=bool)
#: Prints the spikes of a network, as another process sees them.
PROGRAM = """
import numpy as np
from brian2 import set_device
from brian_eprop import RecurrentNetwork
set_device("cpp_standalone")
network = RecurrentNetwork("lif", 2, 3, 1, seed=0)
network.weights["w_in"][:] = 1.0
print(network.simulate(np.ones((20, 2), dtype=bool)).spikes.astype(int).tolist())
"""


@pytest.fixture
def cache(tmp_path):
    with programs_in(tmp_path / "programs", tmp_path) as folder:
        yield folder


def network():
    one = RecurrentNetwork("lif", 2, 3, 1, seed=0)
    one.weights["w_in"][:] = 1.0
    return one


def spikes():
    return network().simulate(INPUTS).spikes


def started():
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", of_another_process(PROGRAM)], **pipes)


def forked():
    """Another process, with those that it starts; it ends with 0 if there are spikes."""
    child = os.fork()
    if child == 0:
        fired = False
        try:
            os.setsid()
            fired = spikes().any()
        finally:
            os._exit(0 if fired else 1)
    return child


def wait_until(child, condition):
    while not condition():
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it was too fast for this test"
        time.sleep(0.01)


def kill(child):
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)


def programs(folder):
    """The programs that are taken for finished, and all else that is there."""
    found = list(folder.iterdir())
    whole = [path for path in found if path.is_dir() and compilation.interface(path)]
    return whole, [path for path in found if path not in whole]


def test_two_processes_build_one_program_and_get_the_same_numbers(cache):
    both = [started() for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    one, other = (np.array(json.loads(out.splitlines()[-1])) for out, _ in outputs)
    assert one.sum() > 0
    np.testing.assert_array_equal(other, one)
    np.testing.assert_array_equal(spikes(), one)
    # one compiles, the other waits for it
    assert sum("".join(output).count("compiling the network") for output in outputs) == 1
    whole, rest = programs(cache)
    assert len(whole) == 1 and rest == []


def test_a_build_that_is_killed_leaves_nothing_that_is_taken_for_a_program(cache):
    for moment in ("building_*", "building_*/main.cpp", "building_*/brian_eprop_common.h.gch"):
        child = forked()
        wait_until(child, lambda moment=moment: list(cache.glob(moment)))
        kill(child)
        assert programs(cache)[0] == []
    found = spikes()
    assert found.any()
    whole, rest = programs(cache)
    assert len(whole) == 1
    # what was killed could not tidy up; the next build did
    assert rest == []


def test_a_process_that_waits_for_one_that_is_killed_builds_instead(cache):
    first = forked()
    wait_until(first, lambda: list(cache.glob("building_*/main.cpp")))
    os.killpg(first, signal.SIGSTOP)
    second = forked()
    wait_until(second, lambda: any(f.endswith(".lock") for f in open_files(second)))
    kill(first)
    assert os.waitpid(second, 0)[1] == 0
    assert len(programs(cache)[0]) == 1


def open_files(pid):
    return [str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()]


@pytest.mark.parametrize("different", [False, True])
def test_two_threads(cache, different):
    """Brian2's device is one for the whole process: one thread builds after the other."""
    lengths = (20, 10) if different else (20, 20)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda steps: network().simulate(INPUTS[:steps]).spikes, lengths))
    assert found[1].any()
    np.testing.assert_array_equal(found[0][: lengths[1]], found[1])
    assert len(programs(cache)[0]) == 1 + different


def test_a_disk_that_is_full(cache, monkeypatch):
    """When a build begins, when it writes, and when what is finished is moved."""

    def full(*arguments, **options):
        raise OSError(28, "No space left on device", str(cache))

    user, places = get_device(), [(compilation.tempfile, "mkdtemp"), (compilation, "_interface")]
    for place in [*places, (compilation, "_move")]:
        with monkeypatch.context() as patch:
            patch.setattr(*place, full)
            with pytest.raises(OSError, match=r"No space left.*BRIAN_EPROP_CACHE") as raised:
                spikes()
        assert str(cache) in str(raised.value)
        assert get_device() is user
        assert programs(cache) == ([], [])
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
