"""Event files: events come through every layout unchanged, and what is damaged is refused."""

import struct

import h5py
import numpy as np
import pytest
from task_options import write_events

from brian_eprop.tasks.event_files import EventFile, convert_events

rng = np.random.default_rng(0)
#: Trials: times (s, whole µs), x, y, polarity and class.
TRIALS = [
    (
        np.sort(rng.integers(0, 300_000, n)) * 1e-6,
        *(rng.integers(size, size=n) for size in (34, 30, 2)),
        label,
    )
    for n, label in ((50, 3), (80, 10), (7, 3))
]


def microseconds(times):
    return np.round(times * 1e6).astype(np.int64)


def since_first(times):
    return times - times[0]


def same(file, expected, channels):
    """Whether a file has the trials (times, units) of the classes, in this order."""
    assert file.channels == channels and len(file.labels) == len(expected)
    found = list(file.events(range(len(expected))))
    for (times, units), (t, u, label), number in zip(found, expected, file.labels, strict=True):
        # from µs and back; round-off of numbers below 1
        np.testing.assert_allclose(times, t, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(units, u)
        assert file.names[number] == label
    assert sum(len(t) for t, _ in found) > 0


def write_nmnist(folder):
    for k, (times, x, y, p, label) in enumerate(TRIALS):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        t = microseconds(times)
        rows = np.stack([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255], axis=1)
        (folder / str(label) / f"{k:05}.bin").write_bytes(rows.astype(np.uint8).tobytes())
    return folder


def write_dvs(folder, names="xytp"):
    for k, (times, x, y, p, label) in enumerate(TRIALS):
        (folder / f"class {label}").mkdir(parents=True, exist_ok=True)
        with h5py.File(folder / f"class {label}" / f"{k}.h5", "w") as file:
            values = (x, y, microseconds(times) + 1_000_000, p)
            for name, data in zip(names, values, strict=True):
                file[f"events/{name}"] = data
    return folder


def write_aedat2(folder):
    for k, (times, x, y, p, label) in enumerate(TRIALS):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        address = y << 8 | x << 1 | (1 - p)
        pairs = np.stack([address, microseconds(times) + 77], axis=1).astype(">u4")
        header = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n"
        (folder / str(label) / f"{k}.aedat").write_bytes(header + pairs.tobytes())
    return folder


def write_gestures(folder, in_a_packet=30):
    """All trials in one recording, 1 s apart, with a packet of another kind between."""
    folder.mkdir(parents=True, exist_ok=True)
    windows, parts = ["class,startTime_usec,endTime_usec"], []
    for k, (times, x, y, p, label) in enumerate(TRIALS):
        start = 1_000_000 * (k + 1)
        windows.append(f"{label},{start},{start + 400_000}")
        data = x << 17 | y << 2 | p << 1 | 1
        rows = np.stack([data, microseconds(times) + start], axis=1)
        # an event that is not valid, and one of no trial
        rows = np.vstack([rows[:1] - [[1, 0]], rows, [[1, start + 500_000]]])
        parts.append(rows)
    events = np.concatenate(parts).astype("<u4")
    body = b"#!AER-DAT3.1\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
    body += struct.pack("<hhiiiiii", 0, 1, 8, 4, 0, 1, 1, 1) + bytes(8)
    for first in range(0, len(events), in_a_packet):
        part = events[first : first + in_a_packet]
        body += struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, len(part), len(part), len(part))
        body += part.tobytes()
    (folder / "user.aedat").write_bytes(body)
    (folder / "user_labels.csv").write_text("\n".join(windows) + "\n")
    return folder


def write_table(path, rows=None):
    import pandas

    if rows is None:
        rows = {"trial": [], "time": [], "unit": [], "label": []}
        for k, (times, x, _, _, label) in enumerate(TRIALS):
            for column, values in zip(
                rows, (len(x) * [k], times, x, len(x) * [label]), strict=True
            ):
                rows[column].extend(values)
    frame = pandas.DataFrame(rows)
    if path.suffix == ".parquet":
        frame.to_parquet(path, row_group_size=20)
    else:
        frame.to_csv(path, index=False)
    return path


