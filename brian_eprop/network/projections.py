"""The synapses of a network as blocks of its weight matrices, and its trained parameters.

Every pair of groups is one projection; its weights are a block of ``w_in``, ``w_rec``,
``w_out`` or ``feedback``. What is here is worked out from the description alone, without
objects of Brian2, so that a compiled program can be fed by a process that has not built it.
"""

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from attrs import frozen
from brian2 import Quantity, get_dimensions
from scipy.sparse import issparse

from ..checks import Bools, Floats, unit_name
from ..quantities import quantity
from .block_parts import MaskedPart, SparsePart
from .structures import values_of, with_values
from .trained_delays import NAMES

#: What is kept of a run: the output, and the spikes of each population, (total steps, n).
OUTPUTS, SPIKES = "__outputs", "__raster"


@frozen
class BatchShape:
    """The shape of a batch: trials, steps of each, learning window.

    Attributes
    ----------
    count, steps : int
        Number of trials that are run at once, at most, and of time steps in each.
    window : int or None
        Steps at the end of a trial in which errors count; None for all.
    learning : bool
        Whether gradients are computed.
    """

    count: int
    steps: int
    window: int | None = None
    learning: bool = True

    @property
    def total(self):
        return self.count * self.steps


class Backend(Protocol):
    """What runs a network for one shape of batches: this process, or a compiled program."""

    def run(
        self,
        weights: Mapping[str, Floats],
        inputs: Bools,
        targets: Floats,
        parameters: Mapping[str, Quantity],
        threads: int,
    ) -> dict[str, Any]:
        """Run a batch part by part; see :func:`results` for what is returned.

        Parameters
        ----------
        weights : mapping of str to ndarray
        inputs : (batch, T, n_in) bool array
        targets : (batch, T, n_out) float array
        parameters : mapping of str to Quantity or csr_array
            Those that are trained.
        threads : int
            Parts of the batch that are computed at once.

        Raises
        ------
        KeyboardInterrupt
            If the run was stopped before its end: half a trial is no result.
        """


@frozen
class Block:
    """One projection and where its weights are.

    Attributes
    ----------
    name : str
        Of the Synapses object.
    matrix : {"w_in", "w_rec", "w_out", "feedback"}
    pre, post : int or str
        Number of the population, ``"inputs"`` or ``"readout"``.
    part : MaskedPart or SparsePart
        Its synapses.
    delay_steps : int array
        Of every synapse of the matrix, in the order of its values.
    unit : str
        Unit of the matrix's entries.
    trained_delay : bool
        The delays are trained, and given to each run.
    """

    name: str
    matrix: str
    pre: int | str
    post: int | str
    part: MaskedPart | SparsePart
    delay_steps: np.ndarray
    unit: str = "1"
    trained_delay: bool = False

    def take(self, matrix):
        """The entries of a matrix, in SI units, in the order of the synapses.

        Of any shape; those of the matrix itself if possible, since large matrices take long to
        copy.
        """
        entries, scale = self.part.take(values_of(matrix)), _scale(self.unit)
        return entries if scale == 1 else entries * scale

    def put(self, matrix, values):
        """Set entries of a matrix from derivatives per synapse, in SI units."""
        self.part.put(values_of(matrix), values, _scale(self.unit))

    @property
    def delays(self):
        """Delay of each synapse in steps : (n_synapses,) int array."""
        return np.ravel(self.part.take(self.delay_steps))

    @property
    def base_unit(self):
        """The unit without its scale, as Brian2's equations want it: 'amp' for 'pA'."""
        return unit_name(get_dimensions(quantity(self.unit)))

    @property
    def weight(self):
        """Full name of the variable that holds the weights."""
        return f"{self.name}.{'B' if self.matrix == 'feedback' else 'w'}"

    @property
    def gradient(self):
        """Full name of the variable that holds the gradient; None for feedback."""
        return None if self.matrix == "feedback" else f"{self.name}.grad"

    @property
    def delay(self):
        """Full name of the variable that holds the delays."""
        return f"{self.name}_pre.delay"

    @property
    def delay_gradient(self):
        """Full name of the variable that holds the gradient of the delays."""
        return f"{self.name}.grad_delay"


@frozen
class Trained:
    """A trained parameter of the neurons of one population.

    Attributes
    ----------
    name : str
    population : int
        Its number.
    columns : slice
        Its neurons among all.
    description : PopulationDescription
    """

    name: str
    population: int
    columns: slice
    description: Any

    @property
    def owner(self):
        """The population, as errors name it."""
        return f"population {self.population} ('{self.description.model.name}')"

    @property
    def start(self):
        """The value of each neuron at the start : (count,) Quantity."""
        return self.description.overrides[self.name]

    @property
    def variable(self):
        """Full name of the variable that holds the values."""
        return f"population_{self.population}.{self.name}"

    @property
    def gradient(self):
        """Full name of the variable that holds the gradient."""
        return f"population_{self.population}.grad_{self.name}"


@cache
def _scale(unit):
    """One unit of a matrix's entries, in SI units."""
    return float(quantity(unit))


def spans(description):
    """The columns of each population : list of slice."""
    edges = np.cumsum([0, *(p.count for p in description.populations)]).tolist()
    return [slice(start, stop) for start, stop in pairwise(edges)]


