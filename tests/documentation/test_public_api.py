"""What users may rely on: names, signatures and types. A change shows up as a difference.

If it is meant: python tests/documentation/test_public_api.py, and commit the new
tests/data/public_api.txt.
"""

import ast
import difflib
import inspect
import re
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path

import pytest

from brian_eprop.tasks import available_tasks

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parents[1] / "data"
SNAPSHOT = DATA / "public_api.txt"
MODULES = (
    "brian_eprop",
    "brian_eprop.checking",
    "brian_eprop.network",
    "brian_eprop.network.connectivity",
    "brian_eprop.network.constraints",
    "brian_eprop.plotting",
    "brian_eprop.recording",
    "brian_eprop.reference",
    "brian_eprop.reference.equilibrium",
    "brian_eprop.reward",
    "brian_eprop.rule_study",
    "brian_eprop.runs",
    "brian_eprop.tasks",
    *(f"brian_eprop.tasks.{name}" for name in available_tasks()),
)
#: Methods that are part of an interface though their names begin with an underscore.
SPECIAL = ("__init__", "__call__")


def syntax(thing):
    """The definition of a function or class, without decorators of its own."""
    return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]


def definitions(thing):
    """(name, definition) of a function or, of a class, of all its public members."""
    if inspect.isfunction(thing):
        return {thing.__name__: syntax(thing)}
    found = {}
    # what a class inherits of ours is its own to a user
    for cls in reversed(thing.__mro__):
        if cls.__module__.startswith("brian_eprop"):
            for member in syntax(cls).body:
                if isinstance(member, ast.AnnAssign):
                    found[member.target.id] = member
                elif isinstance(member, ast.FunctionDef):
                    found[member.name] = member
    return {n: m for n, m in found.items() if not n.startswith("_") or n in SPECIAL}


def public():
    """(module, name, thing) of everything public, each once."""
    seen = set()
    for module in MODULES:
        for name in sorted(import_module(module).__all__):
            thing = getattr(import_module(module), name)
            if name == "TASK" or not (inspect.isfunction(thing) or inspect.isclass(thing)):
                continue
            if thing.__module__.startswith("brian_eprop") and thing not in seen:
                seen.add(thing)
                yield module, name, thing


def arguments(function):
    """All arguments of a definition but self and cls."""
    a = function.args
    every = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
    return [one for one in every if one is not None and one.arg not in ("self", "cls")]


def default(value):
    """What a field has if nothing is given; None if something must be."""
    if not isinstance(value, ast.Call) or ast.unparse(value.func) != "field":
        return value and ast.unparse(value)
    about = {keyword.arg: ast.unparse(keyword.value) for keyword in value.keywords}
    return f"{about['factory']}()" if "factory" in about else about.get("default")


def written(name, member):
    """A member in one line."""
    if isinstance(member, ast.AnnAssign):
        value = default(member.value)
        return f"{name}: {ast.unparse(member.annotation)}" + (f" = {value}" if value else "")
    decorators = [ast.unparse(d).split(".")[-1] for d in member.decorator_list]
    returns = f" -> {ast.unparse(member.returns)}" if member.returns else ""
    if any(d in ("property", "cached_property") for d in decorators):
        return f"{name}{returns}"
    kind = "classmethod " if "classmethod" in decorators else ""
    return f"{kind}{name}({ast.unparse(member.args)}){returns}"


def snapshot():
    """The public interface as text."""
    lines, last = [], None
    for module, name, thing in public():
        if module != last:
            lines += ["", module]
            last = module
        members = [written(*member) for member in sorted(definitions(thing).items())]
        if inspect.isfunction(thing):
            lines += [f"    {line}" for line in members]
        else:
            lines += [f"    class {name}", *(f"        {line}" for line in members)]
    return "\n".join(lines[1:]) + "\n"


def test_the_public_interface_is_as_it_was():
    before, now = SNAPSHOT.read_text(encoding="utf-8"), snapshot()
    difference = difflib.unified_diff(
        before.splitlines(), now.splitlines(), "before", "now", lineterm="", n=1
    )
    assert before == now, "\n".join([__doc__, *difference])


def test_every_public_callable_is_annotated():
    missing, callables = [], 0
    for module, name, thing in public():
        for member, definition in definitions(thing).items():
            if isinstance(definition, ast.FunctionDef):
                callables += 1
                bare = [a.arg for a in arguments(definition) if a.annotation is None]
                bare += ["return"] * (definition.returns is None)
                missing += [f"{module}.{name}.{member}: {argument}" for argument in bare]
    assert callables > 200
    assert not missing, "\n".join(missing)


def test_a_missing_annotation_would_be_seen():
    def function(self, one: int, two, *three, four=1, **five: int):
        pass

    names = {a.arg for a in arguments(syntax(function)) if a.annotation is None}
    assert names == {"two", "three", "four"} and syntax(function).returns is None


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """mypy --strict of one file, as a user runs it beside the installed package."""
    cache = tmp_path_factory.mktemp("mypy")
    (cache / "mypy.ini").write_text("[mypy]\n[mypy-brian2.*]\nignore_missing_imports = True\n")

    def run(path):
        command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
        command += ["--config-file", str(cache / "mypy.ini"), "--cache-dir", str(cache), str(path)]
        # an editable installation is behind an import hook, which mypy does not run
        done = subprocess.run(
            command, capture_output=True, text=True, env={"MYPYPATH": str(ROOT)}, cwd=cache
        )
        return done.stdout + done.stderr

    return run


@pytest.mark.slow
def test_a_program_with_types_passes(mypy):
    assert "Success: no issues found" in (found := mypy(DATA / "typed_program.py")), found


@pytest.mark.slow
def test_mistakes_are_found_where_they_are(mypy):
    """Every line that ends in '# wrong', and no other."""
    path = DATA / "mistyped_program.py"
    lines = path.read_text(encoding="utf-8").splitlines()
    wrong = {k for k, line in enumerate(lines, 1) if line.endswith("# wrong")}
    output = mypy(path)
    found = {int(k) for k in re.findall(r"mistyped_program\.py:(\d+): error", output)}
    assert len(wrong) > 10 and found == wrong, output


if __name__ == "__main__":
    SNAPSHOT.write_text(snapshot(), encoding="utf-8")