def pixels(height, width, start=0.0, name=str, first=False):
    """The trials as a sensor has them, in one row of pixels."""
    return [
        (
            (since_first(t) if first else t) + start,
            (p * height + y) * width + x,
            name(label),
        )
        for t, x, y, p, label in TRIALS
    ]


def in_order(expected):
    """As folders of classes have them, which are read in the order of their names."""
    return sorted(expected, key=lambda trial: trial[2])


def test_nmnist_comes_through(tmp_path):
    source = write_nmnist(tmp_path / "Train")
    file = convert_events(source, tmp_path / "out.h5", "nmnist", progress=False)
    same(file, in_order(pixels(34, 34)), 2 * 34 * 34)
    assert file.shape == (2, 34, 34) and file.names == ("3", "10")


@pytest.mark.parametrize("names", ["xytp", ["xs", "ys", "ts", "ps"]])
def test_events_of_a_sensor_in_hdf5_come_through(tmp_path, names):
    source = write_dvs(tmp_path / "dvs", names)
    file = convert_events(source, tmp_path / "out.h5", "dvs", sensor=(2, 40, 50), progress=False)
    same(file, in_order(pixels(40, 50, name=lambda c: f"class {c}", first=True)), 4000)
    found = convert_events(source, tmp_path / "found.h5", "dvs", progress=False)
    height, width = (max(t[k].max() for t in TRIALS) + 1 for k in (2, 1))
    assert found.shape == (2, height, width)


def test_both_versions_of_aedat_come_through(tmp_path):
    two = convert_events(write_aedat2(tmp_path / "2"), tmp_path / "2.h5", "aedat", progress=False)
    same(two, in_order(pixels(128, 128, first=True)), 2 * 128 * 128)
    for size in (1, 30, 1000):
        source = write_gestures(tmp_path / str(size + 9), size)
        three = convert_events(source, tmp_path / "3.h5", "aedat", progress=False)
        same(three, pixels(128, 128), 2 * 128 * 128)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_comes_through_a_part_at_a_time(tmp_path, kind, monkeypatch):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    sizes, whole = [], __import__("brian_eprop.tasks.event_sources", fromlist=["x"])

    def parts(path, original=whole._parts):
        for part in original(path, rows=20):
            sizes.append(len(part["time"]))
            yield part

    monkeypatch.setattr(whole, "_parts", parts)
    file = convert_events(
        write_table(tmp_path / f"events.{kind}"), tmp_path / "out.h5", "table", progress=False
    )
    same(
        file,
        [(t, x, str(label)) for t, x, _, _, label in TRIALS],
        max(t[1].max() for t in TRIALS) + 1,
    )
    assert len(sizes) == 7 and max(sizes) == 20
    more = convert_events(
        tmp_path / f"events.{kind}", tmp_path / "more.h5", "table", channels=100, progress=False
    )
    assert more.channels == 100


def block(label="label"):
    neo = pytest.importorskip("neo")
    found = neo.Block()
    for times, x, _, _, name in TRIALS:
        segment = neo.Segment(**{label: f"word {name}"})
        for unit in range(34):
            # with a start that is not 0
            train = neo.SpikeTrain(times[x == unit] * 1000 + 50, 400, units="ms", t_start=50)
            segment.spiketrains.append(train)
        found.segments.append(segment)
    return found


def merged():
    """The trials by times, of equal ones by units, as trains of spikes know them."""
    order = [np.lexsort((x, t)) for t, x, *_ in TRIALS]
    pairs = zip(TRIALS, order, strict=True)
    return [(t[o], x[o], f"word {label}") for (t, x, _, _, label), o in pairs]


def test_neo_comes_through(tmp_path):
    file = convert_events(block(), tmp_path / "out.h5", "neo", progress=False)
    same(file, merged(), 34)
    other = convert_events(block("word"), tmp_path / "b.h5", "neo", label="word", progress=False)
    np.testing.assert_array_equal(other.labels, file.labels)
    with pytest.raises(ValueError, match=r"segment 0, has no annotation 'label', but \['word'\]"):
        convert_events(block("word"), tmp_path / "c.h5", "neo", progress=False)


