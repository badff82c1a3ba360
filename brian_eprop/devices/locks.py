"""One process, and one thread of it, at a time."""

import fcntl
import os
import threading
from contextlib import contextmanager

__all__ = ["alone"]

#: Brian2's device, and the network that it builds, are those of the whole process.
_THREADS = threading.Lock()


@contextmanager
def alone(path):
    """Let all others wait; a process that dies lets them in.

    Parameters
    ----------
    path : Path
        Of a file that is there meanwhile, and left by a process that is killed: that does no harm.
    """
    entered = False
    with _THREADS:
        while not entered:
            with path.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                # Who held it has removed the file, and another may have locked a new one.
                entered = _is_open(path, lock)
                try:
                    if entered:
                        yield
                finally:
                    if entered:
                        path.unlink(missing_ok=True)


def _is_open(path, file):
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
