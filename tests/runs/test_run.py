"""Runs that are killed, interrupted, out of disk or out of hand: nothing that was saved is lost."""

import gc
import json
import os
import random
import resource
import shutil
import signal
import time
from functools import partial

import numpy as np
import pytest
from attrs import evolve
from brian2 import prefs
from hypothesis import settings
from typer.testing import CliRunner

from brian_eprop import RecurrentNetwork
from brian_eprop.cli import app
from brian_eprop.runs import resume, train
from brian_eprop.runs.configuration import Configuration
from brian_eprop.runs.folder import HistoryFile, read_history, read_result

pytestmark = pytest.mark.usefixtures("numpy_target")

SMALL = """
task = "temporal_xor"
seed = 4
device = "runtime"
checkpoint_every = 3

[options]
cue = "4*ms"
delay = "2*ms"
answer = "4*ms"
rate = "400*Hz"

[setup]
iterations = {iterations}
batch_size = 2
evaluate_every = 4
evaluation_trials = 3
feedback = "adaptive"
feedback_decay = 0.01
learning_rate = {{ kind = "StepDecay", start = 1e-2, factor = 0.5, every = 3 }}
neurons = [{{ model = "lif", count = 6 }}]
trainable = {{ tau_m = ["5*ms", "100*ms"] }}
constraints = [{{ kind = "WeightDecay", rate = 1e-3 }}]
"""


def configuration(tmp_path, iterations=8, **changes):
    path = tmp_path / "small.toml"
    path.write_text(SMALL.format(iterations=iterations))
    return Configuration.read(path).changed(**changes)


def without_times(folder):
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in read_history(folder)]


def assert_same_runs(one, other):
    assert without_times(one) == without_times(other)
    left, right = (RecurrentNetwork.load(run / "weights.npz") for run in (one, other))
    for name, values in left.weights.items():
        np.testing.assert_array_equal(values, right.weights[name])
    for name, values in left.parameters.items():
        np.testing.assert_array_equal(np.asarray(values), np.asarray(right.parameters[name]))
    for matrix, moments in left.state.moments.items():
        for name, values in moments.items():
            np.testing.assert_array_equal(values, right.state.moments[matrix][name])
    first, second = (read_result(run) for run in (one, other))
    assert evolve(first, seconds=0) == evolve(second, seconds=0)


@pytest.fixture(scope="module", autouse=True)
def no_figures():
    """They are drawn from what is compared here, and half of a short run's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("brian_eprop.runs.run._draw", lambda folder, task, figures: None)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Makes runs that are only read: of so many iterations, by so many workers."""

    def trained(**options):
        base = tmp_path_factory.mktemp("finished")
        workers = options.pop("workers", 1)
        prefs.codegen.target = "numpy"
        train(configuration(base, **options), base / "run", workers=workers, progress=False)
        return base / "run"

    return trained


@pytest.fixture(scope="module")
def unbroken(finished):
    """A run from beginning to end."""
    return finished()


@pytest.fixture(scope="module")
def half(finished):
    return finished(iterations=5, workers=2)


@pytest.fixture
def short(half, tmp_path):
    """A copy of a run of 5 iterations, the last checkpoint of which is after 3."""
    return shutil.copytree(half, tmp_path / "short")


def in_a_child(function, *arguments, **keywords):
    """Run in a forked process; no start of Python and Brian2 to wait for."""
    child = os.fork()
    if child == 0:
        gc.freeze()  # Brian2 collects before each run what here is another process's
        try:
            with open(os.devnull, "w") as sink:
                os.dup2(sink.fileno(), 1)
                os.dup2(sink.fileno(), 2)
            function(*arguments, **keywords)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return child


