"""Compiled programs that stay: a call is as good as a new process, and none is left behind."""

import copy
import gc
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from brian2 import ms
from compiled_programs import (
    alive,
    assert_identical,
    of_another_process,
    programs_in,
    programs_of,
    stopped,
)
from joblib import delayed

from brian_eprop import Adam, DaleLaw, DeepR, EProp, RecurrentNetwork
from brian_eprop.network import resident
from brian_eprop.network.workers import Workers

pytestmark = [pytest.mark.standalone, pytest.mark.slow]

N_IN, N_REC, N_OUT, STEPS, BATCH = 6, 10, 2, 50, 2


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(autouse=True)
def standalone(cache, tmp_path):
    with programs_in(cache, tmp_path):
        yield


def plain(**options):
    """A network of which one program serves most of these tests."""
    made = RecurrentNetwork("alif", N_IN, N_REC, N_OUT, seed=2, **options)
    made.weights["w_in"] *= 2
    return made


def rich():
    """Orders, delays of all kinds, two populations, trained parameters, constraints."""
    rng = np.random.default_rng(7)
    neurons = [("lif", 4, {"t_ref": 2 * ms}), ("alif", 6, {"tau_a": 40 * ms})]
    made = RecurrentNetwork(
        neurons,
        N_IN,
        N_REC,
        N_OUT,
        rule=EProp(order=math.inf),
        delays={
            "w_in": 2 * ms,
            "w_rec": rng.integers(0, 5, (N_REC, N_REC)) * ms,
            "w_out": rng.integers(0, 3, (N_REC, N_OUT)) * ms,
        },
        trainable=["tau_m", "v_th"],
        trainable_delays={"w_rec": (0 * ms, 9 * ms)},
        constraints=[DeepR(0.5, matrices=["w_rec"]), DaleLaw([1])],
        optimizer=Adam(1e-2),
        seed=4,
    )
    made.weights["w_in"] *= 3
    return made


def traces():
    return plain(rule=EProp(engine="traces"), feedback="random")


def task(seed, rate=0.3):
    rng = np.random.default_rng(seed)
    return rng.random((BATCH, STEPS, N_IN)) < rate, rng.normal(size=(BATCH, STEPS, N_OUT))


def program_of(network):
    (program,) = programs_of(network)
    return program


def fresh(network, *arguments):
    """The gradients from a process that has done nothing before."""
    network.gradients(*arguments)
    program_of(network).end()
    return network.gradients(*arguments)


