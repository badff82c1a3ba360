"""Where and with what a benchmark ran."""

import os
import platform
from importlib.metadata import version

__all__ = ["described"]


def described(*packages):
    """Processor, cores, load average, and versions of Python and the packages."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in packages},
    }


def _processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()
