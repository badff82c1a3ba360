"""The report on the machine: what is there, what is not, and whether it computes."""

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
    for topic in ("python", "brian2", "C++ compiler", "memory", "cache", "torch"):
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
