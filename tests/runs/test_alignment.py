"""How rules align with back-propagation: in the network of a run folder, and while a run trains."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from attrs import evolve
from command_line import brian_eprop

from brian_eprop import EProp, RecurrentNetwork, SuperSpike, memory, reference
from brian_eprop.plotting import plot_rule_alignment
from brian_eprop.rule_study import AlignmentMonitor
from brian_eprop.runs import Configuration, align, train, write_report
from brian_eprop.runs.folder import read_history

pytestmark = pytest.mark.usefixtures("numpy_target")

SMALL = """
task = "temporal_xor"
seed = 4
device = "runtime"

[options]
cue = "4*ms"
delay = "2*ms"
answer = "4*ms"
rate = "400*Hz"

[setup]
iterations = 3
batch_size = 2
evaluation_trials = 3
feedback = "random"
neurons = [{ model = "alif", count = 6, parameters = { v_th = 0.2 } }]
"""


@pytest.fixture
def configuration(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return Configuration.read(path)


@pytest.fixture
def run(configuration, tmp_path):
    """A run folder with a network, which nobody has trained."""
    folder = tmp_path / "run"
    folder.mkdir()
    configuration.write(folder / "config.toml")
    configuration.make_network().save(folder / "weights.npz")
    return folder


def test_columns_are_the_cosines_of_the_reference(run, configuration):
    found = align(run, ["mdgl", "eprop(feedback=symmetric)", SuperSpike(), "rtrl"], trials=3)
    assert found.trials == 3 and not found.refused
    network, task = RecurrentNetwork.load(run / "weights.npz"), configuration.make_task()
    trial = task.sample(np.random.default_rng([4, 4]), 3)
    assert network.simulate(trial[0]).spikes.sum() > 10
    same, window = network.reference_network(), task.learning_window
    symmetric = evolve(same, feedback=None)
    exact = reference.gradients(symmetric, *trial, "bptt", window)
    cases = {
        "mdgl": (same, "mdgl"),
        "SuperSpike()": (same, "superspike"),
        "eprop(feedback=symmetric)": (symmetric, "eprop"),
    }
    cosines = set()
    for label, (through, rule) in cases.items():
        gradient = reference.gradients(through, *trial, rule, window)
        for part in ("w_in", "w_rec"):
            g, b = (np.ravel(getattr(x, part)) for x in (gradient, exact))
            cosine = g @ b / math.sqrt(g @ g * (b @ b))
            # the same sums in another order
            assert found.columns[f"cosine {label} {part}"] == pytest.approx(cosine, rel=1e-10)
            cosines.add(round(cosine, 6))
    assert len(cosines) == 6 and max(cosines) < 1
    assert found.columns["cosine rtrl all"] == pytest.approx(1, rel=1e-12)


def test_the_figure_has_what_the_table_has(run, tmp_path):
    found = align(run, ["eprop", "mdgl", "rtrl"], trials=2, figure=tmp_path / "aligned.svg")
    assert (tmp_path / "aligned.svg").read_text().startswith("<?xml")
    for quantity in ("cosine", "norm ratio"):
        ax = plot_rule_alignment(found.columns, quantity=quantity, ax=plt.figure().subplots())
        rows = [label.get_text() for label in ax.get_yticklabels()]
        assert rows == ["eprop", "mdgl", "rtrl"]
        drawn = {}
        for line in ax.lines:
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True):
                if line.get_label() in ("w_in", "w_rec", "all"):
                    rule = rows[round(2 - y)]
                    drawn[f"{quantity} {rule} {line.get_label()}"] = x
        assert len(drawn) == 9
        for key, value in drawn.items():
            assert found.columns[key] == value
    with pytest.raises(ValueError, match="'columns' has no cosine of a rule"):
        plot_rule_alignment({"loss": 1.0})


def test_the_command_draws_them(run, tmp_path):
    picture = tmp_path / "aligned.png"
    done = brian_eprop("align", run, "eprop", "mdgl", "--trials", 2, "--figure", picture)
    assert done.exit_code == 0 and f"written to {picture}" in done.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    done = brian_eprop("align", run, "eprop", "--figure", tmp_path / "aligned.jpeg")
    assert done.exit_code == 2 and "the format of figures = 'jpeg' is not known" in done.output
    done = brian_eprop("align", run, "eprop", "--figure", tmp_path / "nowhere" / "aligned.png")
    assert done.exit_code == 2 and "is in no folder that exists" in done.output


def test_the_command_prints_them_and_who_was_refused(run):
    done = brian_eprop("align", run, "eprop", "rflo", "--trials", 2)
    assert done.exit_code == 0, done.output
    header, *rows = done.output.strip().split("\n")
    assert header.split()[-3:] == ["cosine", "norm", "ratio"]
    assert [row.split()[:2] for row in rows[:3]] == [
        ["eprop", "w_in"], ["eprop", "w_rec"], ["eprop", "all"]
    ]  # fmt: skip
    assert -1 <= float(rows[2].split()[2]) <= 1
    assert rows[3].startswith("rflo: rule 'rflo' does not apply to a network of 'alif' units")


def test_what_cannot_be_aligned_is_refused(run, configuration, tmp_path, monkeypatch):
    def refused(*arguments):
        done = brian_eprop("align", *arguments)
        assert done.exit_code == 2 and not isinstance(done.exception, AssertionError), done.output
        return done.output

    assert str(tmp_path / "nothing") in refused(tmp_path / "nothing")
    assert "names 'nonsense', which is no rule" in refused(run, "nonsense")
    assert "align.trials" in refused(run, "--trials", 0)
    monkeypatch.setattr(memory, "available_memory", lambda: 30_000)
    # 8 bytes × 3 states × 8 trials × 6² neurons × (inputs and neurons)
    needed = 8 * 3 * 8 * 36 * (configuration.make_task().n_in + 6) / 1e9
    text = refused(run, "rtrl")
    assert f"would take {needed:.3g} GB, but 3e-05 GB are free" in text
    assert "which 'rtrl' keeps" in text
    (run / "weights.npz").unlink()
    assert "has no network yet" in refused(run)


def test_a_task_of_ones_own_is_not_executed_without_trust(run, tmp_path):
    (tmp_path / "task.py").write_text("raise SystemExit('executed')")
    text = (run / "config.toml").read_text().replace("temporal_xor", str(tmp_path / "task.py"))
    (run / "config.toml").write_text(text)
    done = brian_eprop("align", run)
    assert done.exit_code == 2 and "if you trust it, give --trust" in done.output


@pytest.mark.slow
def test_a_run_that_is_measured_while_it_trains_has_columns_and_a_figure(configuration, tmp_path):
    monitor = AlignmentMonitor([EProp(), EProp(order=2)], every=2)
    train(configuration, tmp_path / "run", progress=False, alignment=monitor)
    history = read_history(tmp_path / "run")
    assert [f"cosine EProp(order={k}) all" in e for e in history for k in (1, 2)] == [
        True, True, False, False, True, True
    ]  # fmt: skip
    assert (tmp_path / "run" / "figures" / "learning_alignment.png").exists()
    write_report(tmp_path / "run")
    assert "Cosine eprop(order=1)" in (tmp_path / "run" / "report.html").read_text()
    train(configuration, tmp_path / "plain", progress=False)
    plain = read_history(tmp_path / "plain")
    assert [e["loss"] for e in plain] == [e["loss"] for e in history]


def test_what_is_no_monitor_is_refused_before_there_is_a_folder(configuration, tmp_path):
    with pytest.raises(TypeError, match=r"fit\.alignment = 10 is no monitor"):
        train(configuration, tmp_path / "run", alignment=10)
    options = "--align-every", 0, "--out", tmp_path / "run"
    done = brian_eprop("train", "temporal_xor", *options)
    assert done.exit_code == 2 and "AlignmentMonitor.every" in done.output
    assert not (tmp_path / "run").exists()
