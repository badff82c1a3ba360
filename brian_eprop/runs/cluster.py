"""Where the processes of a run are: on this machine, or on a dask cluster."""

from collections.abc import Iterator
from contextlib import contextmanager

from joblib import parallel_config


@contextmanager
def backend(address: str | None = None) -> Iterator[bool]:
    """joblib's backend for the time of a ``with`` statement.

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
