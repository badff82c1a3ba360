"""The command line: run folders, figures, interrupts, and errors in words."""

import json
import shutil
import signal
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest
from brian2 import prefs
from command_line import brian_eprop

from brian_eprop import RecurrentNetwork, cli
from brian_eprop.recording import Recording
from brian_eprop.runs.configuration import Configuration
from brian_eprop.runs.folder import Result

pytestmark = pytest.mark.usefixtures("numpy_target")

SMALL = """
task = "pattern_generation"
seed = 4
device = "runtime"

[options]
steps = 80
n_in = 30
input_rate = "100*Hz"

[setup]
iterations = 3
rate_strength = 10.0
neurons = [{ model = "lif", count = 12, parameters = { tau_m = "30*ms", t_ref = "0*ms" } }]
gains = { w_in = 1.0, w_rec = 0.5, w_out = 0.1, feedback = 0.1 }
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    """A run folder that is not to be changed."""
    prefs.codegen.target = "numpy"
    run = tmp_path_factory.mktemp("trained") / "run"
    done = brian_eprop("train", "--config", config, "--out", run)
    assert done.exit_code == 0, done.output
    return run


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it."""
    return shutil.copytree(trained, tmp_path / "run")


def without_times(path):
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in entries]


def test_train_writes_a_run_folder(run, config):
    assert {p.name for p in run.iterdir()} == {
        "config.toml",
        "begun.toml",
        "environment.json",
        "history.jsonl",
        "weights.npz",
        "result.json",
        "recordings",
        "figures",
        ".history.jsonl.lock",
    }
    history = without_times(run / "history.jsonl")
    assert [entry["iteration"] for entry in history] == [0, 1, 2]
    assert all(entry["rate"] > 0 for entry in history)
    assert history[0]["loss"] != history[2]["loss"]
    network = RecurrentNetwork.load(run / "weights.npz")
    initial = Configuration.read(config).make_network()
    for name in ("w_in", "w_rec", "w_out"):
        assert np.any(network.weights[name] != initial.weights[name])
    for name in ("before", "after"):
        recording = Recording.load(run / "recordings" / f"{name}.nc")
        assert recording.spikes.any() and recording.psi.any() and recording.e_bar.any()
        # the membrane is the one that the threshold saw
        fired = recording.membrane > recording.threshold
        assert (fired == recording.spikes[:, recording.neurons]).all()
    figures = {p.name for p in (run / "figures").iterdir()}
    assert figures == {
        "trial_before.png",
        "trial_after.png",
        "learning_curve.png",
        "weights.png",
    }
    assert all(p.stat().st_size > 5000 for p in (run / "figures").iterdir())


@pytest.mark.slow
def test_the_written_configuration_repeats_the_run(trained, tmp_path):
    first, second = trained, tmp_path / "second"
    again = brian_eprop("train", "--config", first / "config.toml", "--out", second)
    assert again.exit_code == 0, again.output
    assert without_times(first / "history.jsonl") == without_times(second / "history.jsonl")
    one, two = (RecurrentNetwork.load(run / "weights.npz").weights for run in (first, second))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    with (first / "config.toml").open("rb") as file:
        assert tomllib.load(file)["setup"]["neurons"][0]["parameters"]["tau_m"] == "30*ms"


