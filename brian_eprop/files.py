"""Folders, atomic writing of files, locks, and netCDF files with a checksum.

HDF5 meets neither the disk nor a damaged file, since a full disk ends the process in it and some
damage sends it into a loop without end: a file is made in memory, and its bytes are checked
before they are understood. Neither xarray nor h5netcdf is imported before there is such a file.
"""

import fcntl
import hashlib
import io
import os
import threading
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


def make_folder(path, what):
    """Make a folder, and those around it; one that is there stays as it is.

    Parameters
    ----------
    path : Path
    what : str
        What it is, for the error message.

    Raises
    ------
    OSError
        If it cannot be made; names the path, and what to do.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"{what} '{path}' cannot be written ({error.strerror}); name another one with --out"
        ) from None


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
    """Whether there is a process with this number."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it is another user's
    return True


#: The last bytes of a file: this, then the SHA-256 of all that is before. HDF5 knows where its
#: own content ends, so that other programs do not see them.
SEAL = b"\nbrian_eprop sha256 "


def write_netcdf(dataset, path, what):
    """Write a dataset; an old file is replaced when the new one is complete.

    Parameters
    ----------
    dataset : xarray.Dataset
    path : path-like
    what : str
        What is written, for the error message.

    Raises
    ------
    OSError
        If the folder does not exist, cannot be written to, or is full.
    """
    content = _as_netcdf(dataset)
    with replacing(path, what) as file:
        file.write(content + _seal(content))


def read_netcdf(path):
    """Read a file that :func:`write_netcdf` has written.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    xarray.Dataset
        In memory.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a byte of it has changed, or if nothing says that none has: another program has
        written it, or has changed it.
    """
    import xarray

    sealed = Path(path).read_bytes()
    length = max(len(sealed) - len(_seal(b"")), 0)
    content, seal = sealed[:length], sealed[length:]
    if not seal.startswith(SEAL):
        raise ValueError(
            "its checksum is missing, so that it is only a part of a file, or another program "
            "has written or changed it"
        )
    if seal != _seal(content):
        raise ValueError("its checksum is wrong")
    return xarray.load_dataset(io.BytesIO(content), engine="h5netcdf")


def _as_netcdf(dataset):
    """The bytes of a netCDF file, compressed."""
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    compressed = {
        name: {"zlib": True}
        for name, array in dataset.data_vars.items()
        if array.size and array.dtype != object
    }
    memory = io.BytesIO()
    with h5netcdf.File(memory, "w") as file:
        dataset.dump_to_store(H5NetCDFStore(file), encoding=compressed)
    return memory.getvalue()


def _seal(content):
    """The end of a file with this content: its checksum."""
    return SEAL + hashlib.sha256(content).hexdigest().encode()


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
