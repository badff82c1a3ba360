"""Around a run: versions, machine, errors, Brian2's device, a dask cluster."""

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version

from brian2 import prefs, set_device
from brian2.units import DimensionMismatchError
from joblib import parallel_config

from ..brian.internals import reset_device

#: What the user can mend; anything else is a mistake of ours, with a traceback.
ERRORS = (
    ValueError,
    TypeError,
    OSError,
    ArithmeticError,
    ImportError,
    RuntimeError,
    MemoryError,
    DimensionMismatchError,
)
#: Those whose version may change a number.
DISTRIBUTIONS = ("brian_eprop", "brian2", "numpy", "scipy", "sympy")


def environment():
    """Versions, code generation target and machine of this process : dict of str to str."""
    system = (platform.system(), platform.machine(), *platform.libc_ver())
    return {
        "started": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "python": platform.python_version(),
        **{name: version(name) for name in DISTRIBUTIONS},
        "codegen.target": prefs.codegen.target,
        "system": " ".join(system).strip(),
        "processor": _processor(),
    }


def _processor():
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        pass  # not Linux, or a processor without a name
    return f"{name}, {os.cpu_count()} cores"


def commit():
    """The git commit of the present folder, with "-dirty" if files differ from it.

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
    name = done.stdout.strip()
    return {"commit": name} if name else {}


@contextmanager
def brian2_device(name):
    """A context in which Brian2 has a device, which is reset at the end."""
    set_device(name, build_on_run=False) if name == "cpp_standalone" else set_device(name)
    try:
        yield
    finally:
        reset_device()


@contextmanager
def backend(address: str | None = None) -> Iterator[bool]:
    """A context in which joblib runs on a dask cluster, or on this machine.

    Parameters
    ----------
    address : str, optional
        Of a dask scheduler, such as ``tcp://10.0.0.1:8786``; its workers must have the package
        installed. Default: processes on this machine.

    Yields
    ------
    bool
        Whether it is a cluster, whose size then is its own.

    Raises
    ------
    ImportError
        If dask is not installed.
    OSError
        If no scheduler answers.
    """
    if address is None:
        yield False
        return
    try:
        from distributed import Client
    except ImportError:
        raise ImportError(
            "--cluster needs dask, which is not installed: pip install 'brian_eprop[cluster]'"
        ) from None
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise OSError(
            f"no dask scheduler answers at '{address}' ({error}); start one with 'dask scheduler' "
            f"and workers with 'dask worker {address}'"
        ) from None
    with client, parallel_config(backend="dask"):
        yield True
