"""Event files that are nearly of their layout are refused by name, or read right."""

import struct

import h5py
import numpy as np
import pytest
from task_options import write_events

from brian_eprop.tasks import load_task
from brian_eprop.tasks.event_files import EventFile, convert_events

from .test_event_files import (
    COLUMNS,
    block,
    write_aedat2,
    write_dvs,
    write_gestures,
    write_table,
)


def refused(source, layout, message, **options):
    """The conversion says it, and leaves nothing."""
    folder = source.parent
    before = sorted(folder.iterdir())
    with pytest.raises(ValueError, match=message):
        convert_events(source, folder / "out.h5", layout, progress=False, **options)
    assert sorted(folder.iterdir()) == before


class TestSensorsInHDF5:
    @pytest.fixture
    def source(self, tmp_path):
        return write_dvs(tmp_path / "dvs")

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            # seconds, which as whole µs would all be 0
            ({"t": [0.1, 0.2, 0.3]}, r"'events/t' of the type float64; expected whole µs"),
            ({"x": [1.5, 2.0, 3.0]}, r"'events/x' of the type float64; expected whole numbers"),
            ({"t": [5, 9, 7]}, r"not in order: 2e-06 s after 4e-06 s, event 2"),
            ({"t": [5, 3, 9]}, r"not in order|before the trial begins"),
            ({"y": [1, -1, 2]}, r"has an event of y -1; expected 0 to 39"),
            ({"x": [1, 50, 2]}, r"has an event of x 50; expected 0 to 49"),
            ({"p": [0, 2, 1]}, r"has an event of polarity 2; expected 0 to 1"),
            ({"p": [0, 1]}, r"has 3 x, 3 y, 3 t and 2 p"),
            ({"t": 7}, r"'events/t' of the shape \(\); expected a number for each event"),
        ],
    )
    def test_numbers_that_make_no_sense(self, source, changed, message):
        path = next(source.glob("*/*.h5"))
        good = {"x": [1, 2, 3], "y": [1, 2, 3], "t": [5, 7, 9], "p": [0, 1, 1]}
        with h5py.File(path, "w") as file:
            for name, values in (good | changed).items():
                file[f"events/{name}"] = values
        refused(source, "dvs", message, sensor=(2, 40, 50))
        if "y" not in changed and "x" not in changed:
            refused(source, "dvs", message)

    def test_a_file_that_is_cut_off(self, source):
        path = next(source.glob("*/*.h5"))
        path.write_bytes(path.read_bytes()[:1000])
        refused(source, "dvs", r"is no HDF5, or incomplete", sensor=(2, 40, 50))

    def test_polarities_of_minus_one_are_off(self, source, tmp_path):
        path = next(source.glob("*/*.h5"))
        with h5py.File(path, "w") as file:
            for name, values in {"x": [1, 2], "y": [0, 0], "t": [5, 7], "p": [-1, 1]}.items():
                file[f"events/{name}"] = values
        found = convert_events(source, tmp_path / "o.h5", "dvs", sensor=(2, 40, 50), progress=False)
        ((_, units),) = found.events([0])
        np.testing.assert_array_equal(units, [1, 2000 + 2])


class TestAedat:
    def test_addresses_of_other_cameras_are_no_pixels(self, tmp_path):
        source = write_aedat2(tmp_path / "2")
        path = next(source.glob("*/*.aedat"))
        # a DAVIS has x in bits 12 to 21, y in 22 to 30; bit 15 of a DVS128 marks other events
        for address in (1 << 15, 3 << 22 | 2 << 12):
            event = np.array([[address, 5]], ">u4").tobytes()
            path.write_bytes(b"#!AER-DAT2.0\r\n" + event)
            refused(source, "aedat", r"has the address \d+, which is none of a pixel of a DVS128")

    def test_a_file_that_ends_within_an_event(self, tmp_path):
        source = write_aedat2(tmp_path / "2")
        path = next(source.glob("*/*.aedat"))
        path.write_bytes(path.read_bytes()[:-3])
        refused(source, "aedat", r"ends within an event: it is not complete")

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (["1,1000,500"], r"a trial from 1000 to 500 µs, which ends before it begins"),
            (
                ["1,0,1000000", "2,500000,1500000"],
                r"a trial from 500000 µs, before the one until 1000000 µs has ended",
            ),
            (["1,x,5"], r"user_labels.csv' has a class or time that is no whole number"),
            (["1,,5"], r"user_labels.csv' has a class or time that is no whole number"),
            ([], r"has no trials"),
        ],
    )
    def test_tables_of_labels(self, tmp_path, rows, message):
        source = write_gestures(tmp_path / "g")
        table = ["class,startTime_usec,endTime_usec", *rows]
        (source / "user_labels.csv").write_text("\n".join(table) + "\n")
        refused(source, "aedat", message)

    def test_headers_of_packets_that_cannot_be(self, tmp_path):
        source = write_gestures(tmp_path / "g")
        whole = (source / "user.aedat").read_bytes()
        start = whole.index(b"#!END-HEADER\r\n") + len(b"#!END-HEADER\r\n")
        for size, count in ((0, 5), (4, 5), (8, -1), (-8, 2)):
            header = struct.pack("<hhiiiiii", 1, 1, size, 4, 0, count, count, count)
            (source / "user.aedat").write_bytes(whole[:start] + header + whole[start + 28 :])
            refused(source, "aedat", rf"has a packet of {count} events of {size} bytes")


