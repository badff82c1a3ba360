"""Write brian2.inv: where the pages of Brian2's names are, for builds without internet.

    python brian2_inventory.py

The names are those of the installed Brian2; only its address is taken from its documentation.
"""

import inspect
import zlib
from importlib.metadata import version
from pathlib import Path

import brian2

HEAD = """\
# Sphinx inventory version 2
# Project: Brian 2
# Version: {}
# The remainder of this file is compressed using zlib.
"""


def entries():
    """One line for each public class and function of Brian2: name, role, priority, address."""
    found = set()
    for name in dir(brian2):
        thing = getattr(brian2, name)
        module = getattr(thing, "__module__", None) or ""
        if not module.startswith("brian2.") or getattr(thing, "__name__", None) != name:
            continue
        full = f"{module}.{name}"
        if inspect.isclass(thing):
            role = "py:exception" if issubclass(thing, Exception) else "py:class"
        elif inspect.isfunction(thing):
            role = "py:function"
        else:
            continue
        found.add(f"{full} {role} 1 reference/{full}.html#$ -\n")
    return sorted(found)


if __name__ == "__main__":
    lines = "".join(entries())
    head = HEAD.format(version("brian2")).encode()
    Path(__file__).with_name("brian2.inv").write_bytes(head + zlib.compress(lines.encode(), 9))
