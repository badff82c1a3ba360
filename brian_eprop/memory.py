"""Free memory, of the machine and of a container around us, and the check that something fits."""

import os
import resource
import sys
from pathlib import Path

#: Where Linux tells about processes and their control groups.
PROCESSES, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
#: What may be taken of the free memory: something is left for Python's own.
SHARE = 0.9


def check_memory(needed, what, remedy):
    """Raise MemoryError for more than may be taken of what is free.

    Parameters
    ----------
    needed : int
        Bytes.
    what : str
        What takes them, as the first words of the message: "the image takes".
    remedy : str
    """
    free = available_memory()
    if needed > SHARE * free:
        raise MemoryError(
            f"{what} {needed / 1e9:.3g} GB, but {free / 1e9:.3g} GB are free, of which "
            f"{SHARE:.0%} may be taken; {remedy}"
        )


def available_memory():
    """Bytes that can be had without swapping, by this machine and by a container around us."""
    return max(0, min([_free_on_machine(), *_free_in_containers()]))


def _free_on_machine():
    try:
        lines = dict(line.split(":") for line in (PROCESSES / "meminfo").read_text().splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        # As on macOS, which has no count of free pages: all of it but what this process takes.
        # Other programs are swapped out first.
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") - _taken()


def _taken():
    """Bytes of memory that this process has had at most."""
    # bytes on macOS, kilobytes elsewhere
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _free_in_containers():
    """What each control group of Linux (version 1 or 2) that limits this process leaves free."""
    try:
        groups = (PROCESSES / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if controllers == "":
            root, limit, used = GROUPS, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            root, limit, used = GROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # Limits of the groups around it count too; inside a container only the root can be seen.
        for folder in (root / path.lstrip("/"), *(root / path.lstrip("/")).parents):
            if folder.is_relative_to(root):
                yield from _free_in(folder, limit, used)


def _free_in(folder, limit, used):
    try:
        # "max" if there is no limit
        free = int((folder / limit).read_text()) - int((folder / used).read_text())
        lines = (folder / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):
        return
    # Files that were read once are given up first.
    of_files = [int(line.split()[1]) for line in lines if line.startswith("inactive_file ")]
    yield free + sum(of_files)
