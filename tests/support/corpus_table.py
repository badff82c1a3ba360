"""The table of published models in docs/what_can_learn.md; run as a script, it writes the table."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parents[1] / "corpus"
PAGE = ROOT / "docs" / "what_can_learn.md"
#: The table stands between these two.
MARKS = "<!-- corpus -->\n", "<!-- end of corpus -->\n"
#: Names of the files that have a model, in the order of the table.
MODELS = sorted(path.stem for path in CORPUS.glob("[a-z]*.py"))


def constants(name):
    """Constants of a file that are plain text, such as REFUSED, without running it."""
    tree = ast.parse((CORPUS / f"{name}.py").read_text("utf-8"))
    return {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }


def row(name):
    """What a file simulates, whose model it is, and whether it learns."""
    text = ast.get_docstring(ast.parse((CORPUS / f"{name}.py").read_text("utf-8")))
    title, paper = text.split("\n\n")[:2]
    title, paper = title.removesuffix("."), re.sub(r"^Papers?: ", "", paper).replace("\n", " ")
    found = constants(name)
    outcome = "learns"
    if "IN_TRIALS" in found:
        outcome += " in trials"
    if "ENGINE" in found:
        outcome += f' with `engine="{found["ENGINE"]}"`'
    if "REFUSED" in found:
        outcome = f"refused: “{found['REFUSED']}”"
    return f"| [{title}](../tests/corpus/{name}.py) | {paper} | {outcome} |\n"


def table():
    """The rows of all files, in Markdown."""
    head = "| Model | Paper | Outcome |\n|---|---|---|\n"
    return head + "".join(row(name) for name in MODELS)


def page():
    """Text of the page with the table as it should be."""
    before, rest = PAGE.read_text("utf-8").split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    return before + MARKS[0] + table() + MARKS[1] + after


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
