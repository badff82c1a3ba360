"""Datasets of xarray in netCDF files, complete or not there at all."""

import sys
from contextlib import contextmanager

import xarray

from .atomic_write import replacing

__all__ = ["read_netcdf", "write_netcdf"]

#: Compressed, and with a checksum of each piece, so that damage is found.
STORED = {"zlib": True, "fletcher32": True}


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
        If the folder does not exist or cannot be written to.
    """
    numbers = {n: a for n, a in dataset.data_vars.items() if a.size and a.dtype != object}
    with replacing(path, what) as file, _without_cluster():
        dataset.to_netcdf(file.name, engine="h5netcdf", encoding=dict.fromkeys(numbers, STORED))


def read_netcdf(path):
    """Read a file as a dataset in memory : xarray.Dataset."""
    with _without_cluster():
        return xarray.load_dataset(path, engine="h5netcdf")


@contextmanager
def _without_cluster():
    """xarray would ask a dask cluster, where there is one, for a lock of the file; it is ours."""
    if "dask" not in sys.modules:
        yield
        return
    import dask

    with dask.config.set(scheduler="synchronous"):
        yield
