"""Files that appear under their name only when they are complete."""

import os
from contextlib import contextmanager
from pathlib import Path

#: How the name of an unfinished file ends, after the number of the process that writes it.
UNFINISHED = ".brian_eprop.tmp"


@contextmanager
def replacing(path, what):
    """Open a new file in binary mode; at the end it takes the place of an old one.

    After an error or an interrupt the old file is as it was.

    Parameters
    ----------
    path : path-like
    what : str
        What is written, for the error message.

    Yields
    ------
    file

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written to; names the path.
    """
    path = Path(path)
    # In the same folder: os.replace is atomic only within one file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        with open(temporary, "wb") as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise type(error)(error.errno, f"cannot write {what} '{path}': {error.strerror}") from error


def is_abandoned(path):
    """Whether a file is one that a process was writing when it was killed.

    To be asked when this process writes nothing beside it: in a container, the one that was killed
    may have had the same number.
    """
    number = path.name.removesuffix(UNFINISHED).rpartition(".")[2]
    if not path.name.endswith(UNFINISHED) or not number.isdecimal():
        return False
    return int(number) == os.getpid() or not _lives(int(number))


def remove_abandoned(folder):
    """Remove what killed processes have left unfinished in a folder, but not in those in it."""
    for path in folder.glob(f".*{UNFINISHED}"):
        if is_abandoned(path):
            path.unlink(missing_ok=True)


def _lives(process):
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it is another user's
    return True
