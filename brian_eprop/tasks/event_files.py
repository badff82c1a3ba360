"""Event files: trials of labelled events in HDF5, and how those of other kinds become one.

The file is that of the Spiking Heidelberg Digits: ``spikes/times`` (s) and ``spikes/units`` have
an array for each trial, ``labels`` a number. What we add are the attributes ``channels`` or
``sensor`` (polarities, height, width), and the names of classes as ``extra/keys``, as there.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, get_args

import h5py
import numpy as np
from attrs import field, frozen

from ..checks import FilePath, Floats, Ints, flag, one_of, whole_number
from ..files import replacing
from .event_sources import SOURCES, UNLABELLED

__all__ = ["EventFile", "Layout", "convert_events"]

#: More than any task of classes has, and less than identifiers of other kinds.
MOST_CLASSES = 2**16

Layout: TypeAlias = Literal["aedat", "dvs", "neo", "nmnist", "nwb", "table"]


@frozen
class EventFile:
    """
    Trials of events in a file, of which one at a time is in memory.

    Attributes
    ----------
    path : Path
    labels : (n,) ndarray of int
        The class of each trial.
    shape : tuple of int
        (channels,), or (polarities, height, width) of a sensor.
    names : tuple of str
        Of the classes; empty if the file has none.
    """

    path: Path
    labels: Ints = field(eq=False, repr=False)
    shape: tuple[int, ...]
    names: tuple[str, ...] = field(repr=False)

    @classmethod
    def read(cls, path: FilePath, channels: int | None = None) -> Self:
        """
        What a file has, without its events.

        Parameters
        ----------
        path : path-like
        channels : int, optional
            How many there are, where the file does not say: 700 in SHD and SSC.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            For another layout, a damaged file, labels that are missing, of another number than
            trials, or no numbers from 0 on, and an unknown number of channels.
        """
        with _opened(path) as file:
            for name in ("spikes/times", "spikes/units", "labels"):
                if name not in file:
                    raise ValueError(
                        f"the event file '{path}' has no '{name}', but {sorted(_content(file))}; "
                        "expected the layout of SHD: spikes/times, spikes/units and labels. "
                        "convert_events makes it of other layouts"
                    )
                if not isinstance(file[name], h5py.Dataset):
                    raise ValueError(f"the event file '{path}': '{name}' is no data set")
                if not file[name].shape:
                    raise ValueError(
                        f"the event file '{path}' has one '{name}'; expected one for each trial"
                    )
            labels = np.asarray(file["labels"])
            trials, of_units = (len(file[f"spikes/{name}"]) for name in ("times", "units"))
            if trials != of_units:
                raise ValueError(
                    f"the event file '{path}' has {trials} trials of times and {of_units} of units"
                )
            if labels.dtype.kind not in "iu" or labels.shape != (trials,) or not trials:
                raise ValueError(
                    f"the event file '{path}' has {trials} trials, and labels of the shape "
                    f"{labels.shape} and type {labels.dtype}; expected a whole number for each"
                )
            if labels.min() < 0:
                raise ValueError(f"the event file '{path}' has the label {labels.min()} below 0")
            if labels.max() >= MOST_CLASSES:
                raise ValueError(
                    f"the event file '{path}' has the label {labels.max()}; labels are the numbers "
                    f"of classes, 0, 1, … up to {MOST_CLASSES - 1}, each of which has an output"
                )
            shape = _shape(path, file.attrs, channels)
            keys = np.ravel(file["extra/keys"]) if "extra/keys" in file else ()
        return cls(Path(path), labels.astype(int), shape, tuple(_text(key) for key in keys))

    @property
    def channels(self) -> int:
        """Number of channels, those of a sensor in one row."""
        return int(np.prod(self.shape))

    def events(self, rows: Sequence[int]) -> Iterator[tuple[Floats, Ints]]:
        """
        The events of trials, one trial after the other.

        Parameters
        ----------
        rows : sequence of int

        Yields
        ------
        times : (events,) ndarray
            In seconds, not decreasing.
        units : (events,) ndarray of int
            From 0.

        Raises
        ------
        ValueError
            For times that decrease, are below 0 or not finite, channels out of range, and as many
            times as channels that are not.
        """
        with _opened(self.path) as file:
            for row in rows:
                try:
                    times, units = (file[f"spikes/{name}"][int(row)] for name in ("times", "units"))
                except OSError as error:
                    raise ValueError(
                        f"the event file '{self.path}' cannot be read at trial {row}: {error}"
                    ) from None
                where = f"the event file '{self.path}', trial {row},"
                yield checked_events(where, times, units, self.channels)


def convert_events(
    source: Any,
    path: FilePath,
    layout: Layout,
    *,
    channels: int | None = None,
    sensor: Sequence[int] | None = None,
    label: str = "label",
    progress: bool = True,
) -> EventFile:
    """
    Write events of another layout as a file that the task :class:`.Recorded` learns from.

    A trial at a time is in memory, for Neo and NWB a recording; the file appears when it is
    complete. Classes are numbered in the order of their names, or of their values if these are
    numbers.

    ``"nmnist"``
        A folder with one for each class, of files ``.bin``: 5 bytes an event, x, y, and the
        polarity in the first of 24 bits, the others of which are µs.
    ``"dvs"``
        A folder with one for each class, of HDF5 files with ``events/x``, ``y``, ``t`` (µs) and
        ``p``, or ``xs``, ``ys``, ``ts``, ``ps``.
    ``"aedat"``
        A folder with one for each class, of files ``.aedat`` of version 2, of a DVS128; or, as
        DVS128 Gesture, a folder of files of version 3.1, each beside ``NAME_labels.csv`` with the
        columns ``class``, ``startTime_usec``, ``endTime_usec``.
    ``"neo"``
        A file that Neo reads, or a Block of it: a segment is a trial, its spike trains the
        channels, and its annotation ``label`` the class.
    ``"nwb"``
        A file with the tables of units, which are the channels, and of trials, a column of which,
        ``label``, is the class.
    ``"table"``
        A CSV or Parquet file with the columns ``trial``, ``time`` (s), ``unit`` and ``label``, a
        row an event; the rows of a trial follow each other.

    Parameters
    ----------
    source : path-like, or neo.Block
    path : path-like
        To write to.
    layout : {"aedat", "dvs", "neo", "nmnist", "nwb", "table"}
    channels : int, optional
        Of a table. Default: as many as the largest unit that is found needs.
    sensor : sequence of 3 int, optional
        Polarities, height and width of "dvs". Default: what the largest numbers need, of two
        polarities. Other layouts know theirs.
    label : str
        Of "neo" and "nwb".
    progress : bool
        Whether to show one.

    Returns
    -------
    EventFile

    Raises
    ------
    FileNotFoundError
        If there is no such source.
    ImportError
        If the package that reads it is not installed.
    ValueError
        For another layout, a source that ends too early, labels that are missing, and events as
        :meth:`EventFile.events` refuses them.
    OSError
        If the file cannot be written.
    """
    from tqdm import tqdm

    one_of("convert_events.layout", layout, get_args(Layout))
    flag("convert_events.progress", progress)
    if channels is not None:
        whole_number("convert_events.channels", channels)
        if layout != "table":
            raise ValueError(f"convert_events.channels = {channels} is of layout='table' only")
    if sensor is not None:
        if layout != "dvs" or len(sensor) != 3:
            raise ValueError(
                f"convert_events.sensor = {sensor!r} is (polarities, height, width), of "
                "layout='dvs' only"
            )
        sensor = tuple(whole_number("convert_events.sensor", size) for size in sensor)
    if not hasattr(source, "segments") and not Path(source).exists():
        raise FileNotFoundError(f"there is no '{source}' to read events from")
    found = SOURCES[layout](source, sensor or channels, label)
    if Path(path).resolve() == Path(str(source)).resolve():
        raise ValueError(f"convert_events.path = '{path}' is the source itself")
    with replacing(path, "the event file") as unfinished:
        with h5py.File(unfinished.name, "w") as file:
            _write(file, found, tqdm(found, unit=" trials", disable=not progress))
    return EventFile.read(path)


def checked_events(where: str, times: Any, units: Any, channels: int) -> tuple[Floats, Ints]:
    """Times and units of a trial, or a ValueError that says where they are wrong."""
    times, units = np.asarray(times), np.asarray(units)
    if times.dtype.kind not in "iuf":
        raise ValueError(f"{where} has times of the type {times.dtype}; expected seconds")
    times = times.astype(float)
    if times.ndim != 1 or times.shape != units.shape:
        raise ValueError(f"{where} has {times.shape} times and {units.shape} units: one of each")
    if not len(times):
        return times, units.astype(int)
    if units.dtype.kind not in "iu":
        raise ValueError(f"{where} has units of the type {units.dtype}; expected whole numbers")
    if not np.isfinite(times).all():
        raise ValueError(f"{where} has a time that is not finite")
    if times.min() < 0:
        raise ValueError(f"{where} has the time {times.min():g} s, before the trial begins at 0 s")
    early = np.diff(times) < 0
    if early.any():
        k = int(np.argmax(early))
        raise ValueError(
            f"{where} has times that are not in order: {times[k + 1]:g} s after {times[k]:g} s, "
            f"event {k + 1}; sort the events of each trial"
        )
    units = units.astype(int)
    if units.min() < 0 or units.max() >= channels:
        wrong = units[(units < 0) | (units >= channels)][0]
        raise ValueError(f"{where} has channel {wrong}; expected 0 to {channels - 1}")
    return times, units


def _write(file, source, trials):
    """Write trials one after the other, then what is known at the end."""
    times = _ragged(file, "spikes/times", np.float64)
    units = _ragged(file, "spikes/units", np.uint32)
    labels = []
    for number, (where, seconds, indices, label) in enumerate(trials):
        if label is None or label != label or str(label) == "":
            raise ValueError(f"{where} has no label: {UNLABELLED}")
        limit = int(np.prod(source.shape)) if source.shape else 2**32
        seconds, indices = checked_events(where, seconds, indices, limit)
        for data, values in ((times, seconds), (units, indices)):
            data.resize(number + 1, axis=0)
            data[number] = values
        labels.append(_text(label) if isinstance(label, bytes) else label)
    if not labels:
        raise ValueError(f"{source.name} has no trials")
    numeric = all(isinstance(label, int | float | np.number) for label in labels)
    names = sorted(set(labels)) if numeric else sorted({str(label) for label in labels}, key=_order)
    number_of = {name: k for k, name in enumerate(names)}
    file["labels"] = [number_of[label if numeric else str(label)] for label in labels]
    file["extra/keys"] = [
        np.format_float_positional(name, trim="-") if isinstance(name, float) else str(name)
        for name in names
    ]
    shape = source.shape or source.largest
    file.attrs["sensor" if len(shape) == 3 else "channels"] = shape


def _order(name):
    """Numbers in the order of their values, before other names."""
    try:
        value = float(name)
    except ValueError:
        value = np.nan
    return (0, value, name) if np.isfinite(value) else (1, 0.0, name)


def _text(key):
    """The name of a class; files of other tools have it as bytes."""
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


def _ragged(file, name, kind):
    return file.create_dataset(
        name, (0,), maxshape=(None,), chunks=(64,), dtype=h5py.vlen_dtype(np.dtype(kind))
    )


def _opened(path):
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no event file '{path}'")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"the event file '{path}' is no HDF5, or incomplete: {error}") from None


def _content(file):
    """The names of all data in a file."""
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if hasattr(item, "dtype") else None)
    return names


def _shape(path, attributes, channels):
    """How many channels there are, as a file says it or the user does."""
    known = attributes.get("sensor", attributes.get("channels"))
    if known is None and channels is None:
        raise ValueError(
            f"the event file '{path}' does not say how many channels it has; give channels, which "
            "are 700 in SHD and SSC"
        )
    if known is None:
        return (whole_number("channels", channels),)
    sizes = np.atleast_1d(known)
    if sizes.dtype.kind not in "iu" or sizes.shape not in ((1,), (3,)) or sizes.min() < 1:
        raise ValueError(
            f"the event file '{path}' says that its channels are {sizes.tolist()}; "
            "expected a number of channels, or the polarities, height and width of a sensor"
        )
    shape = tuple(sizes.tolist())
    if channels is not None and channels != np.prod(shape):
        raise ValueError(f"the event file '{path}' has {np.prod(shape)} channels, not {channels}")
    return shape
