"""Pages of the reference that are made from the package itself: learning rules, command line."""

import subprocess
import sys
from pathlib import Path

from brian_eprop.reference import RULES

API = Path(__file__).parent / "api"
RULES_HEAD = """\
Reference: the rules
====================

.. automodule:: brian_eprop.reference.rules
   :no-members:

.. data:: RULES

   Name → :class:`~brian_eprop.reference.rule.Rule`. The names are what
   :func:`brian_eprop.reference.gradients` and ``brian-eprop compare`` take.

.. autoclass:: brian_eprop.reference.rule.Rule
.. autoclass:: brian_eprop.reference.rule.Recursion
.. autoclass:: brian_eprop.reference.rule.Signal

"""


def rules_page():
    """Every registered rule: its module, its source, its place among the others."""
    return RULES_HEAD + "\n".join(_section(rule) for rule in RULES.values())


def _section(rule):
    recursion = f"{rule.recursion.__module__}.{rule.recursion.__name__}"
    origin = f"From ``{rule.parent}``: {rule.change}." if rule.parent else ""
    return (
        f"{rule.name}\n{'-' * len(rule.name)}\n\n{rule.source}. {origin}\n\n"
        f".. autoclass:: {recursion}\n   :no-members:\n"
    )


def command_line_page():
    """What Typer has to say of the commands."""
    command = [sys.executable, "-m", "typer", "brian_eprop.cli", "utils", "docs"]
    command += ["--name", "brian-eprop", "--title", "Command line"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def write(app):
    """Write the pages, each only if it has changed, so that Sphinx reads no page in vain."""
    pages = {"reference_rules.rst": rules_page(), "command_line.md": command_line_page()}
    for name, text in pages.items():
        page = API / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
