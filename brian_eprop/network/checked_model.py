"""The small network in which a neuron model is checked, and the derivatives of Brian2's own step.

These are finite differences, without SymPy: many copies of every neuron, each with one state
variable displaced a little, are put into the recorded state of every step and run through Brian2's
state update and reset. Nothing here knows the equations.
"""

import functools

import numpy as np
from attrs import define, frozen
from brian2 import (
    DEFAULT_CONSTANTS,
    DEFAULT_FUNCTIONS,
    DEFAULT_UNITS,
    Network,
    NetworkOperation,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    get_dimensions,
)

from ..brian import schedule
from ..brian.internals import assigned_names, catch_logs, get_identifiers, reset_of
from ..checks import quantity, unit_name
from ..learning.rule import EProp
from ..neurons.model_checks import threshold_distance
from .assembly import trial_assembly
from .projections import BatchShape, blocks, given, kept_names
from .recurrent import RecurrentNetwork

N_IN, N_OUT = 4, 2
INPUT_PROBABILITY = 0.1
#: Weights that are tried: powers of two times the model's unit of weight.
SCALES = 2.0 ** np.arange(-10, 14)
#: Spikes of each neuron, on average, that a scale must reach; and the most a neuron may fire.
ENOUGH_SPIKES, MOST_SPIKES_PER_STEP = 3, 0.3
#: Time constant of the readout in time steps.
TAU_STEPS = 20


@define
class CheckedRun:
    """A recurrent network of the model, run in Brian2, and all that was recorded of it.

    Attributes
    ----------
    steps : int
    inputs, spikes : (T, n) bool array
    target, output : (T, N_OUT) array
    weights : dict of str to ndarray
        In SI units, as everything here.
    trajectory : Trajectory
    psi : (T, n) array
    states : list of str
        Of the eligibility vector.
    eps : dict of str to dict of str to (T, pre, post) array
        By matrix and state; 0 where there is no synapse.
    e_trace, gradient : dict of str to ndarray
        (T, pre, post) and (pre, post), by matrix.
    """

    steps: int
    inputs: np.ndarray
    target: np.ndarray
    weights: dict
    trajectory: "Trajectory"
    spikes: np.ndarray
    output: np.ndarray
    psi: np.ndarray
    states: list
    eps: dict
    e_trace: dict
    gradient: dict


def run_model(model, method, n, steps, rng, dt):
    """Run ``n`` neurons of a model, with random weights at which they fire, and record them.

    Returns
    -------
    CheckedRun
    """
    inputs = rng.random((steps, N_IN)) < INPUT_PROBABILITY
    unit = rng.exponential(size=(N_IN, n)), rng.normal(size=(n, n)) * (1 - np.eye(n))
    build = functools.partial(model.group, dt=dt, method=method)
    scale = firing_scale(model, build, inputs, unit[0], dt)
    weights = {"w_in": scale * unit[0], "w_rec": 0.3 * scale * unit[1]}
    weights["w_out"] = rng.normal(size=(n, N_OUT))
    target = rng.normal(size=(steps, N_OUT))

    in_units = {k: w / float(weight_unit(model)) for k, w in weights.items() if k != "w_out"}
    network = RecurrentNetwork(
        [(model, n, {"method": method})],
        N_IN,
        n,
        N_OUT,
        dt=dt,
        tau_out=TAU_STEPS * dt,
        weights=in_units | {"w_out": weights["w_out"]},
        rule=EProp(engine="traces"),
    )
    d, batch = network.description, BatchShape(1, steps)
    assembly = trial_assembly(d, batch, inputs, target)
    assembly.write({"inputs.raster": inputs.ravel(), **given(d, batch, network.weights, {})})
    group = assembly.objects["population_0"]
    synapses = {b.matrix: assembly.objects[b.name] for b in blocks(d, batch)}
    record = _Recorder(assembly, group, {name: synapses[name] for name in ("w_in", "w_rec")})
    assembly.network.run(steps * dt, namespace={})
    return CheckedRun(steps, inputs, target, weights, **record.found(d))


