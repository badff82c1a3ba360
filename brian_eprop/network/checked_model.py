"""The small network in which a neuron model is checked, and the derivatives of Brian2's own step.

These are finite differences, without SymPy: many copies of every neuron, each with one state
variable displaced a little, are put into the recorded state of every step and run through Brian2's
state update and reset. Nothing here knows the equations.
"""

import numpy as np
from attrs import frozen
from brian2 import (
    DEFAULT_CONSTANTS,
    DEFAULT_FUNCTIONS,
    DEFAULT_UNITS,
    Network,
    NetworkOperation,
    StateMonitor,
)

from ..brian import schedule
from ..brian.internals import assigned_names, catch_logs, get_identifiers, reset_of
from ..learning.rule import EProp
from ..neurons.model_checks import threshold_distance
from ..quantities import quantity
from .projections import BatchShape
from .recurrent import RecurrentNetwork
from .runtime import RuntimeNetwork

N_IN, N_OUT = 4, 2
INPUT_PROBABILITY = 0.1
#: Weights that are tried: powers of two times the model's unit of weight.
SCALES = 2.0 ** np.arange(-10, 14)
#: Spikes of each neuron, on average, that a scale must reach; and the most a neuron may fire.
ENOUGH_SPIKES, MOST_SPIKES_PER_STEP = 3, 0.3
#: Time constant of the readout in time steps.
TAU_STEPS = 20


#: When the states of a step are recorded: (when, order) before the update, at the threshold, after
#: the arrivals.
MOMENTS = (("before_start", -10), ("before_thresholds", 500), ("before_resets", 2000))


@frozen
class CheckedRun:
    """A recurrent network of the model, run in Brian2, and its records, in SI units.

    Attributes
    ----------
    network : RecurrentNetwork
    inputs, spikes : (T, n) bool array
    target, output : (T, N_OUT) array
    trajectory : Trajectory
    psi : (T, n) array
    eps : dict of str to dict of str to (T, pre, post) array
        By state of the eligibility vector and matrix; 0 where there is no synapse.
    e_trace, gradient : dict of str to ndarray
        (T, pre, post) and (pre, post), by matrix.
    """

    network: RecurrentNetwork
    inputs: np.ndarray
    target: np.ndarray
    trajectory: "Trajectory"
    spikes: np.ndarray
    output: np.ndarray
    psi: np.ndarray
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
    w_in, w_rec = rng.exponential(size=(N_IN, n)), rng.normal(size=(n, n)) * (1 - np.eye(n))
    scale = firing_scale(model, method, inputs, w_in, dt)
    w_out, target = rng.normal(size=(n, N_OUT)), rng.normal(size=(steps, N_OUT))
    weights = {"w_in": scale * w_in, "w_rec": 0.3 * scale * w_rec, "w_out": w_out}
    network = RecurrentNetwork(
        [(model, n, {"method": method})],
        N_IN,
        n,
        N_OUT,
        dt=dt,
        tau_out=TAU_STEPS * dt,
        weights=weights,
        rule=EProp(engine="traces"),
    )
    recorded = RuntimeNetwork(network.description, BatchShape(1, steps), inputs, target)
    objects, running = recorded.assembly.objects, recorded.assembly.network
    group = objects["population_0"]
    synapses = {"w_in": objects["in_0"], "w_rec": objects["rec_0_0"]}

    def monitor(source, variables, when, order=0):
        added = StateMonitor(source, variables, record=True, when=when, order=order)
        running.add(added)
        return added

    def dense(matrix, values):
        """Records (synapses, T) as (T, pre, post), 0 where there is no synapse."""
        matrices = np.zeros((steps, *weights[matrix].shape))
        matrices[:, synapses[matrix].i[:], synapses[matrix].j[:]] = values.T
        return matrices

    states = state_names(group)
    names = [*states, *({"lastspike", "not_refractory"} & group.variables.keys())]
    moments = [monitor(group, names, *moment) for moment in MOMENTS]
    when = schedule.MONITOR_TRACES.when
    psi = monitor(group, "psi", when)
    traces = {k: monitor(s, "e_trace", when) for k, s in synapses.items()}
    when = schedule.MONITOR_ELIGIBILITY_VECTOR.when
    # What arrives before the threshold may not act on all that recurrent spikes act on. A monitor
    # for each: one of Brian2's cannot hold two variables that are kept per presynaptic neuron.
    vectors = {
        name: {
            k: monitor(s, f"eps_{name}", when)
            for k, s in synapses.items()
            if f"eps_{name}" in s.variables
        }
        for name in states
    }

    def course(recording, name):
        """A copy (T, neurons): from Brian2 2.10 on, what a monitor holds is gone with it."""
        return getattr(recording, f"{name}_").T.copy()

    running.store("start")
    computed = recorded.run(network.weights, inputs[None], target[None])
    return CheckedRun(
        network,
        inputs,
        target,
        Trajectory(*({n: course(m, n) for n in names} for m in moments)),
        computed["spikes"][0],
        computed["readout"][0],
        course(psi, "psi"),
        {
            name: {k: dense(k, getattr(m, f"eps_{name}_")) for k, m in monitors.items()}
            for name, monitors in vectors.items()
            if monitors
        },
        {k: dense(k, m.e_trace_) for k, m in traces.items()},
        {k: computed[k] / float(weight_unit(model)) for k in synapses},
    )


