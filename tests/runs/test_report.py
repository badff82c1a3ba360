"""The report of a run: one page that stands alone, with a check of the gradients that can fail."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from brian2 import ms
from typer.testing import CliRunner

import brian_eprop
from brian_eprop import EProp, RecurrentNetwork
from brian_eprop.cli import app
from brian_eprop.plotting.style import contrast
from brian_eprop.runs import Configuration, train
from brian_eprop.runs.report import check_gradients
from brian_eprop.tasks import load_task

pytestmark = pytest.mark.usefixtures("numpy_target")

SMALL = """
task = "temporal_xor"
seed = 4
device = "runtime"
checkpoint_every = 2

[options]
cue = "8*ms"
delay = "2*ms"
answer = "8*ms"
rate = "400*Hz"

[setup]
iterations = 5
batch_size = 2
evaluate_every = 2
evaluation_trials = 3
gains = { w_in = 3.0 }
neurons = [{ model = "alif", count = 6 }]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was trained to its end, not to be changed."""
    from brian2 import prefs

    prefs.codegen.target = "numpy"
    base = tmp_path_factory.mktemp("finished")
    (base / "small.toml").write_text(SMALL)
    train(Configuration.read(base / "small.toml"), base / "run", progress=False)
    return base / "run"


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "run")


class Page(HTMLParser):
    """Text, tags and links of a page; every tag that is opened is closed."""

    VOID = ("meta", "img")

    def __init__(self, path):
        super().__init__()
        self.text, self.tags, self.links, self._open = "", [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


def report(folder):
    return CliRunner().invoke(app, ["report", str(folder)])


@pytest.fixture(scope="module")
def reported(finished, tmp_path_factory):
    """A copy with its report, not to be changed either; and what was said."""
    run = shutil.copytree(finished, tmp_path_factory.mktemp("reported") / "run")
    return run, report(run)


@pytest.mark.slow
def test_the_report_of_a_finished_run(reported):
    run, done = reported
    assert done.exit_code == 0, done.output
    assert "gradients from Brian2 and from the NumPy reference agree" in done.output
    page = Page(run / "report.html")
    assert "ended after its last iteration, after 5 iterations" in " ".join(page.text.split())
    result = json.loads((run / "result.json").read_text())
    for number in (result["loss"], result["rate"], result["test"]):
        assert f"{number:.4g}" in page.text
    for title in ("Learning", "Network", "Gradients' check", "Derived equations", "Environment"):
        assert title in page.text
    assert page.text.count("✓") == 4 and "✗" not in page.text
    # two trials, the learning curve, the weights
    assert page.tags.count("img") >= 4 and page.tags.count("math") > 10
    environment = json.loads((run / "environment.json").read_text())
    assert environment["brian2"] in page.text and environment["processor"] in page.text
    assert not list(run.glob(".*.tmp"))


@pytest.mark.slow
def test_it_needs_nothing_from_outside(reported):
    path = reported[0] / "report.html"
    links = Page(path).links
    assert links and all(link.startswith("data:") for link in links)
    assert not re.search(r"<script|<link|@import|url\(", path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_configuration_in_it_repeats_the_run(reported, tmp_path):
    run, _ = reported
    parser = Page(run / "report.html")
    start = parser.text.index('task = "temporal_xor"')
    text = parser.text[start : parser.text.index("Environment", start)]
    (tmp_path / "again.toml").write_text(text)
    again = Configuration.read(tmp_path / "again.toml")
    assert again.text() == Configuration.read(run / "config.toml").text()


@pytest.mark.slow
def test_unfinished_runs_are_reported_as_far_as_they_have_come(run):
    for name in ("result.json", "weights.npz", "environment.json", "recordings/after.nc"):
        (run / name).unlink()
    with (run / "history.jsonl").open("a") as file:
        file.write('{"iteration": 5, "lo')
    assert report(run).exit_code == 0
    text = " ".join(Page(run / "report.html").text.split())
    assert "has not ended; 5 of 5 iterations are done" in text
    assert f"--resume {run}" in text and text.count("✓") == 4
    # killed before the first checkpoint
    (run / "checkpoint.npz").unlink()
    (run / "history.jsonl").unlink()
    done = report(run)
    assert done.exit_code == 0, done.output
    text = " ".join(Page(run / "report.html").text.split())
    assert "no iteration is complete" in text and "Gradients' check" not in text


def test_a_folder_that_is_no_run_is_named(tmp_path):
    done = report(tmp_path)
    assert done.exit_code == 2
    assert f"'{tmp_path}' is not a run folder" in done.output
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "config.toml",
        "history.jsonl",
        "result.json",
        "environment.json",
        "weights.npz",
        "recordings/before.nc",
    ],
)
@pytest.mark.parametrize("content", [b"\xff\xfe\x00 damaged", b"5\n"])
def test_damaged_files_are_named_and_an_older_report_stays(run, name, content):
    (run / "report.html").write_text("an older one")
    (run / name).write_bytes(content)
    done = report(run)
    assert done.exit_code == 2, done.output
    assert name in done.output and "Traceback" not in done.output
    assert (run / "report.html").read_text() == "an older one"


@pytest.mark.slow
def test_the_command_is_a_module_as_well_and_its_help_is_shown_in_full():
    command = [sys.executable, "-m", "brian_eprop", "sweep", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: brian-eprop sweep" in done.stdout
    assert "A configuration with a table [sweep]." in " ".join(done.stdout.split())


# ------------------------------------------------------------------- the gradients' check
def network_and_task(neurons="alif", **options):
    task = load_task("pattern_generation", steps=60, n_in=20)
    rng = np.random.default_rng(3)
    weights = {"w_in": 0.5 * rng.normal(size=(20, 8))}
    return RecurrentNetwork(neurons, 20, 8, 1, weights=weights, seed=2, **options), task


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_networks_of_lif_and_alif_are_checked_with_the_reference(order):
    network, task = network_and_task([("lif", 3, {}), ("alif", 5, {})], rule=EProp(order=order))
    check = check_gradients(network, task, seed=0)
    assert check.passed and check.against == "the NumPy reference" and not check.reason
    assert check.order == order and check.steps == 60 and check.spikes > 10
    assert [row.quantity for row in check.rows] == ["spikes", "w_in", "w_rec", "w_out"]


@pytest.mark.slow
def test_other_neurons_are_checked_with_eligibility_traces():
    network, task = network_and_task("cuba_alif", rule=EProp(order=2))
    network.weights["w_in"] = 1000 * abs(network.weights["w_in"])
    check = check_gradients(network, task, seed=0)
    assert check.passed and check.spikes > 10
    assert check.order == 1 and check.against == "the eligibility traces in Brian2"
    assert "cuba_alif" in check.reason


def test_a_silent_network_does_not_pass():
    network, task = network_and_task()
    network.weights["w_in"][:] = 0
    check = check_gradients(network, task, seed=0)
    assert not check.passed and check.rows[0].reason == "no neuron fires"


def test_what_nothing_can_check_is_said():
    network, task = network_and_task(delays={"w_out": 3 * ms})
    check = check_gradients(network, task, seed=0)
    assert not check.passed and not check.rows and "w_out" in check.reason


@pytest.mark.slow
def test_wrong_gradients_do_not_pass(run, monkeypatch):
    """The command says so in its exit code, the page in words."""
    true = RecurrentNetwork.gradients

    def wrong(self, *arguments):
        found = true(self, *arguments)
        found.w_rec[0, 1] += 1e-6 * np.abs(found.w_rec).max()
        return found

    monkeypatch.setattr(RecurrentNetwork, "gradients", wrong)
    done = report(run)
    assert done.exit_code == 1 and "DO NOT AGREE" in done.output
    text = Page(run / "report.html").text
    assert text.count("✗") == 1 and text.count("✓") == 3 and "failed" in text


@pytest.mark.slow
def test_what_figures_show_is_said_for_those_who_do_not_see_them(reported):
    page = (reported[0] / "report.html").read_text("utf-8")
    said = re.findall(r'<img src="data:[^"]*" alt="([^"]*)">', page)
    assert len(said) == len(set(said)) == page.count("<img") >= 4
    assert all(len(text.split()) > 8 and ": " in text for text in said)
    assert any(text.startswith("Trial after: input spikes") for text in said)


def test_colors_of_the_page_can_be_read_by_day_and_by_night():
    sheet = Path(brian_eprop.__file__).with_name("runs") / "templates" / "style.css"
    themes = re.findall(r":root \{(.*?)\}", sheet.read_text("utf-8"), re.DOTALL)
    assert len(themes) == 2

    def luminance(color):
        return 1.05 / contrast(color) - 0.05

    for theme in themes:
        colors = dict(re.findall(r"--(\w+): (#\w+)", theme))
        for text in ("ink", "quiet", "accent", "good", "bad", "open"):
            for ground in ("paper", "card"):
                low, high = sorted(luminance(colors[name]) for name in (text, ground))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)
