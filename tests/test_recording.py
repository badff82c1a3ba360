"""Recording: validation, labels, and a file that is complete, foreign or damaged."""

import os
import subprocess
import sys

import h5netcdf
import numpy as np
import pytest
import xarray
from attrs import asdict, fields
from attrs.exceptions import FrozenInstanceError
from brian2 import ms, mV

from brian_eprop import RecurrentNetwork, files
from brian_eprop.recording import Recording


def arrays(steps=12, n_in=3, n_rec=5, n_out=2, k=2, m=3, seed=0):
    rng = np.random.default_rng(seed)
    return dict(
        dt=1.0,
        inputs=rng.random((steps, n_in)) < 0.3,
        spikes=rng.random((steps, n_rec)) < 0.3,
        readout=rng.normal(size=(steps, n_out)),
        target=rng.normal(size=(steps, n_out)),
        error=rng.normal(size=(steps, n_out)),
        learning_signal=rng.normal(size=(steps, n_rec)),
        membrane=rng.normal(size=(steps, k)),
        threshold=np.ones((steps, k)),
        psi=rng.random((steps, k)),
        e_trace=rng.random((steps, m)),
        e_bar=rng.random((steps, m)),
        neurons=np.arange(k),
        synapses=[f"in {i} → {i + 1}" for i in range(m)],
        membrane_unit="mV",
        trace_unit="1/pA",
    )


def assert_equal(first, second):
    for field in fields(Recording):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name))


def test_save_and_load_give_back_every_array(tmp_path):
    recording = Recording(**arrays())
    recording.save(tmp_path / "trial.nc")
    loaded = Recording.load(tmp_path / "trial.nc")
    assert_equal(loaded, recording)
    assert loaded.inputs.dtype == bool and loaded.synapses[0] == "in 0 → 1"
    assert type(loaded.dt) is float and type(loaded.membrane_unit) is str


def test_no_recorded_neurons_or_synapses_is_a_recording(tmp_path):
    content = arrays(k=0, m=0)
    content["neurons"], content["synapses"] = [], []
    recording = Recording(**content)
    recording.save(tmp_path / "trial.nc")
    assert_equal(Recording.load(tmp_path / "trial.nc"), recording)


def test_dt_is_kept_in_ms_and_times_start_at_zero():
    content = arrays(steps=4)
    recording = Recording(**content | {"dt": 0.5 * ms})
    assert recording.dt == 0.5
    np.testing.assert_array_equal(recording.times, [0, 0.5, 1, 1.5])


def test_spikes_as_zeros_and_ones_become_bool():
    content = arrays()
    recording = Recording(**content | {"spikes": content["spikes"].astype(int)})
    assert recording.spikes.dtype == bool


