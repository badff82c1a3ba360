"""A RecurrentNetwork whose spikes take time, built of Brian2 objects."""

from dataclasses import replace

import numpy as np
from brian2 import Network, SpikeGeneratorGroup, SpikeMonitor

from brian_eprop import LeakyReadout, Learner, TrainableSynapses
from brian_eprop.devices.blocks import Trials, blocks, spans
from brian_eprop.network.description import MATRICES


def delayed_gradients(network, inputs, targets, learning_window=None, *, rule, delays, arrival):
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

    Returns
    -------
    gradients : dict of str to ndarray
        Averages over the trials.
    spikes : (batch, T, n_rec) bool array
    """
    d, (batch, n_steps, _) = network.description, inputs.shape
    dt = d.dt
    steps, indices = np.nonzero(inputs.reshape(-1, d.n_in))
    groups = {"inputs": SpikeGeneratorGroup(d.n_in, indices, steps * dt, dt=dt, when="start")}
    for k, population in enumerate(d.populations):
        groups[k] = population.group(rule, dt=dt)
    groups["readout"] = LeakyReadout(
        d.n_out,
        d.tau_out,
        loss=d.loss,
        target=targets.reshape(-1, d.n_out),
        normalize=d.normalize,
        average=d.average,
        dt=dt,
    )
    learner = Learner(
        groups["readout"],
        rule=replace(rule, surrogate=None, reset_path={}),
        regularizers=d.regularizers,
        reset_every=n_steps * dt,
        learning_window=None if learning_window is None else learning_window * dt,
    )
    made = {}
    for block in blocks(d, Trials(batch, n_steps)):
        options = {"on_pre": "y_post += w"}
        delay = np.zeros(len(block.i), dtype=int)
        if block.matrix != "w_out":
            slot, model = arrival[block.matrix], d.populations[block.post].model
            on_pre = model.on_input if slot == "after_groups" else model.on_pre
            options = {"on_pre": on_pre, "arrival": slot}
            delay = delays[block.matrix][block.rows, block.columns]
        if np.ptp(delay) == 0:
            options["delay"] = delay[0] * dt
        synapses = TrainableSynapses(
            groups[block.pre],
            groups[block.post],
            f"w : {block.base_unit}",
            learner=learner,
            namespace={},
            dt=dt,
            **options,
        )
        synapses.connect(i=block.i, j=block.j)
        weights = network.weights[block.matrix][block.rows, block.columns]
        synapses.variables["w"].set_value(block.scale * weights)
        if np.ptp(delay) > 0:
            synapses.delay = delay * dt
        made[block.name] = block, synapses
    monitors = [SpikeMonitor(groups[k]) for k in range(len(d.populations))]
    objects = [synapses for _, synapses in made.values()]
    Network(*groups.values(), *objects, *monitors).run(batch * n_steps * dt, namespace={})

    spikes = np.zeros((batch * n_steps, d.n_rec), dtype=bool)
    for own, monitor in zip(spans(d), monitors, strict=True):
        spikes[np.rint(np.asarray(monitor.t / dt)).astype(int), own.start + monitor.i] = True
    gradients = {name: np.zeros(d.shapes[name]) for name in MATRICES}
    for block, synapses in made.values():
        values = block.scale * np.asarray(synapses.grad) / batch
        gradients[block.matrix][block.rows, block.columns] = values
    return gradients, spikes.reshape(batch, n_steps, -1)
