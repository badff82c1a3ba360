"""A RecurrentNetwork whose spikes take time, built of Brian2 objects."""

from dataclasses import dataclass

import numpy as np
from attrs import evolve
from brian2 import Network, SpikeGeneratorGroup, SpikeMonitor, get_dimensions

from brian_eprop import LeakyReadout, Learner, TrainableSynapses
from brian_eprop.checks import unit_name
from brian_eprop.network.checked_model import weight_unit
from brian_eprop.network.description import MATRICES
from brian_eprop.network.projections import spans


@dataclass(frozen=True)
class Projection:
    """Synapses between two groups, and which part of a matrix their weights are."""

    matrix: str
    part: tuple
    synapses: TrainableSynapses
    unit: float


def delayed_gradients(
    network, inputs, targets, learning_window=None, *, rule, delays, arrival, trainable=()
):
    """Gradients that Brian2 computes.

    Parameters
    ----------
    network : RecurrentNetwork
        Taken as plain data; with symmetric feedback.
    inputs, targets : (batch, T, n) arrays
    learning_window : int, optional
    rule : EProp
    delays : dict of str to int array
        Steps that the spikes of ``w_in`` and ``w_rec`` take. What is the same for a whole
        projection is stated at its creation.
    arrival : dict of str to {"after_groups", "synapses"}
    trainable : sequence of str
        Parameters of the neurons.

    Returns
    -------
    gradients : dict of str to ndarray
        Averages over the trials, of weights and of parameters (n_rec,).
    spikes : (batch, T, n_rec) bool array
    """
    d, (batch, n_steps, _), dt = network.description, inputs.shape, network.description.dt
    steps, indices = np.nonzero(inputs.reshape(-1, d.n_in))
    source = SpikeGeneratorGroup(d.n_in, indices, steps * dt, dt=dt, when="start")
    groups = [population.group(rule, dt=dt) for population in d.populations]
    readout = LeakyReadout(
        d.n_out,
        d.tau_out,
        loss=d.loss,
        target=targets.reshape(-1, d.n_out),
        normalize=d.normalize,
        average=d.average,
        dt=dt,
    )
    learner = Learner(
        readout,
        rule=evolve(rule, surrogate=None, reset_path={}),
        regularizers=d.regularizers,
        reset_every=n_steps * dt,
        learning_window=None if learning_window is None else learning_window * dt,
        trainable=trainable,
    )
    made = []

    def connect(matrix, pre, post, rows, columns, model=None):
        """Synapses with the weights of a part of a matrix; a model has units and on_pre."""
        i, j = np.nonzero(d.connectivity[matrix][rows, columns])
        options, unit = {"model": "w : 1", "on_pre": "y_post += w"}, 1.0
        if model is not None:
            early = arrival[matrix] == "after_groups"
            options = {
                "model": f"w : {unit_name(get_dimensions(weight_unit(model)))}",
                "on_pre": model.on_input if early else model.on_pre,
                "arrival": arrival[matrix],
            }
            unit = float(weight_unit(model))
            delay = delays[matrix][rows, columns][i, j] * dt
            uniform = np.ptp(delay) == 0
            if uniform:
                options["delay"] = delay[0]
        synapses = TrainableSynapses(pre, post, learner=learner, namespace={}, dt=dt, **options)
        synapses.connect(i=i, j=j)
        synapses.variables["w"].set_value(unit * network.weights[matrix][rows, columns][i, j])
        if model is not None and not uniform:
            synapses.delay = delay
        made.append(Projection(matrix, (i + rows.start, j + columns.start), synapses, unit))

    parts = list(zip(spans(d), groups, strict=True))
    for own, group in parts:
        connect("w_out", group, readout, own, slice(0, d.n_out))
    for own, group in parts:
        connect("w_in", source, group, slice(0, d.n_in), own, group.neuron_model)
        for other, sender in parts:
            connect("w_rec", sender, group, other, own, group.neuron_model)
    monitors = [SpikeMonitor(group) for group in groups]
    objects = [projection.synapses for projection in made]
    Network(source, readout, *groups, *objects, *monitors).run(batch * n_steps * dt, namespace={})

    spikes = np.zeros((batch * n_steps, d.n_rec), dtype=bool)
    gradients = {name: np.zeros(d.shapes[name]) for name in MATRICES}
    gradients |= {name: np.zeros(d.n_rec) for name in trainable}
    for projection in made:
        values = projection.unit * np.asarray(projection.synapses.grad) / batch
        gradients[projection.matrix][projection.part] = values
    for (own, group), monitor in zip(parts, monitors, strict=True):
        spikes[np.rint(np.asarray(monitor.t / dt)).astype(int), own.start + monitor.i] = True
        for name in set(trainable) & set(group.equations.names):
            gradients[name][own] = group.variables[f"grad_{name}"].get_value() / batch
    return gradients, spikes.reshape(batch, n_steps, -1)