class TestTables:
    def test_what_is_no_table(self, tmp_path):
        (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00trial")
        refused(tmp_path / "a.csv", "table", r"is no table of comma-separated values")
        (tmp_path / "a.csv").write_text("trial,time,unit,label\n0,0.1,1,a\n0,0.2,1,a,7,8\n")
        refused(tmp_path / "a.csv", "table", r"is no table of comma-separated values")
        (tmp_path / "a.csv").write_text("trial,time,unit,label\n")
        refused(tmp_path / "a.csv", "table", r"has no trials")

    def test_parquet_that_is_cut_off_or_damaged_inside(self, tmp_path):
        pytest.importorskip("pyarrow")
        path = write_table(tmp_path / "a.parquet")
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        refused(path, "table", r"is no Parquet, or incomplete")
        path.write_bytes(whole[:4] + bytes(200) + whole[204:])
        refused(path, "table", r"is no Parquet, or incomplete")

    def test_a_trial_without_a_number(self, tmp_path):
        path = write_table(tmp_path / "a.csv", COLUMNS | {"trial": [0, None, 1]})
        refused(path, "table", r"has an event that belongs to no trial")

    def test_trials_and_labels_are_as_they_are_written_in_every_part(self, tmp_path):
        # pandas alone makes numbers of the first part, and keeps the text of the second one
        rows = [f"{'007' if k < 100_005 else 'b'},{k / 1e6},{k % 3},01" for k in range(100_010)]
        (tmp_path / "a.csv").write_text("\n".join(["trial,time,unit,label", *rows]) + "\n")
        found = convert_events(tmp_path / "a.csv", tmp_path / "o.h5", "table", progress=False)
        assert [len(times) for times, _ in found.events(range(2))] == [100_005, 5]
        assert len(found.labels) == 2 and found.names == ("01",)

    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_names_of_classes_that_are_numbers(self, tmp_path, kind):
        if kind == "parquet":
            pytest.importorskip("pyarrow")
        labels = ([12345678, 12345679, -3], [10.5, 9.5, -3.0])
        for values, names in zip(
            labels, (("-3", "12345678", "12345679"), ("-3", "9.5", "10.5")), strict=True
        ):
            columns = COLUMNS | {"trial": [0, 1, 2], "label": values}
            path = write_table(tmp_path / f"a.{kind}", columns)
            found = convert_events(path, tmp_path / "o.h5", "table", progress=False)
            assert [float(name) for name in found.names] == sorted(values)
            assert kind == "csv" or found.names == names
            np.testing.assert_array_equal([float(found.names[k]) for k in found.labels], values)

    def test_columns_of_bytes_and_lists(self, tmp_path):
        pytest.importorskip("pyarrow")
        path = write_table(tmp_path / "a.parquet", COLUMNS | {"label": [b"a", b"a", "ö".encode()]})
        found = convert_events(path, tmp_path / "o.h5", "table", progress=False)
        assert found.names == ("a", "ö")
        path = write_table(tmp_path / "a.parquet", COLUMNS | {"label": [[1], [1], [2]]})
        refused(path, "table", r"has the column 'label' of list<.*>: one value a row")


class TestNeo:
    def test_blocks_and_files_that_are_none(self, tmp_path):
        neo = pytest.importorskip("neo")
        empty = neo.Block()
        with pytest.raises(ValueError, match=r"the block has no segments"):
            convert_events(empty, tmp_path / "o.h5", "neo", progress=False)
        uneven = block()
        uneven.segments[0].spiketrains.pop()
        with pytest.raises(ValueError, match=r"segments of \[33, 34\] spike trains"):
            convert_events(uneven, tmp_path / "o.h5", "neo", progress=False)
        (tmp_path / "a.unknown").write_text("x")
        refused(tmp_path / "a.unknown", "neo", r"a.unknown' is no file that Neo reads")
        (tmp_path / "a.txt").write_text("1.0 x\n")
        (tmp_path / "a.nix").write_bytes(b"no HDF5 at all")
        refused(tmp_path / "a.nix", "neo", r"a.nix' is no file that Neo reads")


class TestNWB:
    @pytest.fixture
    def written(self, tmp_path):
        pynwb = pytest.importorskip("pynwb")
        from datetime import UTC, datetime

        def write(trials=((1, 1.5), (2, 2.5)), trains=((1.1, 2.1), (1.2, 2.2))):
            session = pynwb.NWBFile("words", "words", datetime(2026, 1, 1, tzinfo=UTC))
            session.add_trial_column("label", "what was said")
            for k, (start, stop) in enumerate(trials):
                session.add_trial(start_time=float(start), stop_time=float(stop), label=f"{k}")
            for train in trains:
                session.add_unit(**({} if train is None else {"spike_times": train}))
            with pynwb.NWBHDF5IO(tmp_path / "a.nwb", "w") as file:
                file.write(session)
            return tmp_path / "a.nwb"

        return write

    @pytest.mark.slow
    def test_times_that_make_no_sense(self, written, tmp_path):
        found = convert_events(written(), tmp_path / "out.h5", "nwb", progress=False)
        np.testing.assert_allclose([t for t, _ in found.events([0, 1])], [[0.1, 0.2]] * 2)
        (tmp_path / "out.h5").unlink()
        refused(written(trains=((2.1, 1.1), (1.2,))), "nwb", r"unit 0, .* not in order")
        refused(written(trials=((1.5, 1),)), "nwb", r"trial 0, .* from 1.5 to 1 s")
        refused(written(trials=((np.nan, 1),)), "nwb", r"trial 0, .* from nan to 1 s")
        refused(written(trains=(None, None)), "nwb", r"no spike times")


class TestFilesOfSHD:
    @pytest.fixture
    def path(self, tmp_path):
        return write_events(tmp_path / "shd.h5", [0, 1, 2, 1])

    def test_groups_in_the_place_of_data(self, path):
        with h5py.File(path, "a") as file:
            del file["spikes/times"]
            file.create_group("spikes/times/a")
        with pytest.raises(ValueError, match=r"'spikes/times' is no data set"):
            EventFile.read(path)

    def test_fewer_units_than_times(self, path):
        with h5py.File(path, "a") as file:
            units = file["spikes/units"][:2]
            del file["spikes/units"]
            kind = h5py.vlen_dtype(np.dtype("u2"))
            file.create_dataset("spikes/units", (2,), dtype=kind)[:] = units
        with pytest.raises(ValueError, match=r"has 4 trials of times and 2 of units"):
            EventFile.read(path)

    @pytest.mark.parametrize("name", ["spikes/times", "spikes/units", "labels"])
    def test_one_number_for_all_trials(self, path, name):
        with h5py.File(path, "a") as file:
            del file[name]
            file[name] = 3
        with pytest.raises(ValueError, match=rf"has one '{name}'; expected one for each trial"):
            EventFile.read(path)

    def test_labels_that_are_no_numbers_of_classes(self, path):
        for wrong in (10**6, 2**63 + 5):
            with h5py.File(path, "a") as file:
                del file["labels"]
                file["labels"] = np.array([0, 1, 2, wrong], "u8")
            with pytest.raises(ValueError, match=rf"has the label {wrong}; labels are the numbers"):
                EventFile.read(path)

    @pytest.mark.parametrize("attribute", ["channels", "sensor"])
    @pytest.mark.parametrize("wrong", ["abc", 0, -3, 2.5, (3, 4), (2, 0, 4)])
    def test_numbers_of_channels_that_make_no_sense(self, path, attribute, wrong):
        with h5py.File(path, "a") as file:
            del file.attrs["channels"]
            file.attrs[attribute] = wrong
        with pytest.raises(ValueError, match=r"shd.h5' says that its channels are \["):
            EventFile.read(path)

    def test_names_of_classes_in_any_coding(self, path):
        for keys, names in (
            (np.array([b"null", "fünf".encode()]), ("null", "fünf")),
            (np.array(["fünf", "一"], dtype=h5py.string_dtype()), ("fünf", "一")),
            (np.array([b"null", "fünf".encode("latin-1")]), ("null", "f\ufffdnf")),
            (np.array([1, 2]), ("1", "2")),
        ):
            with h5py.File(path, "a") as file:
                if "extra/keys" in file:
                    del file["extra/keys"]
                file["extra/keys"] = keys
            assert EventFile.read(path).names == names

    def test_times_that_are_text(self, path):
        with h5py.File(path, "a") as file:
            del file["spikes/times"]
            file["spikes/times"] = np.array([b"0.1"] * 4)
        with pytest.raises(ValueError, match=r"trial 0, has times of the type \|S3"):
            list(EventFile.read(path).events([0]))

    def test_too_few_trials_to_leave_some_out(self, path):
        for labels in ([0], [0, 0], [0, 1]):
            with pytest.raises(
                ValueError, match=r"has [12] trials, .* leaves none for '\w+'; give"
            ):
                load_task("recorded", train=str(write_events(path, labels)))
        others = {part: str(path) for part in ("train", "validation", "test")}
        inputs, _ = load_task("recorded", **others).sample(np.random.default_rng(0), 2)
        assert inputs.any()

    def test_times_as_one_row_of_all_events(self, path):
        with h5py.File(path, "a") as file:
            for name in ("times", "units"):
                del file[f"spikes/{name}"]
                file[f"spikes/{name}"] = np.arange(4)
        with pytest.raises(ValueError, match=r"trial 0, has \(\) times and \(\) units"):
            list(EventFile.read(path).events([0]))