@pytest.mark.slow
def test_neo_comes_through_a_file(tmp_path):
    pytest.importorskip("nixio")
    from neo.io import NixIO

    with NixIO(str(tmp_path / "trials.nix"), "ow") as file:
        file.write_block(block())
    same(
        convert_events(tmp_path / "trials.nix", tmp_path / "out.h5", "neo", progress=False),
        merged(),
        34,
    )


@pytest.mark.slow
def test_nwb_comes_through(tmp_path):
    pynwb = pytest.importorskip("pynwb")
    from datetime import UTC, datetime

    session = pynwb.NWBFile("words", "words", datetime(2026, 1, 1, tzinfo=UTC))
    session.add_trial_column("word", "what was said")
    for k, (*_, label) in enumerate(TRIALS):
        session.add_trial(start_time=float(k + 1), stop_time=k + 1.5, word=f"word {label}")
    for unit in range(34):
        session.add_unit(
            spike_times=np.concatenate(
                [t[x == unit] + k + 1 for k, (t, x, *_) in enumerate(TRIALS)]
            )
        )
    with pynwb.NWBHDF5IO(tmp_path / "words.nwb", "w") as file:
        file.write(session)
    found = convert_events(
        tmp_path / "words.nwb", tmp_path / "out.h5", "nwb", label="word", progress=False
    )
    same(found, merged(), 34)
    with pytest.raises(
        ValueError, match=r"\['start_time', 'stop_time', 'word'\] .* column 'label'"
    ):
        convert_events(tmp_path / "words.nwb", tmp_path / "b.h5", "nwb", progress=False)
    (tmp_path / "cut.nwb").write_bytes((tmp_path / "words.nwb").read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"is no file of NWB, or incomplete"):
        convert_events(tmp_path / "cut.nwb", tmp_path / "b.h5", "nwb", progress=False)


def test_nothing_is_left_of_a_conversion_that_fails(tmp_path):
    source = write_nmnist(tmp_path / "Train")
    last = sorted(source.glob("*/*.bin"))[-1]
    last.write_bytes(last.read_bytes()[:-1])
    (tmp_path / "out.h5").write_text("old")
    with pytest.raises(ValueError, match=r"00002.bin' has 34 bytes, no multiple of 5"):
        convert_events(source, tmp_path / "out.h5", "nmnist", progress=False)
    assert (tmp_path / "out.h5").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Train", "out.h5"]


def test_nmnist_knows_its_sensor(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "a.bin").write_bytes(bytes([40, 1, 0, 0, 9]))
    with pytest.raises(ValueError, match=r"has an event of x 40; expected 0 to 33"):
        convert_events(tmp_path, tmp_path / "out.h5", "nmnist", progress=False)
    (tmp_path / "0" / "a.bin").write_bytes(bytes([1, 1, 0, 0, 9, 1, 1, 0, 0, 8]))
    with pytest.raises(ValueError, match=r"not in order: 8e-06 s after 9e-06 s, event 1; sort"):
        convert_events(tmp_path, tmp_path / "out.h5", "nmnist", progress=False)


def test_aedat_that_is_damaged_or_of_another_version_is_refused(tmp_path):
    source = write_gestures(tmp_path / "g")
    whole = (source / "user.aedat").read_bytes()
    for cut, message in (
        (len(whole) - 3, "ends within a packet"),
        (len(whole) - 8 * 20 - 28, r"ends within a packet|ends before \d+ µs"),
        (30, "has no end of its header"),
    ):
        (source / "user.aedat").write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=message):
            convert_events(source, tmp_path / "out.h5", "aedat", progress=False)
    (source / "user.aedat").write_bytes(b"#!AER-DAT4.0\r\n")
    with pytest.raises(ValueError, match=r"version 2.0 or 3.1 is read: save others as HDF5"):
        convert_events(source, tmp_path / "out.h5", "aedat", progress=False)
    (source / "user_labels.csv").write_text("label,start\n1,2\n")
    with pytest.raises(ValueError, match=r"has the columns \('label', 'start'\); expected"):
        convert_events(source, tmp_path / "out.h5", "aedat", progress=False)
    (source / "user.aedat").unlink()
    with pytest.raises(ValueError, match=r"is without its recording"):
        convert_events(source, tmp_path / "out.h5", "aedat", progress=False)


