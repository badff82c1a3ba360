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
from brian2 import get_device
from compiled_programs import of_another_process, programs_in

from brian_eprop import RecurrentNetwork
from brian_eprop.brian import fast_build
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


def wait_until(child, condition, *arguments):
    while not condition(*arguments):
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it was too fast for this test"
        time.sleep(0.01)


def there(folder, pattern):
    return any(folder.glob(pattern))


def waits(child):
    """Whether it has opened a file that another process has locked."""
    files = os.scandir(f"/proc/{child}/fd")
    return any(os.path.realpath(file).endswith(".lock") for file in files)


def kill(child):
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)


def programs(folder):
    """The programs that are taken for finished, and all else that is there."""
    found = list(folder.iterdir())
    whole = [path for path in found if path.is_dir() and compilation.interface(path)]
    return whole, [path for path in found if path not in whole]


def test_two_processes_build_one_program_and_a_third_needs_no_place_to_write(cache, monkeypatch):
    both = [started() for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    one, other = (np.array(json.loads(out.splitlines()[-1])) for out, _ in outputs)
    assert one.sum() > 0
    np.testing.assert_array_equal(other, one)
    # one compiles, the other waits for it
    assert sum("".join(output).count("compiling the network") for output in outputs) == 1
    whole, rest = programs(cache)
    assert len(whole) == 1 and rest == []
    monkeypatch.setattr(compiled, "build", pytest.fail)
    np.testing.assert_array_equal(spikes(), one)


def test_a_build_that_is_killed_leaves_nothing_that_is_taken_for_a_program(cache):
    """At several moments, and another process that waits for it builds instead."""
    for moment in ("building_*", "building_*/main.cpp", "building_*/brian_eprop_common.h.gch"):
        child = forked()
        wait_until(child, there, cache, moment)
        os.killpg(child, signal.SIGSTOP)
        if moment.endswith(".gch"):
            waiting = forked()
            wait_until(waiting, waits, waiting)
        kill(child)
        assert programs(cache)[0] == []
    assert os.waitpid(waiting, 0)[1] == 0
    whole, rest = programs(cache)
    assert len(whole) == 1
    # what was killed could not tidy up; the next build did
    assert rest == []


def test_threads_build_one_after_the_other(cache):
    """Brian2's device is one for the whole process."""
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda n: network().simulate(INPUTS[:n]).spikes, (20, 20, 10)))
    assert found[2].any()
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0][:10], found[2])
    assert len(programs(cache)[0]) == 2


def make_as(monkeypatch, code, said=""):
    """Instead of the compiler, one that does nothing and ends with a code."""
    monkeypatch.setattr(fast_build, "_called", lambda *_: (code, said))


def test_a_disk_that_is_full(cache, monkeypatch):
    """When a build begins, when it writes, and when what is finished is moved."""

    def full(*arguments, **options):
        raise OSError(28, "No space left on device", str(cache))

    user, places = get_device(), [(compilation.tempfile, "mkdtemp"), (compilation, "_interface")]
    for place in [*places, (compilation, "_move")]:
        with monkeypatch.context() as patch:
            make_as(patch, 0)
            patch.setattr(*place, full)
            with pytest.raises(OSError, match=r"No space left.*BRIAN_EPROP_CACHE") as raised:
                spikes()
        assert str(cache) in str(raised.value)
        assert get_device() is user
        assert programs(cache) == ([], [])
    assert spikes().any()


def test_a_compiler_without_room_says_where(cache, monkeypatch):
    """The compiler's own words, the folder, and nothing left behind."""
    make_as(monkeypatch, 2, "fatal error: error writing to main.o: No space left on device")
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
