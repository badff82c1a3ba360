r"""Is what Brian2 computes for a neuron model the gradient? An answer without SymPy.

A small recurrent network of the model runs in Brian2 with trainable synapses. Its recorded
states are then enough to compute everything again from finite differences of Brian2's own time
step, ψ from its formula in NumPy, and the recursion (Bellec et al. 2020, Nat. Commun. 11:3625,
Eqs 13–14 and 28)

    e^t = c·s^t,   s^{t+1} = F'(J (s^t + b x) + k e^t),   dE/dw = Σ_t L^t F_κ(e)^t
"""

import re

import numpy as np
from attrs import evolve, frozen
from brian2 import Quantity, ms

from .. import reference
from ..brian.internals import statements_of
from ..checks import FilePath, check_seed, fields_of
from ..neurons.neuron_model import NeuronModel, load_model
from ..neurons.surrogates import Formula
from ..quantities import quantity
from ..reference.surrogates import SURROGATES
from .checked_model import (
    NAMESPACE,
    TAU_STEPS,
    copies,
    evaluate,
    run_model,
    state_names,
    step_derivatives,
)
from .reference_conversion import surrogate_kind
from .runtime import numpy_runtime

DIFFERENCES, REFERENCE = 1e-6, 1e-10


@frozen
class CheckedQuantity:
    """One quantity of a model, computed by learning and again from finite differences.

    Attributes
    ----------
    quantity : str
    error : float
        Largest difference relative to the largest value.
    tolerance : float
    passed : bool
    reason : str
        Why it did not pass, if the error is not the reason.
    """

    quantity: str
    error: float
    tolerance: float
    passed: bool
    reason: str = ""


@frozen
class CheckReport:
    """What :func:`check_model` found; ``str`` makes a table of it.

    Attributes
    ----------
    model, method : str
    dt : Quantity
    steps, spikes : int
        Length of the simulation, and spikes of all neurons in it.
    rows : tuple of CheckedQuantity
    """

    model: str
    method: str
    dt: Quantity
    steps: int
    spikes: int
    rows: tuple[CheckedQuantity, ...]

    @property
    def passed(self) -> bool:
        """Whether every comparison passed."""
        return all(row.passed for row in self.rows)

    def __str__(self):
        title = (
            f"{self.model}, {self.method}, dt = {self.dt!s}: "
            f"{self.spikes} spikes in {self.steps} steps"
        )
        width = max(len(row.quantity) for row in self.rows)
        lines = [title, f"{'':{width}}  relative error  tolerance"]
        for row in self.rows:
            verdict = "ok" if row.passed else f"FAILED {row.reason}".rstrip()
            lines.append(
                f"{row.quantity:{width}}  {row.error:14.1e}  {row.tolerance:9.0e}  {verdict}"
            )
        return "\n".join(lines)


@numpy_runtime()
def check_model(
    model: NeuronModel | FilePath,
    *,
    method: str | None = None,
    neurons: int = 4,
    steps: int = 300,
    seed: int = 0,
    dt: Quantity | None = None,
) -> CheckReport:
    """Compare a model's traces and gradients in Brian2 with finite differences.

    Everything runs with Brian2's numpy target and float64, whatever is set.

    Parameters
    ----------
    model : NeuronModel, str or Path
        A model, its name, or the path of its file.
    method : str, optional
        Integration method instead of the model's.
    neurons, steps : int
        Size of the group and length of the simulation.
    seed : int
        Of weights, input and target.
    dt : Quantity, optional
        Time step. Default: what the model's description says after 'Suggested dt:', else
        0.1 ms.

    Returns
    -------
    CheckReport
        Rows for ψ, every entry of the eligibility vector, the eligibility trace and the
        gradient; for lif and alif with their own method, the gradients of the reference too. A
        quantity that is 0 throughout does not pass.

    Raises
    ------
    ModelError, NoDerivativeError
        If the model cannot be loaded or linearized.
    """
    check_seed("check_model.seed", seed)
    if not isinstance(model, NeuronModel):
        model = load_model(model)
    dt = time_step(model) if dt is None else dt
    method = method or model.method

    def build(n):
        return model.group(n, dt=dt, method=method)

    rng = np.random.default_rng(seed)
    run = run_model(model, method, neurons, steps, rng, dt)
    expected = _expected(model, build, run)
    rows = [_compare("psi", {"": run.psi}, {"": expected["psi"]})]
    for name, vectors in run.eps.items():
        wanted = {matrix: expected["eps"][name][matrix] for matrix in vectors}
        # a state that each step empties is 0 whenever it is looked at, as nir_lif's I
        if any(np.any(v) for v in (*vectors.values(), *wanted.values())):
            rows.append(_compare(f"eps_{name}", vectors, wanted))
    rows.append(_compare("e_trace", run.e_trace, expected["e_trace"]))
    rows.append(_compare("gradient", run.gradient, expected["gradient"]))
    if _has_reference(model, method):
        network = run.network.reference_network()
        exact = reference.gradients(network, run.inputs, run.target, rule="eprop")
        matrices = {name: getattr(exact, name) for name in run.gradient}
        rows.append(_compare("gradient (reference)", run.gradient, matrices, REFERENCE))
    if not run.spikes.any():
        reason = "no neuron fires, whatever the weights"
        rows = [evolve(row, passed=False, reason=reason) for row in rows]
    return CheckReport(model.name, method, dt, steps, int(run.spikes.sum()), tuple(rows))


