"""A recording with names and units: as a dataset of xarray, and as a block of neo."""

import numpy as np
import xarray

__all__ = ["as_block", "as_dataset"]

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


def as_dataset(recording):
    """All arrays with named dimensions.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    xarray.Dataset
        Dimensions ``time`` (in ms), ``input``, ``neuron``, ``output``, ``recorded_neuron`` (its
        coordinate: the numbers of these neurons) and ``synapse`` (labels); each variable has the
        attributes ``long_name`` and ``units``.
    """
    variables = {
        name: (("time", dimension), getattr(recording, name), {"long_name": what, "units": unit})
        for name, (dimension, what, unit) in _variables(recording).items()
    }
    coordinates = {
        "time": ("time", recording.times, {"long_name": "time", "units": "ms"}),
        "recorded_neuron": recording.neurons,
        "synapse": np.array(recording.synapses, dtype=object),
    }
    about = {name: getattr(recording, name) for name in ("dt", "membrane_unit", "trace_unit")}
    return xarray.Dataset(variables, coordinates, about)


def as_block(recording):
    """Spike trains and signals.

    Parameters
    ----------
    recording : Recording

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
        if " or " in getattr(recording, name):
            raise ValueError(
                f"Recording.{name} = '{getattr(recording, name)}': a signal of neo has one unit; "
                "record neurons of one kind, with RecurrentNetwork.record(..., neurons=[...])"
            )
    segment = neo.Segment(name="trial")
    for name, (_, what, unit) in _variables(recording).items():
        values = getattr(recording, name)
        if values.dtype == bool:
            segment.spiketrains += [
                neo.SpikeTrain(
                    recording.times[fired],
                    units="ms",
                    t_stop=len(values) * recording.dt,
                    name=f"{name} {number}",
                    description=what,
                )
                for number, fired in enumerate(values.T)
            ]
        elif values.shape[1]:
            signal = neo.AnalogSignal(
                values,
                units="dimensionless" if unit == "1" else unit,
                sampling_period=_milliseconds(recording.dt),
                name=name,
                description=what,
            )
            segment.analogsignals.append(signal)
    block = neo.Block(name="recording")
    block.segments.append(segment)
    return block


def _milliseconds(value):
    # neo brings this package along
    import quantities

    return value * quantities.ms


def _variables(recording):
    """`VARIABLES` with the units of a recording."""
    membrane = recording.membrane_unit
    units = {"1": "1", "V": membrane or "1", "E": recording.trace_unit or "1"}
    units["1/V"] = f"1/{membrane}" if membrane else "1"
    return {name: (dim, what, units[unit]) for name, (dim, what, unit) in VARIABLES.items()}
