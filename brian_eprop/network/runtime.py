"""Running an assembled network in this process, on Brian2's numpy or cython target.

Recordings for figures are made here too: one trial, with everything that monitors see.
"""

from contextlib import contextmanager
from types import MappingProxyType

import numpy as np
from attrs import evolve
from brian2 import BrianObjectException, StateMonitor, prefs, set_device

from ..brian import schedule
from ..brian.code import declare, run_code
from ..brian.internals import (
    UnsupportedEquationsException,
    parse_expression_dimensions,
    reset_device,
    str_to_sympy,
    sympy_to_str,
)
from ..calculus.derivatives import UnsuitableMethodError
from ..checks import unit_name
from ..recording import Recording
from .assembly import RASTER, timed_targets, trial_assembly
from .projections import BatchShape, blocks, given, results, spans, trained
from .results import Joined, learning_signal, output_error, parts, way_back
from .structures import sources


class RuntimeNetwork:
    """Brian2 objects that are kept, and run again with other weights, inputs and targets.

    Parameters
    ----------
    description : NetworkDescription
    trials : BatchShape
    inputs, targets : ndarray
        As for :func:`trial_assembly`.
    """

    def __init__(self, description, trials, inputs, targets):
        self.description, self.trials = description, trials
        self.blocks, self.trained = blocks(description, trials), trained(description)
        self.assembly = trial_assembly(description, trials, inputs, targets)
        self.assembly.network.store("start")

    def run(self, weights, inputs, targets, parameters=MappingProxyType({}), threads=1):
        """Run a batch; see :class:`~brian_eprop.network.projections.Backend`. In one thread."""
        values, whole = given(self.blocks, self.trained, weights, parameters), Joined()
        for part in parts(len(inputs)):
            whole.add(self._run(values, inputs[part], targets[part]))
        return whole.results()

    def _run(self, values, inputs, targets):
        """Run one part of a batch."""
        network, objects, dt = self.assembly.network, self.assembly.objects, self.description.dt
        count, steps, _ = inputs.shape
        network.restore("start")
        self.assembly.variable(RASTER).get_value()[: inputs.size] = inputs.ravel()
        target = timed_targets(targets.reshape(count * steps, -1), dt)
        objects["readout"].namespace["target_values"] = target
        self.assembly.write(values)
        with plain_errors():
            network.run(count * steps * dt, namespace={})
        if network.t_ < (count * steps - 0.5) * float(dt):
            # Brian2 only stops its run at Ctrl-C, with a warning; half a trial is no result.
            raise KeyboardInterrupt

        def read(name):
            return self.assembly.variable(name).get_value()

        return results(self.description, self.trials, count, self.blocks, read)


@contextmanager
def plain_errors():
    """Raise what Brian2 wraps in its own exception when a run begins.

    That says where in this package an object was created, which helps no user.
    """
    try:
        yield
    except BrianObjectException as error:
        cause = error.__cause__
        if isinstance(cause, UnsupportedEquationsException):
            cause = UnsuitableMethodError(
                f"the 'method' of a neuron model is not for its equations: "
                f"{' '.join(str(cause).split())} Choose another, such as 'exponential_euler', "
                "'euler' or 'rk4'"
            )
        raise cause from None


@contextmanager
def numpy_runtime():
    """Brian2's runtime device and numpy target with float64, whatever the user has set."""
    before = prefs.codegen.target, prefs.core.default_float_dtype
    set_device("runtime")
    prefs.codegen.target, prefs.core.default_float_dtype = "numpy", np.float64
    try:
        yield
    finally:
        prefs.codegen.target, prefs.core.default_float_dtype = before
        reset_device()


#: The two sides of a group's threshold, as its variables.
MEMBRANE, LEVEL = "__membrane", "__threshold_level"