class _Recorder:
    """Monitors of a group, and of the trained synapses onto it."""

    def __init__(self, assembly, group, synapses):
        self.assembly, self.group, self.synapses = assembly, group, synapses
        names = state_names(group)
        self.names = [*names, *({"lastspike", "not_refractory"} & group.variables.keys())]
        moments = {
            "start": ("before_start", -10),
            "threshold": ("before_thresholds", 500),
            "reset": ("before_resets", 2000),
        }
        self.moments = {key: [] for key in moments}
        operations = [
            NetworkOperation(self._reader(key), clock=group.clock, when=when, order=order)
            for key, (when, order) in moments.items()
        ]
        self.states = [n for n in names if f"eps_{n}" in synapses["w_rec"].variables]
        after = {"record": True, "clock": group.clock, "when": schedule.MONITOR_TRACES.when}
        before = after | {"when": schedule.MONITOR_ELIGIBILITY_VECTOR.when}
        eps = [f"eps_{name}" for name in self.states]
        self.psi = StateMonitor(group, "psi", **after)
        self.vectors = {k: StateMonitor(s, eps, **before) for k, s in synapses.items()}
        self.traces = {k: StateMonitor(s, "e_trace", **after) for k, s in synapses.items()}
        monitors = (self.psi, *self.vectors.values(), *self.traces.values())
        assembly.network.add(*operations, *monitors)

    def _reader(self, moment):
        def read():
            values = {n: self.group.variables[n].get_value().copy() for n in self.names}
            self.moments[moment].append(values)

        return read

    def found(self, description):
        """The fields of `CheckedRun` that a run has filled."""
        output, spikes = (
            self.assembly.variable(name).get_value().reshape(len(self.psi.t), -1)
            for name in kept_names(description)
        )
        return {
            "trajectory": Trajectory(
                *(
                    {n: np.array([step[n] for step in recorded]) for n in self.names}
                    for recorded in self.moments.values()
                )
            ),
            "spikes": spikes,
            "output": output,
            "psi": self.psi.psi.T,
            "states": self.states,
            "eps": {
                k: {n: self._dense(k, getattr(m, f"eps_{n}")) for n in self.states}
                for k, m in self.vectors.items()
            },
            "e_trace": {k: self._dense(k, m.e_trace) for k, m in self.traces.items()},
            "gradient": {
                k: self._dense(k, np.asarray(s.grad)[:, np.newaxis])[0]
                for k, s in self.synapses.items()
            },
        }

    def _dense(self, matrix, values):
        """(synapses, T) → (T, pre, post), 0 where there is no synapse."""
        synapses = self.synapses[matrix]
        dense = np.zeros((values.shape[1], len(synapses.source), len(synapses.target)))
        dense[:, synapses.i[:], synapses.j[:]] = values.T
        return dense


def _source(inputs, dt):
    steps, indices = np.nonzero(inputs)
    return SpikeGeneratorGroup(inputs.shape[1], indices, steps * dt, dt=dt, when="start")


def weight_unit(model):
    return quantity(f"1*{model.weight_unit}")


def weight_equation(model):
    """The line of a synapse's equations that declares its weight."""
    return f"w : {unit_name(get_dimensions(weight_unit(model)))}"


def firing_scale(model, build, inputs, weights, dt):
    """The smallest scale of the weights at which the neurons fire, found in one run."""
    n = weights.shape[1]
    group = build(n * len(SCALES))
    source = _source(inputs, dt)
    synapses = Synapses(
        source, group, weight_equation(model), on_pre=model.on_input, namespace={}, dt=dt
    )
    synapses.pre.when = "after_groups"
    synapses.connect()
    scales = SCALES * float(weight_unit(model))
    columns = np.concatenate([scale * weights for scale in scales], axis=1)
    synapses.variables["w"].set_value(columns[synapses.i[:], synapses.j[:]])
    monitor = SpikeMonitor(group)
    # The largest scales overflow in some models; they are not the ones that are taken.
    with np.errstate(all="ignore"), catch_logs():
        Network(source, group, synapses, monitor).run(len(inputs) * dt, namespace={})
    counts = np.array(monitor.count).reshape(len(SCALES), n).mean(axis=1)
    counts[counts > MOST_SPIKES_PER_STEP * len(inputs)] = 0
    enough = np.flatnonzero(counts >= ENOUGH_SPIKES)
    return scales[enough[0] if enough.size else counts.argmax()]


#: Displacement as a fraction of the range that a variable covers. Two displacements, this one
#: and its half, cancel the leading error (Richardson), so that it can be far from round-off.
DISPLACEMENT = 1e-4

#: What an expression of Brian2 may use, in NumPy and SI units.
NAMESPACE = {
    **{name: function.pyfunc for name, function in DEFAULT_FUNCTIONS.items()},
    **{name: float(unit) for name, unit in DEFAULT_UNITS.items()},
    **{name: constant.value for name, constant in DEFAULT_CONSTANTS.items()},
}


@frozen
class Trajectory:
    """States of a group of n neurons along T steps: name → (T, n) array.

    Attributes
    ----------
    start : dict
        Before the state update, with ``lastspike`` and ``not_refractory`` if there are any.
    threshold : dict
        When the threshold is evaluated.
    reset : dict
        After the arrivals, before the reset.
    """

    start: dict
    threshold: dict
    reset: dict


