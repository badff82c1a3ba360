"""The past of a window: arrays of one row per time step that are used in turn.

Row t mod R holds what was recorded in step t. Credit that arrivals will be given is kept
likewise, each row twice, R rows apart, so that the credit of the next R steps always is one
contiguous piece: a synapse with a delay finds its own at a fixed distance.
"""

import os

import numpy as np


def resize_rows(variable, size):
    """Give a variable its size, as zeros if that is a new one."""
    if variable.size != size:
        variable.resize(size)


def available_memory():
    """Bytes that can be had without swapping."""
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":") for line in file)
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def steps_of(delay, dt):
    """Delays in whole steps, rounded as Brian2's spike queue does."""
    return np.floor(np.asarray(delay) / dt + 0.5).astype(int)
