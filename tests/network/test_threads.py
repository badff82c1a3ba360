"""Several compiled programs for one batch: the same to the last bit, and none computes in vain."""

import copy
import math
import os
import re
import signal

import numpy as np
import pytest
from brian2 import Hz, ms, set_device
from brian2.devices.device import reset_device
from comparing import assert_gradients_equal
from compiled_programs import alive, assert_identical, programs_in, programs_of, stopped

from brian_eprop import Adam, EProp, FiringRateRegularizer, RecurrentNetwork

pytestmark = pytest.mark.usefixtures("numpy_target")

N_IN, N_OUT, STEPS = 6, 2, 40


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@pytest.fixture
def standalone(cache, tmp_path):
    with programs_in(cache, tmp_path):
        yield


def network(order=1):
    """Sums of every kind: three matrices, trained parameters, the loss and a penalty."""
    made = RecurrentNetwork(
        [("lif", 4, {}), ("alif", 6, {"tau_a": 40 * ms})],
        N_IN,
        10,
        N_OUT,
        average=True,
        feedback="adaptive",
        rule=EProp(order=order),
        delays={"w_rec": 2 * ms},
        regularizers=[FiringRateRegularizer(20 * Hz, 5.0)],
        trainable=["tau_m"],
        trainable_delays={"w_rec": (0 * ms, 9 * ms)},
        optimizer=Adam(1e-2),
        seed=2,
    )
    made.weights["w_in"] *= 2
    return made


class Noise:
    learning_window = 25

    def sample(self, rng, batch):
        inputs = rng.random((batch, STEPS, N_IN)) < 0.3
        return inputs, rng.normal(size=(batch, STEPS, N_OUT))

    def metric(self, outputs, targets):
        return float(np.square(outputs - targets).mean())


def batch_of(trials):
    return *Noise().sample(np.random.default_rng(trials), trials), Noise.learning_window


@pytest.mark.standalone
@pytest.mark.slow
@pytest.mark.parametrize("order", [1, math.inf])
def test_no_number_of_threads_changes_a_bit_and_one_program_serves_all_batches(
    standalone, cache, order
):
    made, before = network(order), set(cache.iterdir())
    for trials in (32, 7, 8, 17):
        batch = batch_of(trials)
        expected = made.gradients(*batch)
        assert expected.spikes.any() and expected.w_rec.any() and expected.regularization > 0
        assert expected.parameters["tau_m"].any() and expected.learning_signal.any()
        for threads in (2, 3, 1, 100):
            assert_identical(made.gradients(*batch, threads=threads), expected)
    # a batch has its number of parts, whoever asks for more threads
    assert len(programs_of(made)) == 4
    assert len(set(cache.iterdir()) - before) == 1


@pytest.mark.standalone
@pytest.mark.slow
def test_a_program_runs_as_few_trials_as_there_are(standalone):
    """After a larger part, and without what that has left."""
    made = network()
    for trials in (17, 5):
        batch = batch_of(trials)
        found = made.gradients(*batch, threads=2)
        set_device("runtime")
        expected = network().gradients(*batch)
        reset_device()
        # other order of the sums
        assert_gradients_equal(found, expected, tolerance=1e-12)
        for program in programs_of(made):
            program.end()
        assert_identical(made.gradients(*batch, threads=2), found)


@pytest.mark.standalone
@pytest.mark.slow
def test_threads_change_no_bit_of_training_and_evaluation(standalone):
    made, histories, metrics = [network() for _ in range(3)], [], []
    for number, trained in enumerate(made, start=1):
        history = trained.fit(
            Noise(), 3, 20, seed=1, threads=number, evaluate_every=2, evaluation_trials=12
        )
        inputs, targets, _ = batch_of(20)
        metrics.append(trained.evaluate(Noise(), inputs, targets, threads=number))
        histories.append([{k: v for k, v in e.items() if k != "seconds"} for e in history])
        assert_identical(trained.simulate(inputs, threads=3), trained.simulate(inputs))
    assert histories[0] == histories[1] == histories[2] and "validation" in histories[0][1]
    assert metrics[0] == metrics[1] == metrics[2]
    for name, weights in made[0].weights.items():
        for trained in made[1:]:
            np.testing.assert_array_equal(trained.weights[name], weights)


@pytest.mark.standalone
@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False])
def test_a_program_that_dies_is_reported_and_no_other_goes_on(standalone, first):
    made, batch = network(), batch_of(32)
    expected = made.gradients(*batch, threads=3)
    weights = copy.deepcopy(made.weights)
    pids = [program.process.pid for program in programs_of(made)]
    dies = pids[0 if first else 1]
    with stopped(pids if first else [dies], lambda: os.kill(dies, signal.SIGKILL)):
        with pytest.raises(RuntimeError, match="failed with exit code -9"):
            made.gradients(*batch, threads=3)
    assert not any(map(alive, pids))
    for name, values in made.weights.items():
        np.testing.assert_array_equal(values, weights[name])
    assert_identical(made.gradients(*batch, threads=3), expected)


@pytest.mark.standalone
@pytest.mark.slow
def test_ctrl_c_ends_all_programs_and_the_next_call_is_right(standalone):
    made, batch = network(), batch_of(32)
    expected = made.gradients(*batch, threads=2)
    pids = [program.process.pid for program in programs_of(made)]
    with stopped(pids[1:], lambda: os.kill(os.getpid(), signal.SIGINT)):
        with pytest.raises(KeyboardInterrupt):
            made.gradients(*batch, threads=2)
    assert not any(map(alive, pids))
    assert_identical(made.gradients(*batch, threads=2), expected)


@pytest.mark.parametrize(
    "call",
    [
        lambda net, inputs, targets, n: net.gradients(inputs, targets, threads=n),
        lambda net, inputs, targets, n: net.simulate(inputs, threads=n),
        lambda net, inputs, targets, n: net.evaluate(Noise(), inputs, targets, threads=n),
        lambda net, inputs, targets, n: net.fit(Noise(), 1, threads=n),
    ],
)
@pytest.mark.parametrize(
    "threads, message",
    [
        (0, "threads = 0 must be an integer ≥ 1"),
        (1.5, "threads = 1.5 must be an integer ≥ 1"),
        (2, r"threads = 2 needs compiled programs, .*'runtime'.*set_device\('cpp_standalone'"),
    ],
)
def test_threads_that_cannot_be_are_refused(call, threads, message):
    inputs, targets, _ = batch_of(3)
    with pytest.raises(ValueError, match=message):
        call(network(), inputs, targets, threads)


def test_a_batch_is_divided_among_threads_or_processes(standalone):
    message = "workers = 2 and threads = 3 both divide a batch; leave one of them 1"
    with pytest.raises(ValueError, match=re.escape(message)):
        network().fit(Noise(), 1, workers=2, threads=3)
