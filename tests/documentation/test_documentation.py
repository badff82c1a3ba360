"""The documentation is whole: its pages, links and code, and the names and docstrings it shows."""

import inspect
import json
import re
from importlib import import_module
from pathlib import Path

import pytest
from numpydoc.validate import validate

import brian_eprop
from brian_eprop.reference import CELLS
from brian_eprop.rule_study.tasks import TASKS
from brian_eprop.tasks import available_tasks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MODULES = [
    "brian_eprop",
    *(f"brian_eprop.{name}" for name in ("checking", "network", "plotting", "reference")),
    *(f"brian_eprop.{name}" for name in ("reward", "rule_study", "runs", "tasks")),
    "brian_eprop.network.connectivity",
    "brian_eprop.network.constraints",
    "brian_eprop.reference.equilibrium",
]
#: Pages that the build writes.
GENERATED = {"api/command_line", "api/reference_rules", "gallery/index"}
#: numpydoc's checks: sections in their order; a docstring; parameters of the signature, all of
#: them, in their order.
CHECKS = {"GL03", "GL06", "GL07", "GL08", "PR01", "PR02", "PR03", "SS01"}


def built(path):
    """Whether the build has written a file."""
    parts = path.relative_to(DOCS).parts
    return parts[0] in ("_build", "gallery", "sg_execution_times.rst") or (
        path.relative_to(DOCS).with_suffix("").as_posix() in GENERATED
    )


def sources(*suffixes):
    """Files of the documentation that people write."""
    found = (path for suffix in suffixes for path in DOCS.rglob(f"*{suffix}"))
    return sorted(path for path in found if not built(path))


PAGES = [ROOT / "README.md", *sources(".md")]


def test_the_gallery_has_every_example_in_its_order():
    order = re.findall(r'"(plot_\w+\.py)"', (DOCS / "gallery_setup.py").read_text("utf-8"))
    assert sorted(order) == sorted(path.name for path in (ROOT / "examples").glob("plot_*.py"))


#: Rooms of files that are alike, of which the tree for developers names only the room.
ALIKE = {"tasks", "rules", "plotting"}


def test_the_tree_for_developers_names_every_module():
    house = ROOT / "brian_eprop"
    tree = (DOCS / "developers.md").read_text(encoding="utf-8").split("```")[1]
    named = set(re.findall(r"\w+\.py\b", tree))
    modules = {path.name for path in house.rglob("*.py") if path.parent.name not in ALIKE}
    assert modules <= named, modules - named
    assert named <= {path.name for path in house.rglob("*.py")}
    rooms = {path.parent.name for path in house.rglob("__init__.py")}
    assert {f"{room}/" for room in rooms} <= set(re.findall(r"\w+/", tree))


def listed(text):
    """Entries of the tables of contents of a page."""
    blocks = re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL)
    lines = (line.strip() for block in blocks for line in block.splitlines())
    return [line.split("<")[-1].rstrip(">") for line in lines if line and line[0] != ":"]


def test_every_page_is_in_a_table_of_contents():
    entries = set()
    for page in sources(".md"):
        folder = page.parent.relative_to(DOCS)
        entries |= {(folder / entry).as_posix() for entry in listed(page.read_text("utf-8"))}
    pages = {
        page.relative_to(DOCS).with_suffix("").as_posix()
        for page in sources(".md", ".rst", ".ipynb")
    }
    assert len(pages) > 10
    assert entries | {"index"} == pages | GENERATED


def documented():
    """The objects that the API reference shows."""
    shown = []
    for page in sources(".rst"):
        module = ""
        for role, name in re.findall(
            r"^\.\. (\w+):: ([\w.]+)", page.read_text("utf-8"), re.MULTILINE
        ):
            if role in ("currentmodule", "automodule"):
                module = name
            if role == "automodule":
                shown.append(import_module(name))
            elif role.startswith("auto") or role == "data":
                owner, _, name = name.rpartition(".")
                shown.append(getattr(import_module(owner or module), name))
    return shown


def test_every_public_name_is_in_the_reference():
    shown = documented()
    assert len(shown) > 50
    missing = [
        f"{module}.{name}"
        for module in MODULES
        for name in import_module(module).__all__
        if name != "RULES"  # its page is made from it
        and not any(getattr(import_module(module), name) is thing for thing in shown)
    ]
    assert missing == []


def test_every_cell_and_task_is_in_the_reference():
    shown = documented()
    tasks = [import_module(f"brian_eprop.tasks.{name}").TASK for name in available_tasks()]
    classes = [*CELLS.values(), *TASKS.values(), *tasks]
    assert [cls.__name__ for cls in classes if cls not in shown] == []


def test_nothing_is_in_the_reference_twice():
    shown = [thing for thing in documented() if callable(thing)]
    assert [thing.__name__ for thing in shown if shown.count(thing) > 1] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_of_pages_compiles(page):
    for code in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        compile(code, page.name, "exec")


