"""A batch in several processes: the same to the last bit; a process that dies is told of."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from brian2 import Hz, ms, set_device
from brian2.devices.device import reset_device
from comparing import assert_gradients_equal
from joblib import parallel_config
from joblib.externals.loky import get_reusable_executor

from brian_eprop import Adam, EProp, FiringRateRegularizer, RecurrentNetwork
from brian_eprop.network import results
from brian_eprop.network import workers as module
from brian_eprop.network.results import parts, room
from brian_eprop.network.workers import Workers

pytestmark = [pytest.mark.usefixtures("numpy_target"), pytest.mark.optimized]

N_IN, N_OUT, STEPS = 10, 2, 40


class Noise:
    learning_window = 25

    def sample(self, rng, batch):
        inputs = rng.random((batch, STEPS, N_IN)) < 0.2
        return inputs, rng.standard_normal((batch, STEPS, N_OUT))

    def metric(self, outputs, targets):
        return float(np.square(outputs - targets).mean())


def network(**changes):
    arguments = dict(
        neurons=[("lif", 8, {}), ("alif", 6, {"tau_a": 100 * ms})],
        n_in=N_IN,
        n_rec=14,
        n_out=N_OUT,
        feedback="adaptive",
        regularizers=[FiringRateRegularizer(20 * Hz, 5.0)],
        trainable=["tau_m"],
        trainable_delays={"w_rec": (0 * ms, 9 * ms)},
        optimizer=Adam(1e-2),
        seed=3,
    )
    return RecurrentNetwork(**arguments | changes)


def small():
    """For what is not about numbers: its code is made in a fraction of the time."""
    return RecurrentNetwork("lif", N_IN, 4, N_OUT, seed=3)


def trained(workers, **changes):
    made = network(**changes)
    history = made.fit(
        Noise(), 2, batch_size=17, seed=1, workers=workers, evaluate_every=2, evaluation_trials=9
    )
    return made, [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]


def assert_same(one, other):
    for name, values in one.weights.items():
        np.testing.assert_array_equal(values, other.weights[name])
    for name, values in one.parameters.items():
        np.testing.assert_array_equal(np.asarray(values), np.asarray(other.parameters[name]))


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Known to the processes, too: those of other tests have begun with another."""
    get_reusable_executor().shutdown()
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("programs")
        patch.setenv("BRIAN_EPROP_CACHE", str(folder))
        yield folder
    get_reusable_executor().shutdown()


@pytest.fixture(scope="module")
def alone():
    """What one process makes of it."""
    from brian2 import prefs

    prefs.codegen.target = "numpy"
    return trained(1)


@pytest.mark.parametrize("batch", [*range(1, 40), 64, 100])
def test_a_batch_is_cut_into_equal_parts_for_which_one_program_has_room(batch):
    cut = parts(batch)
    assert [i for part in cut for i in range(batch)[part]] == list(range(batch))
    sizes = {part.stop - part.start for part in cut}
    assert max(sizes) - min(sizes) <= 1 and max(sizes) <= 8
    assert {room(size) for size in sizes} == {room(batch)} and max(sizes) <= room(batch)