def blocks(description, trials):
    """All projections of a network, in the order in which they are created.

    The readout's come first: feedback that goes back along them must exist before anything
    learns from it.
    """
    d, numbers = description, range(len(description.populations))
    places = {"inputs": slice(0, None), "readout": slice(0, None)} | dict(enumerate(spans(d)))
    projections = [("w_out", "out_{pre}", k, "readout") for k in numbers]
    projections += [("w_in", "in_{post}", "inputs", k) for k in numbers]
    projections += [("w_rec", "rec_{pre}_{post}", m, k) for k in numbers for m in numbers]
    if trials.learning and d.feedback != "symmetric":
        projections += [("feedback", "population_{post}_feedback", "readout", k) for k in numbers]
    masks = d.connectivity | {"feedback": np.ones(d.shapes["feedback"], dtype=bool)}
    delays = {name: d.delay_steps(name) for name in masks}
    existing = []
    for matrix, name, pre, post in projections:
        place, mask = (places[pre], places[post]), masks[matrix]
        part = SparsePart(place, mask) if issparse(mask) else MaskedPart(place, mask[place])
        unit = "1" if "readout" in (pre, post) else d.populations[post].model.weight_unit
        if part.count:
            name = name.format(pre=pre, post=post)
            learns = matrix in d.trainable_delays
            existing.append(Block(name, matrix, pre, post, part, delays[matrix], unit, learns))
    return existing


def trained(description):
    """The trained parameters of each population that has them : list of Trained."""
    return [
        Trained(name, k, span, population)
        for k, (span, population) in enumerate(
            zip(spans(description), description.populations, strict=True)
        )
        for name in description.trainable
        if name in population.model.parameters
    ]


def given(projections, trained_parameters, weights, parameters):
    """Weights and trained parameters as the variables that are set before each run.

    Parameters
    ----------
    projections : list of Block
    trained_parameters : list of Trained
    weights : mapping of str to (n_pre, n_post) ndarray or csr_array
    parameters : mapping of str to Quantity or csr_array
        Those that are trained, delays included.

    Returns
    -------
    dict of str to ndarray
        Values in SI units, of any shape, by the full name of the variable.
    """
    values = {b.weight: b.take(weights[b.matrix]) for b in projections}
    for parameter in trained_parameters:
        values[parameter.variable] = np.asarray(parameters[parameter.name])[parameter.columns]
    for b in (b for b in projections if b.trained_delay):
        values[b.delay] = b.part.take(np.asarray(values_of(parameters[NAMES[b.matrix]])))
    return values


def results(description, trials, count, projections, read):
    """Gradients, spikes and outputs of a run, from the variables of its Brian2 objects.

    Parameters
    ----------
    description : NetworkDescription
    trials : BatchShape
    count : int
        Trials that were run.
    projections : list of Block
    read : callable
        Values, in SI units, of a Brian2 variable by its full name ``"object.variable"``.

    Returns
    -------
    dict of str to ndarray
        ``w_in``, ``w_rec``, ``w_out``: gradients summed over the trials; ``parameters``: those
        of trained parameters and delays, in SI units, by name; ``loss`` and ``regularization``:
        summed over the trials; ``spikes`` (count, steps, n_rec) bool; ``readout`` (count, steps,
        n_out). Without learning only spikes and readout.
    """
    d, shape = description, (trials.count, trials.steps, -1)
    outputs, *rasters = (read(name).reshape(shape)[:count] for name in kept_names(d))
    # copies, as float64: a program writes the next call's into the same memory
    spikes = np.concatenate(rasters, axis=2)
    collected = {"spikes": spikes, "readout": outputs.astype(float)}
    if not trials.learning:
        return collected
    collected |= matrices_of_gradients(d, projections, read)
    collected["parameters"] = {name: np.zeros(d.n_rec) for name in d.trainable}
    for parameter in trained(d):
        collected["parameters"][parameter.name][parameter.columns] = read(parameter.gradient)
    collected["parameters"] |= _gradients_of_delays(d, projections, read)
    collected["loss"] = read("readout.loss").sum(dtype=float)
    scored = (trials.window or trials.steps) if d.average else 1
    penalties = [r.penalty(spikes, d.dt).sum() for r in d.regularizers]
    collected["regularization"] = sum(penalties) / scored
    return collected


def matrices_of_gradients(description, projections, read):
    """Gradients of all weights : dict of str to ndarray or csr_array; see :func:`results`."""
    learning = [block for block in projections if block.gradient is not None]
    gradients = _matrices(description, description.connectivity, learning)
    for block in learning:
        block.put(gradients[block.matrix], read(block.gradient))
    return gradients


def _gradients_of_delays(description, projections, read):
    """Gradients of trained delays, by their names among the parameters."""
    learning = [block for block in projections if block.trained_delay]
    found = _matrices(description, description.trainable_delays, learning)
    for block in learning:
        block.part.put(values_of(found[block.matrix]), read(block.delay_gradient), 1)
    return {NAMES[name]: matrix for name, matrix in found.items()}


def _matrices(description, names, written):
    """Matrices by name, 0 where no block will be written : dict of str to ndarray or csr_array."""
    made = {}
    for name in names:
        mask = description.connectivity[name]
        values = np.empty(values_of(mask).shape)
        # not np.zeros, whose memory is new each time: its pages take longer than all copying
        if sum(block.part.size for block in written if block.matrix == name) < values.size:
            values.fill(0)
        made[name] = with_values(mask, values)
    return made


def kept_names(description):
    """Full names of the variables that hold the outputs and the spikes of each population."""
    numbers = range(len(description.populations))
    return [f"readout.{OUTPUTS}", *(f"population_{k}.{SPIKES}" for k in numbers)]


def result_names(description, trials):
    """Full names of the variables that :func:`results` reads."""
    names = kept_names(description)
    if trials.learning:
        projections = blocks(description, trials)
        names += [b.gradient for b in projections if b.gradient]
        names += [b.delay_gradient for b in projections if b.trained_delay]
        names += [parameter.gradient for parameter in trained(description)]
        names.append("readout.loss")
    return names