def test_python_of_notebooks_compiles():
    notebooks = sources(".ipynb")
    assert notebooks
    for path in notebooks:
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            code = "".join(cell["source"])
            if cell["cell_type"] == "code" and not code.startswith("%"):
                compile(code, path.name, "exec")


#: How long something takes, in words or in digits.
DURATION = re.compile(
    r"\b(\d+|an?|one|two|three|six|ten|twenty|half a) ((to|or) \w+ )?(s|seconds?|minutes?)\b", re.I
)


def without_duration(text):
    """Blocks to copy that do not say how long they take, as little as paragraphs beside them."""
    text = re.sub(r"<!--.*?-->\n", "", text)
    fence = re.compile(r"^(```(?:bash|console|python)\n.*?^```$)", re.DOTALL | re.MULTILINE)
    parts = fence.split(text)
    for before, block, after in zip(parts[::2], parts[1::2], parts[2::2], strict=False):
        paragraphs = [p for p in before.split("\n\n") if p.strip()][-1:]
        paragraphs += [p for p in after.split("\n\n") if p.strip()][:1]
        comments = re.findall(r"# .*", block)
        if not DURATION.search(" ".join([*paragraphs, *comments]).replace("\n", " ")):
            yield block


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "start.md"], ids=lambda p: p.stem)
def test_what_a_newcomer_copies_says_how_long_it_takes(page):
    text = page.read_text("utf-8")
    assert text.count("```bash\n") >= 2 and text.count("```python\n") == 2
    assert list(without_duration(text)) == []
    quiet = re.sub(DURATION, "", text)
    assert len(list(without_duration(quiet))) > 3


def anchor(heading):
    """A heading as a fragment of an address, in GitHub's way."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def broken(page, text):
    """Relative links, images and cards of a page that lead nowhere."""
    text = re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)  # no links
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, fragment = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        found = page if not path else (page.parent / path).resolve()
        if not found.exists():
            yield target
        elif fragment and found.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", found.read_text("utf-8"), re.MULTILINE)
            if fragment not in map(anchor, headings):
                yield target
    for target in re.findall(r"^:link: (\S+)$", text, re.MULTILINE):
        pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in sources(".md")}
        if target not in pages | GENERATED:
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_pages_lead_somewhere(page):
    assert list(broken(page, page.read_text("utf-8"))) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pictures_of_pages_say_what_they_show(page):
    for shown in re.findall(r"!\[([^\]]*)\]", page.read_text("utf-8")):
        assert len(shown.split()) >= 3, shown


def test_a_link_that_leads_nowhere_is_found():
    text = "[a](missing.md) [b](start.md) ![c](figures/missing.png)\n:link: missing\n"
    assert list(broken(DOCS / "x.md", text)) == ["missing.md", "figures/missing.png", "missing"]


def public_objects():
    """Public functions and classes, each once, and the public members of the classes."""
    seen = set()
    for module in MODULES:
        for name in import_module(module).__all__:
            thing = getattr(import_module(module), name)
            if not (inspect.isclass(thing) or inspect.isfunction(thing)) or thing in seen:
                continue
            seen.add(thing)
            yield f"{module}.{name}"
            if inspect.isclass(thing):
                for member, value in vars(thing).items():
                    kinds = (property, classmethod, staticmethod)
                    if not member.startswith("_") and (
                        inspect.isfunction(value) or isinstance(value, kinds)
                    ):
                        yield f"{module}.{name}.{member}"


def complaints(name):
    """What numpydoc has against a docstring, of what matters here."""
    found = validate(name)
    for code, message in found["errors"]:
        if code not in CHECKS:
            continue
        if code == "PR01" and not needs_parameters(name, message):
            continue
        yield f"{name}: {code} {message}"


def needs_parameters(name, message):
    """Fields of results are 'Attributes'; a method of one line may leave its arguments out."""
    thing = brian_eprop
    for part in name.split(".")[1:]:
        thing = getattr(thing, part)
    if inspect.isclass(thing):
        attributes = inspect.getdoc(thing).partition("Attributes\n---")[2]
        names = re.findall(r"'\**(\w+)'", message)
        return not all(re.search(rf"^(.*, )?{field}\b", attributes, re.M) for field in names)
    owner = thing.__qualname__ if inspect.isfunction(thing) else name
    return "." not in owner and not isinstance(thing, property)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("module", MODULES)
def test_docstrings_of_public_names_are_complete(module):
    names = [name for name in public_objects() if name.startswith(f"{module}.")]
    assert [complaint for name in names for complaint in complaints(name)] == []


def test_a_parameter_that_is_missing_in_a_docstring_is_found(monkeypatch):
    assert list(complaints("brian_eprop.load_model")) == []
    monkeypatch.setattr(brian_eprop.load_model, "__doc__", "Load.\n\nParameters\n----------\n")
    assert list(complaints("brian_eprop.load_model"))
