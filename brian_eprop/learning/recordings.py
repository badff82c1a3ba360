"""Recorded data as Brian2 objects: signals to compare with, and spikes that arrive in a network.

Trials follow each other, as a learner runs them. Arrays, objects of Neo (AnalogSignal, SpikeTrain)
and of NWB (TimeSeries, Units) are told by their attributes; neither package is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from brian2 import Quantity, SpikeGeneratorGroup, TimedArray, second
from brian2.units.fundamentalunits import (
    DIMENSIONLESS,
    DimensionMismatchError,
    fail_for_dimension_mismatch,
    get_dimensions,
)

from ..checks import as_array, check_time, flag, shown, steps, unit_name, whole_number
from ..quantities import quantity

#: Units as Neo and NWB write them, without prefix, and as Brian2 does.
UNITS = {"V": "volt", "A": "amp", "S": "siemens", "s": "second", "F": "farad", "Hz": "hertz"}
UNITS |= {f"{name}s": name for name in ("volt", "amp", "ampere", "second", "farad")}
UNITS |= {name: name for name in ("volt", "amp", "ampere", "siemens", "second", "farad", "hertz")}
PREFIXES = {"µ": "u", "μ": "u", "micro": "u", "milli": "m", "nano": "n", "pico": "p", "kilo": "k"}
PREFIXES |= {prefix: prefix for prefix in ("", "u", "m", "n", "p", "k")}
NO_UNIT = ("dimensionless", "a.u.", "")


def recorded_signals(
    trials: Sequence[Any], trial: Quantity, dt: Quantity, *, gaps: bool = False
) -> TimedArray:
    """Recorded signals as a TimedArray, one row per time step, trial after trial.

    A `Loss` compares with it: ``v_data = recorded_signals(…)``, ``"(v - v_data(t, i))**2/mV**2"``.
    Its row k is what is compared in step k, at the end of the step.

    Parameters
    ----------
    trials : sequence
        One entry per trial: an array or Quantity (steps, neurons), or (steps,) of one neuron; an
        AnalogSignal of Neo; a TimeSeries of NWB. All trials as one array are (trials, steps,
        neurons).
    trial : Quantity
        Length of a trial, ``reset_every`` of the learner.
    dt : Quantity
        Time step of the group. Arrays have it; signals that know another are refused.
    gaps : bool
        NaN are allowed: what was not measured, which counts if `Loss` is told so, too.

    Returns
    -------
    TimedArray

    Raises
    ------
    ValueError, TypeError, DimensionMismatchError
        For data with another time step, of another length than a trial, of different units or
        numbers of neurons, or not finite; names the trial.
    """
    expected, entries = _checked(trials, trial, dt, "recorded_signals")
    gaps = flag("recorded_signals.gaps", gaps)
    rows: list[Any] = []
    dim = None
    for number, entry in enumerate(entries):
        name = f"recorded_signals.trials[{number}]"
        values, found = _signal(name, entry, dt)
        if len(values) != expected:
            remedy = "cut it"
            if len(values) < expected:
                remedy = "fill it with NaN, and say gaps=True, here and in Loss"
            raise ValueError(
                f"{name} has {len(values)} time steps, {len(values) * dt!s}, but a trial has "
                f"{expected}, {trial!s}: {remedy}"
            )
        if rows and values.shape != rows[0].shape:
            raise ValueError(
                f"{name} has {values.shape[1]} neurons, but the trials before have "
                f"{rows[0].shape[1]}; fill what was not measured with NaN, and say gaps=True"
            )
        if rows and found is not dim:
            raise DimensionMismatchError(
                f"{name} has the unit '{unit_name(found)}', but the trials before "
                f"'{unit_name(dim)}'"
            )
        wrong = ~np.isfinite(values) & ~(gaps & np.isnan(values))
        if wrong.any():
            step, neuron = np.argwhere(wrong)[0]
            raise ValueError(
                f"{name}[{step}, {neuron}] is not finite: correct it, or say gaps=True, here and "
                "in Loss, if NaN stands for what was not measured"
            )
        rows.append(values)
        dim = found
    return TimedArray(Quantity(np.concatenate(rows), dim=dim), dt=dt)


def recorded_spikes(
    trials: Sequence[Any],
    trial: Quantity,
    dt: Quantity,
    n: int | None = None,
    **as_spike_generator: Any,
) -> SpikeGeneratorGroup:
    """Recorded spikes as a SpikeGeneratorGroup, one neuron per train, trial after trial.

    They drive a network, or are what a model is compared with, filtered by a state of the model::

        dx/dt = -x/tau : 1                          reset: x += 1
        Synapses(recorded, neurons, on_pre="x_post -= 1").connect(j="i")

    x is then the difference of the filtered trains, and the sum of ``"x**2"`` the van Rossum
    distance.

    Parameters
    ----------
    trials : sequence
        One entry per trial: a bool array (steps, neurons); a list of trains, times (in seconds
        without a unit, or a Quantity) since the trial began; a list of SpikeTrain of Neo, of which
        the trial begins at t_start; Units of NWB, of which it begins at 0.
    trial, dt : Quantity
        Length of a trial, and time step: a spike is in the step in which its time lies.
    n : int, optional
        Number of neurons, where some are silent in all trials or absent. Default: of the trains.
    **as_spike_generator
        ``name`` and others of :class:`brian2.SpikeGeneratorGroup`.

    Returns
    -------
    SpikeGeneratorGroup

    Raises
    ------
    ValueError, TypeError, DimensionMismatchError
        For times outside of the trial, two spikes of a neuron in one step, or different numbers
        of trains; names the trial and the train.
    """
    expected, entries = _checked(trials, trial, dt, "recorded_spikes")
    if n is not None:
        whole_number("recorded_spikes.n", n)
    neurons, when, width = [], [], None
    for number, entry in enumerate(entries):
        name = f"recorded_spikes.trials[{number}]"
        trains = _trains(name, entry, expected, dt)
        if (n is None and width not in (None, len(trains))) or (n is not None and len(trains) > n):
            raise ValueError(
                f"{name} has {len(trains)} trains, but "
                + (f"n = {n}" if n is not None else f"the trials before have {width}")
                + "; give one train per neuron, empty ones too"
            )
        width = len(trains)
        for neuron, train in enumerate(trains):
            if len(np.unique(train)) < len(train):
                raise ValueError(
                    f"{name}[{neuron}] has two spikes in one time step of {dt!s}; take a smaller "
                    "dt, or drop one"
                )
            neurons += [neuron] * len(train)
            when += [step + number * expected for step in train]
    times = np.array(when, dtype=float) * dt
    return SpikeGeneratorGroup(
        n or width, np.array(neurons, dtype=int), times, dt=dt, **as_spike_generator
    )


def _checked(trials, trial, dt, caller):
    """Steps of a trial, and the entries of the trials."""
    check_time(f"{caller}.dt", dt)
    expected = steps(f"{caller}.trial", trial, dt)
    many = isinstance(trials, Sequence) and not isinstance(trials, str | bytes)
    many = many or (isinstance(trials, np.ndarray) and trials.ndim > 0)
    if _is_recording(trials) or not many:
        raise TypeError(
            f"{caller}.trials = {shown(trials)} must be a list with one recording per trial, such "
            "as [recording]"
        )
    if not len(trials):
        raise ValueError(f"{caller}.trials is empty; give one recording per trial")
    return expected, list(trials)


def _is_recording(value):
    """Whether it is one of Neo's or NWB's objects."""
    return any(hasattr(value, name) for name in ("sampling_period", "t_start", "conversion")) or (
        hasattr(value, "get_unit_spike_times")
    )


def _signal(name, entry, dt):
    """A recording of one trial, (steps, neurons) in SI units, and its dimensions."""
    if hasattr(entry, "sampling_period"):
        values = _neo(name, entry)
        _check_step(name, _neo(f"{name}.sampling_period", entry.sampling_period), dt)
    elif hasattr(entry, "conversion"):
        scale = float(entry.conversion) * _unit(name, entry.unit)
        offset = float(getattr(entry, "offset", 0.0) or 0.0) * _unit(name, entry.unit)
        values = np.array(entry.data[:], dtype=float) * scale + offset
        if entry.rate is not None:
            _check_step(name, 1 / float(entry.rate) * second, dt)
        else:
            for step in np.diff(np.asarray(entry.timestamps[:], dtype=float)):
                _check_step(f"{name}.timestamps", step * second, dt)
    else:
        dimensions = get_dimensions(entry) if isinstance(entry, Quantity) else DIMENSIONLESS
        plain = as_array(name, np.asarray(entry) if isinstance(entry, Quantity) else entry)
        if plain.dtype.kind not in "biuf":
            raise TypeError(
                f"{name} = {shown(entry)} is no recording; give an array (steps, neurons), an "
                "AnalogSignal or a TimeSeries"
            )
        values = Quantity(plain.astype(float), dim=dimensions)
    plain = np.asarray(values)
    if plain.ndim == 1:
        plain = plain[:, np.newaxis]
    if plain.ndim != 2 or not plain.size:
        raise ValueError(f"{name} has the shape {plain.shape}; it must be (steps, neurons)")
    return plain, get_dimensions(values)


def _check_step(name, found, dt):
    if not abs(float(found) - float(dt)) <= 1e-6 * float(dt):
        raise ValueError(
            f"{name} has one value every {found!s}, but dt = {dt!s}: resample it, or set "
            "defaultclock.dt"
        )


def _trains(name, entry, expected, dt):
    """The time steps of the spikes of each neuron in a trial : list of int arrays."""
    if hasattr(entry, "get_unit_spike_times"):
        trains = [entry.get_unit_spike_times(unit) for unit in range(len(entry))]
    elif isinstance(entry, np.ndarray) and entry.dtype == bool and entry.ndim == 2:
        if len(entry) != expected:
            raise ValueError(f"{name} has {len(entry)} time steps, but a trial has {expected}")
        return [np.flatnonzero(column) for column in entry.T]
    elif isinstance(entry, Sequence) and not isinstance(entry, str | bytes):
        trains = list(entry)
    else:
        raise TypeError(
            f"{name} = {shown(entry)} must be a list of spike trains, one per neuron, or a bool "
            "array (steps, neurons)"
        )
    if not trains:
        raise ValueError(f"{name} has no spike trains; give one per neuron, empty ones too")
    return [_train(f"{name}[{j}]", train, expected, dt) for j, train in enumerate(trains)]


def _train(name, train, expected, dt):
    if hasattr(train, "t_start"):
        times = _neo(name, train) - _neo(f"{name}.t_start", train.t_start)
    elif isinstance(train, Quantity):
        times = train
    else:
        plain = as_array(name, train)
        if plain.size and plain.dtype.kind not in "iuf":
            raise TypeError(f"{name} = {shown(train)} must be times of spikes, such as [3, 8]*ms")
        times = plain.astype(float) * second
    fail_for_dimension_mismatch(times, second, f"{name} must be times, such as [3, 8]*ms")
    places = np.atleast_1d(np.asarray(times, dtype=float)) / float(dt)
    # what is a multiple of dt but for round-off is one
    found = np.floor(places + 1e-6)
    wrong = ~(np.isfinite(places) & (found >= 0) & (found < expected))
    if places.ndim != 1 or wrong.any():
        said = f"has a spike at {places[wrong][0] * dt!s}" if wrong.any() else "is no list of times"
        raise ValueError(
            f"{name} {said}; times are those since the trial began, at least 0 and below its "
            f"length, {expected * dt!s}"
        )
    return found.astype(int)


def _neo(name, recording):
    """Magnitude and unit of an object of Neo or quantities : Quantity."""
    text = getattr(getattr(recording.units, "dimensionality", None), "string", recording.units)
    return np.array(recording.magnitude, dtype=float) * _unit(name, text)


def _unit(name, text):
    """A unit by the name that Neo and NWB have for it : Quantity."""
    text = str(text).strip()
    if text in NO_UNIT:
        return Quantity(1.0)
    if text.startswith("1/"):  # a period by its rate
        return 1 / _unit(name, text[2:])
    for prefix, scale in PREFIXES.items():
        if text.startswith(prefix) and text[len(prefix) :] in UNITS:
            return quantity(f"1*{scale}{UNITS[text[len(prefix) :]]}")
    raise ValueError(
        f"{name} has the unit '{text}', which is not known; give its values as a Quantity of "
        "Brian2, such as array*mV"
    )
