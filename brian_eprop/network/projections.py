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

from ..checks import Bools, Floats, quantity, unit_name

#: What is kept of a run: the output, and the spikes of each population, (total steps, n).
OUTPUTS, SPIKES = "__outputs", "__raster"


@frozen
class BatchShape:
    """The shape of a batch: trials, steps of each, learning window.

    Attributes
    ----------
    count, steps : int
        Number of trials and of time steps in each.
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
    ) -> dict[str, Any]:
        """Run all trials; see :func:`results` for what is returned.

        Parameters
        ----------
        weights : mapping of str to ndarray
        inputs : (total steps, n_in) bool array
        targets : (total steps, n_out) float array
        parameters : mapping of str to (n_rec,) Quantity
            Those that are trained.

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
    """

    name: str
    matrix: str
    pre: int | str
    post: int | str
    place: tuple
    mask: np.ndarray
    delays: np.ndarray
    unit: str = "1"

    def take(self, matrix):
        """The entries of a matrix, in SI units, in the order of the synapses."""
        return matrix[self.place][self.mask] * _scale(self.unit)

    def put(self, matrix, values):
        """Set entries of a matrix from derivatives per synapse, in SI units."""
        matrix[self.place][self.mask] = values * _scale(self.unit)

    @property
    def connectivity(self):
        """Keywords of ``Synapses.connect``; no indices, which take long to read, if possible."""
        n_pre, n_post = self.mask.shape
        if self.mask.all():
            return {}
        if n_pre == n_post and np.array_equal(self.mask, ~np.eye(n_pre, dtype=bool)):
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
    """A trained parameter of one population.

    Attributes
    ----------
    name : str
    population : int
        Its number.
    columns : slice
        Its neurons among all.
    """

    name: str
    population: int
    columns: slice

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
    every, found = slice(0, None), []

    def add(name, matrix, pre, post, rows, columns, unit="1", mask=None):
        delays = description.delay_steps(matrix) if mask is None else np.zeros_like(mask, int)
        mask = description.connectivity[matrix] if mask is None else mask
        if mask[rows, columns].any():
            of_block = mask[rows, columns], delays[rows, columns]
            found.append(Block(name, matrix, pre, post, (rows, columns), *of_block, unit))

    where = spans(description)
    units = [p.model.weight_unit for p in description.populations]
    for k, own in enumerate(where):
        add(f"out_{k}", "w_out", k, "readout", own, every)
    for k, own in enumerate(where):
        add(f"in_{k}", "w_in", "inputs", k, every, own, units[k])
    for k, own in enumerate(where):
        for m, other in enumerate(where):
            add(f"rec_{m}_{k}", "w_rec", m, k, other, own, units[k])
    if trials.learning and description.feedback != "symmetric":
        dense = np.ones((description.n_out, description.n_rec), dtype=bool)
        for k, own in enumerate(where):
            name = f"population_{k}_feedback"
            add(name, "feedback", "readout", k, every, own, mask=dense)
    return found


def trained(description):
    """The trained parameters of each population that has them : list of Trained."""
    return [
        Trained(name, k, own)
        for k, own in enumerate(spans(description))
        for name in description.trainable
        if name in description.populations[k].model.parameters
    ]


def given(description, trials, weights, parameters):
    """What a network is given before each run, besides inputs and targets.

    Parameters
    ----------
    description : NetworkDescription
    trials : BatchShape
    weights : mapping of str to (n_pre, n_post) ndarray
    parameters : mapping of str to (n_rec,) Quantity
        Those that are trained.

    Returns
    -------
    dict of str to ndarray
        Values in SI units by the full name of the variable.
    """
    values = {b.weight: b.take(weights[b.matrix]) for b in blocks(description, trials)}
    for one in trained(description):
        values[one.variable] = np.asarray(parameters[one.name])[one.columns]
    return values


def results(description, trials, read):
    """Collect what a run has produced.

    Parameters
    ----------
    description : NetworkDescription
    trials : BatchShape
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
    outputs, *rasters = (read(name).reshape(shape) for name in kept_names(d))
    spikes = np.concatenate(rasters, axis=2)
    collected = {"spikes": spikes, "readout": outputs}
    if not trials.learning:
        return collected
    for name in ("w_in", "w_rec", "w_out"):
        collected[name] = np.zeros(d.shapes[name])
    for block in blocks(d, trials):
        if block.gradient is not None:
            block.put(collected[block.matrix], read(block.gradient))
    collected["parameters"] = {name: np.zeros(d.n_rec) for name in d.trainable}
    for one in trained(d):
        collected["parameters"][one.name][one.columns] = read(one.gradient)
    collected["loss"] = read("readout.loss").sum()
    scored = (trials.window or trials.steps) if d.average else 1
    penalties = [r.penalty(spikes, d.dt).sum() for r in d.regularizers]
    collected["regularization"] = sum(penalties) / scored
    return collected


def kept_names(description):
    """Full names of the variables that hold the output and the spikes of each population."""
    count = len(description.populations)
    return [f"readout.{OUTPUTS}", *(f"population_{k}.{SPIKES}" for k in range(count))]


def result_names(description, trials):
    """Full names of the variables that :func:`results` reads."""
    names = kept_names(description)
    if trials.learning:
        names += [b.gradient for b in blocks(description, trials) if b.gradient]
        names += [one.gradient for one in trained(description)]
        names.append("readout.loss")
    return names