def soon(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("make", [plain, rich, traces])
def test_a_call_first_last_and_between_others_is_that_of_a_new_process(make):
    network = make()
    tasks = [task(0), task(1, rate=0.9), task(2, rate=0.0)]
    expected = [fresh(network, *each) for each in tasks]
    assert expected[0].spikes.sum() > 20 and expected[0].w_rec.any()
    program_of(network).end()
    process = None
    for number in (0, 1, 0, 0, 2, 0, 1, 2):
        assert_identical(network.gradients(*tasks[number]), expected[number])
        process = process or program_of(network).process
    assert program_of(network).process is process


@pytest.mark.parametrize("make", [plain, rich])
def test_other_weights_and_parameters_leave_nothing_to_the_next_call(make):
    network = make()
    expected = fresh(network, *task(0))
    state = copy.deepcopy(network.state)
    for name in ("w_in", "w_rec"):
        # membranes that overflow
        network.weights[name] = np.sign(network.weights[name]) * 1e308
    for name in network.parameters:
        network.parameters[name] = network.parameters[name] * 1.7
    with np.errstate(all="ignore"):
        assert not np.array_equal(network.gradients(*task(0)).w_rec, expected.w_rec)
    network.state = state
    assert_identical(network.gradients(*task(0)), expected)


def test_training_with_trained_parameters_and_rewiring_is_that_of_new_processes():
    one, other = rich(), rich()
    for update in range(4):
        one.apply(one.gradients(*task(update)))
        other.apply(fresh(other, *task(update)))
    for name, weights in one.weights.items():
        np.testing.assert_array_equal(weights, other.weights[name])
    for name, values in one.parameters.items():
        np.testing.assert_array_equal(np.asarray(values), np.asarray(other.parameters[name]))


def test_results_are_the_callers_own():
    network = plain()
    first = network.gradients(*task(0))
    kept = copy.deepcopy(first)
    network.gradients(*task(1))
    assert_identical(first, kept)


def test_a_program_that_dies_during_a_call_is_reported_and_started_anew():
    network = plain()
    expected = network.gradients(*task(0))
    weights = {name: values.copy() for name, values in network.weights.items()}
    pid = program_of(network).process.pid
    with stopped([pid], lambda: os.kill(pid, signal.SIGKILL)):
        with pytest.raises(RuntimeError, match="failed with exit code -9"):
            network.gradients(*task(0))
    assert not alive(pid)
    for name, values in network.weights.items():
        np.testing.assert_array_equal(values, weights[name])
    assert_identical(network.gradients(*task(0)), expected)


def test_a_program_that_died_between_calls_is_started_anew():
    network = plain()
    expected = network.gradients(*task(0))
    pid = program_of(network).process.pid
    os.kill(pid, signal.SIGKILL)
    assert soon(lambda: not alive(pid))
    assert_identical(network.gradients(*task(0)), expected)
    assert program_of(network).process.pid != pid


def test_ctrl_c_ends_the_program_and_the_next_call_is_right():
    network = plain()
    expected = network.gradients(*task(0))
    pid = program_of(network).process.pid
    with stopped([pid], lambda: os.kill(os.getpid(), signal.SIGINT)):
        with pytest.raises(KeyboardInterrupt):
            network.gradients(*task(0))
    assert not alive(pid)
    assert_identical(network.gradients(*task(0)), expected)


#: Makes a call.
CALL = """
import sys
import numpy as np
from brian2 import set_device
from brian_eprop import RecurrentNetwork
set_device("cpp_standalone")
network = RecurrentNetwork("alif", 6, 10, 2, seed=2)
inputs, targets = np.ones((2, 50, 6), dtype=bool), np.ones((2, 50, 2))
network.gradients(inputs, targets)
(compiled,) = network._networks.values()
print(compiled.programs[0].process.pid)
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("during", [True, False])
def test_a_program_ends_with_its_parent_that_is_killed(during):
    receive, send = os.pipe()
    parent = os.fork()
    if parent == 0:
        try:
            network = plain()
            while True:
                network.gradients(*task(0))
                os.write(send, b"%d\n" % program_of(network).process.pid)
        finally:
            os._exit(1)
    os.close(send)
    with os.fdopen(receive) as file:
        pid = int(file.readline())
        assert alive(pid)
        # no name of it is left behind, since it never has one
        assert all(line.endswith("(deleted)") for line in shared_memory(pid))
        if during:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.3)
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
    os.kill(pid, signal.SIGCONT)
    assert soon(lambda: not alive(pid))


def test_no_program_survives_its_interpreter_or_its_network():
    plain().gradients(*task(0))
    command = [sys.executable, "-c", of_another_process(CALL)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not alive(int(done.stdout.split()[-1]))
    network = plain()
    network.gradients(*task(0))
    pid = program_of(network).process.pid
    assert alive(pid)
    del network
    gc.collect()
    assert not alive(pid)


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def shared_memory(pid="self"):
    return [line for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if "rw-s" in line]


def test_fifty_networks_leave_neither_processes_nor_memory_and_no_number_is_wrong():
    expected = plain().gradients(*task(0))
    gc.collect()
    files, shared = open_files(), len(shared_memory())
    networks, pids = [], set()
    for _ in range(50):
        networks.append(plain())
        assert_identical(networks[-1].gradients(*task(0)), expected)
        pids.add(program_of(networks[-1]).process.pid)
    assert sum(map(alive, pids)) <= resident.KEPT
    assert len(shared_memory()) - shared <= resident.KEPT
    # the ones that had to end begin again
    for network in networks[::10]:
        assert_identical(network.gradients(*task(0)), expected)
        pids.add(program_of(network).process.pid)
    del networks, network
    gc.collect()
    assert not any(map(alive, pids))
    assert (open_files(), len(shared_memory())) == (files, shared)


def test_without_room_in_memory_a_temporary_file_is_shared(monkeypatch):
    network = plain()
    expected = network.gradients(*task(0))
    file_in, asked = resident._file_in, []

    def full(*folders):
        def file_or_error(folder, size):
            asked.append(folder)
            if folder in folders:
                raise OSError(28, "No space left on device")
            return file_in(folder, size)

        return file_or_error

    program_of(network).end()
    temporary = resident.tempfile.gettempdir()
    monkeypatch.setattr(resident, "_file_in", full(resident.MEMORY))
    assert_identical(network.gradients(*task(0)), expected)
    assert asked == [resident.MEMORY, temporary]
    program_of(network).end()
    monkeypatch.setattr(resident, "_file_in", full(resident.MEMORY, temporary))
    with pytest.raises(OSError, match=r"have no room in .*No space left.*TMPDIR"):
        network.gradients(*task(0))
    monkeypatch.undo()
    assert_identical(network.gradients(*task(0)), expected)


def test_a_file_is_not_larger_than_its_disk():
    """What could not be written later would end both processes."""
    file = resident._file_in(resident.tempfile.gettempdir(), 3 * resident.CHUNK + 64)
    with file:
        assert os.fstat(file.fileno()).st_size == 3 * resident.CHUNK + 64
        assert os.fstat(file.fileno()).st_blocks * 512 >= 3 * resident.CHUNK


def test_threads_share_one_program(cache):
    network = plain()
    expected = [network.gradients(*task(seed)) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: network.gradients(*task(seed % 4)), range(16)))
    for number, gradients in enumerate(found):
        assert_identical(gradients, expected[number % 4])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_that_is_forked_has_programs_of_its_own():
    network = plain()
    expected = network.gradients(*task(0))
    pid = program_of(network).process.pid
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            found = network.gradients(*task(0)), program_of(network).process.pid
            program_of(network).end()
            os.write(send, pickle.dumps((found[0].w_rec, found[1])))
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as file:
        w_rec, of_child = pickle.loads(file.read())
    os.waitpid(child, 0)
    np.testing.assert_array_equal(w_rec, expected.w_rec)
    assert of_child != pid and not alive(of_child) and alive(pid)
    assert_identical(network.gradients(*task(0)), expected)


def running():
    return os.getpid(), {program.process.pid for program in resident._programs if program.runs}


@pytest.mark.optimized
def test_workers_keep_their_programs_between_calls():
    network = plain()
    inputs, targets = (np.concatenate([a] * 17) for a in task(0))
    with Workers(network, 2) as pool:
        pool.gradients(inputs, targets)
        before = dict(pool._parallel([delayed(running)() for _ in range(8)]))
        pool.gradients(inputs, targets)
        after = dict(pool._parallel([delayed(running)() for _ in range(8)]))
    assert any(before.values())
    for worker in before.keys() & after.keys():
        assert before[worker] <= after[worker]
