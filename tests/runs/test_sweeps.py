"""Sweeps: every combination once, what is missing is added, one table of all."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from brian2 import prefs
from joblib import parallel_config
from typer.testing import CliRunner

from brian_eprop import RecurrentNetwork
from brian_eprop.cli import app
from brian_eprop.runs import resume, sweeps
from brian_eprop.runs.folder import read_history, read_result
from brian_eprop.runs.interrupts import interrupts
from brian_eprop.runs.sweeps import Sweep, label, run_sweep

pytestmark = pytest.mark.usefixtures("numpy_target")

BASE = """
task = "temporal_xor"
device = "runtime"

[options]
cue = "4*ms"
delay = "2*ms"
answer = "4*ms"
rate = "400*Hz"

[setup]
iterations = 2
batch_size = 2
evaluation_trials = 4
neurons = [{ model = "lif", count = 5 }]
"""
SWEEP = """
[sweep]
seed = [1, 2]

[sweep.variants.slow]
setup.learning_rate = 1e-4

[sweep.variants."three, BPTT"]
setup.order = inf
setup.iterations = 3
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(BASE + SWEEP)
    return path


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The sweep in this process: its folder, not to be changed, its table, and what it said."""
    base, said = tmp_path_factory.mktemp("swept"), []
    (base / "sweep.toml").write_text(BASE + SWEEP)
    prefs.codegen.target = "numpy"
    table, failed = run_sweep(Sweep.read(base / "sweep.toml"), base / "out", report=said.append)
    assert not failed
    return base / "out", table, said


@pytest.mark.slow
def test_a_sweep_runs_every_combination_and_ends_with_a_table(swept):
    folder, table, said = swept
    assert len(said) == 5
    runs = {path.name for path in folder.iterdir() if path.is_dir()}
    variants = ("slow", "three, BPTT")
    assert runs == {f"{v}, seed={s}" for v in variants for s in (1, 2)}
    assert dict(table.sizes) == {"variant": 2, "seed": 2, "iteration": 3}
    np.testing.assert_array_equal(table["iterations"].sel(variant="slow"), 2)
    np.testing.assert_array_equal(table["iterations"].sel(variant="three, BPTT"), 3)
    history = read_history(folder / "three, BPTT, seed=2")
    curve = table["curve_loss"].sel(variant="three, BPTT", seed=2)
    np.testing.assert_array_equal(curve, [entry["loss"] for entry in history])
    assert np.isnan(table["curve_loss"].sel(variant="slow", iteration=2)).all()
    assert (table["ended"] == "iterations").all()
    assert np.isfinite(table["test"]).all() and (table["rate"] > 0).all()
    assert table["rate"].attrs["units"] == "Hz"
    with xr.open_dataset(folder / "table.nc") as written:
        xr.testing.assert_identical(written["test"].load(), table["test"])
    for name in ("learning_curves.png", "results.png"):
        assert (folder / name).stat().st_size > 5000


@pytest.mark.slow
def test_what_is_finished_is_not_repeated_and_what_was_killed_goes_on(swept, config, tmp_path):
    done, first, _ = swept
    folder = shutil.copytree(done, tmp_path / "out")
    kept = (folder / "slow, seed=1" / "history.jsonl").stat().st_mtime_ns
    killed = folder / "slow, seed=2"
    (killed / "result.json").unlink()
    said = []
    again, _ = run_sweep(Sweep.read(config), folder, report=said.append)
    assert said[0] == "4 runs, 3 of them finished before" and len(said) == 2
    assert (folder / "slow, seed=1" / "history.jsonl").stat().st_mtime_ns == kept
    xr.testing.assert_identical(again.drop_vars("seconds"), first.drop_vars("seconds"))


@pytest.mark.slow
def test_processes_and_clusters_change_nothing(swept, config, tmp_path):
    distributed = pytest.importorskip("distributed")
    plan = Sweep.read(config)
    # a run for each process
    del plan.variants["slow"]
    alone = swept[1].sel(variant=list(plan.variants))
    two, _ = run_sweep(plan, tmp_path / "two", workers=2, report=[].append)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        parallel_config(backend="dask"),
    ):
        many, _ = run_sweep(plan, tmp_path / "many", workers=-1, report=[].append)
    for other in (two, many):
        xr.testing.assert_identical(other.drop_vars("seconds"), alone.drop_vars("seconds"))
    # also what Brian2 runs with is that of this process
    environments = [json.loads(path.read_text()) for path in tmp_path.rglob("environment.json")]
    assert [about["codegen.target"] for about in environments] == ["numpy"] * 4


@pytest.mark.slow
@pytest.mark.filterwarnings("error:constrained_layout not applied")
def test_a_run_that_fails_does_not_stop_the_others(config, tmp_path, monkeypatch):
    right = sweeps.train

    def train(configuration, folder, **options):
        if "slow" in folder.name:
            raise OSError("no room")
        return right(configuration, folder, **options)

    monkeypatch.setattr(sweeps, "train", train)
    config.write_text(config.read_text().replace("[1, 2]", "[1]"))
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["sweep", str(config), "--out", str(out), "--format", "pdf"])
    assert done.exit_code == 1
    assert "slow, seed=1: failed: no room" in done.output
    for name in ("results.pdf", "three, BPTT, seed=1/figures/trial_after.pdf"):
        assert (out / name).read_bytes()[:4] == b"%PDF"
    assert not list(out.rglob("*.png"))
    with xr.open_dataset(tmp_path / "out" / "table.nc") as table:
        assert (table["ended"].sel(variant="slow") == "missing").all()
        assert (table["ended"].sel(variant="three, BPTT") == "iterations").all()


def ended_by(ended):
    return lambda: SimpleNamespace(ended=ended, iterations=1, seconds=1.0, test=None, diagnosis="")


def fails():
    raise OSError("the folder is gone")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("end", [ended_by("interrupted"), ended_by("iterations"), fails])
def test_an_interrupt_ends_the_sweep_and_not_only_the_run(
    end, number, config, tmp_path, monkeypatch
):
    """A run takes the signal to save what there is; the next one must not begin.

    Also if it cannot save it, or if the signal came in its last iteration.
    """
    begun = []

    def train(configuration, folder, **options):
        begun.append(folder.name)
        with interrupts() as seen:
            os.kill(os.getpid(), number)
            assert seen
        return end()

    monkeypatch.setattr(sweeps, "train", train)
    before = signal.getsignal(number)
    done = CliRunner().invoke(app, ["sweep", str(config), "--out", str(tmp_path / "out")])
    assert done.exit_code == 130 and "the same command goes on" in done.output
    assert begun == ["slow, seed=1"]
    assert ("failed: the folder is gone" in done.output) == (end is fails)
    assert signal.getsignal(number) is before


def test_a_second_interrupt_ends_a_run_at_once(config, tmp_path, monkeypatch):
    def train(configuration, folder, **options):
        with interrupts():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("it went on")

    monkeypatch.setattr(sweeps, "train", train)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(Sweep.read(config), tmp_path / "out", report=[].append)


def test_a_signal_between_two_runs_stops_too(config, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeps, "train", lambda *_, **options: ended_by("iterations")())

    def report(text):
        if "ended by" in text:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, lambda *_: pytest.fail("it would have ended Python"))
    try:
        with pytest.raises(KeyboardInterrupt):
            run_sweep(Sweep.read(config), tmp_path / "out", report=report)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_sweep_that_was_killed_while_it_stopped_goes_on(config, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeps, "train", lambda *_, **options: ended_by("iterations")())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / sweeps.STOP).touch()
    said = []
    run_sweep(Sweep.read(config), tmp_path / "out", report=said.append)
    assert len([text for text in said if "ended by iterations" in text]) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runs", "to_all"),
    [
        # of kill, which the other processes do not hear of
        (2, False),
        # of a terminal, also to a process that waits for work
        (1, True),
    ],
)
def test_an_interrupt_has_every_run_of_the_workers_write_its_checkpoint(runs, to_all, tmp_path):
    config, out = tmp_path / "sweep.toml", tmp_path / "out"
    long = BASE.replace("iterations = 2", "iterations = 100000")
    seeds = list(range(1, runs + 1))
    config.write_text(f"checkpoint_every = 100000{long}\n[sweep]\nseed = {seeds}")
    code = (
        "from brian2 import prefs; prefs.codegen.target = 'numpy'\n"
        "from brian_eprop.cli import app; app()"
    )
    command = [sys.executable, "-c", code, "sweep", config, "--out", out, "--workers", 2]
    sweep = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    folders = [out / f"seed={seed}" for seed in seeds]
    histories = [folder / "history.jsonl" for folder in folders]
    try:
        while not all(history.exists() and history.read_text() for history in histories):
            assert sweep.poll() is None, sweep.stdout.read()
            time.sleep(0.05)
        (os.killpg if to_all else os.kill)(sweep.pid, signal.SIGINT)
        said, _ = sweep.communicate(timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(sweep.pid, signal.SIGKILL)
    assert sweep.returncode == 130 and "the same command goes on" in said, said
    assert sorted(path for path in out.iterdir()) == folders
    for folder in folders:
        history = read_history(folder)
        assert read_result(folder).ended == "interrupted"
        assert RecurrentNetwork.load(folder / "checkpoint.npz").updates == len(history)
        resume(folder, iterations=len(history) + 1, progress=False)
        assert read_history(folder)[:-1] == history


def test_runs_that_all_fail_for_want_of_memory_are_told_one_by_one(config, tmp_path, monkeypatch):
    begun = []

    def train(configuration, folder, **options):
        begun.append(folder.name)
        raise MemoryError("the past of a trial takes 3 GB")

    monkeypatch.setattr(sweeps, "train", train)
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["sweep", str(config), "--out", str(out)])
    assert done.exit_code == 1 and len(begun) == 4
    for name in begun:
        assert f"brian-eprop: {name}: the past of a trial takes 3 GB" in done.output
    # there is no curve to draw
    assert done.output.endswith(f"written to {out}: table.nc\n")
    assert [path.name for path in out.iterdir()] == ["table.nc"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--workers", "0"), "workers = 0 must be an integer"),
        (("--workers", "-2"), "workers = -2 must be an integer"),
        (("--out", "file"), "the folder of the sweep 'file' cannot be written (File exists)"),
    ],
)
def test_wrong_options_are_told_before_anything_runs(config, arguments, message, monkeypatch):
    monkeypatch.chdir(config.parent)
    (config.parent / "file").touch()
    done = CliRunner().invoke(app, ["sweep", str(config), *arguments])
    assert done.exit_code == 2 and message in done.output
    assert "runs," not in done.output and "Errno" not in done.output
    assert not (config.parent / "sweeps").exists()


@pytest.mark.slow
def test_a_folder_of_another_sweep_is_refused(swept, config):
    config.write_text(config.read_text().replace("1e-4", "1e-3"))
    with pytest.raises(ValueError, match="holds a run of another configuration"):
        run_sweep(Sweep.read(config), swept[0], report=[].append)


def test_a_grid_of_keys(tmp_path):
    path = tmp_path / "grid.toml"
    step = '{ kind = "StepDecay", start = 1.0, factor = 0.5, every = 2 }'
    path.write_text(
        f"""{BASE}
        [sweep]
        "setup.learning_rate" = [1e-3, {step}]
        "options.delay" = ["2*ms", "3*ms"]
        """
    )
    plan = Sweep.read(path)
    assert [label(point) for point in plan.points()][:2] == [
        "setup.learning_rate=0.001, options.delay=2_ms",
        "setup.learning_rate=0.001, options.delay=3_ms",
    ]
    assert label({"setup.order": float("inf"), "flag": True}) == "setup.order=inf, flag=true"
    last = plan.configuration(plan.points()[-1])
    assert last.setup.learning_rate.every == 2 and float(last.options["delay"]) == 3e-3


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("", "there is no table [sweep]"),
        ("[sweep]\nseed = 3", "sweep.seed = 3 must be a list"),
        ("[sweep]\nseed = []", "sweep.seed = [] must be a list"),
        ("[sweep]\nseed = [1, -2]", "in seed=-2: Configuration.seed = -2 must be an integer"),
        ('[sweep]\n"setup.feedbck" = ["random"]', "did you mean 'feedback'"),
        ("[sweep.variants]\nslow = 3", "sweep.variants.slow = 3 must be a part"),
        ("[sweep.variants.slow]\nsetup.iterations = 0", "in slow: setup.iterations = 0"),
        ("[sweep]\nvariants = 3", "sweep.variants = 3 must be a table"),
        ("[swep]\nseed = [1]", "did you mean 'sweep'"),
        ("[sweep.variant.slow]\nsetup.order = 1", "did you mean 'variants'"),
        (
            "[sweep.variants.slow]\nsetp.order = 1",
            "in slow: unknown key 'setp' (did you mean 'setup'",
        ),
        ('[sweep]\n"setup.tau_out" = ["3*mV"]', "has the unit 'volt' but must be a time"),
        ("[sweep", "is not TOML"),
    ],
)
def test_a_wrong_sweep_is_told_in_words_before_anything_runs(tmp_path, sweep, message):
    path = tmp_path / "wrong.toml"
    path.write_text(BASE + sweep)
    done = CliRunner().invoke(app, ["sweep", str(path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2 and "Traceback" not in done.output
    assert message in done.output and str(path) in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_published_sweeps_can_be_read():
    from pathlib import Path

    found = sorted((Path(__file__).parents[2] / "benchmarks/reproductions").glob("*.toml"))
    assert found
    for path in found:
        assert len(Sweep.read(path).points()) >= 3
    assert json.dumps(Sweep.read(found[0]).base)
