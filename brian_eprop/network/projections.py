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
from attrs import field, frozen
from brian2 import Quantity, get_dimensions

from ..checks import Bools, Floats, quantity, unit_name

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
        parameters : mapping of str to (n_rec,) Quantity
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
    place : (slice, slice)
        Its rows and columns of the matrix.
    mask : (n_pre, n_post) bool array
        Which synapses there are, within the block; they are created row by row.
    delays : (n_pre, n_post) int array
        Of every synapse, in steps, within the block.
    unit : str
        Unit of the matrix's entries.
    wiring : {"all", "no autapses", "some"}
        What the mask is.
    """

    name: str
    matrix: str
    pre: int | str
    post: int | str
    place: tuple
    mask: np.ndarray
    delays: np.ndarray
    unit: str = "1"
    wiring: str = field(init=False)

    @wiring.default
    def _wiring(self):
        n_pre, n_post = self.mask.shape
        if self.mask.all():
            return "all"
        without = n_pre == n_post and np.array_equal(self.mask, ~np.eye(n_pre, dtype=bool))
        return "no autapses" if without else "some"

    def take(self, matrix):
        """The entries of a matrix, in SI units, in the order of the synapses.

        Of any shape; those of the matrix itself if possible, since large matrices take long to
        copy.
        """
        entries, scale = self._view(matrix), _scale(self.unit)
        entries = matrix[self.place][self.mask] if entries is None else entries
        return entries if scale == 1 else entries * scale

    def put(self, matrix, values):
        """Set entries of a matrix from derivatives per synapse, in SI units."""
        entries, scale = self._view(matrix), _scale(self.unit)
        if entries is None:
            matrix[self.place][self.mask] = values * scale
        elif scale == 1:
            np.copyto(entries, values.reshape(entries.shape))
        else:
            np.multiply(values.reshape(entries.shape), scale, out=entries)

    def _view(self, matrix):
        """The block as an array in the order of the synapses; None if it is in another order."""
        block = matrix[self.place]
        if self.wiring == "no autapses" and block.flags.c_contiguous:
            # From one entry of the diagonal to the next there are n others.
            n = len(block)
            return block.reshape(-1)[1:].reshape(n - 1, n + 1)[:, :-1]
        return block if self.wiring == "all" else None

    @property
    def connectivity(self):
        """Keywords of ``Synapses.connect``; no indices, which take long to read, if possible."""
        if self.wiring == "all":
            return {}
        if self.wiring == "no autapses":
            return {"condition": "i != j"}
        i, j = np.nonzero(self.mask)
        return {"i": i, "j": j}

    @property
    def rows(self):
        """Row of each synapse in the matrix : (n_synapses,) int array."""
        return np.nonzero(self.mask)[0] + self.place[0].start

    @property
    def columns(self):
        """Column of each synapse in the matrix : (n_synapses,) int array."""
        return np.nonzero(self.mask)[1] + self.place[1].start

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
        place = places[pre], places[post]
        mask, delay = masks[matrix][place], delays[matrix][place]
        unit = "1" if "readout" in (pre, post) else d.populations[post].model.weight_unit
        if mask.any():
            name = name.format(pre=pre, post=post)
            existing.append(Block(name, matrix, pre, post, place, mask, delay, unit))
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
    weights : mapping of str to (n_pre, n_post) ndarray
    parameters : mapping of str to (n_rec,) Quantity
        Those that are trained.

    Returns
    -------
    dict of str to ndarray
        Values in SI units, of any shape, by the full name of the variable.
    """
    values = {b.weight: b.take(weights[b.matrix]) for b in projections}
    for parameter in trained_parameters:
        values[parameter.variable] = np.asarray(parameters[parameter.name])[parameter.columns]
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
        of trained parameters, dict of str to (n_rec,) ndarray in SI units; ``loss`` and
        ``regularization``: summed over the trials; ``spikes`` (count, steps, n_rec) bool;
        ``readout`` (count, steps, n_out). Without learning only spikes and readout.
    """
    d, shape = description, (trials.count, trials.steps, -1)
    outputs, *rasters = (read(name).reshape(shape)[:count] for name in kept_names(d))
    # copies, as float64: a program writes the next call's into the same memory
    spikes = np.concatenate(rasters, axis=2)
    collected = {"spikes": spikes, "readout": outputs.astype(float)}
    if not trials.learning:
        return collected
    for name in ("w_in", "w_rec", "w_out"):
        # not np.zeros, whose memory is new each time: its pages take longer than all copying
        collected[name] = np.full(d.shapes[name], 0.0)
    for block in projections:
        if block.gradient is not None:
            block.put(collected[block.matrix], read(block.gradient))
    collected["parameters"] = {name: np.zeros(d.n_rec) for name in d.trainable}
    for parameter in trained(d):
        collected["parameters"][parameter.name][parameter.columns] = read(parameter.gradient)
    collected["loss"] = read("readout.loss").sum(dtype=float)
    scored = (trials.window or trials.steps) if d.average else 1
    penalties = [r.penalty(spikes, d.dt).sum() for r in d.regularizers]
    collected["regularization"] = sum(penalties) / scored
    return collected


def kept_names(description):
    """Full names of the variables that hold the outputs and the spikes of each population."""
    numbers = range(len(description.populations))
    return [f"readout.{OUTPUTS}", *(f"population_{k}.{SPIKES}" for k in numbers)]


def result_names(description, trials):
    """Full names of the variables that :func:`results` reads."""
    names = kept_names(description)
    if trials.learning:
        names += [block.gradient for block in blocks(description, trials) if block.gradient]
        names += [parameter.gradient for parameter in trained(description)]
        names.append("readout.loss")
    return names
