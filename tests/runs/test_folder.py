"""Run folders that were edited, damaged, killed early, or sent by somebody else."""

import json
import subprocess
import sys
from typing import get_args

import pytest
from typer.testing import CliRunner

from brian_eprop.cli import app
from brian_eprop.files import remove_abandoned
from brian_eprop.plotting import plot_learning_curve
from brian_eprop.runs import Configuration, Sweep, resume, train
from brian_eprop.runs.folder import (
    Ending,
    HistoryFile,
    Result,
    read_environment,
    read_history,
    read_result,
    write_environment,
    write_result,
)

pytestmark = pytest.mark.usefixtures("numpy_target")

#: Says at the end of a file of its own whenever it is executed.
TASK = """
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from brian2 import ms

from brian_eprop import tasks


@dataclass(frozen=True)
class Silence:
    n_in, n_out, steps, dt = 4, 1, 20, 1 * ms

    @property
    def defaults(self):
        return tasks.load_task("pattern_generation").defaults

    def sample(self, rng, batch):
        inputs = rng.random((batch, self.steps, self.n_in)) < 0.3
        return inputs, np.zeros((batch, self.steps, self.n_out))


TASK = Silence
"""
HOSTILE = (
    TASK
    + """
with open(__file__ + ".executed", "a") as file:
    file.write("!")
"""
)


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """A run of a silent network, whose loss is 0; its task is a hostile file in its folder."""
    from brian2 import prefs

    prefs.codegen.target = "numpy"
    base = tmp_path_factory.mktemp("sent")
    (base / "task.py").write_text(TASK)
    start = Configuration.of_task(base / "task.py")
    gains = dict.fromkeys(start.setup.gains, 0.0)
    config = start.changed(device="runtime", iterations=2, neurons=3, gains=gains)
    train(config, base / "run", progress=False)
    (base / "task.py").write_text(HOSTILE)
    return base / "run"


@pytest.fixture
def executed(sent):
    return sent.parent / "task.py.executed"


def brian_eprop(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.mark.slow
def test_a_loss_of_0_ends_no_run_and_is_drawn(sent):
    assert [entry["loss"] for entry in read_history(sent)] == [0, 0]
    assert json.loads((sent / "result.json").read_text())["ended"] == "iterations"
    assert (sent / "figures" / "learning_curve.png").exists()
    history = [{"iteration": k, "loss": loss} for k, loss in enumerate([1.0, 0.01, 0.0, 0.1])]
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    plot_learning_curve(history, ax=ax)
    assert ax.get_yscale() == "symlog" and ax.get_ylim()[0] <= 0
    ax.figure.canvas.draw()


@pytest.mark.slow
def test_looking_at_results_executes_nothing(sent, executed):
    executed.unlink(missing_ok=True)
    done = brian_eprop("plot", sent)
    assert done.exit_code == 0, done.output
    # gradients of a silent network are 0 and do not pass, which is the exit code
    done = brian_eprop("report", sent)
    assert "DO NOT AGREE" in done.output and (sent / "report.html").exists(), done.output
    done = brian_eprop("train", "--resume", sent, "--iterations", 3)
    assert done.exit_code == 2 and "add --trust" in done.output
    assert not executed.exists()
    # the file is one that would have said so
    Configuration.read(sent / "config.toml")
    assert executed.exists()


@pytest.mark.slow
def test_a_trusted_run_goes_on(sent, executed):
    done = brian_eprop("train", "--resume", sent, "--trust", "--iterations", 3)
    assert done.exit_code == 0, done.output
    assert executed.exists() and len(read_history(sent)) == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 0", "seed = 1", r"seed = 1 \(was 0\)"),
        ("batch_size = 1", "batch_size = 2", r"setup.batch_size = 2 \(was 1\)"),
        ("w_rec = 0.0", "w_rec = 0.5", r"setup.gains.w_rec = 0.5 \(was 0.0\)"),
        ("count = 3", "count = 4", r"setup.neurons = "),
        ('optimizer = "Adam"', 'optimizer = "GradientDescent"', r"setup.optimizer = "),
    ],
)
def test_what_was_edited_and_may_not_be_is_refused(sent, old, new, message):
    path = sent / "config.toml"
    text = path.read_text()
    assert old in text
    try:
        path.write_text(text.replace(old, new))
        with pytest.raises(ValueError, match=message):
            resume(sent, trust=True, iterations=9, progress=False)
        assert "iterations = 9" not in path.read_text()
    finally:
        path.write_text(text)


