"""Files that appear under their name only when they are complete."""

import os
from contextlib import contextmanager
from pathlib import Path


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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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
