"""The report on the machine: what is there, what is not, and whether it computes."""

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from brian_eprop.cli import app
from brian_eprop.runs import doctor


def lines(**environment):
    done = CliRunner(env=environment).invoke(app, ["doctor"])
    return done.exit_code, done.output


@pytest.mark.slow
def test_a_machine_that_computes():
    code, text = lines()
    assert code == 0, text
    for topic in ("python", "brian2", "C++ compiler", "threads", "memory", "cache", "torch"):
        assert any(line.startswith(topic) for line in text.splitlines()), topic
    assert text.count("from the reference") == 2
    assert "→" not in text


def test_what_is_missing_or_wrong_has_a_remedy(tmp_path, monkeypatch):
    """Without a compiler, with a cache that is a file, and with a gradient that is wrong."""
    expected = doctor.gradients
    monkeypatch.setattr(
        doctor, "gradients", lambda *given, **options: expected(*given, rule="bptt")
    )
    monkeypatch.setattr(doctor, "brian2_device", lambda _: doctor.numpy_runtime())
    file = tmp_path / "file"
    file.touch()
    code, text = lines(CXX="no-compiler", BRIAN_EPROP_CACHE=str(file))
    assert code == 1
    assert "'no-compiler' is not there" in text
    assert "apt install g++ make" in text
    assert "cannot be written to" in text
    assert "set BRIAN_EPROP_CACHE" in text
    assert "please report it" in text


def test_everything_that_is_optional_is_looked_for():
    """The extras that users install, but dask, which comes with its part that is looked for."""
    path = Path(__file__).parents[2] / "pyproject.toml"
    extras = tomllib.loads(path.read_text("utf-8"))["project"]["optional-dependencies"]
    for_people = set(extras) - {"test", "docs", "oracle", "bench", "nest"}
    names = {re.split(r"[>=]", text)[0] for extra in for_people for text in extras[extra]}
    assert names - {"dask"} == set(doctor.OPTIONAL)


def test_threads_are_those_of_this_process(monkeypatch):
    for name in doctor.THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda _: {3, 5, 6}, raising=False)
    assert doctor._threads().text == "up to 3 at a time; NumPy unlimited"
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert doctor._threads().text == "up to 3 at a time; OPENBLAS_NUM_THREADS=1"


def test_free_memory_is_that_which_calls_are_refused_by(monkeypatch):
    """Of a container too, and where the system has no count of free pages."""
    monkeypatch.setattr(doctor, "available_memory", lambda: 3_210_000_000)
    assert re.match(r"[\d.]+ GB, 3\.2 GB free; shared", doctor._memory().text)
