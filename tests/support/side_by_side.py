"""Small networks that learn side by side in one Network, so that one program runs them all."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    defaultclock,
    ms,
)
from brian_networks import difference

from brian_eprop import (
    Adam,
    EProp,
    FiringRateRegularizer,
    LeakyReadout,
    Learner,
    PiecewiseLinear,
    TrainableSynapses,
)

DT = 1 * ms
#: Enough for synapses of a neuron to be runs, in rows.cpp.
N_IN, N, N_OUT = 6, 30, 25
#: Steps of a trial, of all trials, and of a window within a trial.
TRIAL, STEPS, WITHIN = 60, 120, 20

#: What a statement of agreement is about. Each pair of values occurs, where it is allowed.
FACTORS = {
    "windows": ("whole", "within", "carried"),
    "feedback": ("symmetric", "random", "adaptive", "given"),
    "loss": ("mse", "cross_entropy"),
    "order": (1, 2, math.inf),
    "delays": ("none", "one", "unstated", "synaptic"),
    # how rows.cpp passes over the synapses of a neuron
    "wiring": ("runs", "sorted", "shuffled"),
    "optimizer": ("none", "adam"),
}
WINDOWS = {
    "whole": dict(reset_every=TRIAL * DT, update_every=TRIAL * DT, learning_window=45 * DT),
    "within": dict(reset_every=TRIAL * DT, update_every=WITHIN * DT),
    "carried": dict(update_every=WITHIN * DT),
}
OPTIMIZERS = {"none": None, "adam": Adam(1e-2)}


def allowed(case):
    """Credit crosses synapses in whole trials only."""
    return case["order"] == 1 or case["windows"] == "whole"


@dataclass(eq=False)
class Side:
    """One of the networks: its objects, and what is compared after a run."""

    name: str
    neurons: NeuronGroup
    readout: LeakyReadout
    learner: Learner
    synapses: dict
    others: list = field(default_factory=list)
    weights: dict = field(default_factory=dict)

    def __post_init__(self):
        self.spikes = SpikeMonitor(self.neurons, name=f"{self.name}_spikes")

    @property
    def objects(self):
        return [self.neurons, self.readout, *self.synapses.values(), self.spikes, *self.others]

    def results(self):
        found = {"loss": np.array(self.readout.loss[:]), "y": np.array(self.readout.y[:])}
        raster = np.zeros((len(self.neurons), STEPS))
        raster[self.spikes.i[:], np.rint(self.spikes.t / DT).astype(int)] = 1
        found["raster"] = raster
        if "__kept_psi" in self.neurons.variables:
            found["psi"] = np.array(self.neurons.variables["__kept_psi"].get_value())
        for name, synapses in self.synapses.items():
            for variable in ("grad", "B", "eps_v", "e_bar"):
                if variable in synapses.variables:
                    found[f"{name} {variable}"] = np.array(getattr(synapses, variable)[:])
            found[f"{name} moved"] = np.array(synapses.w[:]) - self.weights[name]
        return found


def source():
    """Inputs that return with every trial."""
    steps, channels = np.nonzero(np.random.default_rng(1).random((STEPS, N_IN)) < 0.3)
    return SpikeGeneratorGroup(N_IN, channels, steps * DT, when="start", name="inputs")


MODEL = """
dv/dt = -v/(15*ms) : 1 (unless refractory)
da/dt = -a/(80*ms) : 1
"""
SPIKING = dict(threshold="v > 1 + 0.1*a", reset="v -= 1; a += 1", refractory=2 * ms, method="euler")
#: ψ is 0 for most neurons in most steps
SURROGATE = PiecewiseLinear(0.5, 0.6)


def connections(wiring, n_pre, n_post, rng):
    """Pairs of neurons: in rows of consecutive targets, in rows with gaps, or in disorder."""
    pre, post = np.divmod(np.arange(n_pre * n_post), n_post)
    if wiring == "runs":
        return pre, post
    kept = rng.random(len(pre)) < 0.7
    pre, post = pre[kept], post[kept]
    order = rng.permutation(len(pre)) if wiring == "shuffled" else np.arange(len(pre))
    return pre[order], post[order]


def readout_of(name, loss, rng):
    target = rng.normal(0, 1, (STEPS, N_OUT))
    if loss == "cross_entropy":
        target = rng.dirichlet(np.ones(N_OUT), STEPS)
    return LeakyReadout(N_OUT, tau=20 * ms, loss=loss, target=target, name=f"{name}_readout")


def side(name, inputs, case, engine="credit", seed=2):
    """A recurrent network of adapting neurons, learning as a case of the table says."""
    rng = np.random.default_rng(seed)
    neurons = NeuronGroup(N, MODEL, name=f"{name}_neurons", namespace={}, **SPIKING)
    readout = readout_of(name, case["loss"], rng)
    feedback, optimizer = case["feedback"], OPTIMIZERS[case["optimizer"]]
    given = rng.normal(0, 1, (N_OUT, N))
    periods = dict(WINDOWS[case["windows"]])
    if case["windows"] != "carried":
        periods["regularizers"] = [FiringRateRegularizer(0.05 / DT, 0.1)]
    learner = Learner(
        readout,
        EProp(order=case["order"], engine=engine, surrogate=SURROGATE),
        feedback=given if feedback == "given" else feedback,
        seed=5,
        optimizer=optimizer,
        **periods,
    )
    delays, synapses, weights = case["delays"], {}, {}
    for block, pre, post, on_pre, scale in (
        ("w_in", inputs, neurons, "v_post += w", 0.5),
        ("w_rec", neurons, neurons, "v_post += w", 0.15),
        ("w_out", neurons, readout, "y_post += w", 0.3),
    ):
        # traces, and windows within a trial, know no delays onto the readout
        later = block != "w_out" or case["order"] > 1
        stated = 0 * ms if delays == "none" else None
        if block == "w_in" and delays == "unstated":
            stated = 3 * ms
        elif delays == "one":
            stated = 3 * DT * later
        made = TrainableSynapses(
            pre,
            post,
            on_pre=on_pre,
            learner=learner,
            arrival="after_groups" if block == "w_in" else "synapses",
            name=f"{name}_{block}",
            namespace={},
            **({} if stated is None else {"delay": stated}),
        )
        i, j = connections(case["wiring"], len(pre), len(post), rng)
        made.connect(i=i, j=j)
        weights[block] = rng.normal(0.1 if block == "w_in" else 0, scale, len(i))
        made.w = weights[block]
        if delays == "synaptic" and later:
            made.delay = rng.integers(0, 6, len(i)) * DT
        synapses[block] = made
    return Side(name, neurons, readout, learner, synapses, weights=weights)


def run(sides, inputs, steps=STEPS):
    """Run networks side by side; results by their names."""
    network = Network(inputs, *itertools.chain(*(one.objects for one in sides)))
    network.run(steps * DT, namespace={})
    return {one.name: one.results() for one in sides}


def run_cases(cases, one_by_one=False):
    """Run cases {name: (case, engine)}: in one network or, for equal names, one after the other."""
    defaultclock.dt = DT
    if not one_by_one:
        inputs = source()
        return run([side(name, inputs, *about) for name, about in cases.items()], inputs)
    found = {}
    for name, about in cases.items():
        inputs = source()
        found[name] = run([side("side", inputs, *about)], inputs)["side"]
    return found


# Compilers may contract a*b + c; some hundred steps let a difference of one bit grow.
TOLERANCE = 1e-12


def assert_same(found, expected, tolerance=TOLERANCE, leave_out=()):
    # ψ is kept for as many steps as delays may reach, which a program does not know before
    names = [n for n in expected if n in found and not n.endswith(("psi", *leave_out))]
    wrong = {n: difference(found[n], expected[n]) for n in names}
    assert not {n: value for n, value in wrong.items() if not value < tolerance}