@pytest.mark.slow
def test_the_run_to_compare_with_learns_and_validates(unbroken):
    history = read_history(unbroken)
    assert len(history) == 8 and all(entry["rate"] > 0 for entry in history)
    assert sum("validation" in entry for entry in history) == 2
    result = read_result(unbroken)
    assert result.ended == "iterations" and 0 <= result.test <= 1
    assert (unbroken / "best.npz").exists()


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_as_if_nothing_had_happened(tmp_path, unbroken):
    """kill -9, one moment in each part of a run's time, over and over until it is complete."""
    config, kills, moments = configuration(tmp_path), 0, random.Random(0)
    whole, parts = time_of_a_run(tmp_path), settings.default.max_examples // 4
    attempt = 0
    while kills < parts:
        run = tmp_path / f"run_{attempt}"
        attempt += 1
        while not (run / "result.json").exists():
            begun = (run / "config.toml").exists()
            start = (resume, run) if begun else (train, config, run)
            if not begun and run.exists():
                # killed before there was anything to go on with
                assert not any(path.is_file() for path in run.rglob("[!.]*"))
            child = in_a_child(*start, progress=False)
            deadline = time.monotonic() + (kills % parts + moments.random()) * whole / parts
            while time.monotonic() < deadline:
                done, status = os.waitpid(child, os.WNOHANG)
                if done:
                    assert status == 0
                    break
                time.sleep(0.001)
            else:
                before = updates(run)
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                kills += 1
                # no more is lost than since the last checkpoint
                saved = updates(run)
                assert saved >= before
                assert not saved or len(read_history(run)) - saved <= config.checkpoint_every
        assert_same_runs(run, unbroken)
    assert kills >= parts > 0


def time_of_a_run(tmp_path):
    start = time.monotonic()
    child = in_a_child(train, configuration(tmp_path), tmp_path / "timed", progress=False)
    assert os.waitpid(child, 0)[1] == 0
    return time.monotonic() - start


def updates(run):
    path = run / "checkpoint.npz"
    return RecurrentNetwork.load(path).updates if path.exists() else 0


@pytest.mark.slow
def test_a_finished_run_can_be_trained_for_longer_by_other_workers(short, unbroken):
    assert resume(short, progress=False).iterations == 5  # nothing to do
    with pytest.raises(ValueError, match=r"iterations = 4: the run in .* has had 5 already"):
        resume(short, iterations=4, progress=False)
    resume(short, iterations=8, progress=False)
    assert_same_runs(short, unbroken)


@pytest.mark.slow
def test_an_interrupted_run_goes_on(tmp_path, unbroken, monkeypatch):
    run, right = tmp_path / "run", RecurrentNetwork.apply

    def apply(network, gradients):
        right(network, gradients)
        if network.updates == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RecurrentNetwork, "apply", apply)
    assert train(configuration(tmp_path), run, progress=False).ended == "interrupted"
    monkeypatch.undo()
    assert len(read_history(run)) == 4
    # not that of the third iteration, which is due
    assert RecurrentNetwork.load(run / "checkpoint.npz").updates == 4
    assert resume(run, progress=False).ended == "iterations"
    assert_same_runs(run, unbroken)


@pytest.mark.slow
def test_a_full_disk_loses_nothing_that_was_saved(short, unbroken):
    """The limit on the size of files makes writes fail, as a full disk does, after some time."""
    saved = (short / "checkpoint.npz").read_bytes()
    history = (short / "history.jsonl").stat().st_size

    def with_a_full_disk():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (history + 300, history + 300))
        try:
            resume(short, iterations=8, progress=False)
        except OSError as error:
            # the history has no room for a third line, or the best network for its arrays
            os._exit(7 if "go on with 'brian-eprop train --resume" in str(error) else 8)

    child = in_a_child(with_a_full_disk)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert (short / "checkpoint.npz").read_bytes() == saved
    assert RecurrentNetwork.load(short / "checkpoint.npz").updates == 3
    assert not list(short.glob(".*.tmp"))
    resume(short, iterations=8, progress=False)
    assert_same_runs(short, unbroken)


@pytest.mark.slow
def test_a_run_that_diverges_keeps_its_last_good_weights(tmp_path):
    run = tmp_path / "run"
    rate = dict(learning_rate=1e200, optimizer="GradientDescent")
    config = configuration(tmp_path, loss="mse", seed=5, **rate)
    with np.errstate(all="ignore"):
        result = train(config, run, progress=False)
    assert result.ended == "diverged" and "smaller learning rate" in result.diagnosis
    network = RecurrentNetwork.load(run / "weights.npz")
    assert all(np.isfinite(values).all() for values in network.weights.values())
    assert read_result(run).ended == "diverged"


