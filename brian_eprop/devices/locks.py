"""One process, and one thread of it, at a time."""

import fcntl
import os
import shutil
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

__all__ = ["alone", "remove_abandoned_scratch", "scratch"]

#: How the names of temporary folders begin that are locked while their processes live.
SCRATCH = "brian_eprop-"

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


@contextmanager
def scratch(where):
    """A temporary folder in a folder, locked as long as its process lives.

    Parameters
    ----------
    where : path-like or None
        None for the usual place.
    """
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=where) as folder:
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(lock)


def remove_abandoned_scratch(where):
    """Remove the temporary folders of processes that were killed; others' are left."""
    for folder in Path(where).glob(f"{SCRATCH}*"):
        try:
            lock = os.open(folder, os.O_RDONLY)
        except OSError:
            continue  # another user's, or removed meanwhile
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # one that was made a moment ago may not be locked yet
            if any(folder.iterdir()):
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # its process lives
        finally:
            os.close(lock)