@pytest.mark.slow
@pytest.mark.standalone
def test_the_same_command_gives_the_same_bits_in_another_process(config, tmp_path):
    """Once by the program that it has compiled, once by the one that it finds."""
    command = [sys.executable, "-m", "brian_eprop", "train", "--config", "compiled.toml", "--out"]
    (tmp_path / "compiled.toml").write_text(SMALL.replace('"runtime"', '"cpp_standalone"'))
    for name in ("one", "two"):
        done = subprocess.run([*command, name], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    one, two = (tmp_path / name for name in ("one", "two"))
    assert without_times(one / "history.jsonl") == without_times(two / "history.jsonl")
    left, right = (np.load(run / "weights.npz") for run in (one, two))
    assert set(left) == set(right) and sum("w_" in name for name in left) >= 3
    assert all(left[name].tobytes() == right[name].tobytes() for name in left)
    initial = Configuration.read(config).make_network().weights["w_rec"]
    assert (np.abs(RecurrentNetwork.load(one / "weights.npz").weights["w_rec"] - initial) > 0).any()


@pytest.mark.slow
def test_options_change_the_configuration(config, tmp_path):
    run = tmp_path / "run"
    options = ["--iterations", 1, "--seed", 9, "--neurons", 7, "--model", "alif"]
    done = brian_eprop("train", "--config", config, "--out", run, "--feedback", "random", *options)
    assert done.exit_code == 0, done.output
    written = Configuration.read(run / "config.toml")
    assert written.seed == 9 and written.setup.iterations == 1
    assert written.setup.feedback == "random"
    ((model, count, _),) = written.setup.neurons
    assert (model, count) == ("alif", 7)
    assert len(without_times(run / "history.jsonl")) == 1


@pytest.mark.slow
def test_an_interrupt_writes_what_there_is(config, tmp_path):
    run = tmp_path / "run"
    code = (
        "from brian2 import prefs; prefs.codegen.target = 'numpy'\n"
        "from brian_eprop.cli import app; app()"
    )
    command = [sys.executable, "-c", code, "train", "--config", config, "--out", run]
    started = subprocess.Popen(
        [str(part) for part in [*command, "--iterations", 100000]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    history = run / "history.jsonl"
    while not (history.exists() and history.read_text().count("\n") >= 2):
        assert started.poll() is None, started.stdout.read()
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    output, _ = started.communicate(timeout=120)
    assert started.returncode == 130, output
    entries = without_times(history)
    assert len(entries) >= 2 and f"interrupted after {len(entries)} iterations" in output
    assert RecurrentNetwork.load(run / "weights.npz").updates == len(entries)
    assert (run / "figures" / "learning_curve.png").exists()


@pytest.mark.slow
def test_a_film_of_training_is_written_or_refused_before_it(config, tmp_path):
    film = tmp_path / "film.gif"
    short = ["train", "--config", config, "--iterations", 1]
    done = brian_eprop(*short, "--out", tmp_path / "a", "--animation", film)
    assert done.exit_code == 0, done.output
    assert film.read_bytes().startswith(b"GIF")
    wrong = brian_eprop(
        "train", "--config", config, "--out", tmp_path / "b", "--animation", "a.avi"
    )
    assert wrong.exit_code == 2 and "must end in .gif or .mp4" in wrong.output
    assert not (tmp_path / "b").exists()


@pytest.mark.slow
def test_plot_draws_the_figures_again(run):
    for figure in (run / "figures").iterdir():
        figure.unlink()
    # a process that was killed while it wrote leaves half a line
    with (run / "history.jsonl").open("a") as file:
        file.write('{"iteration": 3, "lo')
    done = brian_eprop("plot", run, "--format", "svg")
    assert done.exit_code == 0, done.output
    assert [p.suffix for p in (run / "figures").iterdir()] == [".svg"] * 4
    done = brian_eprop("plot", run, "--format", "bmp")
    assert done.exit_code == 2 and "choose one of 'png', 'svg', 'pdf'" in done.output


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('task = "pattern_generatoin"', "pattern_generation"),
        ("seed = -1", "seed = -1"),
        ('device = "gpu"', "cpp_standalone"),
        ("[setup]\niteration = 3", "did you mean 'iterations'"),
        ("[options]\nstep = 80", "steps"),
        ('[setup]\ntau_out = "30*mV"', "tau_out"),
        ('[setup]\nfeedback = "symetric"', "symetric"),
        ('[setup]\nloss = "l1"', "l1"),
        ('[setup]\noptimizer = "RMSprop"', "RMSprop"),
        ('[setup]\nneurons = [{ model = "lif2", count = 3 }]', "lif2"),
        (
            "[setup]\nneurons = [{ model = 'lif', count = 3, parameters = { tau_m = '-3*ms' } }]",
            "tau_m",
        ),
        ('[setup]\nneurons = [{ model = "lif", number = 3 }]', "number"),
        ("[setup]\niterations = 0", "iterations"),
        ("no toml", "is not TOML"),
    ],
)
def test_a_wrong_configuration_is_told_in_words(tmp_path, change, message):
    path = tmp_path / "wrong.toml"
    task = "" if change.startswith("task") else 'task = "pattern_generation"\n'
    path.write_text(task + change)
    done = brian_eprop("train", "--config", path, "--out", tmp_path / "run")
    assert done.exit_code == 2
    assert message in done.output and "Traceback" not in done.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", [("compare", "rtrl"), ("check", "lif")])
def test_a_wrong_seed_is_told_in_words(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = brian_eprop(*command, "--seed", -1)
    assert done.exit_code == 2 and "seed = -1 must be an integer ≥ 0" in done.output
    assert not list(tmp_path.iterdir())


def test_a_rule_without_its_option_is_told_before_any_other_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = brian_eprop("compare", "rtrl", "snap")
    assert done.exit_code == 2 and "needs the option 'n': snap(n=…)" in done.output
    assert "comparing" not in done.output
    assert not list(tmp_path.iterdir())


def test_a_run_of_an_own_task_says_the_whole_command_that_goes_on(tmp_path, monkeypatch):
    interrupted = Result("interrupted", "", 0, None, None, None, None, None, None, 0.0)
    monkeypatch.setattr(cli, "run_training", lambda *_, **options: interrupted)
    task = tmp_path / "my_task.py"
    task.write_text("from brian_eprop.tasks.temporal_xor import TASK")
    for name, command in (task, "--resume run --trust'"), ("temporal-xor", "--resume run'"):
        done = brian_eprop("train", name, "--out", "run")
        assert done.exit_code == 130 and f"'brian-eprop train {command} goes on" in done.output


def test_what_the_system_says_is_told_without_its_number(tmp_path):
    done = brian_eprop("plot", tmp_path / ("x" * 300))
    assert done.exit_code == 2 and "Errno" not in done.output


def test_a_comparison_that_cannot_be_written_is_refused_before_it_takes_long(monkeypatch):
    monkeypatch.setattr("brian_eprop.rule_study.study.RuleComparison._costs", None)
    done = brian_eprop(
        "compare", "bptt", "--cell", "elman", "--neurons", 4, "--steps", 8, "--out", "/proc/nowhere"
    )
    assert done.exit_code == 2 and "the folder '/proc/nowhere' cannot be written" in done.output


def test_errors_of_train(config, tmp_path):
    occupied = tmp_path / "occupied"
    occupied.mkdir()
    (occupied / "precious").write_text("data")
    done = brian_eprop("train", "--config", config, "--out", occupied)
    assert done.exit_code == 2 and "exists already" in done.output
    assert [p.name for p in occupied.iterdir()] == ["precious"]
    done = brian_eprop("train", "--config", config, "--out", config)
    assert done.exit_code == 2 and "exists already" in done.output
    done = brian_eprop("train", "--config", config, "--out", "/proc/nowhere/run")
    assert done.exit_code == 2 and "cannot be written" in done.output
    done = brian_eprop("train")
    assert done.exit_code == 2 and "pattern_generation" in done.output
    done = brian_eprop("train", "patern-generation")
    assert done.exit_code == 2 and "pattern_generation" in done.output
    done = brian_eprop("train", "--config", config, "--model", "adex", "--out", tmp_path / "x")
    assert done.exit_code == 2 and "adex" in done.output


@pytest.mark.slow
def test_errors_of_plot(run, tmp_path):
    done = brian_eprop("plot", tmp_path)
    assert done.exit_code == 2 and "is not a run folder" in done.output
    weights = run / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:200])
    done = brian_eprop("plot", run)
    assert done.exit_code == 2 and "weights.npz" in done.output