def weight_unit(model):
    """The unit of a model's weights : Quantity."""
    return quantity(f"1*{model.weight_unit}")


def firing_scale(model, method, inputs, weights, dt):
    """The smallest scale of the input weights at which the neurons fire, found in one run."""
    n, scales = weights.shape[1], len(SCALES)
    silent = {"w_rec": np.zeros((n * scales, n * scales)), "w_out": np.zeros((n * scales, 1))}
    network = RecurrentNetwork(
        [(model, n * scales, {"method": method})],
        len(weights),
        n * scales,
        1,
        dt=dt,
        weights=silent | {"w_in": np.concatenate([s * weights for s in SCALES], axis=1)},
        connectivity={name: matrix.astype(bool) for name, matrix in silent.items()},
    )
    # The largest scales overflow in some models; they are not the ones that are taken.
    with np.errstate(all="ignore"), catch_logs():
        spikes = network.simulate(inputs).spikes
    counts = spikes.sum(axis=0).reshape(scales, n).mean(axis=1)
    counts[counts > MOST_SPIKES_PER_STEP * len(inputs)] = 0
    enough = np.flatnonzero(counts >= ENOUGH_SPIKES)
    return SCALES[enough[0] if enough.size else counts.argmax()]


#: Displacement as a fraction of the range that a variable covers. Two displacements, this one
#: and its half, cancel the leading error (Richardson), so that it can be far from round-off.
DISPLACEMENT = 1e-4
#: Of the four displaced copies of a neuron, in that unit.
SHIFTS = np.array([1, -1, 0.5, -0.5])

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
    """Number of copies of a neuron: one undisplaced, and four for each state."""
    return 1 + len(SHIFTS) * n_states


def step_derivatives(probe, states, trajectory, namespace=None):
    """Finite differences of every step of a trajectory.

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
    displacements = np.zeros((copies(len(states)), len(states)))
    for column, size in enumerate(delta):
        displacements[1 + 4 * column : 5 + 4 * column, column] = size * SHIFTS
    derivatives = {"update": [], "reset": [], "jump": [], "distance": [], "slope": []}
    step = -1

    def write(moment):
        for name, values in moment.items():
            copied = np.tile(values[step], (copies(len(states)), 1))
            if name in states:
                copied += displacements[:, states.index(name), np.newaxis]
            probe.variables[name].set_value(copied.ravel())

    def read():
        return np.stack([probe.variables[name].get_value().copy() for name in states], axis=-1)

    def derivative(values):
        """(copies·n, …) values → undisplaced (n, …) and derivatives (n, …, states)."""
        values = values.reshape(copies(len(states)), n, *values.shape[1:])
        plus, minus, half_plus, half_minus = (
            np.moveaxis(values[1 + k :: 4], 0, -1) for k in range(len(SHIFTS))
        )
        far, near = (plus - minus) / (2 * delta), (half_plus - half_minus) / delta
        return values[0], (4 * near - far) / 3

    def begin_step():
        nonlocal step
        step += 1
        write(trajectory.start)

    def after_update():
        derivatives["update"].append(derivative(read())[1])
        write(trajectory.threshold)
        value, slope = derivative(evaluate(distance, probe, namespace or {}))
        derivatives["distance"].append(value)
        derivatives["slope"].append(slope)

    def before_reset():
        write(trajectory.reset)
        if "not_refractory" in probe.variables:
            probe.variables["not_refractory"].set_value(True)

    def after_reset():
        value, jacobian = derivative(read())
        before = np.stack([trajectory.reset[name][step] for name in states], axis=-1)
        derivatives["reset"].append(jacobian)
        derivatives["jump"].append(value - before)

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
    return StepDerivatives(**{name: np.array(values) for name, values in derivatives.items()})


def _scale(values):
    """The range that a variable covers, or its size if it hardly moves, or 1."""
    return np.ptp(values) or np.abs(values).max() or 1.0