@pytest.mark.slow
def test_two_processes_do_not_train_one_run(short):
    (short / "result.json").unlink()
    with HistoryFile(short, read_history(short)):
        with pytest.raises(BlockingIOError, match="is being trained by another process"):
            resume(short, progress=False)


def brian_eprop(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.mark.slow
def test_resume_from_the_command_line(short, unbroken):
    done = brian_eprop("train", "--resume", short, "--iterations", 8, "--workers", 2)
    assert done.exit_code == 0, done.output
    assert "metric of new trials" in done.output
    assert_same_runs(short, unbroken)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--resume", "nowhere"), "no run to go on with in 'nowhere'"),
        (("--resume", "nowhere", "--seed", 3), "--seed cannot be changed in a run that has begun"),
        (("--resume", "nowhere", "pattern-generation"), "one of the three"),
        (("temporal-xor", "--workers", 0, "--device", "runtime"), "workers = 0 must be an integer"),
        (("temporal-xor", "--order", 0.5), "EProp.order = 0.5"),
        (("temporal-xor", "--order", "nan"), "EProp.order = nan"),
        (("pattern-generation", "--neurons", 0), "setup.neurons[0].count = 0 must be"),
        (("pattern-generation", "--neurons", -3), "setup.neurons[0].count = -3 must be"),
        (("pattern-generation", "--device", ""), "Configuration.device = '' is not known"),
        (("temporal-xor", "--trust"), "--trust goes with --resume"),
        (("--config", "nowhere.toml"), "there is no file 'nowhere.toml'"),
        (("--config", "."), "there is no file '.'"),
        (("temporal-xor", "--cluster", "tcp://127.0.0.1:1"), "no dask scheduler answers at"),
        (("nowhere.py",), "there is no file 'nowhere.py'"),
    ],
)
def test_wrong_options_are_told_in_words(tmp_path, arguments, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "--cluster" in arguments:
        distributed = pytest.importorskip("distributed")
        # nobody answers within 10 seconds either
        soon = partial(distributed.Client, timeout="1s")
        monkeypatch.setattr(distributed, "Client", lambda address, timeout: soon(address))
    done = brian_eprop("train", *arguments)
    assert done.exit_code == 2 and "Traceback" not in done.output
    assert message in done.output
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_damaged_run_is_told_by_its_file(short):
    lines = (short / "history.jsonl").read_text().splitlines(keepends=True)
    (short / "history.jsonl").write_text("".join(lines[:2]))
    with pytest.raises(ValueError, match=r"history.jsonl' has 2 complete entries, but there have"):
        resume(short, iterations=8, progress=False)
    (short / "history.jsonl").write_text("".join(lines))
    (short / "checkpoint.npz").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match=r"checkpoint.npz' is damaged"):
        resume(short, iterations=8, progress=False)
    assert json.loads(lines[0])["iteration"] == 0


OWN_TASK = """
from dataclasses import dataclass

import numpy as np
from brian2 import ms

from brian_eprop import tasks


@dataclass(frozen=True)
class Echo:
    delay: int = 5
    n_in, n_out, steps, dt = 4, 1, 40, 1 * ms

    @property
    def defaults(self):
        return tasks.load_task("pattern_generation").defaults

    def sample(self, rng, batch):
        inputs = rng.random((batch, self.steps, self.n_in)) < 0.3
        return inputs, np.roll(inputs[..., :1], self.delay, axis=1) * 1.0


TASK = Echo
"""


@pytest.mark.slow
def test_a_task_is_one_file_anywhere(tmp_path):
    path = tmp_path / "echo.py"
    path.write_text(OWN_TASK)
    start = Configuration.of_task(path, delay=3)
    config = start.changed(device="runtime", iterations=2, neurons=5)
    config.write(tmp_path / "echo.toml")
    again = Configuration.read(tmp_path / "echo.toml")
    assert again.make_task().delay == 3 and again.text() == config.text()
    result = train(again, tmp_path / "run", progress=False)
    assert result.iterations == 2 and result.test is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def", "cannot be read as a task"),
        ("import nonexistent_module", "cannot be read as a task: No module named"),
        ("x = 1", "has no task: assign to TASK"),
        ("TASK = 3", "has no task: assign to TASK"),
    ],
)
def test_a_file_without_a_task_is_told(tmp_path, text, message):
    path = tmp_path / "wrong.py"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Configuration.of_task(path)