@frozen
class StepDerivatives:
    """Derivatives of each step, states in the order that was asked for.

    Attributes
    ----------
    update : (T, n, states, states) array
        F', the Jacobian of the state update (row: after, column: before).
    reset : (T, n, states, states) array
        J, the Jacobian of the reset code, whether or not the neuron fired.
    jump : (T, n, states) array
        R(h) − h.
    distance : (T, n) array
        Distance to the threshold.
    slope : (T, n, states) array
        Its derivatives.
    """

    update: np.ndarray
    reset: np.ndarray
    jump: np.ndarray
    distance: np.ndarray
    slope: np.ndarray


def state_names(group):
    """Variables that a step changes: integrated, or assigned to by the reset."""
    changed = group.equations.diff_eq_names | set(assigned_names(reset_of(group)))
    return [n for n in group.equations if n in changed]


def evaluate(code, group, namespace):
    """A Brian2 expression in the names of a group, with the present values, by NumPy."""
    values = dict(NAMESPACE)
    for name in get_identifiers(code):
        if name in ("t", "dt"):
            values[name] = float(group.variables[name].get_value().item())
        elif name in group.variables:
            values[name] = np.asarray(getattr(group, f"{name}_")[:])
        elif name in group.namespace or name in namespace:
            values[name] = np.asarray({**namespace, **group.namespace}[name])
    # The code is the user's own model, which Brian2 is about to run as well.
    return np.broadcast_to(eval(code.strip(), {}, values), len(group))


def copies(n_states):
    """How many copies of a neuron are needed."""
    return 1 + 4 * n_states


def step_derivatives(probe, states, trajectory, namespace=None):
    """Differentiate every step of a trajectory.

    Parameters
    ----------
    probe : NeuronGroup
        Of ``copies(len(states))`` times the n neurons, copy by copy, in no network yet.
    states : list of str
    trajectory : Trajectory
    namespace : dict, optional
        External names of the equations.

    Returns
    -------
    StepDerivatives
    """
    steps, n = trajectory.start[states[0]].shape
    reset = probe.event_codes.get("spike", "").strip()
    distance = threshold_distance(probe.events["spike"])
    delta = np.array([_scale(trajectory.start[name]) * DISPLACEMENT for name in states])
    found = {"update": [], "reset": [], "jump": [], "distance": [], "slope": []}
    step = iter(range(steps))
    now = {}

    def write(moment):
        for column, name in enumerate(states):
            values = np.tile(moment[name][now["step"]], (copies(len(states)), 1))
            for row, size in enumerate((1, -1, 0.5, -0.5)):
                values[1 + 4 * column + row] += size * delta[column]
            probe.variables[name].set_value(values.ravel())
        for name in moment.keys() - set(states):
            values = np.tile(moment[name][now["step"]], copies(len(states)))
            probe.variables[name].set_value(values)

    def read():
        return np.stack([probe.variables[name].get_value().copy() for name in states], axis=-1)

    def derivative(values):
        """(copies·n, …) values → undisplaced (n, …) and derivatives (n, …, states)."""
        values = values.reshape(copies(len(states)), n, *values.shape[1:])
        far, near = [], []
        for column in range(len(states)):
            plus, minus, half_plus, half_minus = values[1 + 4 * column : 5 + 4 * column]
            far.append((plus - minus) / (2 * delta[column]))
            near.append((half_plus - half_minus) / delta[column])
        return values[0], (4 * np.stack(near, axis=-1) - np.stack(far, axis=-1)) / 3

    def begin_step():
        now["step"] = next(step)
        write(trajectory.start)

    def after_update():
        found["update"].append(derivative(read())[1])
        write(trajectory.threshold)
        value, slope = derivative(evaluate(distance, probe, namespace or {}))
        found["distance"].append(value)
        found["slope"].append(slope)

    def before_reset():
        write(trajectory.reset)
        if "not_refractory" in probe.variables:
            probe.variables["not_refractory"].set_value(True)

    def after_reset():
        value, jacobian = derivative(read())
        before = np.stack([trajectory.reset[name][now["step"]] for name in states], axis=-1)
        found["reset"].append(jacobian)
        found["jump"].append(value - before)

    # Before '(constant over dt)' subexpressions are stored; after the probe's own resets.
    schedule = (
        (begin_step, "before_start", -10),
        (after_update, "before_thresholds", -10),
        (before_reset, "after_resets", 0),
        (after_reset, "after_resets", 2),
    )
    operations = [
        NetworkOperation(function, clock=probe.clock, when=when, order=order)
        for function, when, order in schedule
    ]
    if reset:
        probe.run_regularly(reset, when="after_resets", order=1, clock=probe.clock)
    Network(probe, *operations).run(steps * probe.clock.dt, namespace=namespace or {})
    return StepDerivatives(**{name: np.array(values) for name, values in found.items()})


def _scale(values):
    """The range that a variable covers, or its size if it hardly moves, or 1."""
    return np.ptp(values) or np.abs(values).max() or 1.0
