"""The files of a run folder, written so that a process may be killed at any moment.

config.toml       what it was made from; repeats the run
environment.json  with what it was made, when it was last started: versions, machine, commit
history.jsonl     one object per iteration, written as it happens
checkpoint.npz    the network while it is trained; from here training goes on
best.npz          the network with the best validation so far, if there are validations
weights.npz       the network after training (RecurrentNetwork.load)
result.json       how training ended; written last
recordings/       one trial before and one after training (Recording.load)
figures/          drawn from the above
"""

import errno
import fcntl
import json
import os
from pathlib import Path

from ..atomic_write import replacing
from .environment import environment

CONFIGURATION, HISTORY, RESULT = "config.toml", "history.jsonl", "result.json"
ENVIRONMENT = "environment.json"
CHECKPOINT, BEST, WEIGHTS = "checkpoint.npz", "best.npz", "weights.npz"
RECORDINGS, FIGURES = "recordings", "figures"


def create(folder):
    """Make the folder of a new run.

    Raises
    ------
    FileExistsError
        If there is something in it; nothing is changed then.
    OSError
        If it cannot be written.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        remedy = f"go on with --resume '{folder}', or " if (folder / CONFIGURATION).exists() else ""
        raise FileExistsError(
            f"the run folder '{folder}' exists already; nothing was changed: {remedy}name another "
            "one with --out, or remove it"
        )
    try:
        (folder / RECORDINGS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"the run folder '{folder}' cannot be written ({error.strerror}); name another one "
            "with --out"
        ) from None


def read_history(folder):
    """The entries of a run's history; a last line that was cut off is left out.

    Raises
    ------
    FileNotFoundError
        If the folder is none of a run.
    """
    path = folder / HISTORY
    if not path.exists():
        raise FileNotFoundError(
            f"'{folder}' is not a run folder: there is no '{path.name}' in it; give the "
            "folder that 'brian-eprop train' has written"
        )
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except (json.JSONDecodeError, RecursionError):
            break
    return entries


def write_result(folder, result):
    """Write how training ended, as JSON."""
    with replacing(folder / RESULT, "the result") as file:
        file.write(json.dumps(result, indent=2).encode())


def write_environment(folder):
    """Write what this process runs in, as JSON."""
    with replacing(folder / ENVIRONMENT, "the environment") as file:
        file.write(json.dumps(environment(), indent=2).encode())


def read_result(folder):
    """How training ended : dict; None if it has not."""
    try:
        return json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


class HistoryFile:
    """A history that grows line by line; one process at a time may write it.

    Parameters
    ----------
    folder : Path
    entries : list of dict
        What it begins with, in place of what there is.

    Raises
    ------
    BlockingIOError
        If another process writes it.
    """

    def __init__(self, folder, entries):
        self._lock = (folder / f".{HISTORY}.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(
                f"the run in '{folder}' is being trained by another process; wait for it, or end it"
            ) from None
        with replacing(folder / HISTORY, "the history") as file:
            file.write("".join(_line(entry) for entry in entries).encode())
        # Without a buffer: what cannot be written must not come up again when the file is closed.
        self._file = (folder / HISTORY).open("ab", buffering=0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self._lock.close()

    def add(self, entry):
        """Append an entry; other programs see it at once."""
        line = _line(entry).encode()
        try:
            complete = self._file.write(line) == len(line)
        except OSError as error:
            raise type(error)(
                error.errno, f"cannot write the history '{self._file.name}': {error.strerror}"
            ) from error
        if not complete:
            raise OSError(errno.ENOSPC, f"the history '{self._file.name}' has no room for a line")

    def sync(self):
        """Wait until all of it is on the disk."""
        os.fsync(self._file.fileno())


def _line(entry):
    return json.dumps(entry) + "\n"


def recordings(folder):
    """Paths of the recordings : list of Path."""
    return sorted(Path(folder / RECORDINGS).glob("*.nc"))