@pytest.mark.parametrize("content", ["{}", '{"ended": "iterations"}', "5", "[]", "{", "null"])
def test_an_incomplete_result_is_named(sent, content):
    path = sent / "result.json"
    text = path.read_text()
    try:
        path.write_text(content)
        with pytest.raises(ValueError, match=r"result.json' is damaged"):
            resume(sent, trust=True, progress=False)
    finally:
        path.write_text(text)


def dead_process():
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_what_was_killed_before_its_configuration_counts_as_empty(tmp_path):
    run = tmp_path / "run"
    (run / "recordings").mkdir(parents=True)
    (run / f".config.toml.{dead_process()}.brian_eprop.tmp").write_text("half")
    done = brian_eprop("train", "--resume", run)
    assert done.exit_code == 2 and "before training began" in done.output
    from brian_eprop.runs import folder

    folder.create(run)
    for name in (".config.toml.brian_eprop.tmp", ".config.toml.1.brian_eprop.tmp", "own.tmp"):
        (run / name).write_text("of a process that lives, or of nobody")
        with pytest.raises(FileExistsError):
            folder.create(run)
        remove_abandoned(run)
        assert {path.name for path in run.glob("*.tmp")} == {name}
        (run / name).unlink()


SWEEP = 'task = "temporal_xor"\n[sweep.variants]\n'


@pytest.mark.parametrize(
    "names",
    [("a/b", "a:b"), ("LIF", "lif"), (".", "x"), ("..",), ("table.nc",)],
)
def test_variants_without_a_folder_of_their_own_are_refused_when_read(tmp_path, names):
    path = tmp_path / "sweep.toml"
    path.write_text(SWEEP + "".join(f'"{n}" = {{ seed = {k} }}\n' for k, n in enumerate(names)))
    with pytest.raises(ValueError, match="would be"):
        Sweep.read(path)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", [r"$\frac{5}$", "$", r"a\$b$", "$x_$", "a$b$c$"])
def test_names_are_drawn_as_they_are(name):
    import matplotlib.pyplot as plt

    from brian_eprop.plotting.style import plain

    figure, ax = plt.subplots()
    ax.plot([0, 1], label=plain(name))
    ax.legend()
    figure.canvas.draw()


JUNK = ["3", "nan", '"x"', "true", "[3]", "{ a = 3 }", "[[]]", "[{}]"]
SETUP = "neurons gains constraints trainable connectivity delays goal learning_rate tau_out"
SETUP += " max_rate rate_target patience order trainable.tau_m delays.w_rec connectivity.w_rec"
KEYS = ["options", "setup", *(f"setup.{name}" for name in SETUP.split())]


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("junk", JUNK)
def test_junk_in_a_configuration_is_told_in_words(tmp_path, key, junk):
    from brian2.units import DimensionMismatchError

    path = tmp_path / "junk.toml"
    path.write_text(f'task = "pattern_generation"\n{key} = {junk}\n')
    try:
        configuration = Configuration.read(path)
        configuration.make_network()
    except (ValueError, TypeError, DimensionMismatchError) as error:
        assert "object is not" not in str(error) and "has no attribute" not in str(error)
    else:
        accepted = {("goal", "3"), ("max_rate", "3")}
        assert (
            (key.removeprefix("setup."), junk) in accepted
            or key == "setup.learning_rate"
            or (key in ("setup.order", "setup.patience") and junk == "3")
        ), configuration


def test_goal_must_be_a_number(tmp_path):
    path = tmp_path / "goal.toml"
    path.write_text('task = "temporal_xor"\nsetup.goal = nan\n')
    with pytest.raises(ValueError, match="goal = nan must be a number"):
        Configuration.read(path)


@pytest.mark.parametrize("ended", get_args(Ending))
def test_a_result_reads_back_the_same(tmp_path, ended):
    numbers = {"first_loss": 1 / 3, "loss": 1e-300, "rate": 0.0, "metric": None, "test": None}
    result = Result(ended, "ψ", 7, validation=0.1 + 0.2, seconds=12.5, **numbers)
    write_result(tmp_path, result)
    assert read_result(tmp_path) == result


def test_history_and_environment_read_back_the_same(tmp_path):
    entries = [{"iteration": k, "loss": 1 / (k + 3), "rate": 0.1, "seconds": 2.0} for k in (0, 1)]
    with HistoryFile(tmp_path, entries[:1]) as history:
        history.add(entries[1])
    assert read_history(tmp_path) == entries
    assert read_environment(tmp_path) == {}
    write_environment(tmp_path)
    assert read_environment(tmp_path)["brian_eprop"]
