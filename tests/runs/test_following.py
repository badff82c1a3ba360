"""The report that follows a run: who may read it, what it shows, and what ends it."""

import http.client
import json
import re
import shutil
import socket
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from brian_eprop.cli import app
from brian_eprop.runs import Configuration, train
from brian_eprop.runs.following import ReportServer

from .test_report import SMALL

pytestmark = pytest.mark.usefixtures("numpy_target")


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
def begun(tmp_path, monkeypatch):
    """A run before its first iteration, whose page is not drawn but counted."""
    monkeypatch.setattr("brian_eprop.runs.following.page", lambda *_, **__: drawn.append(1) or "x")
    drawn = []
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_text(SMALL)
    return run, drawn


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it, as it was when two of five iterations were done."""
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "result.json").unlink()
    lines = (run / "history.jsonl").read_text().splitlines(keepends=True)
    (run / "history.jsonl").write_text("".join(lines[:2]))
    return run


@contextmanager
def served(folder, **options):
    with ReportServer(folder, **options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def get(server, path=None, method="GET", **headers):
    parts = urlsplit(server.address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.request(method, parts.path if path is None else path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_page_goes_on_with_the_run(run, finished):
    before = files_of(run)
    with served(run) as server:
        state, page = get(server, urlsplit(server.address).path + "state")[1], get(server)[1]
        assert "2 of 5 iterations are done" in " ".join(page.split())
        assert "This page follows the run" in page
        assert files_of(run) == before
        # a process that is killed while it writes leaves half a line
        with (run / "history.jsonl").open("a") as file:
            file.write('{"iteration": 2, "lo')
        assert get(server, urlsplit(server.address).path + "state")[1] != state
        assert "2 of 5 iterations are done" in " ".join(get(server)[1].split())
        shutil.copy(finished / "history.jsonl", run)
        shutil.copy(finished / "result.json", run)
        page = " ".join(re.sub("<.*?>", "", get(server)[1]).split())
        assert "ended after its last iteration, after 5 iterations" in page
        assert "This page follows the run" not in page
        loss = json.loads((run / "result.json").read_text())["loss"]
        assert f"{loss:.4g}" in page


def test_it_is_drawn_once_for_each_state(begun):
    run, drawn = begun
    with served(run) as server:
        assert get(server)[1] == get(server)[1] == "x"
        assert len(drawn) == 1
        (run / "history.jsonl").write_text("")
        get(server)
        assert len(drawn) == 2


def test_nobody_without_the_token_reads_it(begun):
    run, _ = begun
    with served(run) as server:
        own = urlsplit(server.address).path
        for path in ("/", "/state", f"{own}config.toml", own[:-2], f"{own}..%2f"):
            answer, text = get(server, path)
            assert answer.status == 404, path
            assert text == "no such page\n"
        # a page of the web whose name is made to point here
        assert get(server, Host=f"evil.example:{server.server_port}")[0].status == 421
        assert get(server, method="POST")[0].status == 501
        answer, _ = get(server)
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    with served(run) as other:
        assert urlsplit(other.address).path != urlsplit(server.address).path


def test_a_folder_that_is_deleted_meanwhile_is_said_and_nothing_ends(begun):
    run, _ = begun
    with served(run) as server:
        assert get(server)[0].status == 200
        shutil.rmtree(run)
        for path in (None, urlsplit(server.address).path + "state"):
            answer, text = get(server, path)
            assert answer.status == 410
            assert "is not a run folder" in text


@pytest.mark.slow
def test_a_damaged_file_is_named(run):
    with served(run) as server:
        (run / "result.json").write_text("5\n")
        answer, text = get(server)
        assert answer.status == 410
        assert "result.json" in text


def test_what_cannot_be_served_is_said_before(begun, tmp_path):
    run, _ = begun

    def said(*arguments):
        done = CliRunner().invoke(app, ["report", *map(str, arguments)])
        assert done.exit_code == 2, done.output
        assert "Traceback" not in done.output
        return done.output

    assert "is not a run folder" in said(tmp_path, "--follow")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        output = said(run, "--follow", "--port", port)
        assert f"port {port} of 127.0.0.1 cannot be had" in output
        assert "--port" in output
    assert "give it with --follow" in said(run, "--port", 8000)
    assert "from 0 to 65535, not 65536" in said(run, "--follow", "--port", 65536)
    assert "from 0 to 65535, not -1" in said(run, "--follow", "--port", -1)
