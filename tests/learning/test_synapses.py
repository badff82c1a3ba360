"""Several groups and sub-groups, each a part of one network of the reference."""

from dataclasses import dataclass

import numpy as np
import pytest
from attrs import evolve
from brian2 import Network, SpikeMonitor, StateMonitor, defaultclock, ms, pA
from brian_networks import BLOCKS, DT, connect, difference, neuron_group, spike_source
from random_networks import random_network, random_task

from brian_eprop import EProp, LeakyReadout, Learner, TrainableSynapses, load_model
from brian_eprop.reference import gradients

pytestmark = pytest.mark.usefixtures("numpy_target")
TOLERANCE = 1e-10
PARTS = (slice(0, 2), slice(2, 5))
EVERY = slice(None)
PER_NEURON = ("alpha", "rho", "v_th", "beta", "n_ref", "surrogate")


@dataclass(frozen=True)
class Projection:
    synapses: TrainableSynapses
    weights: str
    rows: slice
    columns: slice


def part(network, neurons):
    """The same network with some of its neurons only."""
    return evolve(
        network,
        w_in=network.w_in[:, neurons],
        w_rec=network.w_rec[neurons, neurons],
        w_out=network.w_out[neurons],
        mask_in=None,
        mask_rec=None,
        mask_out=None,
        delay_in=None,
        delay_rec=None,
        feedback=None,
        **{
            name: getattr(network, name)[neurons]
            for name in (
                *PER_NEURON,
                *(f"surrogate_{n}" for n in ("height", "width", "h", "s")),
                "rate_target",
                "rate_strength",
            )
        },
    )


def two_groups(network):
    """LIF and ALIF neurons, with the reference's parameters; (groups, whole groups)."""
    groups = []
    for neurons, kind in zip(PARTS, ("lif", "alif"), strict=True):
        group = neuron_group(part(network, neurons), kind, name=kind)
        groups.append(group)
    return groups, groups


def two_subgroups(network):
    group = neuron_group(network)
    return [group[own.start : own.stop] for own in PARTS], [group]


def run_projections(
    network, inputs, targets, groups, wholes, feedback, delay, split_readout=False, engine="credit"
):
    """All projections between the groups; their gradients put together."""
    n_steps = inputs.shape[1]
    readout = LeakyReadout(
        network.n_out,
        tau=-1 / np.log(network.kappa) * ms,
        target=targets.reshape(-1, network.n_out),
    )
    rule = EProp(engine=engine)
    learner = Learner(readout, rule, feedback=feedback, reset_every=n_steps * DT)
    source = spike_source(inputs)
    found = []

    def add(weights, source, target, rows, columns, **options):
        synapses = TrainableSynapses(source, target, learner=learner, **options)
        delays = None
        if weights != "w_out" and "delay" not in options:
            delays = getattr(network, f"delay_{weights[2:]}")[rows, columns]
        mask = getattr(network, f"mask_{weights[2:]}")[rows, columns]
        connect(synapses, getattr(network, weights)[rows, columns], mask, delays)
        found.append(Projection(synapses, weights, rows, columns))

    stated = {} if delay is None else {"delay": delay}
    outputs = [slice(0, 1), slice(1, 2)] if split_readout else [EVERY]
    models = [whole.neuron_model for whole in (wholes * 2)[:2]]
    for own, group, model in zip(PARTS, groups, models, strict=True):
        add(
            "w_in",
            source,
            group,
            EVERY,
            own,
            on_pre=model.on_input,
            arrival="after_groups",
            **stated,
        )
        for other, sender in zip(PARTS, groups, strict=True):
            add("w_rec", sender, group, other, own, on_pre=model.on_pre, **stated)
        for k in outputs:
            target = readout[k.start : k.stop] if split_readout else readout
            add("w_out", group, target, own, k, on_pre="y_post += w")
    spikes = [SpikeMonitor(group) for group in wholes]
    objects = [p.synapses for p in found]
    Network(source, readout, *wholes, *objects, *spikes).run(
        len(inputs) * n_steps * DT, namespace={}
    )
    gradient = {name: np.zeros_like(getattr(network, name)) for name in BLOCKS}
    for p in found:
        block = np.zeros_like(gradient[p.weights][p.rows, p.columns])
        block[p.synapses.i[:], p.synapses.j[:]] = p.synapses.grad[:] / len(inputs)
        gradient[p.weights][p.rows, p.columns] = block
    return gradient, sum(m.num_spikes for m in spikes), found


def drawn_feedback(projections):
    feedback = np.zeros((5, 2))
    for p in projections:
        if p.weights == "w_out":
            block = np.zeros_like(feedback[p.rows, p.columns])
            block[p.synapses.i[:], p.synapses.j[:]] = p.synapses.B[:]
            feedback[p.rows, p.columns] = block
    assert len(np.unique(feedback)) == 10
    return feedback


