"""The derivatives of Brian2's own time step, by finite differences and without SymPy.

Many copies of every neuron, each with one state variable displaced a little, are put into the
recorded state of every step and run through Brian2's state update and reset. Nothing here
knows the equations.
"""

from dataclasses import dataclass

import numpy as np
from brian2 import Network, NetworkOperation
from brian2.core.functions import DEFAULT_FUNCTIONS
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS
from brian2.parsing.statements import parse_statement
from brian2.utils.stringtools import get_identifiers

from ..model_validation import threshold_distance

#: Displacement as a fraction of the range that a variable covers. Two displacements, this one
#: and its half, cancel the leading error (Richardson), so that it can be far from round-off.
DISPLACEMENT = 1e-4

#: What an expression of Brian2 may use, in NumPy and SI units.
NAMESPACE = {
    **{name: function.pyfunc for name, function in DEFAULT_FUNCTIONS.items()},
    **{name: float(unit) for name, unit in DEFAULT_UNITS.items()},
    **{name: constant.value for name, constant in DEFAULT_CONSTANTS.items()},
}


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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
    lines = [line.split("#")[0] for line in group.event_codes.get("spike", "").split("\n")]
    statements = [one.strip() for line in lines for one in line.split(";")]
    assigned = {parse_statement(one)[0] for one in statements if one}
    return [n for n in group.equations if n in group.equations.diff_eq_names | assigned]


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
