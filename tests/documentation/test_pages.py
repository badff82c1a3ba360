"""What the pages of the documentation tell people to do can be done.

Blocks after a comment ``<!-- run -->`` are run, in the order of their page and in one namespace;
``<!-- run with iterations = 2 -->`` replaces the value that the block assigns to a name: the page
shows what one would do, and the test takes seconds. Cells of text notebooks are run too.
"""

import re
import shlex
import tomllib
from pathlib import Path

import matplotlib
import pytest
import typer
from brian2.devices.device import get_device

from brian_eprop.cli import app
from brian_eprop.runs import Configuration, Sweep

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?P<marked><!-- run(?: with (?P<shorter>[^>]*))? -->\n)?"
    r"```(?P<language>python|toml|{code-cell})[^\n]*\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
COMMAND = re.compile(r"^(?:\$ )?(brian-eprop [^#\n>&|]*)", re.MULTILINE)


def blocks(page):
    """(language, code) of what is to be run, on the lines on which it stands in the page."""
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        if not found["marked"] and found["language"] != "{code-cell}":
            continue
        code = found["code"]
        for change in filter(None, re.split(r",\s*", found["shorter"] or "")):
            name = change.split(" = ")[0]
            code, count = re.subn(rf"^{name} = .*$", change, code, flags=re.MULTILINE)
            assert count == 1, f"{page.name}: '{change}' replaces nothing"
        line = text[: found.start("code")].count("\n")
        yield found["language"], "\n" * line + code


RUN = {page.name: list(blocks(page)) for page in PAGES}


def test_there_is_something_to_run():
    assert {"start.md", "recipes.md", "own_model.md"} <= {name for name in RUN if RUN[name]}
    assert len(RUN["recipes.md"]) > 15


@pytest.mark.slow
@pytest.mark.slow_unless(page=["own_model.md"])
@pytest.mark.parametrize("page", [name for name in RUN if RUN[name]])
def test_blocks_of_the_page_run(page, tmp_path, monkeypatch, numpy_target):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(matplotlib, "get_backend", lambda: "agg")
    matplotlib.use("agg")
    device = get_device()
    namespace = {"__name__": "page"}
    for language, code in RUN[page]:
        if language != "toml":
            exec(compile(code, page, "exec"), namespace)
        else:
            _check_configuration(code, tmp_path / "given.toml")
    assert get_device() is device, "a page leaves Brian2's device changed"


def _check_configuration(code, path):
    path.write_text(code, encoding="utf-8")
    kind = Sweep if "sweep" in tomllib.loads(code) else Configuration
    found = kind.read(path)
    if kind is Configuration:
        assert found.make_network().description.n_rec == found.setup.n_rec


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_page_are_understood(page):
    group = typer.main.get_command(app)
    for line in COMMAND.findall(page.read_text(encoding="utf-8")):
        words = shlex.split(line)[1:]
        if not words or not words[0].islower():
            continue
        command = group.commands[words[0]]
        # Raises a UsageError for an option that does not exist, or a value of another type.
        command.make_context(words[0], words[1:], resilient_parsing=False)


def test_commands_are_found_and_wrong_ones_are_seen():
    found = {line for page in PAGES for line in COMMAND.findall(page.read_text(encoding="utf-8"))}
    assert len(found) > 20
    command = typer.main.get_command(app).commands["train"]
    with pytest.raises(Exception, match="No such option"):
        command.make_context("train", ["store-recall", "--ordre", "2"])