@pytest.mark.first_case_is_fast
@pytest.mark.slow_unless(feedback=["adaptive"])
@pytest.mark.parametrize(
    ("engine", "divide", "feedback", "delay"),
    [  # each pair of values
        ("credit", two_groups, "adaptive", None),
        ("traces", two_subgroups, "adaptive", 0 * ms),
        ("credit", two_subgroups, "symmetric", None),
        ("traces", two_groups, "symmetric", 0 * ms),
        ("credit", two_groups, "given", 0 * ms),
        ("traces", two_subgroups, "given", None),
    ],
)
def test_parts_learn_as_the_whole(engine, divide, feedback, delay):
    defaultclock.dt = DT
    network = random_network(
        3,
        max_n_ref=3,
        max_delay=0 if delay is not None else 4,
        alpha=0.9,
        beta=np.array([0, 0, 0.1, 0.2, 0]),
        mask_rec=np.random.default_rng(1).random((5, 5)) < 0.8,
    )
    if feedback == "symmetric":
        network = evolve(network, feedback=None)
    inputs, targets = random_task(3, "mse", batch=3)
    groups, wholes = divide(network)
    given = feedback
    if feedback == "given" and divide is two_groups:
        pairs = zip(groups, PARTS, strict=True)
        given = {group: network.feedback[:, own] for group, own in pairs}
    elif feedback == "given":
        given = network.feedback
    found, n_spikes, projections = run_projections(
        network, inputs, targets, groups, wholes, given, delay, engine=engine
    )
    if feedback == "adaptive":
        network = evolve(network, feedback=drawn_feedback(projections).T)
    expected = gradients(network, inputs, targets, rule="eprop")
    assert n_spikes == expected.spikes.sum() > 20
    for name in BLOCKS:
        assert np.any(getattr(expected, name) != 0)
        assert difference(found[name], getattr(expected, name)) < TOLERANCE
    for p in projections:
        if p.weights != "w_out" and engine == "traces":
            holder = p.synapses.variables["eps_v"].owner.name
            assert (holder != p.synapses.name) == (delay is not None)


def test_a_readout_in_parts():
    defaultclock.dt = DT
    network = random_network(4, feedback=None)
    inputs, targets = random_task(4, "mse")
    groups, wholes = two_subgroups(network)
    found, n_spikes, _ = run_projections(
        network, inputs, targets, groups, wholes, "symmetric", None, split_readout=True
    )
    expected = gradients(network, inputs, targets, rule="eprop")
    assert n_spikes == expected.spikes.sum() > 20
    for name in BLOCKS:
        assert difference(found[name], getattr(expected, name)) < TOLERANCE


def test_a_group_and_its_subgroup_are_one_population():
    """Projections onto a group and onto a part of it add up."""
    defaultclock.dt = DT
    network = random_network(5, max_delay=0, feedback=None)
    inputs, targets = random_task(5, "mse", batch=1)
    group = neuron_group(network)
    readout = LeakyReadout(2, tau=-1 / np.log(network.kappa) * ms, target=targets[0])
    learner = Learner(readout)
    source = spike_source(inputs)
    common = {"on_pre": "v_post += w", "arrival": "after_groups", "learner": learner}
    whole = TrainableSynapses(source, group, name="onto_whole", **common)
    subset = TrainableSynapses(source, group[1:4], name="onto_part", **common)
    connect(whole, 0.5 * network.w_in, network.mask_in)
    connect(subset, 0.5 * network.w_in[:, 1:4], network.mask_in[:, 1:4])
    w_out = TrainableSynapses(group, readout, on_pre="y_post += w", learner=learner)
    connect(w_out, network.w_out, network.mask_out)
    Network(source, group, readout, whole, subset, w_out).run(24 * DT, namespace={})
    assert len(learner.populations) == 1
    found = np.asarray(whole.grad).reshape(3, 5)
    assert np.any(found[:, 1:4] != 0)
    np.testing.assert_array_equal(found[:, 1:4].ravel(), np.asarray(subset.grad))


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("stated", [{}, {"delay": 0 * ms}], ids=["per synapse", "per neuron"])
def test_projections_with_different_effects_onto_one_group(stated):
    """The gain of each on_pre is in its own gradient, from the first step on."""
    defaultclock.dt = DT
    network = random_network(5, max_delay=0, alpha=0.9, w_rec=np.zeros((5, 5)), feedback=None)
    inputs, targets = random_task(5, "mse", batch=1)
    inputs[:, 0] = True
    group = neuron_group(network)
    readout = LeakyReadout(2, tau=-1 / np.log(network.kappa) * ms, target=targets[0])
    learner = Learner(readout, EProp(engine="traces"))
    source = spike_source(inputs)
    gains = {
        "exp(-dt_post/tau_m_post)": network.alpha[0],
        "2": 2.0,
        "3*exp(dt/tau_m_post)": 3 / 0.9,
    }
    projections = []
    for code, gain in gains.items():
        synapses = TrainableSynapses(
            source,
            group,
            on_pre=f"v_post += w*{code}",
            arrival="after_groups",
            learner=learner,
            **stated,
        )
        connect(synapses, network.w_in / gain / 3, network.mask_in)
        assert (synapses.variables["eps_v"].owner.name == source.name) == bool(stated)
        projections.append(synapses)
    w_out = TrainableSynapses(group, readout, on_pre="y_post += w", learner=learner)
    connect(w_out, network.w_out, network.mask_out)
    Network(source, group, readout, *projections, w_out).run(24 * DT, namespace={})
    expected = gradients(network, inputs, targets, rule="eprop")
    assert expected.spikes.sum() > 10
    for synapses, gain in zip(projections, gains.values(), strict=True):
        found = np.asarray(synapses.grad).reshape(3, 5)
        assert difference(found, gain * expected.w_in) < TOLERANCE


