"""The reference's networks, built of Brian2 objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from attrs import evolve
from brian2 import Network, SpikeGeneratorGroup, SpikeMonitor, StateMonitor, defaultclock, ms
from hypothesis import assume
from hypothesis import strategies as st
from random_networks import N_IN, N_OUT, N_REC, random_network, random_task

from brian_eprop import (
    EProp,
    FiringRateRegularizer,
    LeakyReadout,
    Learner,
    TrainableSynapses,
    load_model,
)
from brian_eprop.neurons.surrogates import SURROGATES
from brian_eprop.reference import simulate
from brian_eprop.reference import surrogates as reference_surrogates
from brian_eprop.reference.spiking import RESET_PATHS

BLOCKS = ("w_in", "w_rec", "w_out")
#: The reference's names of the surrogates → ours.
KINDS = {kind: "".join(map(str.title, kind.split("_"))) for kind in reference_surrogates.SURROGATES}
DT = 1 * ms


def difference(found, expected):
    """Largest deviation in units of the largest expected value."""
    return np.max(np.abs(found - expected)) / max(np.max(np.abs(expected)), 1e-3)


@dataclass(eq=False)
class BrianNetwork:
    """Brian2 objects of a reference network; ``synapses`` by the names of the weights."""

    source: SpikeGeneratorGroup
    neurons: object
    readout: LeakyReadout
    learner: Learner
    synapses: dict
    masks: dict
    n_steps: int
    n_trials: int

    def __post_init__(self):
        # the names that the next network has: code of equal text is compiled once
        self.spikes = SpikeMonitor(self.neurons, name="spikes")
        self.output = StateMonitor(self.readout, "y", record=True, when="after_end", name="output")
        self.network = Network(
            self.source,
            self.neurons,
            self.readout,
            *self.synapses.values(),
            self.spikes,
            self.output,
        )

    def monitor(self, name, variables, when="after_end"):
        """Record variables of the synapses ``name``, or of the neurons."""
        owner = self.synapses.get(name, self.neurons)
        monitor = StateMonitor(owner, variables, record=True, when=when)
        self.network.add(monitor)
        return monitor

    def run(self, n_trials=None):
        trials = self.n_trials if n_trials is None else n_trials
        self.network.run(trials * self.n_steps * DT, namespace={})
        return self

    def matrix(self, name, variable):
        """A variable of the synapses as (n_pre, n_post); 0 where there is none."""
        synapses = self.synapses[name]
        dense = np.zeros(self.masks[name].shape)
        dense[synapses.i[:], synapses.j[:]] = np.asarray(getattr(synapses, variable)[:])
        return dense

    def recorded(self, name, values):
        """What a monitor recorded of synapses as (n_trials, T, n_pre, n_post)."""
        synapses = self.synapses[name]
        dense = np.zeros((values.shape[1], *self.masks[name].shape))
        dense[:, synapses.i[:], synapses.j[:]] = values.T
        return dense.reshape(-1, self.n_steps, *dense.shape[1:])

    @property
    def gradients(self):
        return {name: self.matrix(name, "grad") / self.n_trials for name in BLOCKS}

    @property
    def loss(self):
        return float(np.sum(self.readout.loss[:])) / self.n_trials

    @property
    def raster(self):
        """(n_trials, T, n_rec) bool."""
        raster = np.zeros((self.n_trials * self.n_steps, len(self.neurons)), dtype=bool)
        raster[np.rint(self.spikes.t / DT).astype(int), self.spikes.i[:]] = True
        return raster.reshape(self.n_trials, self.n_steps, -1)


def neuron_model(network, kind):
    """The model whose surrogate has one height and width per neuron."""
    shape = ["height", "width"] + ["h", "s"] * (network.surrogate[0] == "multi_gaussian")
    surrogate = SURROGATES[KINDS[str(network.surrogate[0])]](**{n: f"psi_{n}" for n in shape})
    model = load_model(kind)
    parameters = {**model.parameters, **{f"psi_{name}": 1.0 for name in shape}}
    return evolve(model, parameters=parameters, surrogate=surrogate)


def neuron_group(network, kind="alif", name="hidden"):
    """A NeuronGroup with the parameters of the reference; uniform ones are shared."""

    def of(values, unit=1):
        return (values[0] if np.ptp(values) == 0 else values) * unit

    model = neuron_model(network, kind)
    parameters = dict(
        tau_m=of(-1 / np.log(network.alpha), ms),
        v_th=of(network.v_th),
        t_ref=of(network.n_ref.astype(float), ms),
    )
    if kind == "alif":
        parameters |= dict(tau_a=of(-1 / np.log(network.rho), ms), beta=of(network.beta))
    for parameter in model.parameters:
        if parameter.startswith("psi_"):
            shape = parameter.removeprefix("psi_")
            parameters[parameter] = of(getattr(network, f"surrogate_{shape}"))
    return model.group(len(network.v_th), name=name, **parameters)


def spike_source(inputs):
    """Trials (n_trials, T, n_in) one after the other."""
    step, index = np.nonzero(inputs.reshape(-1, inputs.shape[-1]))
    return SpikeGeneratorGroup(inputs.shape[-1], index, step * DT, when="start", name="inputs")


def connect(synapses, weights, mask, delay=None):
    pre, post = np.nonzero(mask)
    synapses.connect(i=pre, j=post)
    synapses.w = weights[pre, post]
    if delay is not None:
        synapses.delay = delay[pre, post] * DT


def build(
    network,
    inputs,
    targets,
    *,
    learning_window=None,
    kind="alif",
    gate="",
    state_delays=True,
    feedback=None,
    reset=True,
    on_pre=None,
    on_input=None,
    bounds=None,
    arrival="after_groups",
    arrival_rec="synapses",
    engine="credit",
    order=1,
    fixed_rec=False,
    trained=None,
    **for_learner,
):
    """The Brian2 objects of a reference network, whose trials follow each other.

    Parameters
    ----------
    network : SpikingNetwork
        With one kind of surrogate.
    inputs, targets : (n_trials, T, n) arrays; without the first axis there is one trial
    learning_window : int, optional
    kind : {"alif", "lif"}
    gate : str
        What the threshold of the group says besides.
    state_delays : bool
        Say ``delay=`` at the creation of synapses that all have the same.
    feedback : optional
        Default: the array of the reference, or symmetric.
    reset : bool
        Whether the state is reset after each trial.
    on_pre, on_input : str, optional
        Of the recurrent and of the input synapses instead of the model's.
    bounds : optional
        Of all synapses.
    arrival, arrival_rec : str
        Of the input and of the recurrent synapses.
    engine, order
        Of the rule.
    fixed_rec : bool
        The recurrent weights are not trained.
    trained : optional
        ``trainable`` of the input and of the recurrent synapses.
    **for_learner
        Of the learner.
    """
    defaultclock.dt = DT
    inputs, targets = (
        np.asarray(x)[np.newaxis] if np.ndim(x) == 2 else x for x in (inputs, targets)
    )
    n_trials, n_steps, _ = inputs.shape
    neurons = neuron_group(network, kind)
    neurons.events["spike"] += gate
    readout = LeakyReadout(
        network.n_out,
        tau=-1 / np.log(network.kappa) * ms,
        loss=network.loss,
        target=targets.reshape(-1, network.n_out),
        normalize=network.readout_gain != 1,
        average=network.average,
        name="readout",
    )
    if feedback is None:
        feedback = "symmetric" if network.feedback is None else network.feedback
    changed = ("v", "a") if kind == "alif" else ("v",)
    if np.any(network.rate_strength):
        for_learner["regularizers"] = [
            FiringRateRegularizer(network.rate_target[0] / DT, network.rate_strength[0])
        ]
    learner = Learner(
        readout,
        rule=EProp(
            order=order,
            engine=engine,
            reset_path={name: network.reset_path[name] for name in changed},
        ),
        feedback=feedback,
        reset_every=n_steps * DT if reset else None,
        learning_window=None if learning_window is None else learning_window * DT,
        **for_learner,
    )
    model = neurons.neuron_model
    source = spike_source(inputs)
    options = {"learner": learner, "bounds": bounds}

    def stated(delay):
        uniform = state_delays and np.ptp(delay) == 0
        return ({"delay": delay[0, 0] * DT}, None) if uniform else ({}, delay)

    delay_in, later_in = stated(network.delay_in)
    delay_rec, later_rec = stated(network.delay_rec)
    synapses = {
        "w_in": TrainableSynapses(
            source,
            neurons,
            on_pre=on_input or model.on_input,
            arrival=arrival,
            name="synapses_in",
            trainable=trained,
            **delay_in,
            **options,
        ),
        "w_rec": TrainableSynapses(
            neurons,
            neurons,
            on_pre=on_pre or model.on_pre,
            arrival=arrival_rec,
            fixed=fixed_rec,
            name="synapses_rec",
            trainable=trained,
            **delay_rec,
            **options,
        ),
        "w_out": TrainableSynapses(
            neurons, readout, on_pre="y_post += w", name="synapses_out", **options
        ),
    }
    masks = {"w_in": network.mask_in, "w_rec": network.mask_rec, "w_out": network.mask_out}
    connect(synapses["w_in"], network.w_in, network.mask_in, later_in)
    connect(synapses["w_rec"], network.w_rec, network.mask_rec, later_rec)
    connect(synapses["w_out"], network.w_out, network.mask_out)
    return BrianNetwork(source, neurons, readout, learner, synapses, masks, n_steps, n_trials)


@st.composite
def examples(draw):
    """Active networks with every option that both sides have, and how to build them.

    Returns
    -------
    network, inputs, targets, options : the arguments of `build`
    """
    seed = draw(st.integers(0, 2**32 - 2))
    rng = np.random.default_rng(seed + 3)
    kind = draw(st.sampled_from(["lif", "alif", "mixed"]))
    loss = draw(st.sampled_from(["mse", "cross_entropy"]))
    delays = draw(st.sampled_from(["none", "uniform", "synaptic"]))
    changes = dict(
        loss=loss,
        average=draw(st.booleans()),
        surrogate=draw(st.sampled_from(sorted(KINDS))),
        reset_path={name: draw(st.sampled_from(RESET_PATHS)) for name in "va"},
        rate_strength=draw(st.sampled_from([0.0, 30.0])),
        rate_target=0.1,
        readout_gain=draw(st.sampled_from([1.0, None])),
    )
    if delays != "synaptic":
        for name in ("delay_in", "delay_rec"):
            changes[name] = 0 if delays == "none" else draw(st.integers(0, 5))
    if draw(st.booleans()):
        changes["alpha"] = rng.uniform(0.7, 0.95)
    if draw(st.booleans()):
        for block, shape in (("in", (N_IN, N_REC)), ("rec", (N_REC,) * 2), ("out", (N_REC, N_OUT))):
            changes[f"mask_{block}"] = rng.random(shape) < 0.7
    if draw(st.booleans()):
        changes["feedback"] = None
    if changes["readout_gain"] is None:
        changes["kappa"] = rng.uniform(0.5, 0.9)
        changes["readout_gain"] = 1 - changes["kappa"]
    network = random_network(
        seed, kind, max_n_ref=draw(st.sampled_from([0, 5])), max_delay=5, **changes
    )
    inputs, targets = random_task(seed, loss, batch=draw(st.integers(1, 3)))
    run = simulate(network, inputs)
    # a silent network makes all rules agree
    assume(run.spikes.sum() >= 10 and np.abs(run.psi).sum() > 1)
    options = dict(
        learning_window=draw(st.sampled_from([None, 1, 10])),
        kind="lif" if kind == "lif" and draw(st.booleans()) else "alif",
        state_delays=draw(st.booleans()),
    )
    return network, inputs, targets, options