COLUMNS = {"trial": [0, 0, 1], "time": [0.1, 0.2, 0.1], "unit": [1, 2, 3], "label": ["a", "a", "b"]}


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"label": ["a", "a", None]}, r"trial 1, has no label: say what each trial is"),
        ({"label": ["a", "b", "b"]}, r"trial 0, has the labels \['a', 'b'\]"),
        ({"time": [0.2, 0.1, 0.1]}, r"trial 0, has times that are not in order: 0.1 s after 0.2 s"),
        ({"time": [-0.1, 0.1, 0.1]}, r"trial 0, has the time -0.1 s, before the trial begins"),
        ({"time": [None, 0.1, 0.1]}, r"trial 0, has a time that is not finite"),
        ({"time": ["x", "y", "z"]}, r"has a time that is no number"),
        ({"unit": [1, -2, 3]}, r"trial 0, has channel -2; expected 0 to 9"),
        ({"unit": [1, 2, 10]}, r"trial 1, has channel 10; expected 0 to 9"),
        ({"unit": [1, 2.5, 3]}, r"has a unit that is missing, or no whole number"),
        (
            {"trial": [0, 1, 0], "label": ["a", "b", "a"]},
            r"trial 0, is in two places: sort the rows",
        ),
    ],
)
def test_tables_that_make_no_sense_are_refused(tmp_path, changed, message):
    path = write_table(tmp_path / "events.csv", COLUMNS | changed)
    with pytest.raises(ValueError, match=message):
        convert_events(path, tmp_path / "out.h5", "table", channels=10, progress=False)
    assert not (tmp_path / "out.h5").exists()


def test_a_source_of_another_layout_is_refused(tmp_path):
    out = tmp_path / "out.h5"
    (tmp_path / "a.csv").write_text("time,unit\n1,2\n")
    with pytest.raises(ValueError, match=r"a.csv' has no column 'trial', but \['time', 'unit'\]"):
        convert_events(tmp_path / "a.csv", out, "table", progress=False)
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(ValueError, match=r"is no table of comma-separated values"):
        convert_events(tmp_path / "a.csv", out, "table", progress=False)
    with pytest.raises(ValueError, match=r"has no files .bin in folders of their classes, such as"):
        convert_events(tmp_path, out, "nmnist", progress=False)
    with pytest.raises(FileNotFoundError, match=r"there is no '.*nowhere' to read events from"):
        convert_events(tmp_path / "nowhere", out, "nmnist", progress=False)
    with pytest.raises(ValueError, match=r"layout = 'nminst' is not known \(did you mean 'nmnist'"):
        convert_events(tmp_path, out, "nminst", progress=False)
    with pytest.raises(ValueError, match=r"channels = 5 is of layout='table' only"):
        convert_events(tmp_path, out, "nmnist", channels=5, progress=False)
    write_dvs(tmp_path / "dvs", "xytq")
    with pytest.raises(ValueError, match=r"has no 'events/p' or 'events/ps'"):
        convert_events(tmp_path / "dvs", out, "dvs", sensor=(2, 34, 34), progress=False)