@pytest.mark.slow
def test_current_based_neurons_beside_lif():
    """The reference has no such neuron: the traces are computed here from what was recorded.

    I' = σ I + x,  v' = v where refractory, else α v + k I,  k = (σ − α)/(1/τ_m − 1/τ_s)/C;
    a reset sets v: ∂v/∂w → (1 − z)(∂v/∂w) + (v_reset − v) e.
    """
    defaultclock.dt = DT
    rng = np.random.default_rng(3)
    n_steps = 80
    inputs = rng.random((1, n_steps, 4)) < 0.3
    readout = LeakyReadout(1, tau=20 * ms, target=rng.normal(0, 1, (n_steps, 1)))
    cuba = load_model("cuba_lif").group(3, t_ref=3 * ms, name="cuba")
    lif = load_model("lif").group(3, tau_m=20 * ms, v_th=0.5, name="lif")
    learner = Learner(readout, EProp(engine="traces"))
    source = spike_source(inputs)
    onto_cuba = {"model": "w : amp", "on_pre": cuba.neuron_model.on_pre, "learner": learner}
    forward = TrainableSynapses(source, cuba, **onto_cuba)
    back = TrainableSynapses(lif, cuba, delay=0 * ms, **onto_cuba)
    to_lif = TrainableSynapses(cuba, lif, on_pre=lif.neuron_model.on_pre, learner=learner)
    outputs = [
        TrainableSynapses(group, readout, on_pre="y_post += w", learner=learner)
        for group in (cuba, lif)
    ]
    for synapses in (forward, back, to_lif, *outputs):
        synapses.connect()
    n = 12
    forward.w = rng.uniform(1000, 3000, n) * pA
    back.w = rng.uniform(-200, 500, 9) * pA
    to_lif.w = rng.uniform(0.2, 0.8, 9)
    for synapses in outputs:
        synapses.w = rng.normal(0, 1, 3)
    before = StateMonitor(cuba, ["v", "not_refractory"], record=True, when="before_thresholds")
    after = StateMonitor(cuba, ["psi", "L"], record=True, when="after_end")
    traces = [
        StateMonitor(synapses, "e_trace", record=True, when="after_end")
        for synapses in (forward, back)
    ]
    spikes = {group: SpikeMonitor(group) for group in (cuba, lif)}
    objects = [source, cuba, lif, readout, forward, back, to_lif, *outputs]
    Network(*objects, before, after, *traces, *spikes.values()).run(n_steps * DT)
    assert min(monitor.num_spikes for monitor in spikes.values()) > 3

    def raster(monitor, n):
        fired = np.zeros((n_steps, n))
        fired[np.rint(monitor.t / DT).astype(int), monitor.i[:]] = 1
        return fired

    z = raster(spikes[cuba], 3)
    alpha, sigma = np.exp(-1 / 10), np.exp(-1 / 2)
    k = (sigma - alpha) / (1 / 10 - 1 / 2) * 1e-3 / 250e-12  # volt per ampere
    arrived = (inputs[0].astype(float), raster(spikes[lif], 3))
    for synapses, trace, x in zip((forward, back), traces, arrived, strict=True):
        eps_v, eps_i, e_bar = np.zeros((3, x.shape[1], 3))
        gradient = np.zeros((x.shape[1], 3))
        for t in range(n_steps):
            if t:
                free = before.not_refractory[:, t] == 1
                eps_v = np.where(free, alpha * eps_v + k * eps_i, eps_v)
                eps_i = sigma * eps_i
            e = after.psi[:, t] * eps_v
            found = trace.e_trace_[:, t].reshape(e.shape)
            assert np.abs(found - e).max() < TOLERANCE * k * np.abs(after.psi).max()
            e_bar = np.exp(-1 / 20) * e_bar + e
            gradient += after.L[:, t] * e_bar
            eps_v = (1 - z[t]) * eps_v + (-70e-3 - before.v_[:, t]) * e
            eps_i = eps_i + x[t][:, np.newaxis]
        assert np.any(gradient != 0)
        found = np.asarray(synapses.grad).reshape(gradient.shape)
        assert np.abs(found - gradient).max() < TOLERANCE * np.abs(gradient).max()