def test_recording_is_frozen():
    with pytest.raises(FrozenInstanceError):
        Recording(**arrays()).dt = 2.0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"dt": 0.0}, r"Recording\.dt = 0.0 must be one positive time"),
        ({"dt": 1 * mV}, r"Recording\.dt' must be a time"),
        ({"dt": float("nan")}, r"Recording\.dt' of shape .* holds NaN"),
        (
            {"inputs": np.zeros((11, 3))},
            r"Recording\.inputs has the shape \(11, 3\); expected \(12, 3\)",
        ),
        (
            {"spikes": np.zeros(12)},
            r"Recording\.spikes has the shape \(12,\); expected \(steps, neurons\)",
        ),
        ({"inputs": np.zeros((12, 0))}, r"Recording\.inputs has the shape \(12, 0\)"),
        ({"inputs": np.full((12, 3), 0.5)}, r"Recording\.inputs of shape .* only 0 and 1"),
        (
            {"target": np.zeros((12, 1))},
            r"Recording\.target has the shape \(12, 1\); expected \(12, 2\)",
        ),
        ({"readout": 1.0}, r"Recording\.readout has the shape"),
        (
            {"learning_signal": np.zeros((12, 4))},
            r"Recording\.learning_signal .* expected \(12, 5\)",
        ),
        ({"psi": np.zeros((12, 3))}, r"Recording\.psi .* expected \(12, 2\) .*'neurons'"),
        ({"e_bar": np.zeros((12, 2))}, r"Recording\.e_bar .* expected \(12, 3\) .*'synapses'"),
        ({"membrane": np.full((12, 2), np.nan)}, r"Recording\.membrane .* nan at step 0, column 0"),
        ({"neurons": np.array([0, 5])}, r"Recording\.neurons = .* must be .* from 0 to 4"),
        ({"neurons": np.array([0.0, 1.0])}, r"Recording\.neurons = .* must be"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        Recording(**arrays() | change)


def test_every_damage_is_found_before_hdf5_reads_it(tmp_path, monkeypatch):
    path, recording = tmp_path / "trial.nc", Recording(**arrays())
    recording.save(path)
    content, rng = path.read_bytes(), np.random.default_rng(0)

    def zeroed(start, length):
        return content[:start] + bytes(length) + content[start + length :]

    damaged = [b"", b"not an archive", content[:8], content * 2, content + b"\n"]
    damaged += [content[:-length] for length in (1, 64, 100, len(content) // 2)]
    # such runs of zeros send HDF5 1.14 into a loop without end
    damaged += [zeroed(place, 300) for place in range(0, len(content) - 300, 300)]
    for place in rng.choice(len(content), 300, replace=False):
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.integers(8)
        damaged.append(bytes(flipped))
    damaged = [wrong for wrong in damaged if wrong != content]
    assert len(damaged) > 300
    with monkeypatch.context() as patch:
        patch.setattr(xarray, "load_dataset", pytest.fail)
        for wrong in damaged:
            path.write_bytes(wrong)
            with pytest.raises(ValueError, match=r"trial\.nc' cannot be read as a .*checksum is"):
                Recording.load(path)
    path.write_bytes(content)
    assert_equal(Recording.load(path), recording)


def test_a_foreign_file_is_named(tmp_path):
    path = tmp_path / "weights.nc"
    dataset = xarray.Dataset({"w_in": ("i", np.zeros(3))})
    files.write_netcdf(dataset, path, "the weights")
    with pytest.raises(ValueError, match="is not a recording of this version: its 'format' is"):
        Recording.load(path)
    dataset.to_netcdf(path, engine="h5netcdf")
    np.savez(tmp_path / "trial.npz", **arrays())
    for foreign in (path, tmp_path / "trial.npz"):
        with pytest.raises(ValueError, match=r"checksum is missing.* another program.*; record "):
            Recording.load(foreign)
    with pytest.raises(ValueError, match="cannot be read as a recording"):
        Recording.load(tmp_path)  # a folder


def test_what_another_program_has_changed_is_no_recording_any_more(tmp_path):
    path = tmp_path / "trial.nc"
    Recording(**arrays()).save(path)
    with h5netcdf.File(path, "a") as file:
        file.variables["readout"][0, 0] = 3.0
    with pytest.raises(ValueError, match=r"checksum is .*xarray\.open_dataset"):
        Recording.load(path)
    assert xarray.load_dataset(path)["readout"][0, 0] == 3.0


def test_missing_arrays_are_listed(tmp_path):
    path = tmp_path / "trial.nc"
    Recording(**arrays()).save(path)
    content = files.read_netcdf(path).drop_vars(["psi", "target", "synapse"])
    del content.attrs["dt"]
    files.write_netcdf(content, path, "half a recording")
    with pytest.raises(ValueError, match="'dt', 'target', 'psi', 'synapses' missing"):
        Recording.load(path)


# ------------------------------------------------------------------- labels
def test_the_dataset_has_names_and_units(tmp_path):
    recording = Recording(**arrays(steps=4) | {"dt": 0.5, "neurons": np.array([3, 1])})
    dataset = recording.to_xarray()
    assert dict(dataset.sizes) == {
        **{"time": 4, "input": 3, "neuron": 5, "output": 2},
        **{"recorded_neuron": 2, "synapse": 3},
    }
    np.testing.assert_array_equal(dataset["time"], [0, 0.5, 1, 1.5])
    assert dataset["time"].attrs["units"] == "ms"
    for array in dataset.data_vars.values():
        assert array.dims[0] == "time" and array.attrs["long_name"] and array.attrs["units"]
    assert dataset["membrane"].attrs["units"] == "mV"
    assert dataset["psi"].attrs["units"] == "1/mV"
    assert dataset["e_bar"].attrs["units"] == "1/pA"
    one = dataset["psi"].sel(recorded_neuron=1)
    np.testing.assert_array_equal(one, recording.psi[:, 1])
    trace = dataset["e_bar"].sel(synapse="in 2 → 3", time=slice(0.5, 1))
    np.testing.assert_array_equal(trace, recording.e_bar[1:3, 2])
    recording.save(tmp_path / "trial.nc")
    xarray.testing.assert_identical(
        xarray.load_dataset(tmp_path / "trial.nc", engine="h5netcdf"),
        dataset.assign_attrs(format="brian_eprop recording 2"),
    )
    plain = Recording(**arrays() | {"membrane_unit": "", "trace_unit": ""}).to_xarray()
    assert {array.attrs["units"] for array in plain.data_vars.values()} == {"1"}


@pytest.mark.parametrize(
    ("neurons", "membrane", "trace"),
    [
        ("lif", "", ""),
        ("adex", "volt", "amp ** -1"),
        ([("lif", 2, {}), ("adex", 2, {})], "1 or volt", "1 or amp ** -1"),
    ],
)
def test_a_network_records_in_its_units(neurons, membrane, trace, numpy_target):
    rng = np.random.default_rng(0)
    inputs, targets = rng.random((40, 3)) < 0.3, np.zeros((40, 1))
    network = RecurrentNetwork(neurons, 3, 4, 1, dt=0.1 * ms, seed=0)
    recording = network.record(inputs, targets, neurons=4)
    assert recording.membrane.shape == (40, 4) and recording.e_trace.shape == (40, 8)
    assert recording.membrane_unit == membrane
    assert recording.trace_unit == trace
    pytest.importorskip("neo")
    if " or " in membrane:
        with pytest.raises(ValueError, match=r"Recording\.membrane_unit = '1 or volt': a sig"):
            recording.to_neo()
        return
    signals = {s.name: s for s in recording.to_neo().segments[0].analogsignals}
    if membrane:
        assert -0.1 < recording.membrane.min() < recording.membrane.max() < 0
        assert signals["membrane"].rescale("mV").magnitude.min() < -50
        assert (1 / signals["e_bar"]).units.simplified.dimensionality.string == "A"
        assert signals["psi"].rescale("1/mV").magnitude.max() < recording.psi.max()


def owner(array):
    """The array whose memory this one shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def test_a_recording_needs_no_monitor_any_more(numpy_target):
    inputs, targets = np.random.default_rng(0).random((40, 3)) < 0.3, np.ones((40, 1))
    network = RecurrentNetwork("lif", 3, 4, 1, seed=0)
    network.weights["w_in"] = np.full((3, 4), 0.5)
    results = network.record(inputs, targets), network.gradients(inputs, targets)
    for result in results:
        for name, array in asdict(result, recurse=False).items():
            if isinstance(array, np.ndarray):
                # memory of Brian2's arrays, from 2.10 on, belongs to nobody that NumPy knows
                assert owner(array).flags.owndata or owner(array).base is not None, name
    assert results[0].spikes.any() and results[0].psi.any() and results[0].error.all()
    assert results[1].w_rec.any()


def test_neo_has_the_same_spikes_and_signals():
    neo = pytest.importorskip("neo")
    recording = Recording(**arrays() | {"dt": 0.5})
    (segment,) = recording.to_neo().segments
    trains = segment.spiketrains
    assert [t.name for t in trains] == [
        *(f"inputs {i}" for i in range(3)),
        *(f"spikes {j}" for j in range(5)),
    ]
    assert sum(len(train) for train in trains) == recording.inputs.sum() + recording.spikes.sum()
    for train, fired in zip(trains[3:], recording.spikes.T, strict=True):
        assert isinstance(train, neo.SpikeTrain) and float(train.t_stop.rescale("ms")) == 6
        np.testing.assert_array_equal(train.rescale("ms").magnitude, np.flatnonzero(fired) * 0.5)
    signals = {signal.name: signal for signal in segment.analogsignals}
    assert len(signals) == 9
    for name, signal in signals.items():
        np.testing.assert_array_equal(signal.magnitude, getattr(recording, name))
        assert float(signal.sampling_period.rescale("ms")) == 0.5
    assert str(signals["membrane"].dimensionality) == "mV"
    content = arrays(k=0, m=0) | {"neurons": [], "synapses": []}
    (segment,) = Recording(**content).to_neo().segments
    assert len(segment.analogsignals) == 4


def test_without_neo_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "neo", None)
    with pytest.raises(ImportError, match=r"pip install 'brian_eprop\[neo\]'"):
        Recording(**arrays()).to_neo()


# ------------------------------------------------------------------- writing
def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        Recording.load(tmp_path / "absent.nc")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cannot write the recording .*absent"):
        Recording(**arrays()).save(tmp_path / "absent" / "trial.nc")


def test_an_interrupted_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "trial.nc"
    old = Recording(**arrays(seed=1))
    old.save(path)

    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Recording(**arrays(seed=2)).save(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["trial.nc"]
    assert_equal(Recording.load(path), old)


#: Argument: a recording's file, which is to be replaced while no file may grow beyond each limit.
FULL_DISK = """
import resource, sys
from brian_eprop.recording import Recording
recording = Recording.load(sys.argv[1])
for most in (0, 1, 512, 4096, 10_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    try:
        recording.save(sys.argv[1])
    except OSError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_full_disk_gives_a_message_and_leaves_the_old_file(tmp_path):
    path, recording = tmp_path / "trial.nc", Recording(**arrays(steps=400))
    recording.save(path)
    size = path.stat().st_size
    assert size > 20_000
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 5 and all("cannot write the recording" in line for line in said)
    assert [entry.name for entry in tmp_path.iterdir()] == ["trial.nc"]
    assert_equal(Recording.load(path), recording)