class TestEventFile:
    @pytest.fixture
    def path(self, tmp_path):
        return write_events(tmp_path / "shd.h5", [0, 1, 2, 1])

    def test_the_layout_of_shd_is_read(self, path):
        file = EventFile.read(path)
        np.testing.assert_array_equal(file.labels, [0, 1, 2, 1])
        assert file.channels == 12 and file.names == ()
        ((times, units),) = file.events([2])
        with h5py.File(path) as raw:
            np.testing.assert_array_equal(times, raw["spikes/times"][2])
            np.testing.assert_array_equal(units, raw["spikes/units"][2])
        assert len(times) >= 20

    def test_channels_are_the_users_where_the_file_says_none(self, tmp_path):
        path = write_events(tmp_path / "raw.h5", [0, 1], attributes=())
        with pytest.raises(ValueError, match=r"does not say how many channels .* 700 in SHD"):
            EventFile.read(path)
        assert EventFile.read(path, 700).channels == 700
        (*_, (_, units)) = EventFile.read(path, 700).events([0])
        with pytest.raises(ValueError, match=r"trial 0, has channel \d+; expected 0 to 2"):
            list(EventFile.read(path, 3).events([0]))
        assert units.max() > 2

    @pytest.mark.parametrize("name", ["labels", "spikes/times", "spikes/units"])
    def test_what_is_missing_is_named(self, path, name):
        with h5py.File(path, "a") as file:
            del file[name]
        with pytest.raises(ValueError, match=rf"has no '{name}', but \[.*'spikes/|has no '{name}'"):
            EventFile.read(path)

    @pytest.mark.parametrize(
        "labels, message",
        [
            ([0, 1, 2], r"has 4 trials, and labels of the shape \(3,\)"),
            ([0.5, 1, 2, 1], r"labels of the shape \(4,\) and type float64; expected a whole"),
            ([0, -1, 2, 1], r"has the label -1 below 0"),
        ],
    )
    def test_labels_that_make_no_sense_are_refused(self, path, labels, message):
        with h5py.File(path, "a") as file:
            del file["labels"]
            file["labels"] = labels
        with pytest.raises(ValueError, match=message):
            EventFile.read(path)

    @pytest.mark.parametrize(
        "times, units, message",
        [
            ([0.2, 0.1], [1, 2], r"trial 1, has times that are not in order: 0.1 s after 0.2 s"),
            ([-0.1, 0.1], [1, 2], r"trial 1, has the time -0.1 s, before the trial begins at 0 s"),
            ([0.1, np.nan], [1, 2], r"trial 1, has a time that is not finite"),
            ([0.1, 0.2], [1, 12], r"trial 1, has channel 12; expected 0 to 11"),
            ([0.1, 0.2], [1], r"trial 1, has \(2,\) times and \(1,\) units"),
        ],
    )
    def test_events_that_make_no_sense_are_refused(self, path, times, units, message):
        with h5py.File(path, "a") as file:
            file["spikes/times"][1], file["spikes/units"][1] = times, units
        with pytest.raises(ValueError, match=message):
            list(EventFile.read(path).events([0, 1]))

    def test_a_damaged_file_is_refused(self, path, tmp_path):
        whole = path.read_bytes()
        for size in (0, 100, len(whole) // 2):
            (tmp_path / "cut.h5").write_bytes(whole[:size])
            with pytest.raises(ValueError, match=r"cut.h5' is no HDF5, or incomplete"):
                EventFile.read(tmp_path / "cut.h5")
        with pytest.raises(FileNotFoundError, match=r"there is no event file"):
            EventFile.read(tmp_path / "none.h5")

    def test_a_trial_may_be_empty(self, path):
        with h5py.File(path, "a") as file:
            file["spikes/times"][3], file["spikes/units"][3] = [], []
        ((times, units),) = EventFile.read(path).events([3])
        assert len(times) == len(units) == 0


def test_the_command_converts_and_says_what_is_wrong(tmp_path):
    from typer.testing import CliRunner

    from brian_eprop.cli import app

    source, out = str(write_table(tmp_path / "events.csv")), str(tmp_path / "out.h5")
    done = CliRunner().invoke(app, ["events", source, out, "--layout", "table"])
    assert done.exit_code == 0 and "3 trials of 2 classes and" in done.output
    wrong = CliRunner().invoke(app, ["events", source, out, "--layout", "tabel"])
    assert wrong.exit_code == 2 and "did you mean 'table'" in wrong.output
