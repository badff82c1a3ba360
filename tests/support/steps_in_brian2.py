"""Networks of any neuron models that fire, and the sequences that Brian2 has run them through."""

from __future__ import annotations

from functools import cache

import numpy as np
from attrs import evolve
from brian2 import ms, mV, nS, pF

from brian_eprop import NeuronModel, PiecewiseLinear, RecurrentNetwork
from brian_eprop.network.checked_model import firing_scale
from brian_eprop.reference import RULES
from brian_eprop.rule_study.brian2_problems import problem_in_brian2

N_IN, N, N_OUT = 4, 5, 2

CONDUCTANCE = NeuronModel(
    name="conductance",
    equations="""
    dv/dt = (g_L*(E_L - v) + g*(E_e - v))/C : volt (unless refractory)
    dg/dt = -g/tau_g : siemens
    """,
    threshold="v > v_th",
    reset="v = E_L",
    refractory="1*ms",
    method="exponential_euler",
    parameters={
        **{"g_L": 10 * nS, "C": 100 * pF, "E_L": -65 * mV, "E_e": 0 * mV, "v_th": -50 * mV},
        "tau_g": 3 * ms,
    },
    on_pre="g_post += w",
    weight_unit="nS",
    initial={"v": "E_L"},
    surrogate=PiecewiseLinear("0.3/(v_th - E_L)", "v_th - E_L"),
)
#: Its conductance rises, and a potassium conductance that spikes open holds it back.
ALPHA_CONDUCTANCE = NeuronModel(
    name="alpha_conductance",
    equations="""
    dv/dt = (g_L*(E_L - v) + g*(E_e - v) + k*(E_K - v))/C : volt
    dg/dt = (r - g)/tau_g : siemens
    dr/dt = -r/tau_g : siemens
    dk/dt = -k/tau_k : siemens
    """,
    threshold="v > v_th",
    reset="v = E_L\nk += 2*nS",
    method="rk2",
    parameters={
        **{"g_L": 10 * nS, "C": 100 * pF, "E_L": -65 * mV, "E_e": 0 * mV, "v_th": -50 * mV},
        **{"tau_g": 1 * ms, "tau_k": 10 * ms, "E_K": -80 * mV},
    },
    on_pre="r_post += w",
    weight_unit="nS",
    initial={"v": "E_L"},
    reset_path={"v": "explicit", "k": "implicit"},
    surrogate=PiecewiseLinear("0.3/(v_th - E_L)", "v_th - E_L"),
)
#: name → model, overrides, dt and steps
MODELS = {
    "adex": ("adex", {"t_ref": 0.5 * ms}, 0.1 * ms, 80),
    "izhikevich": ("izhikevich", {}, 0.1 * ms, 80),
    "hodgkin_huxley": ("hodgkin_huxley", {}, 0.05 * ms, 120),
    "conductance": (CONDUCTANCE, {}, 0.1 * ms, 80),
    "alpha_conductance": (ALPHA_CONDUCTANCE, {}, 0.1 * ms, 80),
}


def firing(name, batch=1, seed=0, steps=None, **options):
    """A network of one of the models, with strong recurrent weights, and trials for it.

    Returns
    -------
    network : RecurrentNetwork
    inputs, targets : (batch, T, n) ndarray
    """
    model, overrides, dt, length = MODELS[name]
    rng = np.random.default_rng(seed)
    steps = steps or length
    inputs = rng.random((batch, steps, N_IN)) < 0.2
    w_in, w_rec = rng.exponential(size=(N_IN, N)), rng.normal(size=(N, N)) * (1 - np.eye(N))
    population = RecurrentNetwork([(model, 1, overrides)], 1, 1, 1).description.populations[0]
    scale = firing_scale(population.model, population.model.method, inputs[0], w_in, dt)
    network = RecurrentNetwork(
        [(model, N, overrides)],
        N_IN,
        N,
        N_OUT,
        dt=dt,
        tau_out=20 * dt,
        weights={
            "w_in": scale * w_in,
            "w_rec": scale * w_rec,
            "w_out": rng.normal(size=(N, N_OUT)),
        },
        **options,
    )
    return network, inputs, rng.normal(size=(batch, steps, N_OUT))


@cache
def problem_of(name, **options):
    """The trials, run by Brian2; neurons have fired, and steps have slopes."""
    problem = problem_in_brian2(*firing(name, **options))
    spikes = sum(step.observable.sum(axis=(0, 1)) for step in problem.steps)
    assert spikes > 5
    assert np.any([step.observation for step in problem.steps])
    return problem


def copies_of(problem, number):
    """The same sequence side by side, so that a stochastic rule draws for each."""
    arrays = ("state", "observable", "observation", "implicit", "drive", "self_edge")
    axis = {"observable": 0, "implicit": 2, "drive": 2}
    readout = int(problem.network.kappa > 0)
    steps = []
    for step in problem.steps:
        cell = {}
        for name in arrays:
            values = getattr(step, name)
            if name == "implicit":
                values = values[: -readout or None, : -readout or None]
            elif name != "observable":
                values = values[: -readout or None]
            cell[name] = np.repeat(values, number, axis=axis.get(name, 1))
        steps.append(evolve(step, output=None, readout=None, arrivals=None, **cell))
    inputs, targets = (np.repeat(x, number, axis=0) for x in (problem.inputs, problem.targets))
    return type(problem)(problem.network, inputs, targets, problem.weight[0], steps=steps)


def vector(problem, rule, seed=0, **options):
    """The gradient by a rule through the true readout weights: what exists, side by side."""
    problem, of_rule = problem.with_symmetric_feedback(), RULES[rule]
    recursion = of_rule.at_work(problem.network, np.random.default_rng(seed), **options)
    found = problem.gradient(recursion, of_rule)
    return flat(problem.network, found)


def flat(network, gradient):
    """Gradients {matrix: array} as one vector of the weights that exist."""
    parts = []
    for name in ("w_in", "w_rec"):
        array = np.asarray(gradient[name])
        parts.append(array[np.broadcast_to(network.mask_of(name), array.shape)])
    return np.concatenate(parts)


def distance(found, expected):
    """Largest difference relative to the largest entry, which must not be 0."""
    largest = np.abs(expected).max()
    assert largest > 0
    return np.abs(found - expected).max() / largest
