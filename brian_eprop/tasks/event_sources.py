"""Event sources: the layouts in which the field keeps labelled events, read a trial at a time."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field

from ..checks import missing

#: What to do about a trial without a label.
UNLABELLED = "say what each trial is"


@define
class Source:
    """
    Trials to read, with what is known of them before, and after.

    Attributes
    ----------
    name : str
        For messages.
    trials : iterator
        Of (where, times in s, units, label).
    count : int, optional
        How many there are, where that is known before.
    shape : tuple of int, optional
        (channels,), or (polarities, height, width); None until all have been seen.
    largest : tuple of int
        The shape that has been needed so far.
    """

    name: str
    trials: Iterator[Any] = field(factory=lambda: iter(()))
    count: int | None = None
    shape: tuple[int, ...] | None = None
    largest: tuple[int, ...] = (1,)

    def __iter__(self):
        return iter(self.trials)

    def __len__(self):
        # what tqdm takes for unknown
        if self.count is None:
            raise TypeError("unknown")
        return self.count


def _nmnist(folder, shape, label):
    source = Source(f"the folder '{folder}'", shape=(2, 34, 34))
    files = _by_class(folder, ".bin")

    def trials():
        for path, name in files:
            raw = np.fromfile(path, np.uint8)
            if len(raw) % 5:
                raise ValueError(
                    f"'{path}' has {len(raw)} bytes, no multiple of 5, those of an event: it is "
                    "not complete, or of another layout"
                )
            x, y, high, middle, low = raw.reshape(-1, 5).T.astype(np.int64)
            times = ((high & 127) << 16 | middle << 8 | low) * 1e-6
            yield f"'{path}'", times, _in_a_row(path, source.shape, high >> 7, y, x), name

    source.trials, source.count = trials(), len(files)
    return source


def _dvs(folder, shape, label):
    import h5py

    files = _by_class(folder, ".h5", ".hdf5")
    keys = {"x": ("x", "xs"), "y": ("y", "ys"), "t": ("t", "ts"), "p": ("p", "ps")}

    def data(path, file, name):
        for key in keys[name]:
            if f"events/{key}" in file:
                found = np.asarray(file[f"events/{key}"])
                if found.ndim != 1:
                    raise ValueError(
                        f"'{path}' has 'events/{key}' of the shape {found.shape}; expected a "
                        "number for each event"
                    )
                if found.dtype.kind not in "iub":
                    raise ValueError(
                        f"'{path}' has 'events/{key}' of the type {found.dtype}; expected whole "
                        f"{'µs' if name == 't' else 'numbers'}"
                    )
                return found.astype(np.int64)
        raise ValueError(
            f"'{path}' has no 'events/{name}' or 'events/{name}s'; expected the data sets x, y, t "
            "(µs) and p in the group events"
        )

    def opened(path):
        try:
            return h5py.File(path, "r")
        except OSError as error:
            raise ValueError(f"'{path}' is no HDF5, or incomplete: {error}") from None

    if shape is None:
        # a first look at all: how many pixels there are decides how they are numbered
        sizes = [1, 1]
        for path, _ in files:
            with opened(path) as file:
                for k, name in enumerate("yx"):
                    values = data(path, file, name)
                    if len(values):
                        sizes[k] = max(sizes[k], int(np.max(values)) + 1)
        shape = (2, *sizes)
    source = Source(f"the folder '{folder}'", shape=tuple(shape), count=len(files))

    def trials():
        for path, name in files:
            with opened(path) as file:
                x, y, t, p = (data(path, file, key) for key in "xytp")
            if len({len(x), len(y), len(t), len(p)}) > 1:
                raise ValueError(f"'{path}' has {len(x)} x, {len(y)} y, {len(t)} t and {len(p)} p")
            units = _in_a_row(path, source.shape, np.maximum(p, 0), y, x)
            yield f"'{path}'", _since_first(t), units, name

    source.trials = trials()
    return source


def _aedat(folder, shape, label):
    labelled = sorted(Path(folder).glob("*_labels.csv"))
    source = Source(f"the folder '{folder}'", shape=(2, 128, 128))
    if labelled:
        source.trials = _gestures(labelled, source.shape)
        return source
    files = _by_class(folder, ".aedat")

    def trials():
        for path, name in files:
            with open(path, "rb") as file:
                version = _aedat_version(path, file)
                if version != "2.0":
                    raise ValueError(
                        f"'{path}' is AEDAT {version}, of several trials: expected it beside "
                        f"'{path.stem}_labels.csv', without folders of classes"
                    )
                raw = file.read()
            if len(raw) % 8:
                raise ValueError(f"'{path}' ends within an event: it is not complete")
            address, times = np.frombuffer(raw, ">u4").reshape(-1, 2).T.astype(np.int64)
            others = address[address >= 1 << 15]
            if len(others):
                raise ValueError(
                    f"'{path}' has the address {others[0]}, which is none of a pixel of a DVS128: "
                    "save recordings of other cameras, and without special events, as HDF5, "
                    "layout 'dvs'"
                )
            p, x, y = 1 - (address & 1), address >> 1 & 127, address >> 8
            yield f"'{path}'", _since_first(times), _in_a_row(path, source.shape, p, y, x), name

    source.trials, source.count = trials(), len(files)
    return source


def _aedat_version(path, file):
    """The version that a file says it has; the file is then at its first byte after the header."""
    first = file.readline()
    version = first.decode("latin-1").strip().removeprefix("#!AER-DAT")
    if not first.startswith(b"#!AER-DAT") or version not in ("2.0", "3.1"):
        raise ValueError(
            f"'{path}' begins with {first[:20]!r}; AEDAT of version 2.0 or 3.1 is read: save "
            "others as HDF5, layout 'dvs'"
        )
    while True:
        start = file.tell()
        line = file.readline()
        if version == "3.1" and line.startswith(b"#!END-HEADER"):
            return version
        if not line.startswith(b"#"):
            if version == "3.1":
                raise ValueError(f"'{path}' has no end of its header")
            file.seek(start)
            return version


def _gestures(tables, shape):
    """The trials of DVS128 Gesture: recordings of AEDAT 3.1, cut by a table beside each."""
    for table in tables:
        path = table.with_name(table.name.replace("_labels.csv", ".aedat"))
        if not path.exists():
            raise ValueError(f"'{table}' is without its recording '{path}'")
        packets, waiting = _packets(path), np.zeros((4, 0), np.int64)
        for name, start, end in _windows(table):
            parts = [waiting]
            while not parts[-1].size or parts[-1][0, -1] < end:
                packet = next(packets, None)
                if packet is None:
                    break
                parts.append(packet[:, packet[0] >= start])
            events = np.concatenate(parts, axis=1)
            # trials may share an end
            waiting = events[:, events[0] >= end]
            if not events.size or events[0, -1] < start:
                raise ValueError(f"'{path}' ends before {start} µs, where '{table}' has a trial")
            t, x, y, p = events[:, (events[0] >= start) & (events[0] < end)]
            units = _in_a_row(path, shape, p, y, x)
            yield f"'{path}' from {start} µs", (t - start) * 1e-6, units, int(name)


def _windows(table):
    """Class, start and end (µs) of the trials of a recording, in their order."""
    # as numbers with a fraction: what is missing or no number is nan
    windows = np.genfromtxt(table, delimiter=",", names=True, ndmin=1)
    expected = ("class", "startTime_usec", "endTime_usec")
    if windows.dtype.names is None or not set(expected) <= set(windows.dtype.names):
        raise ValueError(f"'{table}' has the columns {windows.dtype.names}; expected {expected}")
    rows = np.stack([windows[key] for key in expected], axis=1)
    if not (rows == np.floor(rows)).all():
        raise ValueError(f"'{table}' has a class or time that is no whole number")
    rows, last = rows[np.argsort(rows[:, 1], kind="stable")].astype(np.int64), None
    for name, start, end in rows.tolist():
        if end < start:
            raise ValueError(
                f"'{table}' has a trial from {start} to {end} µs, which ends before it begins"
            )
        if last is not None and start < last:
            raise ValueError(
                f"'{table}' has a trial from {start} µs, before the one until {last} µs has ended"
            )
        last = end
        yield name, start, end


def _packets(path):
    """Times (µs), x, y and polarity of the valid events of each packet: (4, n) ndarray."""
    with open(path, "rb") as file:
        if _aedat_version(path, file) != "3.1":
            raise ValueError(f"'{path}' is no AEDAT 3.1, as that of DVS128 Gesture")
        while header := file.read(28):
            if len(header) < 28:
                raise ValueError(f"'{path}' ends within a packet: it is not complete")
            kind = int(np.frombuffer(header, "<i2", 1)[0])
            size, _, overflow, _, count, _ = np.frombuffer(header, "<i4", 6, 4).tolist()
            if size < 8 or count < 0 or size % 4:
                raise ValueError(
                    f"'{path}' has a packet of {count} events of {size} bytes: it is damaged, or "
                    "of another layout"
                )
            body = file.read(size * count)
            if len(body) < size * count:
                raise ValueError(f"'{path}' ends within a packet: it is not complete")
            if kind != 1 or not count:
                continue  # no events of pixels
            data, times = (
                np.frombuffer(body, "<u4").reshape(-1, size // 4)[:, :2].T.astype(np.int64)
            )
            valid = data & 1 == 1
            fields = (
                times + (overflow << 31),
                data >> 17 & 0x7FFF,
                data >> 2 & 0x7FFF,
                data >> 1 & 1,
            )
            yield np.stack(fields)[:, valid]


def _neo(block, shape, label):
    try:
        import neo
    except ImportError:
        raise missing("a recording of Neo", "neo") from None
    name = "the block" if hasattr(block, "segments") else f"'{block}'"
    blocks = [block] if hasattr(block, "segments") else _read_by_neo(neo, str(block))
    segments = [segment for part in blocks for segment in part.segments]
    counts = {len(segment.spiketrains) for segment in segments}
    if not segments:
        raise ValueError(f"{name} has no segments, which are the trials")
    if len(counts) > 1:
        raise ValueError(f"{name} has segments of {sorted(counts)} spike trains; expected as many")
    source = Source(name, count=len(segments), shape=(counts.pop(),))

    def trials():
        for number, segment in enumerate(segments):
            where = f"{name}, segment {number},"
            trains = [
                np.asarray((train - segment.t_start).rescale("s").magnitude)
                for train in segment.spiketrains
            ]
            found = segment.annotations.get(label)
            if found is None:
                raise ValueError(
                    f"{where} has no annotation '{label}', but {sorted(segment.annotations)}: "
                    f"{UNLABELLED}, segment.annotate({label}=…)"
                )
            yield where, *_merged(trains), found

    source.trials = trials()
    return source


def _read_by_neo(neo, path):
    try:
        return neo.io.get_io(path).read()
    # each format has a library of its own, and each of these its own errors
    except Exception as error:
        raise ValueError(f"'{path}' is no file that Neo reads, or incomplete: {error}") from None


def _nwb(path, shape, label):
    try:
        import pynwb
    except ImportError:
        raise missing("a file of NWB", "nwb") from None
    try:
        opened = pynwb.NWBHDF5IO(str(path), "r", load_namespaces=True)
        recording = opened.read()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"'{path}' is no file of NWB, or incomplete: {error}") from None
    table, units = recording.trials, recording.units
    if table is None or units is None or label not in table.colnames:
        has = [] if table is None else list(table.colnames)
        raise ValueError(
            f"'{path}' has {'no' if units is None else 'a'} table of units, and the columns {has} "
            f"of trials; expected units, and trials with the column '{label}': {UNLABELLED}, "
            "label='…' names another"
        )
    if "spike_times" not in units.colnames:
        raise ValueError(f"'{path}' has units with {units.colnames}, but no spike times")
    source = Source(f"'{path}'", count=len(table), shape=(len(units),))

    def trials():
        with opened:
            trains = [np.asarray(units.get_unit_spike_times(k)) for k in range(len(units))]
            for k, train in enumerate(trains):
                if not (np.diff(train) >= 0).all():
                    raise ValueError(
                        f"'{path}', unit {k}, has spike times that are not in order, or no numbers"
                    )
            for k in range(len(table)):
                start, stop = (float(table[name][k]) for name in ("start_time", "stop_time"))
                if not start <= stop:
                    raise ValueError(f"'{path}', trial {k}, is from {start:g} to {stop:g} s")
                cut = [train[slice(*np.searchsorted(train, (start, stop)))] for train in trains]
                where = f"'{path}', trial {k},"
                yield where, *_merged([train - start for train in cut]), table[label][k]

    source.trials = trials()
    return source


COLUMNS = ("trial", "time", "unit", "label")


def _table(path, shape, label):
    source = Source(f"'{path}'", shape=None if shape is None else (shape,))

    def rows():
        """Trial, time, unit and label of all rows, of which one part at a time is in memory."""
        for part in _parts(path):
            if not len(part["unit"]):
                continue
            if any(trial is None or trial != trial for trial in part["trial"]):
                raise ValueError(f"'{path}' has an event that belongs to no trial")
            if part["unit"].dtype.kind not in "iu":
                raise ValueError(f"'{path}' has a unit that is missing, or no whole number")
            if part["time"].dtype.kind not in "iuf":
                raise ValueError(f"'{path}' has a time that is no number")
            source.largest = (max(source.largest[0], int(part["unit"].max()) + 1),)
            yield from zip(*(part[name] for name in COLUMNS), strict=True)

    def trials():
        seen = set()
        for trial, events in groupby(rows(), lambda row: row[0]):
            where = f"'{path}', trial {trial},"
            if trial in seen:
                raise ValueError(f"{where} is in two places: sort the rows by their trials")
            seen.add(trial)
            _, times, units, labels = zip(*events, strict=True)
            if len(set(labels)) > 1 and labels[0] == labels[0]:
                raise ValueError(f"{where} has the labels {sorted(set(map(str, labels)))}")
            yield where, np.array(times, float), np.array(units), labels[0]

    source.trials = trials()
    return source


def _parts(path, rows=100_000):
    """The columns of a table, some rows at a time: dict of str to (n,) ndarray."""
    if Path(path).suffix == ".parquet":
        try:
            from pyarrow import ArrowException, parquet, types
        except ImportError:
            raise missing("a table of Parquet", "parquet") from None
        try:
            file = parquet.ParquetFile(path)
            _check_columns(path, file.schema_arrow.names)
            for name in COLUMNS:
                if types.is_nested(kind := file.schema_arrow.field(name).type):
                    raise ValueError(f"'{path}' has the column '{name}' of {kind}: one value a row")
            for batch in file.iter_batches(rows, columns=list(COLUMNS)):
                yield {name: batch[name].to_numpy(zero_copy_only=False) for name in COLUMNS}
        except (ArrowException, OSError) as error:
            raise ValueError(f"'{path}' is no Parquet, or incomplete: {error}") from None
        return
    # not at the top: it takes long to import
    import pandas

    # as they are written: a part of numbers alone would make 7 of 007
    names = {"trial": str, "label": str}
    try:
        for part in pandas.read_csv(path, chunksize=rows, dtype=names):
            _check_columns(path, part.columns)
            yield {name: part[name].to_numpy() for name in COLUMNS}
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"'{path}' is no table of comma-separated values: {error}") from None


def _check_columns(path, columns):
    lacks = [name for name in COLUMNS if name not in columns]
    if lacks:
        raise ValueError(f"'{path}' has no column '{lacks[0]}', but {list(columns)}")


def _by_class(folder, *endings):
    """Files and the names of the folders in which they are, in a fixed order."""
    found = [
        (path, path.parent.name)
        for path in sorted(Path(folder).glob("*/*"))
        if path.suffix in endings
    ]
    if not found:
        raise ValueError(
            f"'{folder}' has no files {' or '.join(endings)} in folders of their classes, such as "
            f"'{Path(folder) / '0' / ('a' + endings[0])}'"
        )
    return found


def _in_a_row(path, shape, p, y, x):
    """The numbers of pixels of a sensor, (polarity, y, x) in C order."""
    for name, values, size in zip(("polarity", "y", "x"), (p, y, x), shape, strict=True):
        if len(values) and (values.min() < 0 or values.max() >= size):
            wrong = values[(values < 0) | (values >= size)][0]
            raise ValueError(f"'{path}' has an event of {name} {wrong}; expected 0 to {size - 1}")
    return (p * shape[1] + y) * shape[2] + x


def _since_first(times):
    """Times from the first one on, in s, of those in µs."""
    return (times - times[:1]) * 1e-6


def _merged(trains):
    """Times and units of spike trains, in the order of their times."""
    times = np.concatenate([*trains, []])
    units = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
    order = np.argsort(times, kind="stable")
    return times[order], units[order]


#: By the name of the layout: (source, number of channels or shape, name of the label) → Source.
SOURCES = {
    **{"nmnist": _nmnist, "dvs": _dvs, "aedat": _aedat},
    **{"neo": _neo, "nwb": _nwb, "table": _table},
}
