"""Recorded data become Brian2 objects: the right values in the right steps."""

from types import SimpleNamespace

import numpy as np
import pytest
from brian2 import NeuronGroup, SpikeGeneratorGroup, TimedArray, amp, defaultclock, ms, mV, volt

from brian_eprop import Loss, recorded_signals, recorded_spikes

pytestmark = pytest.mark.usefixtures("numpy_target")

TRIAL, DT = 5 * ms, 1 * ms


def neo(magnitude, units, **attributes):
    """What has a magnitude and units, as quantities and Neo write them."""
    units = SimpleNamespace(dimensionality=SimpleNamespace(string=units))
    return SimpleNamespace(magnitude=np.array(magnitude), units=units, **attributes)


def time_series(data, **attributes):
    about = {"unit": "volts", "conversion": 1.0, "offset": 0.0, "rate": 1000.0}
    return SimpleNamespace(data=np.array(data), **about | attributes)


VALUES = np.arange(10.0).reshape(5, 2)
SIGNALS = {
    "array": (VALUES, 1),
    "quantity": (VALUES * mV, 1 * mV),
    "AnalogSignal": (neo(VALUES, "mV", sampling_period=neo(1000.0, "us")), 1 * mV),
    "AnalogSignal in pA": (neo(VALUES, "pA", sampling_period=neo(0.001, "s")), 1e-12 * amp),
    "TimeSeries": (time_series(VALUES, conversion=1e-3), 1 * mV),
    "TimeSeries with an offset": (time_series(VALUES - 1, offset=1.0), 1 * volt),
    "TimeSeries with times": (
        time_series(VALUES, rate=None, timestamps=np.arange(5) / 1000, unit="amperes"),
        1 * amp,
    ),
}


@pytest.mark.parametrize("kind", SIGNALS)
def test_signals_of_all_kinds_are_rows_of_time_steps(kind):
    signal, unit = SIGNALS[kind]
    found = recorded_signals([signal, signal], TRIAL, DT)
    assert isinstance(found, TimedArray)
    assert found.dim is (getattr(unit, "dim", found.dim))
    np.testing.assert_allclose(found.values, np.tile(VALUES, (2, 1)) * float(unit), rtol=1e-14)
    assert found.dt == float(DT)


def test_all_trials_may_be_one_array_and_one_neuron_a_vector():
    trials = np.random.default_rng(1).random((3, 5, 2))
    assert np.array_equal(recorded_signals(trials, TRIAL, DT).values, trials.reshape(15, 2))
    assert recorded_signals([np.arange(5)] * 2, TRIAL, DT).values.shape == (10, 1)


@pytest.mark.parametrize(
    "signal",
    [
        neo(VALUES, "mV", sampling_period=neo(0.5, "ms")),
        time_series(VALUES, rate=999.0),
        time_series(VALUES, rate=None, timestamps=[0, 0.001, 0.002, 0.0035, 0.0045]),
    ],
)
def test_another_time_step_is_refused(signal):
    with pytest.raises(ValueError, match=r"recorded_signals\.trials\[1\].*resample"):
        recorded_signals([VALUES, signal], TRIAL, DT)


def test_gaps_are_said_and_reach_the_loss():
    defaultclock.dt = DT
    gappy = VALUES.copy()
    gappy[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"trials\[0\]\[2, 1\] is not finite"):
        recorded_signals([gappy], TRIAL, DT)
    data = recorded_signals([gappy], TRIAL, DT, gaps=True)
    group = NeuronGroup(2, "dv/dt = -v/(9*ms) : 1", threshold="v > 1", reset="v = 0")
    options = {"namespace": {"data": data}}
    with pytest.raises(ValueError, match="gaps=True"):
        Loss(group, "(v - data(t, i))**2", **options)
    assert Loss(group, "(v - data(t, i))**2", gaps=True, **options).states == ("v",)
    gappy[0, 0] = np.inf
    with pytest.raises(ValueError, match="is not finite"):
        recorded_signals([gappy], TRIAL, DT, gaps=True)


RASTER = np.zeros((5, 3), bool)
RASTER[[1, 3, 4], [0, 0, 2]] = True


class Units:
    """As NWB has it."""

    def __len__(self):
        return 3

    def get_unit_spike_times(self, unit):
        return np.array([[0.001, 0.003], [], [0.0042]][unit])


TRAINS = {
    "raster": RASTER,
    "times": [[1, 3] * ms, [] * ms, [4.2] * ms],
    "seconds": [[0.001, 0.003], [], [0.004]],
    "SpikeTrain": [
        neo([101.0, 103.0], "ms", t_start=neo(0.1, "s")),
        neo([], "ms", t_start=neo(0.0, "s")),
        neo([4200.0], "us", t_start=neo(0.0, "ms")),
    ],
    "Units": Units(),
}


@pytest.mark.parametrize("kind", TRAINS)
def test_trains_of_all_kinds_are_spikes_in_their_steps(kind):
    found = recorded_spikes([TRAINS[kind]] * 2, TRIAL, DT, name="recorded")
    assert isinstance(found, SpikeGeneratorGroup) and len(found) == 3
    when = np.round(found.variables["spike_time"].get_value() * 1000).astype(int)
    which = found.variables["neuron_index"].get_value()
    assert sorted(zip(which, when, strict=True)) == [
        *((0, 1), (0, 3), (0, 6), (0, 8)),
        *((2, 4), (2, 9)),
    ]


def test_round_off_moves_no_spike():
    """0.3 s is less than 3000 steps of 0.1 ms, in floating-point numbers."""
    steps = np.arange(5000)
    found = recorded_spikes([[steps * 1e-4]], 500 * ms, 0.1 * ms)
    when = found.variables["spike_time"].get_value() / 1e-4
    assert np.array_equal(np.round(np.sort(when)), steps)


def test_trials_without_trains_are_refused():
    with pytest.raises(ValueError, match=r"recorded_spikes.trials\[0\] has no spike trains"):
        recorded_spikes([[]], TRIAL, DT)


def test_real_objects_of_neo():
    package, quantities = pytest.importorskip("neo"), pytest.importorskip("quantities")
    signal = package.AnalogSignal(VALUES, units="mV", sampling_rate=1 * quantities.kHz)
    found = recorded_signals([signal], TRIAL, DT)
    np.testing.assert_allclose(found.values, VALUES * 1e-3, rtol=1e-14)
    train = package.SpikeTrain([101, 103] * quantities.ms, t_start=100, t_stop=200, units="ms")
    silent = package.SpikeTrain([] * quantities.ms, t_stop=5.0, units="ms")
    group = recorded_spikes([[train, silent]], TRIAL, DT)
    times = group.variables["spike_time"].get_value()
    assert len(group) == 2 and times == pytest.approx([0.001, 0.003])
