"""With what a run is made: versions, Brian2's target of runtime mode, machine, and the commit of
the folder it is started in.
"""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version

from brian2 import prefs

__all__ = ["commit", "environment"]

#: Those whose version may change a number.
DISTRIBUTIONS = ("brian_eprop", "brian2", "numpy", "scipy", "sympy")


def environment():
    """What this process runs in, as text by name : dict of str to str."""
    found = {"started": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")}
    found |= {"python": platform.python_version()}
    found |= {name: version(name) for name in DISTRIBUTIONS}
    found |= {"codegen.target": prefs.codegen.target}
    system = (platform.system(), platform.machine(), *platform.libc_ver())
    return found | {"system": " ".join(system).strip(), "processor": _processor()}


def _processor():
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        pass  # not Linux, or a processor without a name
    return f"{name}, {os.cpu_count()} cores"


def commit():
    """That of the present folder's repository, with "-dirty" if files differ from it.

    Runs git, which runs what the repository's own settings name: not for a folder that somebody
    else has made.

    Returns
    -------
    dict of str to str
        Empty where there is no repository.
    """
    # without a lock, which would be in the way of the user's own git
    options = ["--always", "--dirty", "--abbrev=40", "--exclude=*"]
    command = ["git", "--no-optional-locks", "describe", *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found = done.stdout.strip()
    return {"commit": found} if found else {}
