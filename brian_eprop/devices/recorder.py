"""One trial with everything recorded, for figures."""

from contextlib import contextmanager

import numpy as np
from brian2 import StateMonitor, prefs
from brian2.devices.device import reset_device, set_device
from brian2.parsing.sympytools import str_to_sympy, sympy_to_str

from .. import schedule
from ..engines.population import declare, run_code
from ..recording import Recording
from .assembly import assemble
from .blocks import Trials, blocks, spans


def record_trial(description, weights, inputs, targets, window, neurons, synapses):
    """Run one trial with Brian2's numpy target and record it.

    Parameters
    ----------
    description : NetworkDescription
    weights : dict of str to ndarray
    inputs : (T, n_in) bool array
    targets : (T, n_out) float array
    window : int or None
        Steps at the end of the trial in which errors count.
    neurons : sequence of int
        Recurrent neurons whose membrane is recorded.
    synapses : sequence of (matrix, pre, post)
        Synapses whose traces are recorded; matrix is ``"w_in"`` or ``"w_rec"``.

    Returns
    -------
    Recording
    """
    trials = Trials(1, len(inputs), window)
    with numpy_runtime():
        assembly = assemble(description, trials, inputs, targets)
        objects, network = assembly.objects, assembly.network
        for block in blocks(description, trials):
            values = weights[block.matrix][block.rows, block.columns] * block.scale
            assembly.variable(block.weight).set_value(values)
        membranes = _membranes(description, objects, neurons)
        traces = _traces(description, trials, objects, synapses)
        error = _monitor(objects["readout"], ["error"], True, "error_monitor")
        found = [m for m, _ in membranes + traces]
        network.add(*{id(m): m for m in found}.values(), error)
        network.run(trials.total * description.dt, namespace={})

    def rows(monitored, variable):
        columns = [getattr(m, f"{variable}_")[row] for m, row in monitored]
        return np.array(columns).T.reshape(trials.total, len(monitored))

    spikes = np.zeros((trials.total, description.n_rec), dtype=bool)
    for k, own in enumerate(spans(description)):
        monitor = objects[f"spikes_{k}"]
        spikes[np.rint(monitor.t_ / float(description.dt)).astype(int), own.start + monitor.i] = True
    count = len(description.populations)
    return Recording(
        dt=description.dt,
        inputs=inputs,
        spikes=spikes,
        readout=objects["output"].y_.T,
        target=targets,
        error=error.error_.T,
        learning_signal=np.hstack([objects[f"signal_{k}"].L_.T for k in range(count)]),
        membrane=rows(membranes, "membrane"),
        threshold=rows(membranes, "threshold_level"),
        psi=rows(membranes, "psi"),
        e_trace=rows(traces, "e_trace"),
        e_bar=rows(traces, "e_bar"),
        neurons=np.asarray(neurons, dtype=int),
        synapses=[
            f"{'in' if matrix == 'w_in' else 'rec'} {pre} → {post}"
            for matrix, pre, post in synapses
        ],
    )


@contextmanager
def numpy_runtime():
    """Brian2's runtime device and numpy target, whatever the user has set."""
    before = prefs.codegen.target
    set_device("runtime")
    prefs.codegen.target = "numpy"
    try:
        yield
    finally:
        prefs.codegen.target = before
        reset_device()


def _membranes(description, objects, neurons):
    """(monitor, row) of each neuron: both sides of its threshold, before the reset."""
    monitors = {}
    for k, own in enumerate(spans(description)):
        chosen = [j - own.start for j in neurons if own.start <= j < own.stop]
        if not chosen:
            continue
        group = objects[f"population_{k}"]
        condition = str_to_sympy(group.events["spike"])
        declare(group, "membrane")
        declare(group, "threshold_level")
        code = f"membrane = {sympy_to_str(condition.lhs)}\n"
        code += f"threshold_level = {sympy_to_str(condition.rhs)}"
        run_code(group, code, schedule.AT_THRESHOLD, f"{group.name}_recorded")
        variables = ["membrane", "threshold_level", "psi"]
        monitors[k] = _monitor(group, variables, chosen, f"membrane_monitor_{k}")
    places = []
    for j in neurons:
        for k, own in enumerate(spans(description)):
            if own.start <= j < own.stop:
                places.append((monitors[k], list(monitors[k].record).index(j - own.start)))
    return places


def _traces(description, trials, objects, synapses):
    """(monitor, row) of each synapse."""
    chosen = {}
    for matrix, pre, post in synapses:
        for block in blocks(description, trials):
            at = np.flatnonzero((block.rows == pre) & (block.columns == post))
            if block.matrix == matrix and len(at):
                chosen.setdefault(block.name, []).append(int(at[0]))
    monitors = {
        name: _monitor(objects[name], ["e_trace", "e_bar"], sorted(rows), f"{name}_monitor")
        for name, rows in chosen.items()
    }
    places = []
    for matrix, pre, post in synapses:
        for block in blocks(description, trials):
            at = np.flatnonzero((block.rows == pre) & (block.columns == post))
            if block.matrix == matrix and len(at):
                monitor = monitors[block.name]
                places.append((monitor, list(monitor.record).index(int(at[0]))))
    return places


def _monitor(group, variables, record, name):
    when, order = schedule.MONITOR_TRACES
    return StateMonitor(group, variables, record=record, when=when, order=order, name=name)
