"""Recordings of one trial: plain arrays, their netCDF file, and their export to xarray and neo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from attrs import field, fields, frozen
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_dimensions
from brian2.units.stdunits import ms
from numpy.typing import ArrayLike

from .checks import Bools, FilePath, Floats, Ints, in_field, keep
from .files import read_netcdf, write_netcdf

if TYPE_CHECKING:
    import neo
    import xarray

__all__ = [
    "Recording",
    "as_milliseconds",
]

FORMAT = "brian_eprop recording 2"


def as_milliseconds(value: ArrayLike | Quantity, name: str) -> Floats:
    """
    Convert times to plain numbers in ms.

    Parameters
    ----------
    value : array_like or Quantity
        Plain numbers are taken to be in ms; quantities must have the unit of a time.
    name : str
        Name of the argument, for the error message.

    Returns
    -------
    ndarray of float
        Same shape as ``value``, in ms.

    Raises
    ------
    ValueError
        If ``value`` has a unit that is not a time, or holds NaN or infinity.
    """
    dimensions = get_dimensions(value)
    if dimensions is not DIMENSIONLESS:
        if dimensions is not ms.dim:
            raise ValueError(
                f"'{name}' must be a time (a quantity such as 1*ms, or numbers in ms), "
                f"but has the unit {dimensions!r}"
            )
        value = value / ms
    numbers = np.asarray(value, dtype=float)
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"'{name}' of shape {numbers.shape} holds NaN or infinity; expected finite times"
        )
    return numbers


def _step(name, dt):
    step = as_milliseconds(dt, name)
    if step.ndim or not step > 0:
        raise ValueError(f"{name} = {dt!r} must be one positive time")
    return float(step)


def _labels(values):
    return tuple(str(label) for label in np.atleast_1d(values))


def _spikes(name, value):
    array = np.asarray(value)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"{name} has the shape {array.shape}; expected (steps, neurons), neither of them 0"
        )
    if array.dtype != bool and not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} of shape {array.shape} must hold only 0 and 1 (no spike, spike)")
    return array.astype(bool)


def columns_of(other):
    """The validator of finite numbers, a row a step and as many columns as another field has."""

    def validator(recording, field, value):
        name, array = f"Recording.{field.name}", np.asarray(value, dtype=float)
        like = np.atleast_1d(getattr(recording, other))
        expected = (len(recording.spikes), like.shape[-1] if np.size(like) else 0)
        if array.shape != expected:
            raise ValueError(
                f"{name} has the shape {array.shape}; expected {expected} (steps of 'spikes', as "
                f"many columns as '{other}' has)"
            )
        if not np.isfinite(array).all():
            step, column = np.argwhere(~np.isfinite(array))[0]
            raise ValueError(
                f"{name} of shape {array.shape} holds {array[step, column]} at step {step}, column "
                f"{column}; expected finite numbers"
            )
        keep(recording, field, array)

    return validator


@frozen(eq=False)
class Recording:
    """
    One trial: spikes, readout and learning signal of all neurons, and the hidden
    states and traces of a few.

    Lengths: T steps, n_in inputs, n_rec recurrent neurons, n_out readouts, k neurons
    whose hidden state was recorded, m synapses whose traces were recorded. k and m may
    be 0. ``inputs[t]`` acts on ``membrane[t]``, ``spikes[t]`` on ``readout[t]``.

    Parameters
    ----------
    dt : float or Quantity
        Time step; stored as a plain number in ms.
    inputs : (T, n_in) array of bool
        Input spikes :math:`x_i^t`.
    spikes : (T, n_rec) array of bool
        Recurrent spikes :math:`z_j^t`.
    readout, target, error : (T, n_out) array
        Output :math:`y_k^t`, its target :math:`y_k^{*,t}`, and the error
        :math:`y_k^t - y_k^{*,t}` (with cross-entropy
        :math:`\\pi_k^t - \\pi_k^{*,t}`), 0 outside the learning window.
    learning_signal : (T, n_rec) array
        :math:`L_j^t`.
    membrane, threshold : (T, k) array
        :math:`v_j^t` before the reset and :math:`A_j^t`, in ``membrane_unit``.
    psi : (T, k) array
        Pseudo-derivative :math:`\\psi_j^t`, per ``membrane_unit``.
    e_trace, e_bar : (T, m) array
        Eligibility trace :math:`e_{ji}^t` and its low-pass
        :math:`\\bar e_{ji}^t = F_\\kappa(e_{ji})^t`.
    neurons : (k,) array of int
        Indices of the neurons in ``membrane``, ``threshold`` and ``psi``.
    synapses : sequence of m str
        Labels of the synapses in ``e_trace`` and ``e_bar``, for instance ``"in 3 → 7"``.
    membrane_unit : str
        Unit of ``membrane`` and ``threshold``, for instance ``"mV"``; empty for a
        dimensionless membrane.
    trace_unit : str
        Unit of ``e_trace`` and ``e_bar``, one over that of the weights; empty for weights
        without unit.

    Raises
    ------
    ValueError
        If a shape does not fit the others, a number is NaN or infinite, spikes are
        anything but 0 and 1, or an index in ``neurons`` is not that of a neuron.
    """

    dt: float = field(validator=in_field(_step)())  # ms
    inputs: Bools = field(validator=in_field(_spikes)())  # (T, n_in) bool
    spikes: Bools = field(validator=in_field(_spikes)())  # (T, n_rec) bool
    readout: Floats = field(validator=columns_of("readout"))  # (T, n_out)
    target: Floats = field(validator=columns_of("readout"))  # (T, n_out)
    error: Floats = field(validator=columns_of("readout"))  # (T, n_out)
    learning_signal: Floats = field(validator=columns_of("spikes"))  # (T, n_rec)
    membrane: Floats = field(validator=columns_of("neurons"))  # (T, k)
    threshold: Floats = field(validator=columns_of("neurons"))  # (T, k)
    psi: Floats = field(validator=columns_of("neurons"))  # (T, k)
    e_trace: Floats = field(validator=columns_of("synapses"))  # (T, m)
    e_bar: Floats = field(validator=columns_of("synapses"))  # (T, m)
    neurons: Ints = field()  # (k,) int
    synapses: tuple[str, ...] = field(converter=_labels)  # (m,) str
    membrane_unit: str = field(default="", converter=str)
    trace_unit: str = field(default="", converter=str)

    @neurons.validator
    def _check_neurons(self, field, neurons):
        indices, n_rec = np.asarray(neurons), self.spikes.shape[1]
        if indices.size == 0:
            indices = indices.reshape(0).astype(int)
        integer = np.issubdtype(indices.dtype, np.integer)
        if indices.ndim != 1 or not integer or not ((indices >= 0) & (indices < n_rec)).all():
            raise ValueError(
                f"Recording.neurons = {neurons!r} must be a one-dimensional array of indices from "
                f"0 to {n_rec - 1}"
            )
        keep(self, field, indices)

    def __attrs_post_init__(self):
        steps = len(self.spikes)
        if len(self.inputs) != steps:
            raise ValueError(
                f"Recording.inputs has the shape {self.inputs.shape}; expected "
                f"{(steps, self.inputs.shape[1])} (one row a step)"
            )

    def __repr__(self):
        return (
            f"<Recording of {len(self.spikes)} steps of {self.dt:g} ms: {self.inputs.shape[1]} "
            f"inputs, {self.spikes.shape[1]} neurons, {self.readout.shape[1]} readouts>"
        )

    @property
    def times(self) -> Floats:
        """Time of every step in ms, shape (T,)."""
        return np.arange(len(self.spikes), dtype=float) * self.dt

    def to_xarray(self) -> xarray.Dataset:
        """The recording as an xarray.Dataset: all arrays with named dimensions.

        Returns
        -------
        xarray.Dataset
            Dimensions ``time`` (in ms), ``input``, ``neuron``, ``output``, ``recorded_neuron``
            (its coordinate: the numbers of these neurons) and ``synapse`` (labels); each variable
            has the attributes ``long_name`` and ``units``.
        """
        import xarray

        variables = {
            name: (("time", dimension), getattr(self, name), {"long_name": title, "units": unit})
            for name, (dimension, title, unit) in _variables(self).items()
        }
        coordinates = {
            "time": ("time", self.times, {"long_name": "time", "units": "ms"}),
            "recorded_neuron": self.neurons,
            "synapse": np.array(self.synapses, dtype=object),
        }
        attributes = {name: getattr(self, name) for name in ("dt", "membrane_unit", "trace_unit")}
        return xarray.Dataset(variables, coordinates, attributes)

    def to_neo(self) -> neo.Block:
        """The recording as a neo.Block: spike trains and signals.

        Returns
        -------
        neo.Block
            With one segment: a SpikeTrain for each input and each neuron, and an AnalogSignal for
            every other array, its columns as channels.

        Raises
        ------
        ImportError
            If the package neo is not installed.
        ValueError
            If the recorded neurons are of populations with different units.
        """
        try:
            import neo
        except ImportError as error:
            raise ImportError(
                "Recording.to_neo needs the package 'neo'; install it with "
                "pip install 'brian_eprop[neo]'"
            ) from error
        for name in ("membrane_unit", "trace_unit"):
            if " or " in getattr(self, name):
                raise ValueError(
                    f"Recording.{name} = '{getattr(self, name)}': a signal of neo has one unit; "
                    "record neurons of one kind, with RecurrentNetwork.record(..., neurons=[...])"
                )
        segment = neo.Segment(name="trial")
        for name, (_, title, unit) in _variables(self).items():
            values = getattr(self, name)
            if values.dtype == bool:
                segment.spiketrains += [
                    neo.SpikeTrain(
                        self.times[fired],
                        units="ms",
                        t_stop=len(values) * self.dt,
                        name=f"{name} {number}",
                        description=title,
                    )
                    for number, fired in enumerate(values.T)
                ]
            elif values.shape[1]:
                signal = neo.AnalogSignal(
                    values,
                    units="dimensionless" if unit == "1" else unit,
                    sampling_period=_milliseconds(self.dt),
                    name=name,
                    description=title,
                )
                segment.analogsignals.append(signal)
        block = neo.Block(name="recording")
        block.segments.append(segment)
        return block

    def save(self, path: FilePath) -> None:
        """
        Write the recording to one netCDF file, with the names and units of :meth:`to_xarray`.

        The file appears under its name only when it is complete, so that an interrupted
        run leaves either the old recording or the new one. Every program that knows netCDF
        can open it; at its end there is a checksum for :meth:`load`.

        Parameters
        ----------
        path : path-like
            File to write, by convention ``.nc``; an existing one is replaced.

        Raises
        ------
        OSError
            If the folder does not exist, cannot be written to, or is full.
        """
        dataset = self.to_xarray().assign_attrs(format=FORMAT)
        write_netcdf(dataset, path, "the recording")

    @classmethod
    def load(cls, path: FilePath) -> Self:
        """
        Read a recording that :meth:`save` wrote.

        Parameters
        ----------
        path : path-like
            The ``.nc`` file.

        Returns
        -------
        Recording

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, is not a recording, was written or changed by another
            program, or by a version of the package with another format.
        """
        remedy = (
            "record the trial again, or name a file that Recording.save wrote; for others there is "
            "xarray.open_dataset"
        )
        try:
            dataset = read_netcdf(path)
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"'{path}' cannot be read as a recording: it is damaged or none ({error}); {remedy}"
            ) from error
        version = dataset.attrs.get("format", "none")
        if version != FORMAT:
            raise ValueError(
                f"'{path}' is not a recording of this version: its 'format' is '{version}', "
                f"expected '{FORMAT}'; {remedy}"
            )
        names = {"recorded_neuron": "neurons", "synapse": "synapses"}
        content = dataset.attrs | {
            names.get(name, name): array.values for name, array in dataset.variables.items()
        }
        missing = [field.name for field in fields(cls) if field.name not in content]
        if missing:
            raise ValueError(
                f"'{path}' is not a complete recording: "
                f"{', '.join(repr(name) for name in missing)} missing; {remedy}"
            )
        return cls(**{field.name: content[field.name] for field in fields(cls)})


#: The dimension next to time, what it is, and the unit, of every array of a recording; V stands
#: for the unit of the membrane and E for that of traces, which are not known beforehand.
VARIABLES = {
    "inputs": ("input", "input spikes", "1"),
    "spikes": ("neuron", "spikes of the recurrent neurons", "1"),
    "readout": ("output", "output", "1"),
    "target": ("output", "target of the output", "1"),
    "error": ("output", "error of the output", "1"),
    "learning_signal": ("neuron", "learning signal", "1"),
    "membrane": ("recorded_neuron", "membrane before the reset", "V"),
    "threshold": ("recorded_neuron", "threshold", "V"),
    "psi": ("recorded_neuron", "pseudo-derivative of the spike", "1/V"),
    "e_trace": ("synapse", "eligibility trace", "E"),
    "e_bar": ("synapse", "filtered eligibility trace", "E"),
}


def _milliseconds(value):
    # neo brings this package along
    import quantities

    return value * quantities.ms


def _variables(recording):
    """`VARIABLES` with the units of a recording."""
    membrane = recording.membrane_unit
    units = {"1": "1", "V": membrane or "1", "E": recording.trace_unit or "1"}
    units["1/V"] = f"1/{membrane}" if membrane else "1"
    return {name: (dim, title, units[unit]) for name, (dim, title, unit) in VARIABLES.items()}