def test_models_and_tasks_are_listed():
    listed = brian_eprop("models").output
    assert all(name in listed for name in ("lif", "alif", "adex", "hodgkin_huxley"))
    assert "pattern-generation" in brian_eprop("tasks").output


def test_derive_prints_the_equations():
    text = brian_eprop("derive", "alif")
    assert text.exit_code == 0 and "psi" in text.output and "beta" in text.output
    latex = brian_eprop("derive", "alif", "--latex")
    assert latex.output.startswith("$$") and r"\beta" in latex.output
    wrong = brian_eprop("derive", "alf")
    assert wrong.exit_code == 2 and "did you mean 'alif'" in wrong.output


@pytest.mark.slow
def test_check_passes_for_lif_and_fails_for_a_wrong_derivative(monkeypatch):
    done = brian_eprop("check", "lif")
    assert done.exit_code == 0, done.output
    from brian_eprop.neurons.surrogates import PiecewiseLinear

    monkeypatch.setattr(
        PiecewiseLinear, "expression", lambda self, x: f"0.4*clip(1 - abs({x}), 0, 1)"
    )
    done = brian_eprop("check", "lif")
    assert done.exit_code == 1, done.output


@pytest.mark.slow
@pytest.mark.standalone
def test_the_main_job_learns(tmp_path):
    """Defaults: the loss falls at least 10×, at 5 to 40 spikes/s throughout."""
    run = tmp_path / "run"
    done = brian_eprop("train", "pattern-generation", "--out", run)
    assert done.exit_code == 0, done.output
    history = without_times(run / "history.jsonl")
    assert len(history) == 200
    loss = [entry["loss"] for entry in history]
    assert np.mean(loss[-10:]) < loss[0] / 10
    assert all(5 < entry["rate"] < 40 for entry in history)
