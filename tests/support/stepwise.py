"""A, D and c along a simulation: as Brian2 computes them, and by finite differences."""

import numpy as np
import sympy
from brian2 import Network, NetworkOperation

from brian_eprop.brian.internals import statements_of
from brian_eprop.calculus.arrivals import OnPre
from brian_eprop.engines.trace_population import TracePopulation
from brian_eprop.learning.rule import EProp
from brian_eprop.network.checked_model import Trajectory, copies, state_names, step_derivatives


def along_a_simulation(build, on_pre, kicks, *, steps=60, weight="w", namespace=None, rule=None):
    """Run neurons that are kicked at random, and differentiate every step in two ways.

    Parameters
    ----------
    build : function
        n → NeuronGroup of n like neurons.
    on_pre : str
    kicks : dict of str to float
        Mean of what is added to a state variable in each step, in SI units.

    Returns
    -------
    computed, expected : dict of str to array
        ``A`` and ``D`` (steps − 1, n, states, states), ``c`` (steps, n, states); ``F``, ``J``,
        ``k`` and ``psi`` in ``expected``.
    linearization : Linearization
    spikes : int
    """
    n, rule, namespace = 3, rule or EProp(), namespace or {}
    group = build(n)
    population = TracePopulation(group, rule, {})
    arriving = OnPre(on_pre, statements_of(on_pre), weight, group)
    linearization, _ = population.linearize(arriving, namespace)
    coefficients = linearization.coefficients
    states = state_names(group)
    kept = list(linearization.states)
    rng = np.random.default_rng(3)
    refractory = [name for name in ("lastspike", "not_refractory") if name in group.variables]
    names = states + refractory
    recorded = {key: [] for key in ("start", "threshold", "reset", "A", "D", "c", "psi", "spiked")}

    def values():
        return {name: group.variables[name].get_value().copy() for name in names}

    def number(entry):
        if entry.is_number:
            return np.full(n, float(entry))
        return np.broadcast_to(group.variables[str(entry)].get_value(), n).copy()

    def matrix(entries):
        found = np.zeros((n, len(kept), len(kept)))
        for column, rows in entries.items():
            for row, entry in rows.items():
                found[:, kept.index(row), kept.index(column)] = number(entry)
        return found

    def kick():
        for name, scale in kicks.items():
            size = scale * rng.exponential(size=n) * (rng.random(n) < 0.7)
            group.variables[name].set_value(group.variables[name].get_value() + size)

    def at_threshold():
        recorded["psi"].append(group.variables["psi"].get_value().copy())
        recorded["c"].append(
            np.stack([number(coefficients.c.get(s, sympy.S.Zero)) for s in kept], axis=-1)
        )

    def at_reset():
        recorded["reset"].append(values())
        spiked = np.zeros(n)
        spiked[group.spikes] = 1
        recorded["spiked"].append(spiked)

    def at_end():
        recorded["A"].append(matrix(coefficients.A))
        recorded["D"].append(matrix(coefficients.D))

    schedule = (
        (lambda: recorded["start"].append(values()), "before_start", -5),
        (lambda: recorded["threshold"].append(values()), "before_thresholds", 500),
        (at_threshold, "before_thresholds", 2000),
        (kick, "synapses", 0),
        (at_reset, "before_resets", 2000),
        (at_end, "after_end", 0),
    )
    operations = [
        NetworkOperation(function, clock=group.clock, when=when, order=order)
        for function, when, order in schedule
    ]
    Network(group, *operations).run(steps * group.clock.dt, namespace=namespace)

    def arrays(moment):
        return {name: np.array([v[name] for v in recorded[moment]]) for name in names}

    trajectory = Trajectory(arrays("start"), arrays("threshold"), arrays("reset"))
    probe = build(n * copies(len(states)))
    exact = step_derivatives(probe, states, trajectory, namespace)
    spiked, psi = np.array(recorded["spiked"]), np.array(recorded["psi"])
    implicit = [linearization.reset_path.get(name) == "implicit" for name in states]
    identity = np.eye(len(states))
    J = identity + spiked[:-1, :, None, None] * (exact.reset[:-1] - identity)
    k = exact.jump[:-1] * implicit
    c = psi[:, :, None] * exact.slope
    F = exact.update[1:]
    chosen = np.ix_(*map(range, F.shape[:2]), *[[states.index(s) for s in kept]] * 2)
    expected = {
        "A": (F @ (J + k[..., :, None] * c[:-1, :, None, :]))[chosen],
        "D": (F @ J)[chosen],
        "c": c[..., [states.index(s) for s in kept]],
        "F": F[chosen],
        "J": J[chosen],
        "psi": psi,
        "k": k[..., [states.index(s) for s in kept]],
    }
    computed = {key: np.array(recorded[key]) for key in ("A", "D", "c", "psi")}
    computed["A"], computed["D"] = computed["A"][:-1], computed["D"][:-1]
    computed["D"] = np.where(_columns(linearization), computed["D"], expected["D"])
    return computed, expected, linearization, int(spiked.sum())


def _columns(linearization):
    """D has only the columns on which arrivals act."""
    return np.array([name in linearization.arrivals for name in linearization.states])


def relative_error(computed, expected):
    """Largest error of each matrix entry relative to the largest value that the entry takes.

    Entries are compared one by one, because their units differ by many orders of magnitude.
    """
    axes = (0, 1)
    scale = np.abs(expected).max(axis=axes)
    error = np.abs(computed - expected).max(axis=axes)
    return float(np.where(scale > 0, error / np.where(scale > 0, scale, 1), error != 0).max())