def record_trial(description, weights, inputs, targets, window, neurons, synapses_per_neuron):
    """Run one trial with Brian2's numpy target and record it.

    Parameters
    ----------
    description : NetworkDescription
    weights : dict of str to ndarray
    inputs : (T, n_in) bool array
    targets : (T, n_out) float array
    window : int or None
        Steps at the end of the trial in which errors count.
    neurons : int or sequence of int
        Recurrent neurons whose membrane is recorded, or how many: those that fire most.
    synapses_per_neuron : int
        For each of them, so many synapses whose traces are recorded.

    Returns
    -------
    Recording
    """
    # Traces are there to be looked at with the engine that has them.
    d = evolve(description, rule=description.rule.with_engine("traces"))
    trials = BatchShape(1, len(inputs), window)
    with numpy_runtime():
        silent = BatchShape(1, len(inputs), window, learning=False)
        backend, trial = RuntimeNetwork(d, silent, inputs, targets), (inputs[None], targets[None])
        spikes = backend.run(weights, *trial)["spikes"]
        if isinstance(neurons, int):
            neurons = np.argsort(-spikes[0].sum(axis=0), kind="stable")[:neurons].tolist()
        synapses = busiest_synapses(d, neurons, inputs, spikes[0], synapses_per_neuron)
        recorded = RuntimeNetwork(d, trials, inputs, targets)
        objects, network = recorded.assembly.objects, recorded.assembly.network
        membranes = _membranes(d, objects, neurons)
        traces = _traces(d, trials, objects, synapses)
        error = _monitor(objects["readout"], ["error"], True, "error_monitor")
        network.add(*{id(m): m for m, _ in membranes + traces}.values(), error)
        network.store("start")
        found = recorded.run(weights, *trial)
    errors = output_error(d, found["readout"], targets[None], window)

    def rows(monitored, variable):
        columns = [getattr(m, f"{variable}_")[row] for m, row in monitored]
        return np.array(columns).T.reshape(trials.total, len(monitored))

    return Recording(
        dt=d.dt,
        inputs=inputs,
        spikes=found["spikes"][0],
        readout=found["readout"][0],
        target=targets,
        # a copy: from Brian2 2.10 on, what a monitor holds is gone with the monitor
        error=np.array(error.error_.T),
        learning_signal=learning_signal(errors[0], *way_back(d, weights, {})),
        membrane=rows(membranes, MEMBRANE),
        threshold=rows(membranes, LEVEL),
        psi=rows(membranes, "psi"),
        e_trace=rows(traces, "e_trace"),
        e_bar=rows(traces, "e_bar"),
        neurons=neurons,
        synapses=[
            f"{'in' if matrix == 'w_in' else 'rec'} {pre} → {post}"
            for matrix, pre, post in synapses
        ],
        membrane_unit=_units(
            parse_expression_dimensions(_threshold(m.source)[0], m.source.variables)
            for m, _ in membranes
        ),
        trace_unit=_units(m.source.variables["e_trace"].dim for m, _ in traces),
    )


def busiest_synapses(description, neurons, inputs, spikes, each):
    """The synapses to record: for each neuron those that most spikes come through.

    Parameters
    ----------
    description : NetworkDescription
    neurons : sequence of int
    inputs : (T, n_in) bool array
    spikes : (T, n_rec) bool array
    each : int
        Synapses of each neuron: from inputs and from recurrent neurons in turn.

    Returns
    -------
    list of (matrix, pre, post)
    """
    activity = {"w_in": inputs.sum(axis=0), "w_rec": spikes.sum(axis=0)}
    chosen = []
    for j in neurons:
        for k in range(each):
            matrix = ("w_in", "w_rec")[k % 2]
            exists = sources(description.connectivity[matrix], j)
            busiest = exists[np.argsort(-activity[matrix][exists], kind="stable")]
            if len(busiest) > k // 2:
                chosen.append((matrix, int(busiest[k // 2]), j))
    return chosen


def _membranes(description, objects, neurons):
    """(monitor, row) of each neuron: both sides of its threshold, before the reset."""
    monitors = {}
    for k, own in enumerate(spans(description)):
        chosen = [j - own.start for j in neurons if own.start <= j < own.stop]
        if not chosen:
            continue
        group = objects[f"population_{k}"]
        declare(group, MEMBRANE)
        declare(group, LEVEL)
        distance = zip((MEMBRANE, LEVEL), _threshold(group), strict=True)
        code = "\n".join(f"{name} = {side}" for name, side in distance)
        run_code(group, code, schedule.AT_THRESHOLD, f"{group.name}_recorded")
        variables = [MEMBRANE, LEVEL, "psi"]
        monitors[k] = _monitor(group, variables, chosen, f"membrane_monitor_{k}")
    places = []
    for j in neurons:
        for k, own in enumerate(spans(description)):
            if own.start <= j < own.stop:
                places.append((monitors[k], list(monitors[k].record).index(j - own.start)))
    return places


def _threshold(group):
    """Both sides of a group's threshold condition, as text."""
    condition = str_to_sympy(group.events["spike"])
    return sympy_to_str(condition.lhs), sympy_to_str(condition.rhs)


def _units(dimensions):
    """The unit in which Brian2 has given numbers; all of them if populations differ."""
    names = {unit_name(dimension) for dimension in dimensions}
    return "" if names <= {"1"} else " or ".join(sorted(names))


def _traces(description, trials, objects, synapses):
    """(monitor, row) of each synapse."""
    chosen = {}
    for matrix, pre, post in synapses:
        for block in blocks(description, trials):
            at = np.flatnonzero((block.part.rows == pre) & (block.part.columns == post))
            if block.matrix == matrix and len(at):
                chosen.setdefault(block.name, []).append(int(at[0]))
    monitors = {
        name: _monitor(objects[name], ["e_trace", "e_bar"], sorted(rows), f"{name}_monitor")
        for name, rows in chosen.items()
    }
    places = []
    for matrix, pre, post in synapses:
        for block in blocks(description, trials):
            at = np.flatnonzero((block.part.rows == pre) & (block.part.columns == post))
            if block.matrix == matrix and len(at):
                monitor = monitors[block.name]
                places.append((monitor, list(monitor.record).index(int(at[0]))))
    return places


def _monitor(group, variables, record, name):
    when, order = schedule.MONITOR_TRACES
    return StateMonitor(group, variables, record=record, when=when, order=order, name=name)