def time_step(model):
    """The time step that the description of a model suggests, else 0.1 ms : Quantity."""
    suggested = re.search(r"Suggested\s+dt:\s*([\d.]+)\s*(\w+)", model.description)
    return quantity("*".join(suggested.groups())) if suggested else 0.1 * ms


def _compare(name, computed, expected, tolerance=DIFFERENCES):
    error = 0.0
    for key in computed:
        largest = np.abs(expected[key]).max()
        if not np.isfinite(largest):
            return CheckedQuantity(
                name, np.nan, tolerance, False, "the model overflows; try a smaller dt"
            )
        if largest == 0:
            return CheckedQuantity(name, np.nan, tolerance, False, f"{key} is 0 throughout".strip())
        error = max(error, np.abs(computed[key] - expected[key]).max() / largest)
    # A NaN compares as False
    return CheckedQuantity(name, float(error), tolerance, bool(error <= tolerance))


def _expected(model, build, run):
    """ψ, s, e and the gradient again, from the recorded states alone."""
    names = state_names(build(1))
    n = run.spikes.shape[1]
    steps = step_derivatives(build(n * copies(len(names))), names, run.trajectory)
    psi = _psi(model, build(n), steps.distance)
    if "not_refractory" in run.trajectory.threshold:
        psi = psi * run.trajectory.threshold["not_refractory"]
    c = psi[..., np.newaxis] * steps.slope
    identity = np.eye(len(names))
    J = np.where(run.spikes[..., np.newaxis, np.newaxis], steps.reset, identity)
    k = steps.jump * [model.reset_path.get(name, "implicit") == "implicit" for name in names]

    signal = (run.output - run.target) @ run.network.weights["w_out"].T
    kappa = np.exp(-1 / TAU_STEPS)
    expected = {"psi": psi, "eps": {name: {} for name in names}, "e_trace": {}, "gradient": {}}
    ready = np.ones(run.spikes.shape)
    arrivals = {
        "w_in": (run.inputs, model.on_input, run.trajectory.threshold.get("not_refractory", ready)),
        "w_rec": (run.spikes, model.on_pre, run.trajectory.reset.get("not_refractory", ready)),
    }
    for block, (spikes, code, flags) in arrivals.items():
        exists = run.network.description.connectivity[block]
        b = _arrival(code, build(n), names) * _receptive(flags, build(1), names)
        s = np.zeros((*exists.shape, len(names)))
        filtered, gradient, vectors, traces = 0.0, 0.0, [], []
        for t in range(len(run.inputs)):
            arrived = spikes[t][:, np.newaxis, np.newaxis] * b[t]
            if t > 0:
                s = np.einsum("jab,ijb->ija", steps.update[t], s)
            if block == "w_in":
                s = s + arrived
            s = s * exists[..., np.newaxis]
            trace = np.einsum("ja,ija->ij", c[t], s)
            vectors.append(s)
            traces.append(trace)
            filtered = kappa * filtered + trace
            gradient = gradient + signal[t] * filtered
            if block == "w_rec":
                s = s + arrived
            s = np.einsum("jab,ijb->ija", J[t], s) + k[t] * trace[..., np.newaxis]
        for column, name in enumerate(names):
            expected["eps"][name][block] = np.array(vectors)[..., column]
        expected["e_trace"][block] = np.array(traces)
        expected["gradient"][block] = gradient
    return expected


def _psi(model, group, distance):
    """ψ by the reference's formula in NumPy."""
    surrogate = model.surrogate
    if isinstance(surrogate, Formula):
        code = surrogate.expression("x")
        return np.vectorize(lambda x: float(eval(code, NAMESPACE | {"x": x})))(distance)

    def number(value):
        return evaluate(value, group, {}) if isinstance(value, str) else float(np.asarray(value))

    shape = {f.name: number(getattr(surrogate, f.name)) for f in fields_of(type(surrogate))}
    return SURROGATES[surrogate_kind(surrogate)].derivative(
        distance, **{"h": 0.0, "s": 0.0, **shape}
    )


def _arrival(code, group, names):
    """Effect of an arriving spike of unit weight on every state: (neurons, states) array."""
    values = {name: np.asarray(getattr(group, f"{name}_")[:]) for name in group.equations}
    values |= {"dt": float(group.clock.dt)} | {name: np.zeros(len(group)) for name in names}
    values = NAMESPACE | values | {f"{name}_post": value for name, value in values.items()}

    def after(weight):
        now = values | {"w": weight}
        for target, operation, text in statements_of(code):
            # The code is the user's own model, which Brian2 has just run as well.
            value = eval(text, {}, now)
            now[target] = now[target] + value if operation == "+=" else value
        return np.stack([now[f"{name}_post"] + now[name] for name in names], axis=-1)

    return after(1.0) - after(0.0)


def _receptive(flags, group, names):
    """Which states a presynaptic spike can change: (T, neurons, states) of 0 and 1.

    During refractoriness not those that are held.
    """
    held = ["unless refractory" in group.user_equations[name].flags for name in names]
    return np.where(held, flags[..., np.newaxis], 1)


def _has_reference(model, method):
    own = model.name in ("lif", "alif") and model == load_model(model.name)
    return own and method == model.method