@pytest.mark.slow
def test_parts_do_not_change_the_gradients(monkeypatch):
    made, task = network(), Noise()
    inputs, targets = task.sample(np.random.default_rng(0), 17)
    with Workers(made) as pool:
        joined = pool.gradients(inputs, targets, 25)
        simulated = pool.simulate(inputs)
    learned = made.gradients(inputs, targets, 25)
    monkeypatch.setattr(results, "TRIALS_IN_A_PART", 17)
    whole = made.gradients(inputs, targets, 25)
    assert_gradients_equal(learned, whole, tolerance=1e-10)
    assert whole.spikes.any() and whole.w_rec.any() and whole.parameters["tau_m"].any()
    # 17 trials added up in another order
    for name in ("w_in", "w_rec", "w_out", "loss", "regularization"):
        np.testing.assert_allclose(getattr(joined, name), getattr(whole, name), rtol=1e-10)
    np.testing.assert_allclose(joined.parameters["tau_m"], whole.parameters["tau_m"], rtol=1e-10)
    for name in ("spikes", "readout"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    # of all that is computed the most, and no update needs it
    assert joined.learning_signal is None and whole.learning_signal.any()
    np.testing.assert_array_equal(simulated.spikes, whole.spikes)
    np.testing.assert_array_equal(simulated.readout, whole.readout)


@pytest.mark.slow
def test_processes_change_no_bit(alone):
    """Two of them have three parts to do."""
    made, history = trained(2)
    assert history == alone[1]
    assert history[0]["rate"] > 0
    assert_same(made, alone[0])
    assert made.weights["w_rec"].any() and made.updates == 2


@pytest.mark.slow
@pytest.mark.standalone
def test_processes_share_a_compiled_program(cache):
    set_device("cpp_standalone", build_on_run=False)
    try:
        found = [trained(count, neurons="lif", rule=EProp(order=2)) for count in (1, 2)]
    finally:
        reset_device()
    assert found[0][1] == found[1][1]
    assert_same(found[0][0], found[1][0])
    # one to learn, one to validate, for all batches of both
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 2


@pytest.mark.slow
def test_a_cluster_changes_no_bit(alone):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        parallel_config(backend="dask"),
    ):
        made, history = trained(-1)
    assert history == alone[1]
    assert_same(made, alone[0])


class Killer:
    """Ends the process that simulates a certain trial, as often as a folder has files."""

    def __init__(self, deaths, folder):
        self.folder, self.parent = Path(folder), os.getpid()
        for k in range(deaths):
            (self.folder / str(k)).touch()

    def __call__(self, description, state, device, method, arguments):
        if arguments[0][0, 0].all() and os.getpid() != self.parent:
            lives = sorted(self.folder.iterdir())
            if lives:
                lives[0].unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        return self.call(description, state, device, method, arguments)

    call = staticmethod(module._call)


def marked_batch():
    inputs, targets = Noise().sample(np.random.default_rng(0), 16)
    inputs[:, 0, 0] = False
    inputs[8, 0] = True  # the first trial of the second part
    return inputs, targets


@pytest.mark.slow
def test_an_error_in_a_worker_is_the_users_to_see():
    inputs, targets = Noise().sample(np.random.default_rng(0), 16)
    targets[12, 3, 1] = np.nan
    with pytest.raises(ValueError, match=r"targets\[.*\] = nan; each must be finite"):
        with Workers(small(), 2) as pool:
            pool.gradients(inputs, targets)


@pytest.mark.slow
def test_the_trials_of_a_process_that_was_killed_are_run_again(tmp_path, monkeypatch):
    made, batch = small(), marked_batch()
    with Workers(made) as pool:
        expected = pool.gradients(*batch)
    assert expected.w_rec.any()
    monkeypatch.setattr(module, "_call", Killer(1, tmp_path))
    with Workers(made, 2) as pool:
        found = pool.gradients(*batch)
        assert not list(tmp_path.iterdir())
        again = pool.gradients(*batch)
    for name in ("w_in", "w_rec", "w_out"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        np.testing.assert_array_equal(getattr(again, name), getattr(expected, name))


@pytest.mark.slow
def test_trials_that_kill_their_process_twice_are_named(tmp_path, monkeypatch):
    made, batch = small(), marked_batch()
    before = {name: values.copy() for name, values in made.weights.items()}
    monkeypatch.setattr(module, "_call", Killer(5, tmp_path))
    with pytest.raises(RuntimeError, match=r"that ran trials 8 to 15 of the batch died, twice"):
        with Workers(made, 2) as pool:
            pool.gradients(*batch)
    for name, values in before.items():
        np.testing.assert_array_equal(made.weights[name], values)
